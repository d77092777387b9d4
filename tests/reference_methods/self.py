"""SELF (arXiv 2510.02230): train on prompts whose greedy answer is wrong, and pull towards the base model's right answers.

    filter: decode each prompt greedily; keep the prompts with a wrong answer; none kept, no update
    advantages: GRPO's on what is kept;  loss: GRPO's
    auxiliary: coefficient * forward KL on right answers of the base model

Read in: reference page, section 3.7; addendum, section 1.7 (code mail-research/SELF-llm-interference d17634b
`RayMaxPPOTrainer`) for the filter. A second form [tajwarfahim/maxrl `compute_self_paper_outcome_advantage`]: sample all
prompts and set A = 0 where the greedy answer is right; the gradient is the same up to the token count.
RECONSTRUCTED: the forward KL. It is in the paper's name but not in its code; weight, estimator and gate are unknown. Here it
is DPH-RL's forward term with coefficient 0.01 (the addendum's advice), or the cross-entropy `-log pi` on those answers
(the reference page's).
Decided here: "wrong" is the verdict (the code: reward != 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from reference_methods import dph_rl, grpo
from reference_methods.aggregates import token_mean
from reference_methods.arithmetic import token_logp
from reference_methods.grpo import aggregate, loss_matrix

__all__ = ["advantages", "aggregate", "auxiliary_loss", "keep_prompts", "loss_matrix"]


def keep_prompts(greedy_correct: Sequence[bool]) -> list[int]:
    """Return which prompts are trained on."""
    return [index for index, right in enumerate(greedy_correct) if not right]


def advantages(rewards: Tensor, groups: Tensor, greedy_correct: Mapping[int, bool], *, epsilon: float = 1e-6) -> Tensor:
    """Return the advantages [B] in the second form: 0 where the group's greedy answer is right."""
    base = grpo.advantages(rewards, groups, epsilon=epsilon)
    values = [0.0 if greedy_correct[int(groups[b])] else float(base[b]) for b in range(len(groups))]
    return torch.tensor(values, dtype=torch.float64)


def auxiliary_loss(
    logits: Tensor,
    token_ids: Tensor,
    mask: Tensor,
    base_logp: Tensor,
    *,
    estimator: Literal["forward", "cross_entropy"] = "forward",
    coefficient: float = 0.01,
) -> Tensor:
    """Return the loss on right answers of the base model: logits [N, T, V], base log-probs [N, T]."""
    if estimator == "forward":
        return dph_rl.auxiliary_loss(logits, token_ids, mask, base_logp, kind="forward", coefficient=coefficient)
    return coefficient * token_mean(-token_logp(logits, token_ids, mask), mask)
