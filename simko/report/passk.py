"""pass@K: the unbiased estimator, its curve over problems, bootstrap intervals, and the K where one curve overtakes another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95


@lru_cache(maxsize=1 << 16)
def pass_at_k(n: int, c: int, k: int) -> float:
    """Estimate the chance that at least one of `k` samples is correct, without bias, from `c` correct of `n`.

    `1 - C(n-c, k) / C(n, k) = 1 - prod_{j=n-c+1..n} (1 - k/j)` (Chen et al. 2021, arXiv 2107.03374, eq. 1). The sum is over
    logarithms, so that small chances keep their relative precision.

    Raises:
        ValueError: unless `0 <= c <= n` and `1 <= k <= n`.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} of {c} correct among {n}: need 0 <= c <= n and 1 <= k <= n")
    if n - c < k:
        return 1.0
    return -math.expm1(math.fsum(math.log1p(-k / j) for j in range(n - c + 1, n + 1)))


def k_grid(n: int) -> tuple[int, ...]:
    """Return 1, 2, 4 ... up to `n`, and `n` itself; raise `ValueError` if `n` is below 1."""
    if n < 1:
        raise ValueError(f"no K can be measured with {n} samples")
    powers = [1 << i for i in range(n.bit_length())]
    return tuple(dict.fromkeys([*powers, n]))


def pass_matrix(samples: Sequence[int], correct: Sequence[int], ks: Sequence[int]) -> NDArray[np.float64]:
    """Return pass@K of each problem, `[problems, len(ks)]`, each from its own number of samples.

    Choose `ks` by the problem with the fewest samples (`k_grid(min(samples))`): a curve compares the same problems at every K.

    Raises:
        ValueError: a problem has fewer samples than the largest K.
    """
    return np.array(
        [[pass_at_k(int(n), int(c), int(k)) for k in ks] for n, c in zip(samples, correct, strict=True)],
        dtype=np.float64,
    ).reshape(len(samples), len(ks))


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity at several K: its mean over problems and the ends of its interval, each `(len(k),)`."""

    name: str
    k: tuple[int, ...]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def mean_curve(name: str, ks: Sequence[int], values: NDArray[np.float64], seed: int = 0) -> Curve:
    """Average `values` `[problems, len(ks)]` to a curve, with 95 % percentile bootstrap intervals over problems.

    The intervals say how far other problems of the same kind could move the mean. With few problems they are a little too
    narrow, and a single point if every problem has the same value. For the paired interval of a difference, give `a - b`,
    problem by problem. Equal seeds resample the same problems.

    Raises:
        ValueError: there are no problems.
    """
    low, high = bootstrap(values, seed)
    return Curve(name, tuple(ks), values.mean(axis=0), low, high)


def bootstrap(
    values: NDArray[np.float64], seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both ends of the percentile interval of the mean over rows, `(columns,)` each; `values` `[problems, columns]`."""
    problems = len(values)
    if not problems:
        raise ValueError("no problem to resample")
    rng = np.random.default_rng(seed)
    # how often each resample draws each problem
    draws = rng.multinomial(problems, np.full(problems, 1 / problems), size=resamples)
    means = draws @ values / problems
    tail = 50 * (1 - level)
    low, high = np.percentile(means, [tail, 100 - tail], axis=0)
    return low, high


def crossover(curve: Curve, base: Curve) -> float | None:
    """Return the K from which `base` is above `curve` and never again below it, or None if there is no such K.

    Between two measured K's, it is where straight lines over log K cross. If `base` is above from the first K on, it is that
    K. Only means are compared: the paired interval of the difference tells whether a lead is more than noise.

    Raises:
        ValueError: the two curves were measured at different K's.
    """
    if curve.k != base.k:
        raise ValueError(f"curves '{curve.name}' and '{base.name}' are measured at different K's")
    lead = base.mean - curve.mean
    behind = np.flatnonzero(lead < 0)
    ahead = np.flatnonzero(lead > 0)
    ahead = ahead[ahead > behind[-1]] if len(behind) else ahead
    if not len(ahead):
        return None
    after = int(ahead[0])
    if after == 0:
        return float(curve.k[0])
    before = after - 1
    share = -lead[before] / (lead[after] - lead[before])
    left, right = math.log(curve.k[before]), math.log(curve.k[after])
    return math.exp(left + share * (right - left))


def format_k(k: float) -> str:
    """Format a K between measured ones, with the precision that it deserves: `2.7`, `45`."""
    return f"{k:.1f}" if k < 10 else f"{k:.0f}"
