"""Each method's whole update, from groups to the gradient, against a slow reference that was written from its formula alone.

The policy's logits are a table. The batch is split in two ways, padded, with one and with several updates a rollout batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from algorithms.tables import TablePolicy, groups_of
from reference_methods import clip_cov, dph_rl, dr_grpo, grpo, kl_cov, lp_reg, siren
from reference_methods.steps import LENGTH, LOSSES, Step, gradient, random_step
from torch import Tensor

from simko import algorithms
from simko.advantages import make_batch
from simko.algorithms.base_answers import BaseAnswers
from simko.group_view import batch_of
from simko.micro_batch import TokenBudget
from simko.step_stats import prepare, step_stats
from simko.update import accumulate_gradients

SIMKO = {"alpha": 0.3, "entropy_quantile": 0.5, "top1_penalty": 1.5, "entropy_floor": 0.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "simko": SIMKO,
    "casp": SIMKO,
    "simko_pass_at_k": SIMKO | {"pass_k": 2},
    "pass_at_k": {"pass_k": 2},
    "aspo": {"dual_clip": 1.5, "kl_coefficient": 0.0},
    "aer": {"aer_rho": 0.9, "aer_max": 1.0},
    "dapo": {"overlong_buffer": 0.0},
    "high_entropy_tokens": {"overlong_buffer": 0.0, "top_entropy": 0.5},
    "entropy_bonus": {"entropy_coefficient": 0.3},
    "kl_cov": {"kl_cov_ratio": 0.2},
    "gspo": {"clip_low": 0.2, "clip_high": 0.2},
    "cispo": {"ratio_cap": 1.5},
    "lp_reg": {"lp_rho": 0.5},
}
STATES: dict[str, dict[str, Any]] = {"aer": {"loss": {"weight": 0.3}}}
FLOAT32 = ("eepo", "ds_grpo", "ucpo")  # they read what the sampler recorded, in float32
APART = (
    "siren",
    "self",
    "dph_rl",
    "clip_cov",
    "lp_reg",
    "kl_cov",
)  # compared below, each with what its reference freezes


def update(name: str, step: Step, tokens: int = 10**6, state: dict[str, Any] | None = None, **values: Any) -> Tensor:
    """The gradient of a method's update: old policy `step.old_logits`, current policy `step.logits`."""
    method = algorithms.get(name, **{**SETTINGS.get(name, {}), **values})
    policy = TablePolicy(step)
    batch = make_batch(groups_of(step), method, int(LENGTH))
    stats, prepared = prepare(
        policy, method, batch, temperature=1.0, micro_batch_tokens=tokens, several=True,
        state=STATES.get(name, {}) if state is None else state,
    )  # fmt: skip
    with torch.no_grad():
        policy.table.copy_(step.logits)
    accumulate_gradients(
        policy, method, batch, temperature=1.0, micro_batch_tokens=tokens, max_new_tokens=int(LENGTH), step=stats,
        prepared=prepared,
    )  # fmt: skip
    return torch.zeros_like(policy.table) if policy.table.grad is None else policy.table.grad


def reference(name: str, step: Step) -> Tensor:
    return gradient(lambda logits: LOSSES[name](step, logits, step.logits), step.logits)


def close(ours: Tensor, theirs: Tensor, name: str = "") -> None:
    torch.testing.assert_close(
        ours, theirs, rtol=1e-4 if name in FLOAT32 else 1e-7, atol=1e-6 if name in FLOAT32 else 1e-9
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", [name for name in LOSSES if name not in APART])
def test_the_gradient_is_the_references(name: str, seed: int) -> None:
    step = random_step(seed)
    theirs = step
    if name == "thr":  # the hidden states of a table hold its logits, too
        theirs = replace(step, hidden=TablePolicy(step).states())
    close(update(name, step), reference(name, theirs), name)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "clip_cov"])
def test_any_split_gives_the_same_update(name: str) -> None:
    step = random_step(7, groups=3)
    state = {"siren": {"loss": {"anchor": 0.1}}}.get(name)
    torch.testing.assert_close(
        update(name, step, state=state), update(name, step, 9, state=state), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("seed", range(4))
def test_kl_cov_picks_its_tokens_under_the_old_policy(seed: int) -> None:
    step = random_step(seed)
    advantages = grpo.advantages(step.rewards, step.groups)
    picked = kl_cov.select(advantages, step.old_logp, step.mask, fraction=0.2)

    def loss(logits: Tensor) -> Tensor:
        matrix = kl_cov.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, advantages, selected=picked)
        return kl_cov.aggregate(matrix, step.mask)

    close(update("kl_cov", step), gradient(loss, step.logits))


@pytest.mark.parametrize("seed", range(4))
def test_clip_cov_drops_tokens_of_the_band(seed: int) -> None:
    step, band = random_step(seed), {"clip_cov_low": 0.3, "clip_cov_ratio": 0.1}
    advantages = grpo.advantages(step.rewards, step.groups)
    places = clip_cov.candidates(advantages, step.old_logp, step.old_logp, step.mask, low=0.3)
    method, policy = algorithms.get("clip_cov", **band), TablePolicy(step)
    batch = make_batch(groups_of(step), method)
    drawn = []
    for number in range(2):
        shape: dict[str, Any] = {"temperature": 1.0, "micro_batch_tokens": 100, "several": True, "seed": number}
        _, prepared = prepare(policy, method, batch, **shape)
        chosen = prepared.constants["chosen"]
        _, again = prepare(policy, method, batch, **shape)
        assert torch.equal(chosen, again.constants["chosen"])
        assert {(int(b), int(t)) for b, t in torch.nonzero(chosen)} <= set(places)
        assert int(chosen.sum()) == clip_cov.pick_count(int(step.mask.sum()), len(places), fraction=0.1)
        drawn.append(chosen)
    dropped = torch.zeros_like(step.mask)
    dropped[:, : drawn[0].shape[1]] = drawn[0]

    def loss(logits: Tensor) -> Tensor:
        matrix = clip_cov.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, advantages, dropped=dropped)
        return clip_cov.aggregate(matrix, step.mask)

    close(update("clip_cov", step, **band), gradient(loss, step.logits))


@pytest.mark.parametrize("seed", range(4))
def test_lp_reg_picks_its_tokens_under_the_old_policy(seed: int) -> None:
    step = random_step(seed)
    advantages = grpo.advantages(step.rewards, step.groups)
    proxy = lp_reg.proxy_logp(step.old_logits, step.token_ids, step.mask, kappa=0.2)
    picked = lp_reg.select(advantages, step.old_logp, proxy, step.mask, rho=0.5)

    def loss(logits: Tensor) -> Tensor:
        matrix = lp_reg.loss_matrix(
            logits, step.token_ids, step.mask, step.old_logp, advantages, proxy=proxy, selected=picked
        )
        return lp_reg.aggregate(matrix, step.mask)

    close(update("lp_reg", step, lp_kappa=0.2), gradient(loss, step.logits))


@pytest.mark.parametrize("seed", range(4))
def test_siren_pulls_the_peak_entropy_to_its_anchor(seed: int) -> None:
    step = random_step(seed, distance=0.0)
    advantages = dr_grpo.advantages(step.rewards, step.groups)

    def loss(logits: Tensor) -> Tensor:
        return siren.loss(
            logits,
            step.token_ids,
            step.mask,
            step.old_logp,
            advantages,
            length=LENGTH,
            anchor=0.2,
            beta=2.0,
            quantile=0.5,
        )

    values: dict[str, Any] = {"siren_beta": 2.0, "siren_quantile": 0.5}
    close(update("siren", step, state={"loss": {"anchor": 0.2}}, **values), gradient(loss, step.logits))
    plain = update("dr_grpo", step)
    close(update("siren", step, state={}, **values), plain)  # the first step is its own anchor


@pytest.mark.parametrize("kind", ["forward", "js", "alpha"])
def test_the_divergence_from_the_base_model(kind: str) -> None:
    step = random_step(3)
    policy = TablePolicy(step)
    batch = batch_of([c for group in groups_of(replace(step, old_logits=step.base_logits)) for c in group.completions])
    stats = step_stats(policy, batch, frozenset(), temperature=1.0, budget=TokenBudget(100))
    with torch.no_grad():
        policy.table.copy_(step.logits)
    accumulate_gradients(
        policy, BaseAnswers(divergence=kind, divergence_coefficient=0.3), batch, temperature=1.0, micro_batch_tokens=9,
        max_new_tokens=7, step=replace(stats, logp=stats.sampler_logp),
    )  # fmt: skip

    def loss(logits: Tensor) -> Tensor:
        return dph_rl.auxiliary_loss(
            logits,
            step.token_ids,
            step.mask,
            step.base_logp,
            coefficient=0.3,
            kind=kind,  # type: ignore[arg-type]
        )

    assert policy.table.grad is not None
    close(policy.table.grad, gradient(loss, step.logits), "eepo")  # the sampler's log-probs are float32
