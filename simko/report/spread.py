"""How far a mean over crossed seeds and problems may be from the truth: its error, its correlation over K, few problems."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simko.report.student import normal_quantile, normal_tail, student_tail

SAME = 1e-12


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard error and degrees of freedom at each K, and the correlation of the mean over K."""

    error: NDArray[np.float64]
    freedom: NDArray[np.float64]
    correlation: NDArray[np.float64]


def spread_of(cube: NDArray[np.float64]) -> Spread:
    """Estimate the spread of the mean of `cube` `[seeds, problems, K]`, whose problems are the same under every seed."""
    seeds, problems, width = cube.shape
    mean = cube.mean(axis=(0, 1))
    by_problem = cube.mean(axis=0) - mean
    covariance = by_problem.T @ by_problem / (problems * max(1, problems - 1))
    over_problems = np.diag(covariance)
    if seeds == 1:
        error, freedom = np.sqrt(over_problems), np.full(width, np.inf)
    else:
        by_seed = cube.mean(axis=1) - mean
        covariance = covariance + by_seed.T @ by_seed / (seeds * (seeds - 1))
        over_seeds = (by_seed**2).sum(axis=0) / (seeds * (seeds - 1))
        rest = cube - by_problem[None] - by_seed[:, None] - mean
        cells = seeds * problems
        both = (rest**2).sum(axis=(0, 1)) / (cells * max(1, (seeds - 1) * (problems - 1)))
        variance = _total(over_seeds, over_problems, both)
        bound = over_seeds * _upper_factor(seeds - 1)
        loss = bound**2 / (seeds - 1) + over_problems**2 / max(1, problems - 1)
        loss += both**2 / max(1, (seeds - 1) * (problems - 1))
        freedom = np.maximum(1.0, _total(bound, over_problems, both) ** 2 / np.maximum(loss, 1e-300))
        error = np.sqrt(variance)
    error = np.where(error < SAME, 0.0, error)
    scale = np.sqrt(np.diag(covariance))
    scale = np.where(scale < SAME, np.inf, scale)  # a column without spread is never the largest
    return Spread(error, freedom, covariance / np.outer(scale, scale))


def _total(seeds: NDArray[np.float64], problems: NDArray[np.float64], both: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the parts of a two-way layout; `both` is in each of the other two. Never below one of the parts."""
    return np.maximum.reduce([seeds + problems - both, seeds, problems, both])


def _upper_factor(freedom: int) -> float:
    """Return the upper 90 % bound of a variance in units of its estimate: `freedom / (10 % quantile of chi square)`.

    Wilson and Hilferty (1931): within 7 % for 2 degrees of freedom and within 1 % from 4 on; with 1 it is exact.
    """
    if freedom == 1:
        return 1 / normal_quantile(0.9) ** 2
    ninth = 2 / (9 * freedom)
    return (1 - ninth - normal_quantile(0.2) * ninth**0.5) ** -3


def draw_maxima(correlation: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Draw `max |Z|` over K, `(draws,)`. The symmetric root makes it independent of the order of rows."""
    values, vectors = np.linalg.eigh(correlation)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    normal = np.random.default_rng(seed).standard_normal((draws, len(correlation)))
    maxima: NDArray[np.float64] = np.abs(normal @ root).max(axis=1)
    return maxima


def effective_problems(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many problems carry the spread of each column: `sum(|d|)^2 / sum(d^2)`, d from the median."""
    away = np.abs(rows - np.median(rows, axis=0))
    away = np.where(away < SAME, 0.0, away)
    total, squares = away.sum(axis=0) ** 2, (away**2).sum(axis=0)
    return np.divide(total, squares, out=np.zeros_like(total), where=squares > 0)


def p_value_of(
    mean: NDArray[np.float64],
    spread: Spread,
    few: NDArray[np.bool_],
    maxima: NDArray[np.float64],
    problems: int,
    judged: int,
) -> float:
    """Return the least `1 - level` at which the band excludes zero at a judged K."""
    moved = np.abs(mean) > SAME
    t = np.divide(np.abs(mean), spread.error, out=np.where(moved, 1e9, 0.0), where=spread.error > 0)
    one_k = np.array([normal_tail(x) for x in t]) if np.isinf(spread.freedom).all() else student_tail(t, spread.freedom)
    chances = []
    for k in range(judged):
        z = normal_quantile(max(float(one_k[k]), 1e-300))
        chance = (1 + int((maxima >= z).sum())) / (1 + len(maxima))
        if few[k]:  # the rule of three, solved for its level
            chance = max(chance, len(mean) * (1 + abs(float(mean[k]))) ** -problems)
        chances.append(min(1.0, chance))
    return min(chances)
