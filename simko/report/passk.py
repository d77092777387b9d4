"""pass@K: the unbiased estimator, the grid of K, and the values of each problem. Bands over them: `simko.report.bands`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


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
