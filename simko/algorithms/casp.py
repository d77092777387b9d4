"""CaSP: the name of SimKO in version 3 of its paper (arXiv 2510.14807v3). The update is the same.

When to use it: take it where you would use `simko`. Only the name differs.
"""

from __future__ import annotations

from simko.algorithms.registry import method
from simko.algorithms.simko import PRESETS

method(
    "casp",
    loss="simko",
    title="CaSP: the name of SimKO in version 3 of its paper",
    source="arXiv 2510.14807v3",
    presets=PRESETS,
)
