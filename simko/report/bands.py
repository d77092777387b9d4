"""Simultaneous bands over K: what a curve or a paired difference may be, over problems and training seeds together.

A band holds the whole true curve with its confidence, at all K at once; so it may be read at any K afterwards. Separate
intervals may not: with two identical policies they call some K of 1, 2, 4 ... 256 different in 17 of 100 comparisons.

docs/how/statistics.md says what few seeds cost, and `python -m studies.calibration` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simko.report.spread import draw_maxima, few_problems, p_value_of, spread_of
from simko.report.student import normal_tail, student_quantile

LEVEL = 0.95
DRAWS = 4000
SHARE = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)

Verdict = Literal["better", "worse", "not decided"]


@dataclass(frozen=True, slots=True)
class Band:
    """A quantity over K with a simultaneous band; a share (pass@K) or a paired difference of two shares.

    Attributes:
        name: what it is, or whose.
        k: the grid, rising.
        mean: `(len(k),)`, as shares of 1.
        low: of the band, in the same way.
        high: of the band, in the same way.
        seeds: training seeds. With 1 the band says nothing about other seeds.
        problems: problems under every seed.
        level: confidence that the whole true curve is inside.
        last_is_n: whether the last K is the number of samples of a problem. One problem is 0 or 1 there, which is noisy: it
            is drawn, and nothing is decided from it.
        p_value: of "zero at every K that is judged", from the sup-t statistic. Only for a difference.
    """

    name: str
    k: tuple[int, ...]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    seeds: int = 1
    problems: int = 1
    level: float = LEVEL
    last_is_n: bool = False
    p_value: float = float("nan")

    @property
    def judged(self) -> int:
        """How many of the K, from the first on, a decision may use."""
        return len(self.k) - (self.last_is_n and len(self.k) > 1)


@dataclass(frozen=True, slots=True)
class FirstLoss:
    """Which K of `grid` may be the first at which the arm loses: `possible`; `none` tells whether it may never lose there."""

    possible: tuple[int, ...]
    none: bool
    grid: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Holm:
    """A method among several: its p value, that value adjusted by Holm (1979), and the level of a band that agrees."""

    p_value: float
    adjusted: float
    level: float


def band(
    name: str,
    ks: Sequence[int],
    values: NDArray[np.float64],
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
    last_is_n: bool = False,
    support: tuple[float, float] = DIFFERENCE,
) -> Band:
    """Average `values` `[seeds, problems, len(ks)]` (or `[problems, len(ks)]`: one seed) to a curve with a simultaneous band.

    The problems are the same under every seed: rows are crossed, not nested. A problem that is hard is hard under all
    seeds, so to resample problems anew inside each seed would average that away and give too narrow a band.

    With one seed it is the Gaussian multiplier sup-t band over problems. With several, the variance at each K is that of a
    two-way layout, `(MS_seeds + MS_problems - MS_both) / (seeds * problems)`, and not below any of its three parts. Each K
    has its degrees of freedom by Satterthwaite, with the seeds' part at its upper 90 % bound: a small spread among few
    seeds may be luck, and would else pass for much knowledge. The critical value is that of the largest of Student
    variables whose dependence is a Gaussian copula with the estimated correlation over K. Equal arguments give equal bands,
    and the order of problems and of seeds does not matter.

    Where all problems are equal, or a single one carries the spread, the band is at least that of the rule of three; this
    fades out until five problems carry it. The rule: with confidence, less than a share of
    `1 - ((1 - level) / len(ks)) ** (1 / problems)` of all problems are unlike those seen, and each of these may be anything
    in `support`. So `support` must be what the quantity could be: `SHARE` for pass@K, else a difference.

    Raises:
        ValueError: no problem, no K, or a value that is not finite or outside of `support`.
    """
    cube = np.asarray(values, dtype=np.float64)
    cube = cube[None] if cube.ndim == 2 else cube
    if cube.ndim != 3 or 0 in cube.shape or cube.shape[2] != len(ks):
        raise ValueError(f"'{name}': values of shape {np.shape(values)} are not seeds x problems x {len(ks)} K")
    if not (np.isfinite(cube).all() and cube.min() >= support[0] - 1e-9 and cube.max() <= support[1] + 1e-9):
        raise ValueError(f"'{name}': a value is outside of {support}")
    seeds, problems, _ = cube.shape
    mean = cube.mean(axis=(0, 1))
    spread = spread_of(cube)
    maxima = draw_maxima(spread.correlation, draws, seed)
    error, freedom = spread.error, spread.freedom
    if seeds == 1:
        half = float(np.quantile(maxima, level)) * error
    else:
        half = student_quantile(normal_tail(float(np.quantile(maxima, level))), freedom) * error
    few = few_problems(cube.mean(axis=0))
    unlike = few * (1 - ((1 - level) / len(ks)) ** (1 / problems))
    low = np.minimum(mean - half, mean - unlike * (mean - support[0]))
    high = np.maximum(mean + half, mean + unlike * (support[1] - mean))
    judged = len(ks) - (last_is_n and len(ks) > 1)
    p_value = p_value_of(mean, spread, few, maxima, problems, judged) if support[0] < 0 else float("nan")
    low, high = np.maximum(low, support[0]), np.minimum(high, support[1])
    return Band(name, tuple(int(k) for k in ks), mean, low, high, seeds, problems, level, last_is_n, p_value)


def decide(band: Band) -> tuple[Verdict, ...]:
    """Say for each K whether the band of a difference is above zero, below it, or neither; K = n is never decided."""
    verdicts: list[Verdict] = []
    for i, (low, high) in enumerate(zip(band.low, band.high, strict=True)):
        undecided = i >= band.judged or low <= 0 <= high
        verdicts.append("not decided" if undecided else "better" if low > 0 else "worse")
    return tuple(verdicts)


def first_loss(band: Band) -> FirstLoss:
    """Return the set of K that may be the first at which the difference is below zero, by the band alone.

    A K is a member if the band lets it be below zero there and lets it be zero or above at every smaller K. "None" is a
    member if the band lets it be zero or above everywhere. Only K up to half the samples count, if the last K is their
    number. The set has the true first loss on this grid with the confidence of the band; on a grid with gaps, a loss
    between two K's is not seen.
    """
    largest = band.k[-1] // 2 if band.last_is_n and len(band.k) > 1 else band.k[-1]
    grid = [i for i, k in enumerate(band.k) if k <= largest]
    possible: list[int] = []
    none = True
    for i in grid:
        if band.low[i] < 0:
            possible.append(band.k[i])
        if band.high[i] < 0:
            none = False
            break
    return FirstLoss(tuple(possible), none, tuple(band.k[i] for i in grid))


def words(band: Band) -> str:
    """Say what the band of a difference decides: "better at K = 1 to 8, worse at K = 128, not decided at the others"."""
    verdicts = decide(band)[: band.judged]
    ks = band.k[: band.judged]
    kinds = list(dict.fromkeys(verdicts))
    if len(kinds) == 1:
        kind = kinds[0]
        where = f"K = {ks[0]}" if len(ks) == 1 else "any K" if kind == "not decided" else f"every K up to {ks[-1]}"
        return f"{kind} at {where}"
    parts = [f"{kind} at K = {runs(ks, verdicts, kind)}" for kind in ("better", "worse") if kind in kinds]
    return ", ".join([*parts, "not decided at the others"] if "not decided" in kinds else parts)


def runs(ks: Sequence[int], verdicts: Sequence[str], kind: str) -> str:
    """Format the K with this verdict: `1 to 8 and 64`."""
    found: list[list[int]] = []
    for i, (k, verdict) in enumerate(zip(ks, verdicts, strict=True)):
        if verdict != kind:
            continue
        if found and i and verdicts[i - 1] == kind:
            found[-1].append(k)
        else:
            found.append([k])
    return join([f"{run[0]} to {run[-1]}" if len(run) > 2 else join([str(k) for k in run]) for run in found])


def loss_words(loss: FirstLoss) -> str:
    """Say the first-loss set in words: "the first loss is at K = 16 or 32, or at none up to 128"."""
    upto = f"K = {loss.grid[-1]}"
    if not loss.possible:
        return f"no loss up to {upto}"
    grid = list(loss.grid)
    verdicts = ["in" if k in loss.possible else "out" for k in grid]
    where = runs(grid, verdicts, "in").replace(" and ", " or ")
    return (
        f"the first loss may be at K = {where}, or at none up to {upto}" if loss.none else f"first loss at K = {where}"
    )


def join(parts: Sequence[str]) -> str:
    """Join with commas and a last "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def holm(p_values: Mapping[str, float], level: float = LEVEL) -> dict[str, Holm]:
    """Adjust the p values of several methods (`Band.p_value`) by Holm's step-down rule, so that no wrong one among all is
    called different with more than `1 - level`.

    `level` of each method is the one at which its step was tested: a band at that level excludes zero somewhere exactly if
    the adjusted p value says so. The promise is for "differs at some K"; whoever reads single K of several methods at once
    needs bands at `1 - (1 - level) / methods`.
    """
    order = sorted(p_values, key=lambda name: p_values[name])
    results: dict[str, Holm] = {}
    worst, step = 0.0, len(order)
    for i, name in enumerate(order):
        if worst <= 1 - level:  # after the first that stays, all others are tested at its step
            step = len(order) - i
        worst = max(worst, min(1.0, (len(order) - i) * p_values[name]))
        results[name] = Holm(p_values[name], worst, 1 - (1 - level) / step)
    return {name: results[name] for name in p_values}
