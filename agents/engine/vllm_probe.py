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

PROMPTS, TOKENS, LONGEST = 4, 16, 128  # answers of the probe, tokens of each, and tokens of a prompt that are used
HOT = 2.0  # a forgotten temperature shows here, more than any rounding; vLLM 0.33 takes at most 2
WARN, REFUSE = 0.1, 1.0  # nats a token at temperature 1: see docs/engines.md
_CLEAR = 0.05  # a smaller gap is rounding, whatever explains it

Answer = tuple[Sequence[int], Sequence[int], Sequence[float]]
"""Prompt ids, sampled ids and the server's log-probs of these."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Mean distances of the server's log-probs, in nats a token.

    `trainer`: from the trainer's; `raw`: from the trainer's at temperature 1; `base`: from its base model's, None if the adapter
    is off.
    """

    tokens: int
    trainer: float
    raw: float
    base: float | None


def measure(policy: Any, answers: Sequence[Answer], temperature: float) -> Gap:
    """The gap of answers that were sampled at `temperature` with the policy as it is now."""
    theirs = np.concatenate([np.asarray(logprobs, dtype=np.float64) for _, _, logprobs in answers])

    def distance(at: float) -> float:
        return float(np.abs(theirs - _logprobs(policy, answers, at)).mean())

    trainer, raw, base = distance(temperature), distance(1.0), None
    if not policy._weights_version()[1]:
        with policy.base():
            base = distance(temperature)
    return Gap(len(theirs), trainer, raw, base)


@torch.no_grad()
def _logprobs(policy: Any, answers: Sequence[Answer], temperature: float) -> NDArray[np.float64]:
    """The trainer's log-probs of all sampled tokens, one answer behind the other."""
    parts = []
    for prompt, ids, _ in answers:
        hidden = policy.hidden(torch.tensor([[*prompt, *ids]]))[0, len(prompt) - 1 : -1]
        logp = (policy.lm_head().logits(hidden) / temperature).log_softmax(-1)
        parts.append(logp.gather(-1, torch.tensor(list(ids), device=logp.device)[:, None])[:, 0].double().cpu().numpy())
    return np.concatenate(parts)


def check_temperature(hot: Gap, command: str) -> None:
    """Raise `UserError` if log-probs at `HOT` are from before the temperature. `command` starts the server as it should be."""
    if hot.trainer > _CLEAR and hot.raw < hot.trainer / 2:
        raise UserError(f"{ENGINE}: the server gives log-probs from before the temperature; start it with: {command}")


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
            f"{line}; more than {WARN:g}, so the importance weights will cut a lot: serve the model in the precision that is "
            "trained, or train with --quantization none"
        )
    return line
