"""Numbers of unknown origin, and numbers as a person reads them."""

from __future__ import annotations

import math
from typing import Any


def number(value: Any) -> float | None:
    """`value` as a finite float, or None: it is no number, too large, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        as_float = float(value)
    except OverflowError:
        return None
    return as_float if math.isfinite(as_float) else None


def short(value: float | None) -> str:
    """Three digits that count: `0.431`, `12.5`, `1`, `-2.1e-04`, `1.2e+06`; `-` for no number."""
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 100:
        return f"{value:.0f}"
    size = abs(value)
    if size >= 1e5 or 0 < size < 1e-3:
        return f"{value:.1e}"
    decimals = 3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0
    return f"{value:.{decimals}f}"


def percent(value: float | None) -> str:
    """A share in percent: `45.3 %`; `-` for no number."""
    return "-" if value is None else f"{100 * value:.1f} %"
