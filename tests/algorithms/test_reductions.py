"""What each method reduces to, and what must leave its update unchanged: splits, packing, and the order of answers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from algorithms.test_agreement import close, update
from algorithms.test_compose import NAMES
from fakes import FakePolicy, gradient, random_groups
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_methods.steps import random_step
from torch import Tensor

from simko import algorithms
from simko.advantages import make_batch
from simko.group_view import GroupView
from simko.step_stats import prepare
from simko.types import Group
from simko.update import accumulate_gradients

WIDE = {"clip_low": 1.0, "clip_high": 1e9}
"""Clipped nowhere."""
UNCLIPPED = ("grpo", WIDE)
SAME: list[tuple[str, dict[str, Any], tuple[str, dict[str, Any]]]] = [
    ("simko", {"alpha": 0.0, "top1_penalty": 1.0}, ("grpo", {})),
    ("simko", {"entropy_quantile": 1.0}, ("grpo", {})),
    ("simko", {"grpo_steps": 1}, ("grpo", {})),  # the first step trains with GRPO
    ("casp", {}, ("simko", {})),
    ("simko_pass_at_k", {}, ("simko", {"advantage": "pass_at_k", "pass_k": 2})),
    ("thr", {"thr_p": 0.0, "thr_beta": 0.0}, ("grpo", {})),
    ("ucas", {"answer_down": 0.0, "answer_up": 0.0, "token_weight": 0.0}, ("grpo", {})),
    ("siren", {"siren_beta": 0.0}, ("dr_grpo", {})),
    ("aer", {"aer_start": 0.0}, ("grpo", {})),
    ("self", {}, ("grpo", {})),  # where all problems are kept, beside its auxiliary loss
    ("dph_rl", {}, ("grpo", {"clip_high": 0.28})),
    ("dapo", {"overlong_buffer": 0.0}, ("grpo", {"clip_high": 0.28})),
    ("dapo", {"overlong_buffer": 0.5, "overlong_penalty": 0.0}, ("grpo", {"clip_high": 0.28})),
    ("dr_grpo", {"aggregation": "token_mean"}, ("grpo", {"advantage": "dr_grpo"})),
    ("w_reinforce", {"positive_weight": 0.0}, ("nsr", {})),
    ("kl_cov", {"kl_cov_coefficient": 0.0}, UNCLIPPED),
    ("clip_cov", {"clip_cov_low": 1e9}, ("grpo", {"clip_low": 1.0, "clip_high": 1.0})),
    ("entropy_advantage", {"entropy_alpha": 0.0}, ("grpo", {"clip_high": 0.28})),
    ("entropy_bonus", {"entropy_coefficient": 0.0}, ("grpo", {})),
    ("high_entropy_tokens", {"top_entropy": 1.0}, ("dapo", {})),
    ("lp_reg", {"lp_rho": 0.0}, ("grpo", {"clip_low": 1.0, "clip_high": 9.0})),
    ("lp_reg", {"lp_kappa": 1.0, "lp_rho": 0.0}, ("grpo", {"clip_low": 1.0, "clip_high": 9.0})),
    ("cispo", {"ratio_cap": 1e9}, UNCLIPPED),
    ("f_grpo", {"gamma": 0.0}, ("grpo", {})),
    ("ucpo", {"tau": 0.0}, ("grpo", {})),
]


@pytest.mark.parametrize(("name", "values", "other"), SAME, ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.parametrize("seed", range(3))
def test_a_method_at_a_setting_is_another(
    name: str, values: dict[str, Any], other: tuple[str, dict[str, Any]], seed: int
) -> None:
    step = random_step(seed)
    theirs = update(other[0], step, state={}, **other[1])
    assert theirs.abs().max() > 0
    close(update(name, step, state={}, **values), theirs)


@pytest.mark.parametrize(
    "name",
    [name for name, _, _ in SAME if name not in ("casp", "simko_pass_at_k", "self", "dph_rl", "dapo", "dr_grpo")],
)
def test_at_other_settings_it_is_not(name: str) -> None:
    """Otherwise the test above would pass for a method that does nothing."""
    own = {
        "thr": {"thr_p": -0.5},
        "ucas": {},
        "siren": {"siren_beta": 2.0, "siren_quantile": 0.5},
        "aer": {"aer_start": 0.5, "aer_max": 1.0},
        "w_reinforce": {"positive_weight": 0.5},
        "clip_cov": {"clip_cov_low": 0.1},
        "lp_reg": {"lp_kappa": 0.2},
    }.get(name, {})
    [(values, other)] = [(values, other) for n, values, other in SAME if n == name][-1:]
    state = {"loss": {"anchor": 0.1}} if name == "siren" else {}
    differences = [
        (update(name, step, state=state, **own) - update(other[0], step, state={}, **other[1])).abs().max()
        for step in map(random_step, range(6))
    ]
    assert max(map(float, differences)) > 1e-4, (values, own)


@pytest.mark.parametrize("seed", range(4))
def test_w_reinforce_is_the_sum_of_its_halves(seed: int) -> None:
    step = random_step(seed)
    halves = update("psr", step) + update("nsr", step)
    close(update("w_reinforce", step, positive_weight=1.0), halves)
    close(update("w_reinforce", step, positive_weight=0.25), 0.25 * update("psr", step) + update("nsr", step))


@pytest.mark.parametrize("seed", range(4))
def test_advantages_that_differ_by_a_factor(seed: int) -> None:
    """Groups of one size: RLOO and Dr.GRPO, and the two standard deviations."""
    step = random_step(seed, size=4)
    close(update("rloo", step), 4 / 3 * update("dr_grpo", step, aggregation="token_mean"))
    factor, grpo = math.sqrt(4 / 3), update("grpo", step)
    for name, values in (("pass_at_k", {"pass_k": 1}), ("ds_grpo", {"gamma_right": 0.0, "gamma_wrong": 0.0})):
        torch.testing.assert_close(update(name, step, **values), factor * grpo, rtol=1e-5, atol=1e-8)
    close(update("grpo", step, advantage="pkpo", pass_k=1), update("rloo", step))


@pytest.mark.parametrize("name", ["cispo", "kl_cov", "aspo", "eepo", "entropy_bonus"])
@pytest.mark.parametrize("seed", range(3))
def test_before_the_first_update_they_are_reinforce(name: str, seed: int) -> None:
    """The ratio is 1, whatever is done with it. EEPO's sampler is the trainer here."""
    step = random_step(seed, distance=0.0)
    values = {"entropy_coefficient": 0.0} if name == "entropy_bonus" else {}
    close(update(name, step, **values), update("grpo", step), "eepo")


@pytest.mark.parametrize("seed", range(3))
def test_gspo_of_answers_of_one_token_is_grpo(seed: int) -> None:
    step = random_step(seed)
    first = torch.zeros_like(step.mask)
    first[:, 0] = True
    step = replace(step, mask=first)
    close(update("gspo", step), update("grpo", step))


def test_a_ratio_cap_bounds_what_a_token_weighs() -> None:
    step = random_step(1, distance=0.0)
    close(update("cispo", step, ratio_cap=0.25), 0.25 * update("cispo", step, ratio_cap=5.0))


@given(right=st.lists(st.booleans(), min_size=2, max_size=9), k=st.integers(1, 12))
@settings(max_examples=60)
def test_advantages_that_centre_sum_to_zero_and_equal_rewards_give_nothing(right: list[bool], k: int) -> None:
    view = GroupView([float(x) for x in right], right, [-0.5] * len(right), [3] * len(right), 8)
    for name in ("grpo", "dr_grpo", "rloo", "maxrl", "f_grpo", "pass_at_k", "self", "gspo"):
        method = algorithms.get(name, **({"pass_k": k} if name == "pass_at_k" else {}))
        values = method.advantages(view)
        assert abs(sum(values)) < 1e-6
        if len(set(right)) == 1:
            assert values == [0.0] * len(right)
        for is_right, value in zip(right, values, strict=True):
            assert value >= 0 if is_right else value <= 0


@given(rewards=st.lists(st.sampled_from([0.2, 0.7, 1.0]), min_size=1, max_size=1), size=st.integers(1, 9))
def test_equal_shaped_rewards_give_nothing(rewards: list[float], size: int) -> None:
    view = GroupView(rewards * size, [True] * size, [-0.5] * size, [3] * size, 8)
    for name in ("grpo", "dr_grpo", "rloo", "maxrl", "f_grpo", "pass_at_k", "ucpo", "dapo"):
        if size > 1:
            assert algorithms.get(name).advantages(view) == [0.0] * size


# What must leave the update unchanged

STATES: dict[str, dict[str, Any]] = {"siren": {"loss": {"anchor": 0.1}}, "aer": {"loss": {"weight": 0.3}}}
CHOICES: dict[str, dict[str, Any]] = {
    "siren": {"siren_quantile": 0.3, "siren_beta": 1.0},
    "aer": {"aer_rho": 0.9, "aer_max": 1.0},
    "pass_at_k": {"pass_k": 2},
    "simko_pass_at_k": {"pass_k": 2},
    "lp_reg": {"lp_rho": 0.5, "lp_kappa": 0.3},
    "kl_cov": {"kl_cov_ratio": 0.2},
    "clip_cov": {"clip_cov_low": 0.2},
    "simko": {"alpha": 0.3, "entropy_quantile": 0.3},
    "ucas": {"token_weight": 0.3},
}
MOVE = torch.linspace(-0.05, 0.05, 36, dtype=torch.float64).reshape(6, 6)


def moved_update(name: str, groups: list[Group], packs: bool, tokens: int) -> Tensor:
    """The gradient after the policy has moved away from the one that the step was prepared with."""
    policy, method = FakePolicy(packs=packs), algorithms.get(name, **CHOICES.get(name, {}))
    batch = make_batch(groups, method, 8)
    shape: dict[str, Any] = {"temperature": 0.9, "micro_batch_tokens": tokens}
    state = STATES.get(name, {})
    stats, prepared = prepare(policy, method, batch, several=True, state=state, seed=3, step=4, **shape)
    with torch.no_grad():
        policy.adapter += MOVE
    accumulate_gradients(policy, method, batch, step=stats, prepared=prepared, max_new_tokens=8, **shape)
    return gradient(policy)


def shared(seed: int) -> list[Group]:
    """Random groups of two turns, whose answers share their prompt."""
    return [
        Group(g.task, tuple(replace(c, prompt_ids=g.completions[0].prompt_ids) for c in g.completions))
        for g in random_groups(seed, groups=3, turns=True)
    ]


@pytest.mark.parametrize("name", NAMES.split())
def test_packing_and_splitting_change_nothing(name: str) -> None:
    for seed in range(2):
        groups = shared(seed)
        whole = moved_update(name, groups, False, 10**6)
        assert whole.abs().max() > 0
        for packs, tokens in ((True, 10**6), (True, 17), (False, 17), (True, 1)):
            torch.testing.assert_close(moved_update(name, groups, packs, tokens), whole, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in NAMES.split() if name != "clip_cov"])  # it draws by place
def test_the_order_of_answers_and_of_problems_changes_nothing(name: str) -> None:
    groups = shared(5)
    turned = [Group(g.task, g.completions[::-1]) for g in groups[::-1]]
    torch.testing.assert_close(
        moved_update(name, turned, False, 10**6), moved_update(name, groups, False, 10**6), rtol=1e-6, atol=1e-10
    )


@pytest.mark.parametrize("name", NAMES.split())
def test_nothing_is_chosen_behind_an_answer(name: str) -> None:
    """Constants are finite everywhere, since 0 times infinity would spoil a sum."""
    method = algorithms.get(name, **CHOICES.get(name, {}))
    batch = make_batch(shared(0), method, 8)
    stats, prepared = prepare(
        FakePolicy(), method, batch, temperature=0.9, micro_batch_tokens=64, several=True, state=STATES.get(name, {})
    )
    assert not stats.mask.all()
    for constant in prepared.constants.values():
        assert torch.isfinite(constant.double()).all()
        if constant.dtype == torch.bool and constant.dim() == 2:
            assert not (constant & ~stats.mask).any()
