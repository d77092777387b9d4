"""Tails and quantiles of Student's t at any degrees of freedom, and of the normal, without scipy."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_NORMAL = NormalDist()
_LARGE = 1e5  # degrees of freedom from which the normal is exact to five digits
_STEPS = 4096


def normal_tail(z: float) -> float:
    """Return the chance that a standard normal is beyond `z` on either side."""
    return math.erfc(abs(z) / math.sqrt(2))


def normal_quantile(tail: float) -> float:
    """Return the `z` with a two-sided chance of `tail` beyond it; `tail` is above 0 and at most 1."""
    return -_NORMAL.inv_cdf(tail / 2) if tail < 1 else 0.0


def student_quantile(tail: float, freedom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the `t` with a two-sided chance of `tail` beyond it, for each of the degrees of freedom (1 or more)."""
    angle, beyond = _tails(freedom)
    t = np.empty(len(freedom))
    for i, df in enumerate(freedom):
        if df >= _LARGE:
            t[i] = normal_quantile(tail)
        else:
            t[i] = math.sqrt(df) / math.tan(np.interp(tail, beyond[i], angle[i]))
    return t


def student_tail(t: NDArray[np.float64], freedom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two-sided chance beyond `t`, element by element."""
    angle, beyond = _tails(freedom)
    chance = np.empty(len(freedom))
    for i, (value, df) in enumerate(zip(np.abs(t), freedom, strict=True)):
        if df >= _LARGE:
            chance[i] = normal_tail(value)
        else:
            chance[i] = np.interp(math.atan2(math.sqrt(df), value), angle[i], beyond[i])
    return chance


def _tails(freedom: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles from 0 to pi / 2, and the two-sided chance beyond `t = sqrt(df) / tan(angle)`: `[len(freedom), steps]` each.

    With this angle the density of t is proportional to `sin(angle) ** (df - 1)`, which has no tail to cut off. The angles
    reach from 0 to pi / 2 in steps that shrink with the square root of the degrees of freedom near pi / 2.
    """
    df = np.minimum(np.asarray(freedom, dtype=np.float64), _LARGE)[:, None]
    reach = np.minimum(np.pi / 2, 12 / np.sqrt(df))  # t = 12 and more has no chance at many degrees of freedom
    angle = np.pi / 2 - reach * (1 - np.linspace(0, 1, _STEPS) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.exp((df - 1) * np.log(np.maximum(np.sin(angle), 1e-300)))
    pieces = (density[:, 1:] + density[:, :-1]) / 2 * np.diff(angle, axis=1)
    beyond = np.concatenate([np.zeros((len(df), 1)), np.cumsum(pieces, axis=1)], axis=1)
    return angle, beyond / beyond[:, -1:]
