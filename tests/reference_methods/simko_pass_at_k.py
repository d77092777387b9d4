"""SimKO's loss on pass@k advantages: a composition of two parts (reference page, section 5; addendum, section 4).

No paper of its own. Its advantages are of `pass_at_k` (k = 4), its loss matrix and its settings are those of `simko`.
"""

from __future__ import annotations

from reference_methods.pass_at_k import advantages
from reference_methods.simko import PRESETS, aggregate, loss_matrix

__all__ = ["PRESETS", "advantages", "aggregate", "loss_matrix"]
