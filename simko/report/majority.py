"""majority@K, computed exactly: how often the most frequent answer of K samples is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_NEGLIGIBLE = 1e-14
_DIRECT = 32  # up to this K the polynomials are multiplied out: their rounding is smaller, and so is the time
_FEW = 3  # the same holds for so few answers


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
        if len(able) == 1:  # it wins alone, and the others fill up
            ((v, s),) = able
            total += s * binomial.pmf(v)[t] * (binomial.pmf(others)[k - t] if k - t <= others else 0.0)
            continue
        value = _by_spectrum if k > _DIRECT and len(able) > _FEW else _by_products
        total += value([(binomial.pmf(v), s) for v, s in able], t, binomial.pmf(others), k, most, n)
    return min(1.0, total / chance)


Able = list[tuple[NDArray[np.float64], float]]
"""The answers that can reach the winning count: the chances of 0..v draws of each, and its score."""


def _by_products(able: Able, t: int, others: NDArray[np.float64], k: int, most: int, n: int) -> float:
    """The sum of `S[r, k] / r` at winning count t, by multiplying the polynomials out."""
    weight = np.zeros((2, most + 1, k + 1))  # W and S, by answers tied at t, by samples drawn
    weight[0, 0, : len(others)] = others[: k + 1]
    for pmf, s in able:
        at_t = pmf[t] * weight[:, :-1, :-t]
        weight = _convolve(weight, pmf[:t])
        weight[:, 1:, t:] += at_t
        weight[1, 1:, t:] += s * at_t[0]
    return float((weight[1, 1:, k] / np.arange(1, most + 1)).sum())


def _by_spectrum(able: Able, t: int, others: NDArray[np.float64], k: int, most: int, n: int) -> float:
    """The same, without polynomials: their values at points are multiplied, which costs their size and not its square.

    `sum of S[r] / r` is the integral of `S(y) / y` from 0 to 1, with y for each tied answer. Gauss-Legendre points give it
    exactly, as no more than `most` answers tie at k. The samples drawn are at the roots of unity. Nothing wraps round to the
    coefficient k: there are more roots than k, and more than n - k, and no degree is above n. Answers with equal votes and
    scores are one power.
    """
    size = _fast_size(max(k, n - k) + 1)
    step = np.exp(-2j * np.pi / size * (t * np.arange(size // 2 + 1) % size))
    points, shares = _gauss((most + 1) // 2)
    every = np.broadcast_to(np.fft.rfft(others, size), (len(points), size // 2 + 1))  # W(y)
    won = np.zeros_like(every)  # S(y) / y
    for (_, s), (pmf, count) in _alike(able).items():
        at_t = pmf[t] * step
        factor = np.fft.rfft(pmf[:t], size) + points[:, None] * at_t
        rest = every if count == 1 else every * factor ** (count - 1)
        won = won * (factor if count == 1 else factor**count)
        if s:
            won += count * s * at_t * rest
        every = rest * factor
    return float(np.fft.irfft(shares @ won, size)[k])


def _alike(able: Able) -> dict[tuple[int, float], tuple[NDArray[np.float64], int]]:
    """Answers with equal votes and scores: their chances, and how many they are."""
    groups: dict[tuple[int, float], tuple[NDArray[np.float64], int]] = {}
    for pmf, s in able:
        groups[len(pmf), s] = pmf, groups.get((len(pmf), s), (pmf, 0))[1] + 1
    return groups


@lru_cache(maxsize=1024)
def _fast_size(least: int) -> int:
    """The smallest even number from `least` on that has no prime factor above 5: a size that Fourier transforms like."""
    size = least + least % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


@lru_cache(maxsize=256)
def _gauss(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights of Gauss-Legendre quadrature from 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return (points + 1) / 2, weights / 2


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
