"""What more cards bring, on paper: `python -m studies.scale` prints the tables of docs/results/scale.md, always the same ones.

A step is simulated: answers of lognormal length, dealt to N cards as `simko.ranks.dealing` deals them, decoded by an engine
of so many slots, then the update and one all-reduce of the adapter's gradient. Nothing here was measured on cards. Each number
that the simulation starts from is an assumption, and `ASSUMED` says where it comes from.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simko.console import markdown
from simko.files import write_atomically
from simko.memory.shapes import BUILT_IN, Shape
from simko.ranks.dealing import deal_rollout, deal_rows

CARDS = tuple(range(1, 17))
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16)
ENOUGH = 0.7  # below this efficiency the loop has stopped scaling
STEPS = 12  # simulated steps of a cell
MODELS = ("Qwen2.5-0.5B", "Qwen2.5-1.5B", "Qwen2.5-7B")
ASSUMED = {
    "memory": "a card reads 1,008 GB/s (RTX 4090, NVIDIA's Ada whitepaper), and decoding gets 70 % of it",
    "arithmetic": "it computes 165 TFLOP/s in bfloat16 (the same paper), and decoding and the update get 40 % of it",
    "host": "a decode step takes 12 ms besides: with it, a 1.5B model and 300 answers of 600 tokens give 8,500 tokens/s; "
    "databasemart.com measured 8,300 (13.85 requests/s) with vLLM on that card",
    "lengths": "an answer has a lognormal length, median 300 tokens, sigma 0.6 between tasks and 0.4 within one, cut at 2,048",
    "informative": "60 % of the groups are informative and enter the update",
    "serial": "0.5 s a step are not shared: merging, the optimizer, records",
    "links": "bus bandwidth of an all-reduce. PCIe with P2P 24.5 GB/s: six RTX 4090 under tinygrad/open-gpu-kernel-modules, its "
    "README. Without P2P 6 GB/s: half of the 11 to 16 that its issue 3 shows in both directions at once. Ethernet: 94.9 % of "
    "the line rate is payload (1,460 of 1,538 bytes a frame)",
    "hops": "a message takes 12 us between cards (its issue 17), 50 us by Ethernet",
}


WAYS = {
    "in turn": "group i to card i modulo N, answers decoded in that order, and the same for the update",
    "nothing known": "`deal_rollout` with equal expectations, as in the first step of a run",
    "in order": "expectations from eight earlier answers to each task, a card decodes in the order of the tasks",
    "by length": "the same, and each of several cards decodes the longest first: what simko does",
    "lengths known": "the same, with expectations that are right",
    "no refill": "the longest first, by an engine that waits for the longest of a batch before it begins the next one",
}


@dataclass(frozen=True)
class Link:
    """Bytes a second over each link of a ring, and seconds a hop."""

    name: str
    bandwidth: float
    hop: float

    def all_reduce(self, size: float, cards: int) -> float:
        """Seconds of a ring all-reduce of `size` bytes: 2 (N - 1) messages of size / N each."""
        return 2 * (cards - 1) * (size / cards / self.bandwidth + self.hop)


PAYLOAD = 1460 / 1538
LINKS = (
    Link("PCIe 4.0 x16, P2P", 24.5e9, 12e-6),
    Link("PCIe 4.0 x16, no P2P", 6e9, 12e-6),
    Link("10 Gbit Ethernet", 1.25e9 * PAYLOAD, 50e-6),
    Link("1 Gbit Ethernet", 0.125e9 * PAYLOAD, 50e-6),
)


@dataclass(frozen=True)
class Card:
    """Seconds of a decode step, of each sequence in it, and of a token of the update."""

    step: float
    sequence: float
    update: float

    @classmethod
    def of(cls, shape: Shape, context: float = 500.0) -> Card:
        """A card that decodes a merged bfloat16 copy. Each sequence reads the keys and values of `context` tokens.

        The update computes a forward, the same again for the checkpoints, and the gradient of the activations.
        """
        read, compute = 0.7 * 1008e9, 0.4 * 165e12
        cache_bytes = 2 * 2 * shape.kv_width * shape.layers * context
        sequence = cache_bytes / read + 2 * shape.parameters / compute
        return cls(0.012 + 2 * shape.parameters / read, sequence, 6 * shape.parameters / compute)


@dataclass(frozen=True)
class Case:
    """A step: prompts, answers to each, slots of a card's engine. `grows`: `prompts` are those of each card."""

    name: str
    prompts: int
    answers: int
    slots: int
    grows: bool = False
    model: str = "Qwen2.5-1.5B"
    rank: int = 16
    link: Link = LINKS[1]

    def of(self, cards: int) -> Case:
        """The step of so many cards."""
        return replace(self, prompts=self.prompts * cards) if self.grows else self


CASES = (
    Case("simko's default, 16 x 8", 16, 8, 64),
    Case("128 x 16", 128, 16, 64),
    Case("128 x 16, 16 slots", 128, 16, 16),
    Case("16 x 8 for each card", 16, 8, 64, grows=True),
)


def lengths_of(case: Case, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Tokens of each answer `[prompts, answers]`; for each task `[prompts]` those expected after eight earlier answers, and
    whether its group is informative.
    """
    rng = np.random.default_rng([seed, case.prompts, case.answers])
    medians = 300 * np.exp(0.6 * rng.standard_normal((case.prompts, 1)))
    every = medians * np.exp(0.4 * rng.standard_normal((case.prompts, case.answers + 8)))
    every = np.clip(every.round(), 1, 2048).astype(np.int64)
    return every[:, 8:], every[:, :8].mean(axis=1), rng.permutation(case.prompts) < 0.6 * case.prompts


def decode_seconds(lengths: Sequence[int], slots: int, card: Card, refill: bool = True) -> float:
    """Decode answers in this order. A slot that is free takes the next one; without `refill`, a batch waits for its longest.

    A decode step costs `card.step` however many sequences are in it, and each token `card.sequence`.
    """
    if refill:
        ends = list(lengths[:slots])  # the decode step at which each slot is free
        heapq.heapify(ends)
        for length in lengths[slots:]:
            heapq.heapreplace(ends, ends[0] + length)
        steps = max(ends, default=0)
    else:
        steps = sum(max(lengths[start : start + slots]) for start in range(0, len(lengths), slots))
    return steps * card.step + sum(lengths) * card.sequence


def step_seconds(case: Case, cards: int, deal: str, seed: int) -> float:
    """Seconds of one step, its groups dealt as `WAYS` says."""
    lengths, guess, informative = lengths_of(case, seed)
    prompts, answers = lengths.shape
    tokens, card = lengths.ravel().tolist(), Card.of(BUILT_IN[case.model])
    in_turn = [[row for row in range(len(tokens)) if row // answers % cards == rank] for rank in range(cards)]
    shares = in_turn
    if deal != "in turn":
        known = {"nothing known": np.ones(prompts), "lengths known": lengths.mean(axis=1)}.get(deal, guess)
        pieces = deal_rollout(known.tolist(), answers, cards)
        shares = [[p.task * answers + p.first + k for p in share for k in range(p.count)] for share in pieces]
    if deal == "in order" or (cards == 1 and deal != "no refill"):
        shares = [sorted(share) for share in shares]
    decode = max(
        decode_seconds([tokens[row] for row in share], case.slots, card, deal != "no refill") for share in shares
    )

    costs = [count * bool(informative[row // answers]) for row, count in enumerate(tokens)]
    groups = [row // answers for row in range(len(tokens))]
    shares = in_turn if deal == "in turn" else deal_rows(costs, groups, cards)
    update = max(sum(costs[row] for row in share) for share in shares) * card.update
    size = 4 * BUILT_IN[case.model].adapter_parameters(case.rank)
    return decode + update + case.link.all_reduce(size, cards) + 0.5


@cache
def mean_seconds(case: Case, cards: int, deal: str = "by length") -> float:
    """Mean over simulated steps."""
    return float(np.mean([step_seconds(case.of(cards), cards, deal, seed) for seed in range(STEPS)]))


def efficiency(case: Case, cards: int) -> float:
    """The work that a card does in a second, of what one card alone would do."""
    return mean_seconds(case, 1) / (1 if case.grows else cards) / mean_seconds(case, cards)


def stops_at(case: Case) -> int | None:
    """The fewest cards at which efficiency is below `ENOUGH`."""
    return next((cards for cards in CARDS if efficiency(case, cards) < ENOUGH), None)


def adapters() -> list[list[str]]:
    """Rows of the first table: an adapter's size, and the milliseconds of its all-reduce between two and eight cards."""
    rows = []
    for model in MODELS:
        for rank in (16, 32):
            count = BUILT_IN[model].adapter_parameters(rank)
            times = [[1e3 * link.all_reduce(4 * count, cards) for cards in (2, 8)] for link in LINKS]
            shown = [" / ".join(f"{time:,.0f}" for time in pair) for pair in times]
            rows.append([model, str(rank), f"{count:,}", f"{4 * count / 1e6:.0f}", *shown])
    return rows


def steps(case: Case) -> list[list[str]]:
    """Rows of a case: cards, seconds of a step by each way of dealing, without refill, and efficiency."""
    rows = []
    for cards in SHOWN:
        seconds = [f"{mean_seconds(case, cards, deal):.1f}" for deal in WAYS]
        rows.append([str(cards), *seconds, f"{100 * efficiency(case, cards):.0f} %"])
    return rows


ADAPTER_HEAD = ["model", "rank", "parameters", "MB", *(f"{link.name}, ms" for link in LINKS)]
STEP_HEAD = ["cards", *WAYS, "efficiency"]


def page() -> str:
    """The tables, as docs/results/scale.md has them."""
    parts = [markdown(ADAPTER_HEAD, adapters())]
    for case in CASES:
        stop = stops_at(case)
        end = (
            f"below {ENOUGH:.0%} from {stop} cards on" if stop else f"never below {ENOUGH:.0%} up to {CARDS[-1]} cards"
        )
        parts += [f"**{case.name}**, {case.slots} slots a card: {end}.", markdown(STEP_HEAD, steps(case))]
    for names in (WAYS, ASSUMED):
        parts.append("\n".join(f"- {name}: {text}." for name, text in names.items()))
    return "\n\n".join(parts)


def draw() -> bytes:
    """Efficiency against the number of cards, a curve a case; the bytes of a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from simko.report.comparison_plot import DPI, FAINT, GRID, headline, png
    from simko.report.plot import COLOURS, MARKERS

    figure = Figure(figsize=(7.6, 4.4), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.085, 0.115, 0.62, 0.735))
    for case, colour, marker in zip(CASES, COLOURS, MARKERS, strict=False):
        heights = [100 * efficiency(case, cards) for cards in CARDS]
        axes.plot(CARDS, heights, color=colour, marker=marker, markersize=4, linewidth=1.8)
        axes.text(CARDS[-1] + 0.4, heights[-1], case.name, color=colour, fontsize=8.5, va="center")
    axes.axhline(100 * ENOUGH, color=FAINT, linewidth=0.9, linestyle="--")
    axes.set(xlim=(0.5, CARDS[-1] + 0.3), ylim=(0, 109), xticks=SHOWN)
    axes.set_xlabel("cards", color=FAINT, fontsize=9)
    axes.set_ylabel("efficiency (%)", color=FAINT, fontsize=9)
    axes.tick_params(labelsize=8.5, colors=FAINT)
    axes.grid(color=GRID, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    headline(
        figure, "What a card still does of what it does alone", "simulated, not measured; dashed: where scaling stops"
    )
    return png(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables; `--plot FILE` draws a picture, too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="write a picture of the efficiencies (PNG)")
    options = parser.parse_args(arguments)
    if options.plot:
        write_atomically(options.plot, draw())
    print(page())


if __name__ == "__main__":
    main()
