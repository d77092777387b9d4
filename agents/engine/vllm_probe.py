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
TEMPERATURE = 0.7  # not 1, at which a forgotten temperature would not show
HOT = 100.0  # here all tokens are about as likely, and log-probs from before the temperature are not
WARN, REFUSE = 0.1, 1.0  # nats a token: see docs/engines.md
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


def measure(policy: Any, answers: Sequence[Answer]) -> Gap:
    """The gap of answers that were sampled at `TEMPERATURE` with the policy as it is now."""
    theirs = np.concatenate([np.asarray(logprobs, dtype=np.float64) for _, _, logprobs in answers])
    mine, raw = _logprobs(policy, answers, TEMPERATURE), _logprobs(policy, answers, 1.0)
    _, off = policy._weights_version()
    base = None
    if not off:
        with policy.base():
            base = float(np.abs(theirs - _logprobs(policy, answers, TEMPERATURE)).mean())
    return Gap(len(theirs), float(np.abs(theirs - mine).mean()), float(np.abs(theirs - raw).mean()), base)


@torch.no_grad()
def _logprobs(policy: Any, answers: Sequence[Answer], temperature: float) -> NDArray[np.float64]:
    """The trainer's log-probs of all sampled tokens, one answer behind the other."""
    parts = []
    for prompt, ids, _ in answers:
        hidden = policy.hidden(torch.tensor([[*prompt, *ids]]))[0, len(prompt) - 1 : -1]
        logp = (policy.lm_head().logits(hidden) / temperature).log_softmax(-1)
        parts.append(logp.gather(-1, torch.tensor(list(ids), device=logp.device)[:, None])[:, 0].double().cpu().numpy())
    return np.concatenate(parts)


def are_raw(logprobs: Sequence[float]) -> bool:
    """Whether log-probs of tokens that were sampled at `HOT` are from before the temperature: then they differ by nats."""
    return max(logprobs) - min(logprobs) > 1


def raw_refusal(command: str) -> UserError:
    """The line on such a server."""
    return UserError(f"{ENGINE}: the server gives log-probs from before the temperature; start it with: {command}")


def verdict(gap: Gap, command: str) -> str:
    """One line on a gap that a run can live with.

    Raises:
        UserError: temperature, adapter or base model must be wrong. `command` starts the server as it should be.
    """
    clear = gap.trainer / 2 if gap.trainer > _CLEAR else 0.0
    found = f"{gap.trainer:.2g} nats a token over {gap.tokens} tokens"
    if gap.raw < clear:
        raise raw_refusal(command)
    if gap.base is not None and gap.base < clear:
        raise UserError(
            f"{ENGINE}: the server answers as the base model, without the adapter ({found}); start it with: {command}"
        )
    if not gap.trainer <= REFUSE:
        raise UserError(
            f"{ENGINE}: the server's log-probs are not the trainer's ({found}, at most {REFUSE:g}): it has another base "
            f"model, or other settings; start it with: {command}"
        )
    line = f"sampler and trainer differ by {found}"
    if gap.trainer > WARN:
        return (
            f"{line}; more than {WARN:g}, so the importance weights will cut a lot: serve the model in the precision that is "
            "trained, or train with --quantization none"
        )
    return line
