"""Rows that a method must not read, and rows that it must not leave out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from algorithms.tables import TablePolicy, groups_of
from fakes import FakePolicy, gradient, random_groups
from reference_methods import grpo, kl_cov
from reference_methods.steps import gradient as slow_gradient
from reference_methods.steps import random_step
from torch import Tensor

from simko import algorithms
from simko.advantages import make_batch
from simko.algorithms.stats import Prepared
from simko.algorithms.ucas import group_scores
from simko.errors import UserError
from simko.group_view import GroupView
from simko.settings import train_config
from simko.step_stats import prepare
from simko.types import Completion, Group
from simko.update import accumulate_gradients

SHAPE: dict[str, Any] = {"temperature": 1.0, "micro_batch_tokens": 10**6}


def of_nan(completion: Completion) -> Completion:
    return replace(completion, logprobs=np.full_like(completion.logprobs, np.nan))


@pytest.mark.parametrize("name", ["ucas", "ucpo", "ds_grpo", "thr"])
def test_a_row_that_is_not_finite_changes_no_other_row(name: str) -> None:
    """A method that compares log-probs or confidences inside a group leaves such a row out of the comparison."""
    group = random_groups(0, groups=1, size=6)[0]
    right = [replace(c, verdict=replace(c.verdict, outcome="correct", reward=1.0)) for c in group.completions[:4]]
    wrong = [replace(c, verdict=replace(c.verdict, outcome="incorrect", reward=0.0)) for c in group.completions[4:]]
    method = algorithms.get(name)
    batch = make_batch([Group(group.task, (of_nan(right[0]), *right[1:], *wrong))], method)
    stats, prepared = prepare(FakePolicy(), method, batch, **SHAPE)
    assert stats.mask.any(-1).tolist() == [False] + [True] * 5
    assert bool(np.isfinite(batch.advantage[1:]).all())
    assert prepared.advantage is None or bool(torch.isfinite(prepared.advantage).all())


def test_a_confidence_that_is_not_finite_is_in_no_mean() -> None:
    counted = torch.tensor([False, True, True, True, True])
    scores = group_scores(torch.tensor([9.0, 1.0, 2.0, 3.0, 5.0]), torch.tensor([0, 0, 0, 0, 1]), counted)
    torch.testing.assert_close(scores, torch.tensor([0.0, -1.0, 0.0, 1.0, 0.0]), rtol=0, atol=1e-5)


def test_kl_cov_holds_back_a_token_of_a_group_without_an_advantage() -> None:
    step = random_step(0, groups=3)
    wrong = torch.where(step.groups == 1, torch.zeros_like(step.correct), step.correct)
    step = replace(step, correct=wrong, rewards=wrong.double())
    advantages = grpo.advantages(step.rewards, step.groups)
    picked = kl_cov.select(advantages, step.old_logp, step.mask, fraction=0.9)
    assert bool(picked[step.groups == 1].any())

    def loss(logits: Tensor) -> Tensor:
        matrix = kl_cov.loss_matrix(logits, step.token_ids, step.mask, step.old_logp, advantages, selected=picked)
        return kl_cov.aggregate(matrix, step.mask)

    method, policy = algorithms.get("kl_cov", kl_cov_ratio=0.9), TablePolicy(step)
    batch = make_batch(groups_of(step), method)
    stats, prepared = prepare(policy, method, batch, several=True, **SHAPE)
    with torch.no_grad():
        policy.table.copy_(step.logits)
    accumulate_gradients(policy, method, batch, max_new_tokens=7, step=stats, prepared=prepared, **SHAPE)
    assert policy.table.grad is not None
    torch.testing.assert_close(policy.table.grad, slow_gradient(loss, step.logits), rtol=1e-7, atol=1e-9)


def test_a_loss_says_itself_which_rows_it_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    method = algorithms.get("clip_cov")
    batch = make_batch(random_groups(3), method)
    nothing = Prepared(
        constants={"chosen": torch.zeros(len(batch), 6, dtype=torch.bool)},
        keep=torch.zeros(len(batch), dtype=torch.bool),
    )
    monkeypatch.setattr(type(method.loss_part), "prepare", lambda *args: nothing)
    policy = FakePolicy()
    stats, prepared = prepare(policy, method, batch, **SHAPE)
    accumulate_gradients(policy, method, batch, max_new_tokens=8, step=stats, prepared=prepared, **SHAPE)
    assert not gradient(policy).any()


def view(correct: list[bool], rewards: list[float] | None = None) -> GroupView:
    rewards = [float(right) for right in correct] if rewards is None else rewards
    return GroupView(rewards, correct, [-1.0] * len(correct), [3] * len(correct))


@pytest.mark.parametrize(
    ("name", "values", "group", "informative"),
    [
        ("nsr", {}, view([False] * 4), True),
        ("nsr", {}, view([True] * 4), False),
        ("psr", {}, view([True]), True),
        ("psr", {}, view([False] * 4), False),
        ("w_reinforce", {}, view([True] * 4), True),
        ("w_reinforce", {"positive_weight": 0.0}, view([True] * 4), False),
        ("maxrl", {}, view([False] * 4, [0.0, 0.1, 0.2, 0.0]), False),
        ("maxrl", {}, view([True, False], [0.5, 0.5]), True),
        ("pass_at_k", {"pass_k": 4}, view([True] * 5 + [False] * 3), False),
        ("pass_at_k", {"pass_k": 4}, view([True] * 4 + [False] * 4), True),
        ("grpo", {}, view([False] * 4, [0.0, 0.1, 0.2, 0.0]), True),
        ("grpo", {}, view([False] * 4), False),
    ],
)
def test_a_group_is_informative_where_the_advantage_moves_the_policy(
    name: str, values: dict[str, Any], group: GroupView, informative: bool
) -> None:
    advantage = algorithms.get(name, **values).advantage
    assert advantage.informative(group) is informative
    assert any(advantage.group(group)) is informative


def test_pass_at_k_of_all_answers_is_refused() -> None:
    advantage = algorithms.get("pass_at_k", pass_k=4).advantage
    advantage.check([view([True] * 5), view([True])])
    for groups in ([view([True, False, False, False])], [view([True, False])]):
        with pytest.raises(UserError, match=r"every advantage is 0; set --pass-k below [24]"):
            advantage.check(groups)


def test_the_settings_of_the_clip_act_at_once_where_the_sampler_is_the_old_policy() -> None:
    assert "clip_low" in algorithms.get("grpo").inert(1)
    assert "clip_low" not in algorithms.get("eepo").inert(1)
    assert "dual_clip" in algorithms.get("aspo").inert(1)
    assert "dual_clip" not in algorithms.get("aspo", dual_clip=0.5).inert(1)


def test_the_logic_preset_refills_as_published() -> None:
    assert algorithms.get("simko:logic").sampling.name == "refill"
    assert algorithms.get("simko:logic", sampling="plain").sampling.name == "plain"
    assert algorithms.get("simko:math").sampling.name == "plain"
    assert algorithms.of(train_config({"algorithm": "casp:logic"})).sampling.name == "refill"
