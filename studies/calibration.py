"""How often the bands of `simko.report` call nothing a difference, and what few seeds can see: `python -m studies.calibration`.

Simulated comparisons of two arms that do not differ, at 1, 3, 5 and 10 training seeds, and of arms that do. It prints the
tables of docs/how/statistics.md, in under three minutes on one core, and the same ones every time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simko.report.bands import band
from simko.report.passk import k_grid, pass_matrix

SAMPLES = 256
GRID = (1, 2, 4, 8, 16, 32, 64, 128)
SEED_EFFECT = 0.26  # logits; moves pass@1 by 3 points from seed to seed
BOTH_EFFECT = 0.5  # logits; a problem that one seed learnt and another did not
PROBLEM_EFFECT = 1.0  # logits; what a method does to a problem under all seeds
SLOPE_EFFECT = 0.2  # a seed that is surer of itself: it gains at K = 1 and loses at K = 128
GAINS = {0.25: 3, 0.42: 5, 0.85: 10}  # logits: points of pass@1
_PART = 100  # comparisons in memory at a time

WORLDS = {
    "the same policy": "both arms are one policy, sampled twice; nothing depends on the seed",
    "other seeds": "one method with other training seeds; a seed moves all problems by 3 points",
    "other seeds, turning": "the same, and a seed also trades pass@1 against pass@128",
    "other problems": "two methods that are equal on average, each better on its own problems",
}


@dataclass(frozen=True)
class World:
    """Two arms. `gain` is added to the logits of the first one: without it, they do not differ."""

    kind: str
    seeds: int
    problems: int
    gain: float = 0.0
    grid: tuple[int, ...] = GRID

    def differences(self, comparisons: int, seed: int) -> NDArray[np.float64]:
        """Draw paired differences of pass@K: `[comparisons, seeds, problems, len(grid)]`. Solve rates are Beta(0.35, 0.65)."""
        rng = np.random.default_rng([seed, self.seeds, self.problems, list(WORLDS).index(self.kind)])
        rates = rng.beta(0.35, 0.65, (comparisons, 1, 1, self.problems)).clip(1e-9, 1 - 1e-9)
        shape = (comparisons, 2, self.seeds, self.problems)
        logits = np.broadcast_to(np.log(rates / (1 - rates)), shape).copy()
        if self.kind != "the same policy":
            logits += SEED_EFFECT * rng.standard_normal((*shape[:3], 1)) + BOTH_EFFECT * rng.standard_normal(shape)
        if self.kind == "other seeds, turning":
            logits *= 1 + SLOPE_EFFECT * rng.standard_normal((*shape[:3], 1))
        if self.kind == "other problems":
            logits += PROBLEM_EFFECT * rng.standard_normal((comparisons, 2, 1, self.problems))
        logits[:, 0] += self.gain
        table = pass_matrix([SAMPLES] * (SAMPLES + 1), range(SAMPLES + 1), self.grid)
        values = table[rng.binomial(SAMPLES, 1 / (1 + np.exp(-logits)))]
        differences: NDArray[np.float64] = values[:, 0] - values[:, 1]
        return differences


Ends = tuple[NDArray[np.float64], NDArray[np.float64]]
Method = Callable[[NDArray[np.float64], int], Ends]


def ours(values: NDArray[np.float64], seed: int) -> Ends:
    """Return the band of `simko.report.bands`."""
    result = band("", range(1, values.shape[-1] + 1), values, seed=seed)
    return result.low, result.high


def separate(values: NDArray[np.float64], seed: int) -> Ends:
    """Return an interval at each K, normal over problems, as if the others were not looked at and seeds were not there."""
    rows = values.mean(axis=0)
    half = 1.96 * rows.std(axis=0, ddof=1) / len(rows) ** 0.5
    return rows.mean(axis=0) - half, rows.mean(axis=0) + half


def nested(values: NDArray[np.float64], seed: int) -> Ends:
    """Return a sup-t band as if every seed had problems of its own: all rows are one sample."""
    result = band("", range(1, values.shape[-1] + 1), values.reshape(-1, values.shape[-1]), seed=seed)
    return result.low, result.high


def plain(values: NDArray[np.float64], seed: int, draws: int = 500) -> Ends:
    """Return the plain two-level bootstrap: resample seeds, resample problems, sup-t of the resampled means."""
    rng = np.random.default_rng(seed)
    seeds, problems, width = values.shape
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    by_problem = rng.multinomial(problems, np.full(problems, 1 / problems), draws) / problems
    weights = (by_seed[:, :, None] * by_problem[:, None]).reshape(draws, -1)
    centre = values.mean(axis=(0, 1))
    means = weights @ values.reshape(-1, width) - centre
    error = means.std(axis=0)
    half = float(np.quantile((np.abs(means) / error).max(axis=1), 0.95)) * error
    return centre - half, centre + half


def ends(world: World, method: Method, comparisons: int, seed: int = 0) -> Ends:
    """Return the bands of simulated comparisons, `[comparisons, len(grid)]` each end."""
    found = []
    for part in range(0, comparisons, _PART):
        cubes = world.differences(min(_PART, comparisons - part), seed + part)
        found += [method(cube, part + i) for i, cube in enumerate(cubes)]
    low, high = zip(*found, strict=True)
    return np.array(low), np.array(high)


def false_alarms(world: World, method: Method, comparisons: int, seed: int = 0) -> float:
    """Return the share of comparisons in which some K is called different, although none is."""
    low, high = ends(world, method, comparisons, seed)
    return float(((low > 0) | (high < 0)).any(axis=1).mean())


def print_alarms(comparisons: int) -> None:
    """Print the false alarms of every method in every world."""
    counts = f"{comparisons} comparisons for simko, {comparisons // 4} for the others"
    print(f"\nFalse alarms in percent; {counts}; 256 samples, K = 1, 2, 4 ... 128\n")
    print("| world | problems | seeds | separate | nested | plain two-level | simko |\n|" + "---|" * 7)
    for kind in WORLDS:
        for problems, seeds in [(96, 3), (96, 5), (128, 1), (128, 3), (128, 5), (128, 10)]:
            if problems == 96 and kind != "other seeds":
                continue
            world = World(kind, seeds, problems)
            fewer = comparisons // 4
            cells = [false_alarms(world, separate, fewer), false_alarms(world, nested, fewer)]
            cells += [float("nan") if seeds == 1 else false_alarms(world, plain, fewer)]
            cells += [false_alarms(world, ours, comparisons)]
            print(
                f"| {kind} | {problems} | {seeds} | " + " | ".join(_percent(cell) for cell in cells) + " |", flush=True
            )
    world = World("the same policy", 1, 128, grid=k_grid(SAMPLES))
    alarms = [false_alarms(world, method, comparisons) for method in (separate, ours)]
    print(f"\nOne policy twice, one seed, K up to 256: separate {_percent(alarms[0])} %, simko {_percent(alarms[1])} %")


def print_power(comparisons: int) -> None:
    """Print the width of the bands, and how often a gain is found at K = 1."""
    print(f"\nWhat seeds can see: other seeds, 128 problems, a spread of 3 points; {comparisons} comparisons each\n")
    heads = [f"+{points} points called better at K = 1" for points in GAINS.values()]
    print("| seeds | half width at K = 1 | at K = 128 | " + " | ".join(heads) + " |\n|" + "---|" * 6)
    for seeds in (2, 3, 5, 10):
        low, high = ends(World("other seeds", seeds, 128), ours, comparisons)
        half = 50 * np.median(high - low, axis=0)
        row = [f"{half[0]:.1f}", f"{half[-1]:.1f}"]
        for gain in GAINS:
            low, _ = ends(World("other seeds", seeds, 128, gain), ours, comparisons)
            row.append(f"{_percent(float((low[:, 0] > 0).mean()))} %")
        print(f"| {seeds} | " + " | ".join(row) + " |", flush=True)


def print_worlds(comparisons: int) -> None:
    """Print what the worlds are, and how far seeds lie apart in each."""
    for kind, text in WORLDS.items():
        cubes = World(kind, 5, 128).differences(comparisons, 0)
        apart = cubes.mean(axis=2).std(axis=1, ddof=1).mean(axis=0) / 2**0.5 * 100
        print(f"{kind}: {text}. Seeds of one arm: {apart[0]:.1f} points apart at K = 1, {apart[-1]:.1f} at K = 128.")
    for gain in GAINS:
        mean = World("other seeds", 5, 128, gain).differences(comparisons, 0).mean(axis=(0, 1, 2))
        print(f"a gain of {gain} logits is {100 * mean[0]:.1f} points of pass@1 and {100 * mean[-1]:.1f} of pass@128")


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:.1f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--comparisons", type=int, default=1000, help="simulated comparisons a cell")
    arguments = parser.parse_args()
    print_worlds(min(200, arguments.comparisons))
    print_alarms(arguments.comparisons)
    print_power(max(40, arguments.comparisons // 5))


if __name__ == "__main__":
    main()
