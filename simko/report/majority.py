"""majority@K, computed exactly: how often the most frequent answer of K samples is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_NEGLIGIBLE = 1e-14


def majority_at_k(
    votes: Sequence[int], scores: Sequence[float], ks: Sequence[int], blank: int = 0
) -> NDArray[np.float64]:
    """Return the expected score of the most frequent answer among K samples drawn without replacement, `(len(ks),)`.

    Of a problem's n samples, `votes[i]` gave answer i, which scores `scores[i]` (1 correct, 0 not). `blank` samples gave no
    answer: they use up a draw and do not vote. Answers that tie share the win; without any vote the score is 0.

    The result is exact, without sampling. The counts of the K drawn samples are multivariate hypergeometric: independent
    binomials, given their sum. For each winning count t, each answer gives one polynomial: it was drawn fewer than t times,
    or t times, which makes one more in the tie. Their product is `W[tied, drawn]`, and `S` is the same weighted with the
    scores of the tied answers. The result is the sum of `S[r, K] / r` over t and r.

    Raises:
        ValueError: a K outside 1..n.
    """
    n = sum(votes) + blank
    for k in ks:
        if not 1 <= k <= n:
            raise ValueError(f"majority@{k} of {n} samples: need 1 <= k <= n")
    pairs = sorted(((int(v), float(s)) for v, s in zip(votes, scores, strict=True) if v > 0), reverse=True)
    return np.array([_majority(pairs, int(k), blank, n) for k in ks], dtype=np.float64)


def _majority(pairs: list[tuple[int, float]], k: int, blank: int, n: int) -> float:
    if not pairs:
        return 0.0
    if k == 1:
        return sum(v * s for v, s in pairs) / n
    if k == n:
        winners = [s for v, s in pairs if v == pairs[0][0]]
        return sum(winners) / len(winners)
    binomial = _binomial(n, k)
    chance = float(binomial.pmf(n)[k])
    total = 0.0
    for t in _likely_winning_counts(pairs, k, binomial, _NEGLIGIBLE * chance):
        able = [(v, s) for v, s in pairs if v >= t]
        others = blank + sum(v for v, _ in pairs[len(able) :])
        most = min(k // t, len(able))
        weight = np.zeros((2, most + 1, k + 1))  # W and S, by answers tied at t, by samples drawn
        weight[0, 0, : others + 1] = binomial.pmf(others)[: k + 1]
        for v, s in able:
            pmf = binomial.pmf(v)
            at_t = pmf[t] * weight[:, :-1, :-t]
            weight = _convolve(weight, pmf[:t])
            weight[:, 1:, t:] += at_t
            weight[1, 1:, t:] += s * at_t[0]
        total += float((weight[1, 1:, k] / np.arange(1, most + 1)).sum())
    return min(1.0, total / chance)


def _likely_winning_counts(pairs: list[tuple[int, float]], k: int, binomial: _Binomial, limit: float) -> range:
    """Winning counts, without those at both ends whose chance together is below `2 * limit`."""
    most = min(k, pairs[0][0])
    at_least = np.zeros(most + 2)  # at [t]: bounds the chance that some answer has t votes or more
    for v, _ in pairs:
        tail = np.cumsum(binomial.pmf(v)[::-1])[::-1][: most + 1]
        at_least[: len(tail)] += tail
    at_most = np.cumsum(binomial.pmf(pairs[0][0]))  # at [t]: bounds the chance that no answer has more than t votes
    first = 1 + int((at_most[1 : most + 1] < limit).sum())
    last = int(np.flatnonzero(at_least >= limit)[-1])
    return range(first, last + 1)


def _convolve(weight: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve `weight` with `kernel` along its last axis, cut to its length."""
    size = weight.shape[-1]
    if len(kernel) <= 8:
        out = kernel[0] * weight
        for shift in range(1, min(len(kernel), size)):
            out[..., shift:] += kernel[shift] * weight[..., :-shift]
        return out
    padded = np.zeros(2 * size - 1)
    padded[size - 1 : size - 1 + len(kernel)] = kernel[:size]
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)  # windows[i, j] = kernel[i + j - (size - 1)]
    return weight @ windows[:, ::-1].T


class _Binomial:
    """Binomial probabilities at p = k/n. This p makes the sum k likely, so no term that matters underflows."""

    def __init__(self, n: int, k: int) -> None:
        self._log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
        self._log_p, self._log_q = math.log(k / n), math.log1p(-k / n)
        self._pmfs: dict[int, NDArray[np.float64]] = {}

    def pmf(self, m: int) -> NDArray[np.float64]:
        """Return the chances of 0..m successes in m draws, `(m + 1,)`."""
        if m not in self._pmfs:
            f = self._log_factorial[: m + 1]
            c = np.arange(m + 1)
            self._pmfs[m] = np.exp(f[m] - f - f[::-1] + c * self._log_p + (m - c) * self._log_q)
        return self._pmfs[m]


@lru_cache(maxsize=64)
def _binomial(n: int, k: int) -> _Binomial:
    return _Binomial(n, k)
