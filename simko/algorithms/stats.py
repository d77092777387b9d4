"""What a training method gets and gives: values, without behaviour.

`StepStats` are the rows of an optimizer step under the old policy,
without a gradient: all that couples rows reads these. `TokenStats` are the rows of a micro-batch under the current policy, with
a gradient: a loss reads these, each row alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

Aggregation = Literal["token_mean", "sequence_mean", "constant_length"]
Stat = Literal[
    "logp", "entropy", "topk", "reference", "entropy_grad", "nucleus_entropy", "certainty", "raw_logit", "proxy", "hidden"
]  # fmt: skip
State = dict[str, Any]
"""What a part carries from step to step: numbers, text and tensors by name. It is in each checkpoint."""


@dataclass(frozen=True)
class StepStats:
    """B sequences of at most T response tokens: a whole optimizer step under the old policy. Nothing carries a gradient.

    Statistics are None unless a part asks for them in `needs_old`. Where `mask` is False, values are finite and have no meaning.
    """

    mask: Bool[Tensor, "B T"]
    sampler_logp: Float[Tensor, "B T"]  # log-probs of the policy that sampled, as the engine recorded them
    advantage: Float[Tensor, "B"]
    reward: Float[Tensor, "B"]
    correct: Bool[Tensor, "B"]
    group: Int[Tensor, "B"]
    step: int
    rng: np.random.Generator  # from (seed, step)
    step_tokens: int
    step_sequences: int
    temperature: float = 1.0
    ids: Int[Tensor, "B T"] | None = None
    logp: Float[Tensor, "B T"] | None = None  # the trainer's own
    entropy: Float[Tensor, "B T"] | None = None  # nats
    certainty: Float[Tensor, "B T"] | None = None  # KL(uniform || p), nats
    raw_logit: Float[Tensor, "B T"] | None = None  # of the sampled token, before temperature
    nucleus_entropy: Float[Tensor, "B T"] | None = None
    proxy_logp: Float[Tensor, "B T"] | None = None  # log-prob after unlikely tokens are removed; -1e4 for a removed one
    ref_logp: Float[Tensor, "B T"] | None = None  # of the base model
    hidden: Sequence[Tensor] | None = None  # (t, D) of each row: the states that predict its sampled tokens
    head: Any = None  # the policy's `simko.head.LmHead`, with `hidden`

    @property
    def old_logp(self) -> Float[Tensor, "B T"]:
        """The trainer's log-probs where there was a pass, else the sampler's."""
        return self.sampler_logp if self.logp is None else self.logp


@dataclass(frozen=True)
class Prepared:
    """What a method decides for the whole step before its first gradient. All of it is constant in the loss."""

    advantage: Float[Tensor, "B T"] | None = None  # None: each row's own advantage at each of its tokens
    constants: Mapping[str, Tensor] = field(default_factory=dict)  # by name: [B, T], [B] or a scalar
    keep: Bool[Tensor, "B"] | None = None  # rows that need a forward; None: all
    metrics: Mapping[str, float] = field(default_factory=dict)  # to log


@dataclass(frozen=True)
class TokenStats:
    """Statistics of B sequences of at most T response tokens. Only log-probs carry a gradient, and entropies that were asked for.

    Where `mask` is False (padding, tokens of the environment), the values are finite and have no meaning.
    """

    mask: Bool[Tensor, "B T"]
    logp: Float[Tensor, "B T"]
    old_logp: Float[Tensor, "B T"]  # equals logp.detach() if a rollout batch has one update
    advantage: Float[Tensor, "B T"]
    correct: Bool[Tensor, "B"]
    entropy: Float[Tensor, "B T"]  # nats; with a gradient if the method needs "entropy_grad"
    is_top1: Bool[Tensor, "B T"]
    topk_logp: Float[Tensor, "B T K"]
    topk_ids: Int[Tensor, "B T K"]
    ref_logp: Float[Tensor, "B T"] | None = None
    nucleus_entropy: Float[Tensor, "B T"] | None = None
    constants: Mapping[str, Tensor] = field(default_factory=dict)  # these rows of `Prepared.constants`


@dataclass(frozen=True)
class Loss:
    """A loss, and quantities to log: `shares` are averaged over the step's tokens.

    The trainer masks `matrix` and divides it by the counts of the step. `regulariser` (a scalar) is added as it is: the sum
    over all micro-batches must not depend on how the step is split.
    """

    matrix: Float[Tensor, "B T"]
    shares: Mapping[str, Tensor] = field(default_factory=dict)
    regulariser: Float[Tensor, ""] | None = None
