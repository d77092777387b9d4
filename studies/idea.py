"""One forking token, trained by real losses: `python -m studies.idea` prints the table of docs/idea.md and draws its picture.

An answer has six tokens. At one of them the policy hesitates between eight letters; the other five are nearly certain. Three
letters lead to a right answer: the likeliest, the second and the fourth. The policy is a row of eight logits, moved by plain
gradient descent. Losses and advantages are those of `simko.algorithms`, unchanged. All of it is a toy: no model, no context.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from simko import algorithms
from simko.algorithms.compose import Algorithm
from simko.algorithms.stats import TokenStats
from simko.console import markdown
from simko.files import write_atomically
from simko.group_view import GroupView

LETTERS = "ABCDEFGH"
START = (0.36, 0.22, 0.14, 0.10, 0.07, 0.05, 0.04, 0.02)
RIGHT = (0, 1, 3)
LENGTH, FORK = 6, 2  # tokens of an answer, and which of them forks
SURE = 0.999  # probability of the letter that is sampled elsewhere
IMAGE = Path(__file__).resolve().parents[1] / "docs" / "images" / "fork.png"
COLOURS = {"before": "#9a9a9a", "GRPO": "#0072b2", "SimKO, alpha 0.5": "#d55e00"}
ARMS: dict[str, tuple[str, dict[str, float]]] = {
    "GRPO": ("grpo", {}),
    "SimKO, alpha 0.01": ("simko", {}),
    "SimKO, alpha 0.5": ("simko", {"alpha": 0.5}),
    "GRPO + pass@4": ("pass_at_k", {"pass_k": 4}),
    "SimKO + pass@4": ("simko_pass_at_k", {"pass_k": 4, "alpha": 0.5}),
}


class Outcome(NamedTuple):
    """Means over seeds: the probability of each letter, of a right letter, and how many right letters have at least 1 %."""

    letters: list[float]
    right: float
    kept: float


def start() -> Tensor:
    """The logits at the fork before training."""
    return torch.tensor(START).log()


def statistics(logits: Tensor, sampled: Tensor, advantages: Sequence[float], k: int) -> TokenStats:
    """What a loss reads of answers whose letters at the fork are `sampled` (G,); the other tokens have no gradient."""
    certain = torch.full((len(LETTERS),), (1 - SURE) / (len(LETTERS) - 1)).log()
    certain[0] = torch.tensor(SURE).log()
    table = torch.stack([logits if place == FORK else certain for place in range(LENGTH)])
    logp = torch.log_softmax(table, -1).expand(len(sampled), -1, -1)
    ids = torch.zeros(len(sampled), LENGTH, dtype=torch.long)
    ids[:, FORK] = sampled
    chosen = logp.gather(-1, ids[..., None])[..., 0]
    top_logp, top_ids = logp.topk(k, dim=-1)
    return TokenStats(
        mask=torch.ones_like(ids, dtype=torch.bool),
        logp=chosen,
        old_logp=chosen.detach(),
        advantage=torch.tensor(advantages, dtype=torch.float32)[:, None].expand_as(chosen),
        correct=torch.tensor([letter in RIGHT for letter in sampled.tolist()]),
        entropy=-(logp.exp() * logp).sum(-1).detach(),
        is_top1=ids == top_ids[..., 0],
        topk_logp=top_logp,
        topk_ids=top_ids,
    )


def push(method: Algorithm, letter: int, advantage: float) -> list[float]:
    """How one answer moves the logits of the fork: minus the gradient of its loss there."""
    logits = start().requires_grad_()
    loss = method.loss(statistics(logits, torch.tensor([letter]), [advantage], max(method.k, 1)))
    [gradient] = torch.autograd.grad(loss.matrix.sum(), logits)
    return [-value for value in gradient.tolist()]


def train(method: Algorithm, rate: float, group: int, steps: int, seed: int) -> Tensor:
    """The probabilities (8,) after `steps` groups of answers."""
    generator = torch.Generator().manual_seed(seed)
    logits = start().requires_grad_()
    for _ in range(steps):
        sampled = torch.multinomial(torch.softmax(logits.detach(), -1), group, replacement=True, generator=generator)
        correct = [letter in RIGHT for letter in sampled.tolist()]
        view = GroupView([float(c) for c in correct], correct, [0.0] * group, [LENGTH] * group, LENGTH)
        advantages = method.advantages(view)
        loss = method.loss(statistics(logits, sampled, advantages, max(method.k, 1))).matrix.sum() / group
        [gradient] = torch.autograd.grad(loss, logits)
        with torch.no_grad():
            logits -= rate * gradient
    return torch.softmax(logits.detach(), -1)


def outcome(method: Algorithm, seeds: int, steps: int, rate: float = 0.5, group: int = 16) -> Outcome:
    """Train from several seeds."""
    rows = torch.stack([train(method, rate, group, steps, seed) for seed in range(seeds)])
    right = rows[:, list(RIGHT)]
    return Outcome(rows.mean(0).tolist(), float(right.sum(1).mean()), float((right >= 0.01).sum(1).float().mean()))


def table(outcomes: dict[str, Outcome]) -> str:
    """The outcomes as Markdown, with the start as its first row."""
    rows = [["before", *(f"{p:.2f}" for p in START[:5]), f"{sum(START[i] for i in RIGHT):.2f}", f"{len(RIGHT):.1f}"]]
    for name, result in outcomes.items():
        rows.append([name, *(f"{p:.2f}" for p in result.letters[:5]), f"{result.right:.2f}", f"{result.kept:.1f}"])
    names = [f"{letter}, right" if i in RIGHT else letter for i, letter in enumerate(LETTERS[:5])]
    return markdown(["", *names, "right in all", "right letters of 3 with 1 % or more"], rows)


def draw(outcomes: dict[str, Outcome]) -> bytes:
    """The picture: what one answer does to the logits, and the letters after training."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    shown = ("GRPO", "SimKO, alpha 0.5")
    places = np.arange(5)
    for axis, advantage, title in (
        (left, 1.0, "a right answer with A"),
        (middle, -1.0, "a wrong answer with A"),
    ):
        for index, name in enumerate(shown):
            algorithm, options = ARMS[name]
            values = push(algorithms.get(algorithm, **options), 0, advantage)[:5]
            axis.bar(places + 0.4 * index - 0.2, values, 0.38, color=COLOURS[name], label=name)
        axis.axhline(0, color="#333333", linewidth=0.8)
        axis.set_title(f"Push of {title}", fontsize=11)
        axis.set_ylabel("on the logit, for |A| = 1")
    for index, (name, heights) in enumerate(
        {"before": START, **{name: outcomes[name].letters for name in shown}}.items()
    ):
        right.bar(places + 0.28 * index - 0.28, heights[:5], 0.26, color=COLOURS[name], label=name)
    right.set_title("Probability, before and after", fontsize=11)
    right.legend(frameon=False, fontsize=10)
    names = [f"{letter}\n{'right' if i in RIGHT else 'wrong'}" for i, letter in enumerate(LETTERS[:5])]
    for axis in (left, middle, right):
        axis.set_xticks(places, names if axis is right else list(LETTERS[:5]))
        axis.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train every arm, print the table and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--plot", type=Path, default=IMAGE, help="where the picture goes (docs/images/fork.png)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    methods = {name: algorithms.get(algorithm, **settings) for name, (algorithm, settings) in ARMS.items()}
    outcomes = {name: outcome(method, options.seeds, options.steps) for name, method in methods.items()}
    write_atomically(options.plot, draw(outcomes))
    print(table(outcomes))


if __name__ == "__main__":
    main()
