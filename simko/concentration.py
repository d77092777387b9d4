"""How an update's probability is spread over candidates: what SimKO acts on, as numbers of a step.

Over all tokens of the loss, from the statistics that the loss reads anyway: entropy with its histogram, the share of top-1
tokens, the log-probs of ranks 1 to 3 and of the sampled token. What the sweep cannot give is exact, too, but of few tokens
(`pick`), by a second product with the vocabulary at the end of the step: ranks 4 and 5, the number of candidates that hold 0.95
of the mass, and the expected number of distinct tokens in G draws. Ranks 4 and 5 are not tracked in the sweep: among equal
logits a search for five may choose others than a search for three, and the update would change.

Every number is a mean over the tokens of a population: all tokens, those that pass SimKO's gate (above the 0.8 quantile of their
own answer's entropy, and above 1e-4 nats, whatever the method), those of right and of wrong answers, and both. A population
without a token gives no number. Sums are over the whole step, so a mean does not depend on the split into micro-batches.

`gated_` and the like come first in a name: `gated_wrong_entropy`. docs/reference/metrics.md says what each number means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from simko.algorithms.gates import high_entropy
from simko.head import LmHead, TokenStatistics
from simko.head.whole import whole_statistics
from simko.metrics import RANKS
from simko.micro_batch import MicroBatch
from simko.schedule import stream_seed
from simko.sizes import ENTROPY_EDGES as EDGES
from simko.types import Batch

GATE_QUANTILE, GATE_FLOOR = 0.8, 1e-4  # SimKO's defaults, for every method: methods can be compared
MASS = 0.95
WHOLE_RANKS = 5
POPULATIONS = ("", "gated_", "right_", "wrong_", "gated_right_", "gated_wrong_")
_TOKENS = ("entropy", "top1_fraction", "logp_sampled", *(f"logp_rank{i + 1}" for i in range(RANKS)))
_LEAST, _MOST, _SHARE, _LOGITS = 8, 1024, 128, 2**18


class Look(NamedTuple):
    """What a micro-batch shows: N tokens, row by row."""

    values: NDArray[np.float64]  # (N, Q): the columns of `_TOKENS`
    gated: NDArray[np.bool_]  # (N,)
    right: NDArray[np.bool_]  # (N,)
    places: NDArray[np.int64]  # (n,) of the picked tokens among the N
    numbers: NDArray[np.int64]  # (n,) of the picked tokens in the step
    states: Float[Tensor, "n D"]


class Concentration:
    """The numbers of one update, gathered from its micro-batches."""

    def __init__(self, batch: Batch, rows: Sequence[int], head: LmHead, step: int = 0) -> None:
        self._batch, self._head = batch, head
        lengths = {row: int(batch.completions[row].sampled.sum()) for row in sorted(rows)}
        starts = np.cumsum([0, *lengths.values()])
        self._starts = dict(zip(lengths, starts.tolist(), strict=False))
        self._lengths = lengths
        self._picked = np.zeros(int(starts[-1]), dtype=np.bool_)
        self._picked[pick(int(starts[-1]), head.weight.shape[0], step)] = True
        self._looks: list[Look] = []

    def states(self, micro: MicroBatch, states: Float[Tensor, "N D"]) -> Float[Tensor, "n D"]:
        """A copy of the states of the picked tokens, to be taken before the others are let go."""
        return states.detach()[torch.from_numpy(self._places(micro)[0]).to(states.device)]

    def look(self, micro: MicroBatch, raw: TokenStatistics, states: Float[Tensor, "n D"]) -> Look:
        """What the tokens of a micro-batch show. Changes nothing here, so the micro-batch may be tried again."""
        entropy = raw.entropy.detach()
        gate = high_entropy(micro.spread(entropy), micro.mask, GATE_QUANTILE, GATE_FLOOR)[micro.mask]
        ranks = raw.topk_logp.detach()[:, :RANKS]
        columns = (entropy, raw.is_top1, raw.logp.detach(), *ranks.unbind(1), gate)
        table = torch.stack([column.to(entropy.dtype) for column in columns], 1).cpu().numpy().astype(np.float64)
        right = np.repeat(self._batch.correct[micro.rows], [self._lengths[row] for row in micro.rows])
        return Look(table[:, :-1], table[:, -1] > 0, right, *self._places(micro), states)

    def add(self, look: Look) -> None:
        """Count the tokens of a micro-batch."""
        self._looks.append(look)

    def columns(self, temperature: float, group_size: int) -> dict[str, Tensor]:
        """All that the tokens of these micro-batches show, and more of the picked ones; `metrics_of` makes numbers of it.

        `group_size` is G of the expected distinct tokens. Picked tokens are in the order of the step: a sum does not depend on
        the micro-batches.
        """
        if not self._looks:
            return {}
        values, gated, right = (np.concatenate([look[i] for look in self._looks]) for i in range(3))
        numbers = np.concatenate([look.numbers for look in self._looks])
        order = np.argsort(numbers)
        picked = [np.concatenate([look[i][look.places] for look in self._looks])[order] for i in (1, 2)]
        out = {"values": values, "gated": gated, "right": right, "numbers": numbers[order], "picked": np.stack(picked)}
        columns = {name: torch.from_numpy(array) for name, array in out.items()}
        if not len(numbers):
            return columns
        states, head = torch.cat([look.states for look in self._looks]), self._head
        whole = whole_statistics(
            states[torch.from_numpy(order).to(states.device)], head.weight, temperature,
            k=min(WHOLE_RANKS, head.weight.shape[0]), mass=MASS, draws=group_size,
            bias=head.bias, soft_cap=head.soft_cap, scale=head.scale,
        )  # fmt: skip
        counts = torch.stack([whole.candidates.double(), whole.distinct.double()], 1)
        return columns | {"ranks": whole.topk_logp.double().cpu(), "counts": counts.cpu()}

    def _places(self, micro: MicroBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the picked tokens stand among those of the micro-batch, and among those of the step."""
        numbers = np.concatenate(
            [np.arange(self._starts[row], self._starts[row] + self._lengths[row]) for row in micro.rows]
        )
        places = np.flatnonzero(self._picked[numbers])
        return places, numbers[places]


def metrics_of(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """The numbers of an update, from the `columns` of each rank that had a part in it."""
    parts = [part for part in parts if part]
    if not parts:
        return {}
    values, gated, right = (torch.cat([part[name] for part in parts]).numpy() for name in ("values", "gated", "right"))
    out = _named(values, _TOKENS[: values.shape[1]], gated, right)
    for name in _TOKENS:  # of all tokens `simko.metrics` has them
        out.pop(name, None)
    shares = np.bincount(np.searchsorted(EDGES, values[:, 0], side="right"), minlength=len(EDGES) + 1) / len(values)
    out |= {f"entropy_hist_{i:02}": float(share) for i, share in enumerate(shares)}
    ranks = values[:, 3:].mean(0)
    out |= {f"logp_gap_{i + 1}_{i + 2}": float(ranks[i] - ranks[i + 1]) for i in range(len(ranks) - 1)}
    out = {"concentration_tokens": float(len(values)), **out, **_whole([part for part in parts if "ranks" in part])}
    return {name: float(f"{value:.7g}") for name, value in out.items()}


def _whole(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """The numbers of the picked tokens."""
    if not parts:
        return {"whole_tokens": 0.0}
    order = torch.cat([part["numbers"] for part in parts]).argsort()
    ranks, counts = (torch.cat([part[name] for part in parts])[order] for name in ("ranks", "counts"))
    gated, right = torch.cat([part["picked"] for part in parts], 1)[:, order].numpy()
    columns = {f"logp_rank{i + 1}": ranks[:, i] for i in range(RANKS, ranks.shape[1])}
    columns |= {"candidates_95": counts[:, 0], "distinct_tokens": counts[:, 1]}
    table = torch.stack(list(columns.values()), 1).numpy()
    out = {"whole_tokens": float(len(table)), **_named(table, tuple(columns), gated, right)}
    gaps = (ranks[:, :-1] - ranks[:, 1:]).mean(0).tolist()
    return out | {f"logp_gap_{i + 1}_{i + 2}": gaps[i] for i in range(RANKS - 1, len(gaps))}


def pick(tokens: int, vocabulary: int, step: int) -> NDArray[np.int64]:
    """Return the tokens of a step that are looked at whole, in order: one, by chance, of each of n equal stretches.

    So each answer is looked at according to its length. n is 1/128 of the tokens, at least 8 and at most 1,024, or as many as
    make 2^18 logits: a small vocabulary costs little. They depend on the step and the number of tokens alone.
    """
    n = min(tokens, max(min(max(tokens // _SHARE, _LEAST), _MOST), _LOGITS // vocabulary))
    bounds = tokens * np.arange(n + 1) // max(n, 1)
    chance = np.random.default_rng(stream_seed("concentration", step, tokens)).random(n)
    return bounds[:-1] + (chance * np.diff(bounds)).astype(np.int64)


def _named(
    values: NDArray[np.float64], names: Sequence[str], gated: NDArray[np.bool_], right: NDArray[np.bool_]
) -> dict[str, float]:
    """The mean of each column, for each population that has a token."""
    every = np.ones(len(values), dtype=np.bool_)
    members = (every, gated, right, ~right, gated & right, gated & ~right)
    out: dict[str, float] = {}
    for population, inside in zip(POPULATIONS, members, strict=True):
        if inside.any():
            means = values[inside].mean(0).tolist()
            out |= {f"{population}{name}": mean for name, mean in zip(names, means, strict=True)}
    return out
