"""Did a run gain more than noise? From its training rewards, which are not held out, and from its looks at held-out problems.

**Training rewards.** The mean reward of the first tenth of the steps is held against that of the last tenth. Each step trains on
other problems, easy or hard, and samples other answers, so its reward scatters by itself. If nothing had changed, the steps of
both tenths would be one heap, and any deal of it into two would do. So all deals are tried, or `DEALS` of them: the p value is
the share of deals whose difference is as large. This permutation test is exact for any number of steps and any scatter. What
the policy learns inside a tenth widens the scatter, so the test errs on the careful side.

Each tenth has at least `LEAST` steps: with fewer no deal can be rare enough. Another training seed is in none of this.

**Looks.** The last look is held against the first, problem by problem, by the band of `simko.report.bands`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from simko.report.bands import LEVEL, Band, band
from simko.report.passk import pass_at_k
from simko.run.records import Look

LEAST = 4
"""Steps in a part at least: of two parts with 3 steps each, the rarest deal has a share of 1 in 10."""
DEALS = 9999


@dataclass(frozen=True)
class Gain:
    """Mean rewards of the first and the last `steps` steps, and the share of deals that differ as much."""

    first: float
    last: float
    steps: int
    p_value: float

    @property
    def is_more_than_noise(self) -> bool:
        """Whether chance alone seldom gives such a difference."""
        return self.p_value < 1 - LEVEL

    @property
    def rises(self) -> bool:
        """Whether the reward is higher, by more than noise."""
        return self.is_more_than_noise and self.last > self.first


def training_gain(rewards: Sequence[float]) -> Gain | None:
    """What the rewards of all steps, in order, gained from the first tenth to the last; None if the steps are too few."""
    return _ends(rewards, max(len(rewards) // 10, LEAST))


def recent_gain(rewards: Sequence[float]) -> Gain | None:
    """The same from the last fifth but one of the steps to the last fifth: whether it still rises. None if they are too few."""
    return _ends(rewards, max(len(rewards) // 5, LEAST), recent=True)


def looks_band(looks: Sequence[Look]) -> Band | None:
    """The change of pass@1 and pass@K from the first look to the last, over the problems that both have; None without any.

    K is half the fewest samples of a problem, as in a look.
    """
    if len(looks) < 2:
        return None
    first, last = looks[0].counts, looks[-1].counts
    pairs = [(first[task], last[task]) for task in first if task in last]
    fewest = min((min(before[0], after[0]) for before, after in pairs), default=0)
    if fewest < 1:
        return None
    ks = sorted({1, max(fewest // 2, 1)})
    change = [[pass_at_k(*after, k) - pass_at_k(*before, k) for k in ks] for before, after in pairs]
    return band("change", ks, np.array(change, dtype=np.float64))


def _ends(rewards: Sequence[float], steps: int, recent: bool = False) -> Gain | None:
    """The last `steps` steps against the first, or against those before them."""
    if len(rewards) < 2 * steps:
        return None
    values = np.array(rewards, dtype=np.float64)
    return _gain(values[-2 * steps : -steps] if recent else values[:steps], values[-steps:])


def _gain(first: NDArray[np.float64], last: NDArray[np.float64]) -> Gain:
    """The permutation test of two parts of equal size."""
    steps = len(first)
    heap = np.concatenate([first, last])
    if comb(2 * steps, steps) <= 2 * DEALS:
        deals = np.array(list(combinations(range(2 * steps), steps)))
        extra = 0  # the deal that happened is among them
    else:
        order = np.tile(np.arange(2 * steps), (DEALS, 1))
        deals = np.random.default_rng(0).permuted(order, axis=1)[:, :steps]
        extra = 1
    happened = abs(float(last.sum() - first.sum()))
    differences = np.abs(heap.sum() - 2 * heap[deals].sum(axis=1))
    as_large = int((differences >= happened - 1e-9).sum())
    return Gain(float(first.mean()), float(last.mean()), steps, (as_large + extra) / (len(deals) + extra))
