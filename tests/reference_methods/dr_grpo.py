"""Dr.GRPO (arXiv 2503.20783).

    A_i = R_i - mean_g;   loss = mean_i( sum_t L_it ) / L_max,   L_max constant

Read in: reference page, sections 1 (aggregation) and 4.1; addendum, section 1.8 (code sail-sg/understand-r1-zero dfca49d
`train_zero_math.py`). L_max is 3000 there (`generate_max_length`); clip 0.2; no KL.
Decided here: equal rewards give exactly 0. L_max has no default in `aggregate`: it is the run's largest answer.
"""

from __future__ import annotations

from torch import Tensor

from reference_methods.aggregates import constant_length
from reference_methods.arithmetic import all_equal, by_group, mean
from reference_methods.grpo import loss_matrix

__all__ = ["advantages", "aggregate", "loss_matrix"]


def advantages(rewards: Tensor, groups: Tensor) -> Tensor:
    """Return the advantages [B]."""

    def centred(rows: list[int]) -> list[float]:
        values = [float(rewards[b]) for b in rows]
        if all_equal(values):
            return [0.0] * len(values)
        return [value - mean(values) for value in values]

    return by_group(groups, centred)


def aggregate(matrix: Tensor, mask: Tensor, length: float) -> Tensor:
    return constant_length(matrix, mask, length)
