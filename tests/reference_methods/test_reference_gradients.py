"""The gradient of each reference is the slope of its value with the stop-gradient terms frozen, and what it leaves alone."""

from __future__ import annotations

import dataclasses
from importlib import import_module

import pytest
import torch
from torch import Tensor

from reference_methods import METHODS, aggregates, aspo, entropy_bonus, grpo, gspo, kl_cov, simko
from reference_methods.arithmetic import entropy, log_probabilities, ranked, row_gate, token_logp
from reference_methods.steps import LOSSES, Step, gradient, random_step, slope


def close(value: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(value, expected, rtol=0.0, atol=tolerance)


def test_each_method_has_a_loss() -> None:
    assert set(LOSSES) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_gradient_is_the_slope_with_frozen_terms(name: str) -> None:
    largest = 0.0  # THR can mask a whole step
    for seed in range(3):
        step = random_step(seed, size=3, T=4)
        frozen = step.logits.clone()

        def loss(logits: Tensor, step: Step = step, frozen: Tensor = frozen) -> Tensor:
            return LOSSES[name](step, logits, frozen)

        exact = gradient(loss, step.logits)
        largest = max(largest, float(exact.abs().max()))
        for number in range(3):
            generator = torch.Generator().manual_seed(17 * seed + number)
            direction = torch.randn(step.logits.shape, generator=generator, dtype=torch.float64)
            assert float((exact * direction).sum()) == pytest.approx(
                slope(loss, step.logits, direction), rel=1e-6, abs=1e-8
            )
    assert largest > 1e-3


@pytest.mark.parametrize("name", METHODS)
def test_what_lies_outside_the_mask_is_never_read(name: str) -> None:
    step = random_step(5)
    outside = ~step.mask
    assert bool(outside.any())
    other = dataclasses.replace(
        step,
        logits=torch.where(outside[..., None], torch.nan, step.logits),
        old_logits=torch.where(outside[..., None], torch.nan, step.old_logits),
        base_logits=torch.where(outside[..., None], torch.nan, step.base_logits),
        hidden=torch.where(outside[..., None], torch.nan, step.hidden),
    )

    def at(step: Step, logits: Tensor) -> Tensor:
        return LOSSES[name](step, logits, step.logits)

    assert torch.equal(at(step, step.logits), at(other, other.logits))
    before = gradient(lambda logits: at(step, logits), step.logits)
    assert torch.equal(before, gradient(lambda logits: at(other, logits), other.logits))
    assert not before[outside].any()


@pytest.mark.parametrize("name", METHODS)
def test_adding_a_constant_to_the_logits_of_a_token_changes_nothing(name: str) -> None:
    step = random_step(8)

    def loss(logits: Tensor) -> Tensor:
        return LOSSES[name](step, logits, step.logits)

    close(gradient(loss, step.logits).sum(dim=-1), torch.zeros(step.mask.shape, dtype=torch.float64))


@pytest.mark.parametrize("name", ["simko", "grpo", "aspo", "cispo", "entropy_advantage", "kl_cov", "lp_reg", "dapo"])
def test_rows_split_into_parts_add_up(name: str) -> None:
    """With what couples rows given, the token mean of the step is the sum over the parts with the step's token count."""
    step = random_step(3)
    advantages = grpo.advantages(step.rewards, step.groups)
    settings: dict[str, Tensor] = {}
    if name == "simko":
        settings = {"correct": step.correct}
    if name == "kl_cov":
        logp = token_logp(step.logits, step.token_ids, step.mask)
        settings = {"selected": kl_cov.select(advantages, logp, step.mask, fraction=0.2)}
    if name == "lp_reg":
        settings = {"proxy": step.old_logp + 0.3, "selected": step.mask & (step.old_logp < -1.0)}
    module = import_module(f"reference_methods.{name}")

    def matrix(rows: slice) -> Tensor:
        part = {key: value[rows] for key, value in settings.items()}
        inputs = (step.logits[rows], step.token_ids[rows], step.mask[rows], step.old_logp[rows], advantages[rows])
        return module.loss_matrix(*inputs, **part)

    whole = aggregates.token_mean(matrix(slice(None)), step.mask)
    parts = sum(matrix(slice(b, b + 3)).sum() for b in range(0, 8, 3))
    close(parts / int(step.mask.sum()), whole)


def test_simko_has_the_gradient_of_the_paper() -> None:
    """`-A r ((1 - alpha h) e_y + (alpha h / K) sum_k e_vk - pi)` where nothing clips; times lambda at a wrong top-1."""
    alpha, K, penalty = 0.3, 3, 1.5
    step = random_step(11, distance=0.05)
    advantages = grpo.advantages(step.rewards, step.groups)
    gate = row_gate(entropy(step.logits, step.mask), step.mask, 0.5)

    def loss(logits: Tensor) -> Tensor:
        return simko.loss_matrix(
            logits,
            step.token_ids,
            step.mask,
            step.old_logp,
            advantages,
            correct=step.correct,
            alpha=alpha,
            top_k=K,
            quantile=0.5,
            top1_penalty=penalty,
            frozen_logits=step.logits,
        )

    value = gradient(loss, step.logits)
    for b, t in step.mask.nonzero().tolist():
        row, token = step.logits[b, t], int(step.token_ids[b, t])
        pi, a = torch.exp(log_probabilities(row)), float(advantages[b])
        ratio = float(torch.exp(log_probabilities(row)[token] - step.old_logp[b, t]))
        target = torch.zeros_like(row)
        target[token] = 1.0
        if gate[b, t] and a > 0:
            target *= 1.0 - alpha
            for k in ranked(row)[:K]:
                target[k] += alpha / K
        if gate[b, t] and a < 0 and ranked(row)[0] == token:
            a *= penalty
        close(value[b, t], -a * ratio * (target - pi))


def test_the_gradient_of_the_entropy_is_minus_p_log_p_plus_h() -> None:
    step = random_step(2)
    value = gradient(lambda logits: -entropy_bonus.regulariser(logits, step.mask, 1.0), step.logits)
    for b, t in step.mask.nonzero().tolist():
        logp = log_probabilities(step.logits[b, t])
        p = torch.exp(logp)
        expected = -p * (logp - (p * logp).sum()) / int(step.mask.sum())
        close(value[b, t], expected)


@pytest.mark.parametrize("name", ["aspo", "cispo", "clip_cov", "kl_cov", "dapo", "entropy_advantage", "lp_reg"])
def test_at_ratio_one_the_losses_about_ratios_have_the_gradient_of_grpo(name: str) -> None:
    step = random_step(4)
    logits, advantages = step.old_logits, grpo.advantages(step.rewards, step.groups)
    module = import_module(f"reference_methods.{name}")
    settings = {
        "clip_cov": {"dropped": torch.zeros_like(step.mask)},
        "entropy_advantage": {"alpha": 0.0},
        "lp_reg": {"proxy": step.old_logp},
    }.get(name, {})

    def loss(logits: Tensor) -> Tensor:
        return module.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, advantages, **settings)

    def plain(logits: Tensor) -> Tensor:
        return grpo.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, advantages)

    close(gradient(loss, logits), gradient(plain, logits))


def test_gspo_is_grpo_where_each_answer_has_one_token() -> None:
    step = random_step(6, T=5)
    mask = step.mask & (torch.arange(5) == 0)
    advantages = grpo.advantages(step.rewards, step.groups)

    def of(module: object, logits: Tensor) -> Tensor:
        return module.loss_matrix(  # type: ignore[attr-defined]
            logits, step.token_ids, mask, step.old_logp, advantages, clip_low=3e-4, clip_high=4e-4
        )

    close(of(gspo, step.logits), of(grpo, step.logits))
    close(gradient(lambda z: of(gspo, z), step.logits), gradient(lambda z: of(grpo, z), step.logits))


def test_aspo_keeps_a_gradient_at_the_dual_clip() -> None:
    """A wrong token whose ratio is above 3 has the weight 3, where PPO's would be the ratio."""
    logits = torch.tensor([[[0.0, 0.0]]], dtype=torch.float64)
    old_logp, ids, mask = torch.tensor([[-3.0]]).double(), torch.tensor([[0]]), torch.tensor([[True]])

    def loss(logits: Tensor) -> Tensor:
        return aspo.loss_matrix(logits, ids, mask, old_logp, torch.tensor([-1.0]))

    close(gradient(loss, logits), 3.0 * torch.tensor([[[0.5, -0.5]]], dtype=torch.float64))
