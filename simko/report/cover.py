"""Beside pass@K: Cover@tau and its curve, pass^K, what a uniform guesser would get, and the tokens that K answers cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

TAUS = (0.1, 0.5, 0.9)

Pairs = Mapping[str, tuple[int, int]] | Sequence[tuple[int, int]]
"""For each problem its samples, and how many of them are correct; a mapping by id or a plain list."""


def cover_values(counts: Pairs, taus: Sequence[float] = TAUS) -> NDArray[np.float64]:
    """Tell which problems have a measured solve rate of at least tau, 0 or 1: `[problems, len(taus)]`.

    Raises:
        ValueError: there is no problem, or one without samples.
    """
    # c >= tau * n rather than c / n >= tau, with room for rounding: 0.1 * 30 is above 3 in binary
    samples, correct = _columns(counts)
    needed = samples[:, None] * np.asarray(taus, dtype=np.float64)
    return (correct[:, None] >= needed - 1e-9).astype(np.float64)


def cover_at(counts: Pairs, taus: Sequence[float] = TAUS) -> dict[float, float]:
    """Return Cover@tau: the share of problems with a solve rate of at least tau (arXiv 2510.08325).

    The rate is the measured one, `c / n`: with few samples its noise moves problems across tau.

    Raises:
        ValueError: there is no problem, or one without samples.
    """
    return dict(zip(map(float, taus), cover_values(counts, taus).mean(axis=0).tolist(), strict=True))


def cover_curve(counts: Pairs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the whole cover curve as its steps: rising rates, and the share of problems with at least that rate.

    Between two rates the share is that of the larger one. Averaged over tau with density Beta(1, K) the curve gives
    `1 - (1 - rate)^K`, pass@K of draws with replacement from the samples; `pass_at_k` draws without.

    Raises:
        ValueError: there is no problem, or one without samples.
    """
    samples, correct = _columns(counts)
    rates, members = np.unique(correct / samples, return_counts=True)
    return rates, np.cumsum(members[::-1])[::-1] / len(samples)


@lru_cache(maxsize=1 << 16)
def pass_all_k(n: int, c: int, k: int) -> float:
    """Estimate pass^K, the chance that all of `k` samples are correct, from `c` correct of `n`: `C(c, k) / C(n, k)`.

    The same draws without replacement as `pass_at_k`, without bias (Yao et al. 2024, tau-bench, arXiv 2406.12045).

    Raises:
        ValueError: unless `0 <= c <= n` and `1 <= k <= n`.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass^{k} of {c} correct among {n}: need 0 <= c <= n and 1 <= k <= n")
    return 0.0 if c < k else math.exp(math.fsum(math.log1p(-k / j) for j in range(c + 1, n + 1)))


def pass_all_matrix(samples: Sequence[int], correct: Sequence[int], ks: Sequence[int]) -> NDArray[np.float64]:
    """Return pass^K of each problem, `[problems, len(ks)]`.

    Raises:
        ValueError: a problem has fewer samples than the largest K.
    """
    rows = [[pass_all_k(int(n), int(c), int(k)) for k in ks] for n, c in zip(samples, correct, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(len(samples), len(ks))


def guess_floor(answers: Iterable[Mapping[str, Sequence[int]]], ks: Sequence[int]) -> NDArray[np.float64]:
    """Return pass@K of someone who guesses uniformly among the answers seen for a problem: `[problems, len(ks)]`.

    `answers` maps for each problem an answer to `[samples that gave it, how many were correct]`. A curve that ends near
    this floor may be luck in a small space of answers. A problem without an answer gives 0.
    """
    rows = []
    for seen in answers:
        right = sum(correct / count for count, correct in seen.values() if count)
        rate = min(1.0, right / len(seen)) if seen else 0.0
        rows.append([1 - (1 - rate) ** k for k in ks])
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(ks))


def tokens_at(ks: Sequence[int], tokens_per_answer: float) -> tuple[float, ...]:
    """Return the mean tokens that K answers cost: the axis on which arms with answers of other lengths are compared."""
    return tuple(float(k * tokens_per_answer) for k in ks)


def _columns(counts: Pairs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = list(counts.values()) if isinstance(counts, Mapping) else list(counts)
    if not pairs or any(n < 1 for n, _ in pairs):
        raise ValueError("a cover curve needs problems, each with a sample")
    columns = np.asarray(pairs, dtype=np.float64)
    return columns[:, 0], columns[:, 1]
