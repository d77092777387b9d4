"""Are the server's log-probs those of the trainer? A few tokens through both, before the first answer counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simko.agents.engine.vllm_reply import ENGINE
from simko.errors import UserError
from simko.types import Sampling

PROMPTS, TOKENS, LONGEST = 4, 16, 128  # answers of the probe, tokens of each, and tokens of a prompt that are used
ONE = Sampling(top_k=1)  # of one candidate, log-probs from behind temperature and truncation are 0, whatever the model
WARN, REFUSE = 0.1, 1.0  # nats a token at temperature 1: see docs/how/engine.md
_CLEAR = 0.05  # a smaller gap is rounding, whatever explains it

Answer = tuple[Sequence[int], Sequence[int], Sequence[float]]
"""Prompt ids, sampled ids and the server's log-probs of these."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Mean distances of the server's log-probs from the trainer's and from its base model's, in nats a token.

    `base` is None if the adapter is off.
    """

    tokens: int
    trainer: float
    base: float | None


def measure(policy: Any, answers: Sequence[Answer]) -> Gap:
    """The gap of answers that were sampled at temperature 1 with the policy as it is now."""
    theirs = np.concatenate([np.asarray(logprobs, dtype=np.float64) for _, _, logprobs in answers])
    trainer, base = float(np.abs(theirs - _logprobs(policy, answers)).mean()), None
    if not policy._weights_version()[1]:
        with policy.base():
            base = float(np.abs(theirs - _logprobs(policy, answers)).mean())
    return Gap(len(theirs), trainer, base)


@torch.no_grad()
def _logprobs(policy: Any, answers: Sequence[Answer]) -> NDArray[np.float64]:
    """The trainer's log-probs of all sampled tokens, one answer behind the other."""
    parts = []
    for prompt, ids, _ in answers:
        hidden = policy.hidden(torch.tensor([[*prompt, *ids]]))[0, len(prompt) - 1 : -1]
        logp = policy.lm_head().logits(hidden).log_softmax(-1)
        parts.append(logp.gather(-1, torch.tensor(list(ids), device=logp.device)[:, None])[:, 0].double().cpu().numpy())
    return np.concatenate(parts)


def are_raw(logprobs: Sequence[float]) -> bool:
    """Whether log-probs of tokens that were sampled by `ONE` are from before the sampler. (A tie makes a few of them -0.7.)"""
    return float(np.median(logprobs)) < -1e-4


def verdict(gap: Gap, command: str) -> str:
    """One line on a gap at temperature 1 that a run can live with.

    Raises:
        UserError: adapter or base model must be wrong.
    """
    size = f"{gap.trainer:.2g} nats a token over {gap.tokens} tokens"
    if gap.base is not None and gap.trainer > _CLEAR and gap.base < gap.trainer / 2:
        raise UserError(
            f"{ENGINE}: the server answers as the base model, without the adapter ({size}); start it with: {command}"
        )
    if not gap.trainer <= REFUSE:
        raise UserError(
            f"{ENGINE}: the server's log-probs are not the trainer's ({size}, at most {REFUSE:g}): it has another base "
            f"model, or other settings; start it with: {command}"
        )
    line = f"sampler and trainer differ by {size}"
    if gap.trainer > WARN:
        return (
            f"{line}; more than {WARN:g}, so the importance weights have much to correct; --quantization int8 or none comes "
            "closer"
        )
    return line
