"""Every choice of parts either makes two steps with finite numbers, or is refused with a reason."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from fakes import FakeEnv, FakePolicy

from simko import algorithms
from simko.algorithms.compose import Algorithm, finite_state
from simko.algorithms.rules import refusal
from simko.errors import UserError
from simko.micro_batch import TokenBudget
from simko.sampling import Sampled, sample_step
from simko.settings import train_config
from simko.train import update
from simko.types import Group

SAMPLING, LOSSES, ADVANTAGES = (algorithms.part_names(kind) for kind in ("sampling", "loss", "advantage"))
CONFIG = train_config({"algorithm": "grpo", "prompts_per_step": 6, "group_size": 5, "seed": 1, "updates_per_batch": 1})


@cache
def groups_of(sampling: str, step: int) -> tuple[Group, ...]:
    """What a plan samples from the fake policy with two turns of the environment; EEPO forgets in step 2."""
    method = algorithms.get(
        "grpo", sampling=sampling, **({"eepo_window": 1, "eepo_entropy": 99.0} if sampling == "eepo" else {})
    )
    state = {"sampling": {"entropies": [1.0]}} if step == 2 else {}
    env = FakeEnv(max_new_tokens=5, reply=(3,))
    return tuple(sample_step(FakePolicy(), env, method, CONFIG, step, state, TokenBudget(60)).groups)


def spoilt(group: Group) -> Group:
    """The first answer of a group with a log-prob that is NaN."""
    first = group.completions[0]
    logprobs = np.where(first.sampled, np.nan, first.logprobs).astype(np.float32)
    return replace(group, completions=(replace(first, logprobs=logprobs), *group.completions[1:]))


def train(method: Algorithm, sampling: str, updates: int, nan: bool) -> tuple[FakePolicy, list[dict[str, float]]]:
    """Two steps; in the first, a row of NaN where asked for."""
    policy, state, lines = FakePolicy(packs=updates > 1), method.initial_state(), []
    optimizer = torch.optim.AdamW([policy.adapter], 1e-2)
    for step in (1, 2):
        groups = list(groups_of(sampling, step))
        groups = [spoilt(groups[0]), *groups[1:]] if nan and groups and step == 1 else groups
        config = replace(CONFIG, updates_per_batch=updates)
        lines.append(update(policy, method, optimizer, Sampled(groups), config, 5, TokenBudget(100), step, state))
        state.update(method.end_step(state, lines[-1]))
        assert finite_state(state)
    return policy, lines


def finite_or_refused(parts: dict[str, str], updates: int) -> None:
    """With 3 updates, the first row of the first step is NaN."""
    k = {"pass_k": 2} if parts["advantage"] in ("pass_at_k", "pkpo") else {}
    if refusal({**algorithms.own_parts("grpo"), **parts}):  # type: ignore[dict-item]
        with pytest.raises(UserError, match="do not go together: "):
            algorithms.get("grpo", **parts, **k)
        return
    method = algorithms.get("grpo", **parts, **k)
    policy, lines = train(method, parts["sampling"], updates, nan=updates > 1)
    assert bool(torch.isfinite(policy.adapter).all()), parts
    assert sum(line["updates"] for line in lines), parts
    assert all(math.isfinite(value) for line in lines for value in line.values()), parts
    assert sum(line["nonfinite_rows"] for line in lines) <= (updates > 1), parts


@pytest.mark.parametrize("loss", LOSSES)
def test_every_advantage_moves_every_loss_or_is_refused(loss: str) -> None:
    for advantage in ADVANTAGES:
        finite_or_refused({"advantage": advantage, "loss": loss, "sampling": "plain"}, 1)
    finite_or_refused({"advantage": "grpo", "loss": loss, "sampling": "eepo"}, 3)


@pytest.mark.parametrize("sampling", SAMPLING)
def test_every_plan_goes_with_every_advantage_or_is_refused(sampling: str) -> None:
    for advantage in ADVANTAGES:
        finite_or_refused({"advantage": advantage, "loss": "grpo", "sampling": sampling}, 3)
