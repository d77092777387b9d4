"""A random optimizer step, the whole loss of each method on it, and the gradient of a loss in two ways.

`LOSSES[name](step, logits, frozen_logits)` shows how the parts of a method are put together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reference_methods import (
    aer,
    aspo,
    cispo,
    clip_cov,
    dapo,
    dph_rl,
    dr_grpo,
    ds_grpo,
    entropy_advantage,
    entropy_bonus,
    f_grpo,
    grpo,
    gspo,
    high_entropy_tokens,
    kl_cov,
    lp_reg,
    maxrl,
    nsr,
    pass_at_k,
    psr,
    rloo,
    simko,
    siren,
    thr,
    ucas,
    ucpo,
    w_reinforce,
)
from reference_methods import self as self_method
from reference_methods.arithmetic import entropy, mean_logp, table, token_logp


@dataclass(frozen=True)
class Step:
    """One optimizer step: `groups` prompts of `size` sequences, with the policy now and the policy that sampled."""

    logits: Tensor  # [B, T, V]
    old_logits: Tensor  # [B, T, V]
    base_logits: Tensor  # [B, T, V]
    hidden: Tensor  # [B, T, D]
    token_ids: Tensor  # [B, T]
    mask: Tensor  # [B, T]
    groups: Tensor  # [B]
    correct: Tensor  # [B]
    rewards: Tensor  # [B], 1 for a right answer and 0 for a wrong one

    @property
    def old_logp(self) -> Tensor:
        return token_logp(self.old_logits, self.token_ids, self.mask)

    @property
    def base_logp(self) -> Tensor:
        return token_logp(self.base_logits, self.token_ids, self.mask)


def random_step(
    seed: int, *, groups: int = 2, size: int = 4, T: int = 5, V: int = 6, D: int = 3, distance: float = 0.5
) -> Step:
    """Return a step whose first group has a right and two wrong answers, so `size` is at least 3.

    `distance` is the scale of what moved between the policy that sampled and the policy now.
    """
    source = random.Random(seed)
    generator = torch.Generator().manual_seed(source.getrandbits(48))
    B = groups * size

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    old_logits = 1.5 * normal(B, T, V)
    correct = [source.random() < 0.5 for _ in range(B)]
    correct[:3] = [True, False, False]
    lengths = [source.randint(2, T) for _ in range(B)]
    return Step(
        logits=old_logits + distance * normal(B, T, V),
        old_logits=old_logits,
        base_logits=old_logits + 0.5 * normal(B, T, V),
        hidden=normal(B, T, D),
        token_ids=torch.tensor([[source.randrange(V) for _ in range(T)] for _ in range(B)]),
        mask=torch.tensor([[t < length for t in range(T)] for length in lengths]),
        groups=torch.tensor([b // size for b in range(B)]),
        correct=torch.tensor(correct),
        rewards=torch.tensor([float(right) for right in correct], dtype=torch.float64),
    )


Loss = Callable[[Step, Tensor, Tensor], Tensor]
LENGTH = 7.0  # the constant of Dr.GRPO and SIREN


def _grpo(step: Step) -> Tensor:
    return grpo.advantages(step.rewards, step.groups)


def _mean_old_logp(step: Step) -> Tensor:
    return mean_logp(step.old_logp, step.mask)


def _ppo(advantages: Callable[[Step], Tensor]) -> Loss:
    """Return GRPO's loss with other advantages."""

    def loss(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
        matrix = grpo.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, advantages(step))
        return grpo.aggregate(matrix, step.mask)

    return loss


def _simko(advantages: Callable[[Step], Tensor]) -> Loss:
    def loss(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
        matrix = simko.loss_matrix(
            logits,
            step.token_ids,
            step.mask,
            step.old_logp,
            advantages(step),
            correct=step.correct,
            alpha=0.3,
            quantile=0.5,
            top1_penalty=1.5,
            frozen_logits=frozen,
        )
        return simko.aggregate(matrix, step.mask)

    return loss


def _thr(step: Step) -> Tensor:
    return thr.advantages(
        step.rewards, step.correct, step.groups, step.old_logits, step.hidden, step.token_ids, step.mask
    )


def _ucas(step: Step) -> Tensor:
    raw = table(step.mask, lambda b, t: step.old_logits[b, t, step.token_ids[b, t]], step.old_logits)
    certainty = ucas.certainty(step.old_logits, step.mask)
    return ucas.advantages(step.rewards, step.groups, certainty, raw, step.mask)


def _siren(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    anchor = float(siren.peak_entropy(step.old_logits, step.mask, quantile=0.5))
    advantages = dr_grpo.advantages(step.rewards, step.groups)
    return siren.loss(
        logits,
        step.token_ids,
        step.mask,
        step.old_logp,
        advantages,
        length=LENGTH,
        anchor=anchor,
        beta=2.0,
        quantile=0.5,
        frozen_logits=frozen,
    )


def _aer(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    weights = aer.row_weights(step.correct, step.groups, rho=0.9)
    return aer.loss(logits, step.token_ids, step.mask, step.old_logp, _grpo(step), weights=weights, coefficient=0.3)


def _self(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    advantages = self_method.advantages(step.rewards, step.groups, {0: False, 1: True})
    matrix = self_method.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, advantages)
    auxiliary = self_method.auxiliary_loss(logits, step.token_ids, step.mask, step.base_logp)
    return self_method.aggregate(matrix, step.mask) + auxiliary


def _dr_grpo(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    advantages = dr_grpo.advantages(step.rewards, step.groups)
    matrix = dr_grpo.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, advantages)
    return dr_grpo.aggregate(matrix, step.mask, LENGTH)


def _entropy_bonus(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    return entropy_bonus.loss(logits, step.token_ids, step.mask, step.old_logp, _grpo(step), coefficient=0.3)


def _high_entropy_tokens(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    kept = high_entropy_tokens.kept_tokens(entropy(step.old_logits, step.mask), step.mask, q=0.5)
    matrix = high_entropy_tokens.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, _grpo(step), kept=kept)
    return high_entropy_tokens.aggregate(matrix, step.mask)


def _kl_cov(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    matrix = kl_cov.loss_matrix(
        logits, step.token_ids, step.mask, step.old_logp, _grpo(step), fraction=0.2, frozen_logits=frozen
    )
    return kl_cov.aggregate(matrix, step.mask)


def _clip_cov(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    logp = token_logp(frozen, step.token_ids, step.mask)
    places = clip_cov.candidates(_grpo(step), logp, step.old_logp, step.mask, low=0.3)
    dropped = clip_cov.picks(places, range(len(places)), step.mask, fraction=0.1)
    matrix = clip_cov.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, _grpo(step), dropped=dropped)
    return clip_cov.aggregate(matrix, step.mask)


def _gspo(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    matrix = gspo.loss_matrix(
        logits,
        step.token_ids,
        step.mask,
        step.old_logp,
        _grpo(step),
        clip_low=0.2,
        clip_high=0.2,
        frozen_logits=frozen,
    )
    return gspo.aggregate(matrix, step.mask)


def _entropy_advantage(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    matrix = entropy_advantage.loss_matrix(
        logits, step.token_ids, step.mask, step.old_logp, _grpo(step), frozen_logits=frozen
    )
    return entropy_advantage.aggregate(matrix, step.mask)


def _aspo(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    matrix = aspo.loss_matrix(
        logits, step.token_ids, step.mask, step.old_logp, _grpo(step), dual_clip=1.5, frozen_logits=frozen
    )
    return aspo.aggregate(matrix, step.mask)


def _cispo(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    matrix = cispo.loss_matrix(
        logits, step.token_ids, step.mask, step.old_logp, _grpo(step), high=1.5, frozen_logits=frozen
    )
    return cispo.aggregate(matrix, step.mask)


def _dapo(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    matrix = dapo.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, _grpo(step))
    return dapo.aggregate(matrix, step.mask)


def _dph_rl(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    auxiliary = dph_rl.auxiliary_loss(logits, step.token_ids, step.mask, step.base_logp, coefficient=0.3)
    return _dapo(step, logits, frozen) + auxiliary


def _lp_reg(step: Step, logits: Tensor, frozen: Tensor) -> Tensor:
    proxy = lp_reg.proxy_logp(step.old_logits, step.token_ids, step.mask)
    matrix = lp_reg.loss_matrix(
        logits, step.token_ids, step.mask, step.old_logp, _grpo(step), proxy=proxy, rho=0.5, frozen_logits=frozen
    )
    return lp_reg.aggregate(matrix, step.mask)


def _pass_at_k(step: Step) -> Tensor:
    return pass_at_k.advantages(step.correct, step.groups, k=2)


LOSSES: dict[str, Loss] = {
    "simko": _simko(_grpo),
    "casp": _simko(_grpo),
    "simko_pass_at_k": _simko(_pass_at_k),
    "thr": _ppo(_thr),
    "eepo": _ppo(_grpo),
    "ucas": _ppo(_ucas),
    "siren": _siren,
    "aspo": _aspo,
    "aer": _aer,
    "self": _self,
    "grpo": _ppo(_grpo),
    "dapo": _dapo,
    "dr_grpo": _dr_grpo,
    "rloo": _ppo(lambda step: rloo.advantages(step.rewards, step.groups)),
    "psr": _ppo(lambda step: psr.advantages(step.correct)),
    "nsr": _ppo(lambda step: nsr.advantages(step.correct)),
    "w_reinforce": _ppo(lambda step: w_reinforce.advantages(step.correct)),
    "kl_cov": _kl_cov,
    "clip_cov": _clip_cov,
    "entropy_advantage": _entropy_advantage,
    "entropy_bonus": _entropy_bonus,
    "high_entropy_tokens": _high_entropy_tokens,
    "pass_at_k": _ppo(_pass_at_k),
    "gspo": _gspo,
    "cispo": _cispo,
    "maxrl": _ppo(lambda step: maxrl.advantages(step.correct, step.groups)),
    "f_grpo": _ppo(lambda step: f_grpo.advantages(step.rewards, step.correct, step.groups)),
    "ds_grpo": _ppo(lambda step: ds_grpo.advantages(step.rewards, step.correct, step.groups, _mean_old_logp(step))),
    "ucpo": _ppo(lambda step: ucpo.advantages(step.rewards, step.correct, step.groups, _mean_old_logp(step))),
    "dph_rl": _dph_rl,
    "lp_reg": _lp_reg,
}


def gradient(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """Return the gradient of a scalar loss in the logits; zeros where the loss does not depend on them."""
    variable = logits.detach().clone().requires_grad_()
    value = loss(variable).sum()
    if not value.requires_grad:
        return torch.zeros_like(logits)
    return torch.autograd.grad(value, variable)[0]


def slope(loss: Callable[[Tensor], Tensor], logits: Tensor, direction: Tensor, distance: float = 1e-5) -> float:
    """Return the central difference of a scalar loss along a direction."""
    with torch.no_grad():
        ahead, behind = loss(logits + distance * direction), loss(logits - distance * direction)
    return float(ahead - behind) / (2.0 * distance)
