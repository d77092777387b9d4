"""CaSP: the name that v3 of arXiv 2510.14807 gives to SimKO. The update rule is the same (reference page, opening)."""

from __future__ import annotations

from reference_methods.simko import PRESETS, advantages, aggregate, loss_matrix, mixed_ratio, settings_at

__all__ = ["PRESETS", "advantages", "aggregate", "loss_matrix", "mixed_ratio", "settings_at"]
