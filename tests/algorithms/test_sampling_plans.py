"""Which answers a step samples: refilled groups, the greedy filter, forgetting half way, and the base model's right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from fakes import FakeEnv, FakePolicy, FakeSource, old_stats, sampled_logp

from simko import algorithms
from simko.advantages import make_batch
from simko.algorithms.base_answers import BaseAnswers, GreedyFilter
from simko.algorithms.dapo import Refill
from simko.algorithms.eepo import SampleThenForget, Unlikelihood
from simko.build import make_env, make_policy
from simko.config import TrainConfig
from simko.group_view import batch_of
from simko.micro_batch import TokenBudget
from simko.sampling import Sampled, StepContext, auxiliary_gradients, sample_step
from simko.settings import train_config
from simko.step_stats import prepare
from simko.train import update
from simko.types import Batch, Group, Task, Verdict

COLD = [0.1, 0.2, 0.1]
"""Entropies of the last steps, below the gate."""


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(**{"prompts_per_step": 4, "group_size": 4, "micro_batch_tokens": 64, **settings})


def context(policy: Any = None, env: Any = None, step: int = 1, **settings: Any) -> StepContext:
    return StepContext(policy or FakePolicy(), env or FakeEnv(), config(**settings), step, TokenBudget(10**6))


def answers(groups: Sequence[Group]) -> list[list[list[int]]]:
    return [[c.ids.tolist() for c in group.completions] for group in groups]


def logp_of(policy: Any, batch: Batch, temperature: float = 1.0) -> float:
    return float(sampled_logp(old_stats(policy, batch, temperature)).mean())


@dataclass
class SomeDull(FakeEnv):
    """Every answer to a problem of an odd number is right: those groups teach nothing."""

    dull: int = 2

    def grade(self, text: str, task: Task) -> Verdict:
        if int(task.id) % self.dull:
            return Verdict("correct", 1.0, text)
        right = len(text.split()) % 2 == 0
        return Verdict("correct" if right else "incorrect", float(right), text)


# Refill


def test_refill_replaces_groups_without_a_signal_by_new_problems() -> None:
    plan = context(env=SomeDull())
    groups = Refill(refill_rounds=30).sample(plan, tasks := plan.tasks(), {})
    first = [group for group in plan.sample(tasks, 4) if group.informative]
    assert 0 < len(first) < 4
    assert len(groups) == 4
    assert all(group.informative for group in groups)
    assert answers(groups)[: len(first)] == answers(first)
    problems = [group.task.problem for group in groups]
    assert len(set(problems)) == len(problems)
    assert not {group.task.problem for group in groups[len(first) :]} & {task.problem for task in tasks}
    assert plan.metrics["refill_rounds"] >= 1
    assert plan.metrics["refill_sampled"] > 4
    assert 0 < plan.metrics["refill_solve_rate"] < 1


def test_a_refill_samples_only_what_is_missing_and_sees_no_problem_twice() -> None:
    env = SomeDull()
    plan, begun = context(env=env), []
    begin = env.begin
    env.begin = lambda task: (begun.append(task.problem), begin(task))[1]  # type: ignore[method-assign]
    Refill(refill_rounds=30).sample(plan, plan.tasks(), {})
    assert len(begun) == 4 * len(set(begun))  # four answers to each problem, once
    assert len(set(begun)) == plan.metrics["refill_sampled"]


def test_a_full_step_is_not_refilled_and_nothing_else_changes() -> None:
    policy = FakePolicy()
    plan, same = (context(policy, group_size=16) for _ in range(2))
    groups, plain = Refill().sample(plan, plan.tasks(), {}), same.sample(same.tasks(), 16)
    assert answers(groups) == answers(plain)
    assert plan.metrics["refill_rounds"] == 0
    assert plan.metrics["refill_sampled"] == 4


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_refill_stops_after_its_rounds(rounds: int) -> None:
    env = SomeDull(dull=10**9)  # every problem is dull
    plan = context(env=env)
    groups = Refill(refill_rounds=rounds).sample(plan, plan.tasks(), {})
    assert plan.metrics["refill_rounds"] == rounds
    assert (
        plan.metrics["refill_sampled"] == len(groups) == 4 * (1 + rounds)
    )  # nothing to train on: what was sampled is shown
    assert not any(group.informative for group in groups)
    assert plan.metrics["refill_solve_rate"] == 1.0


class Few(FakeSource):
    size = 5  # type: ignore[assignment]

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        return [self.get(str(2 * i + 1)) for i in range(5)]


def test_refill_ends_where_the_data_set_ends() -> None:
    plan = context(env=SomeDull(source=Few()))
    Refill(refill_rounds=9).sample(plan, plan.tasks(), {})
    assert plan.metrics["refill_sampled"] == 5
    assert plan.metrics["refill_rounds"] == 1


def test_refill_is_the_same_again() -> None:
    plans = [context(env=SomeDull(), step=step) for step in (1, 1, 2)]
    first, again, other = (answers(Refill().sample(plan, plan.tasks(), {})) for plan in plans)
    assert first == again
    assert first != other


def test_dropped_groups_leave_the_denominators() -> None:
    method = algorithms.get("dapo", refill_rounds=30)
    sampled = sample_step(FakePolicy(), SomeDull(), method, config(), 1, {}, TokenBudget(10**6))
    batch = make_batch(sampled.groups, method, 8)
    assert batch.step_sequences == 16 == len(batch)


# SELF


@dataclass
class GreedyRight(FakeEnv):
    """Right is what begins as the greedy answer to the prompt does, for problems whose number is even."""

    start: str = ""

    def grade(self, text: str, task: Task) -> Verdict:
        right = (text.split() or [""])[0] == self.start and task.gold == "0"
        return Verdict("correct" if right else "incorrect", float(right), text)


def greedy_start(policy: FakePolicy) -> str:
    plan = context(policy)
    tasks = [task for task in plan.tasks() if task.gold == "0"]
    starts = {answer.text.split()[0] for answer in plan.probe(tasks)}
    assert len(starts) == 1
    return starts.pop()


def test_only_problems_that_greedy_decoding_gets_wrong_are_sampled() -> None:
    policy = FakePolicy()
    env = GreedyRight(start=greedy_start(policy))
    plan = context(policy, env, prompts_per_step=8)
    tasks = plan.tasks()
    groups = GreedyFilter().sample(plan, tasks, {})
    assert {task.gold for task in tasks} == {"0", "1"}
    assert [group.task for group in groups] == [task for task in tasks if task.gold == "1"]
    assert plan.metrics["self_kept"] == len(groups) / 8
    assert answers(groups) == answers(plan.sample([group.task for group in groups], 4))


@dataclass
class AllRight(FakeEnv):
    def grade(self, text: str, task: Task) -> Verdict:
        return Verdict("correct", 1.0, text)


def test_a_step_whose_problems_are_all_solved_moves_nothing() -> None:
    policy, method = FakePolicy(), algorithms.get("self")
    before = policy.adapter.detach().clone()
    sampled = sample_step(policy, AllRight(), method, config(), 1, {}, TokenBudget(10**6))
    assert sampled.groups == []
    assert sampled.metrics["self_kept"] == 0
    optimizer = torch.optim.AdamW([policy.adapter], lr=0.1)
    metrics = update(policy, method, optimizer, sampled, config(), 8, TokenBudget(10**6), 1, {})
    assert metrics["updates"] == 0
    assert torch.equal(policy.adapter, before)


# EEPO


def unlikelihood(policy: Any, batch: Batch) -> float:
    """EEPO's loss U, from its formula."""
    stats = old_stats(policy, batch, 1.0)
    assert stats.logp is not None
    rows = [
        -torch.log1p(-row[mask].exp().clamp(max=1 - 1e-3)).mean()
        for row, mask in zip(stats.logp, stats.mask, strict=True)
    ]
    return float(torch.stack(rows).mean())


@pytest.mark.parametrize("seed", range(6))
def test_forgetting_descends_and_the_adapter_is_back(seed: int) -> None:
    policy, part = FakePolicy(seed), SampleThenForget(eepo_step=1e-2)
    plan, before = context(policy), policy.adapter.detach().clone()
    groups = plan.sample(plan.tasks(), 4)
    batch = batch_of([c for group in groups for c in group.completions])
    start = unlikelihood(policy, batch)
    with plan.adapter_copy():
        part._forget(plan, groups)
        norm, rate = plan.metrics["eepo_grad_norm"], 1e-2
        assert unlikelihood(policy, batch) - start == pytest.approx(-rate * norm**2, rel=0.05)  # plain SGD, downhill
        assert float((policy.adapter - before).detach().norm()) == pytest.approx(rate * norm, rel=1e-6)
    assert torch.equal(policy.adapter, before)
    assert unlikelihood(policy, batch) == start


def test_the_first_half_is_less_likely_for_the_policy_of_the_second() -> None:
    policy, part = FakePolicy(2), SampleThenForget(eepo_step=0.3)
    before = policy.adapter.detach().clone()
    plan = context(policy, group_size=5)
    groups = part.sample(plan, plan.tasks(), {"entropies": COLD})
    assert torch.equal(policy.adapter, before)
    assert policy.adapter.grad is None
    assert plan.metrics["eepo_forgot"] == 1
    assert 0 <= plan.metrics["eepo_clamped"] < 1
    assert [len(group.completions) for group in groups] == [5] * 4
    halves = [Group(g.task, g.completions[:3]) for g in groups], [Group(g.task, g.completions[3:]) for g in groups]
    assert answers(halves[0]) == answers(plan.sample(plan.tasks(), 3))
    first, second = (batch_of([c for group in half for c in group.completions]) for half in halves)
    likely = logp_of(policy, first)
    np.testing.assert_allclose(recorded(first), numbers(policy, first), atol=1e-6)
    assert np.abs(recorded(second) - numbers(policy, second)).max() > 1e-3
    with plan.adapter_copy():
        part._forget(plan, halves[0])
        assert logp_of(policy, first) < likely - 1e-2
        # the log-probs of each half are those of the policy that sampled it
        np.testing.assert_allclose(recorded(second), numbers(policy, second), atol=1e-6)


def recorded(batch: Batch) -> np.ndarray[Any, Any]:
    return np.concatenate([c.logprobs[c.sampled] for c in batch.completions])


def numbers(policy: Any, batch: Batch) -> np.ndarray[Any, Any]:
    return sampled_logp(old_stats(policy, batch, 1.0)).numpy()


def test_the_ratio_divides_by_the_sampler() -> None:
    """Even with one update a batch, a token of the second half has the log-prob of the policy that forgot."""
    method = algorithms.get("eepo", eepo_step=0.1)
    policy = FakePolicy()
    sampled = sample_step(policy, FakeEnv(), method, config(), 1, {"sampling": {"entropies": COLD}}, TokenBudget(10**6))
    batch = make_batch(sampled.groups, method, 8)
    for several in (False, True):
        stats, _ = prepare(policy, method, batch, temperature=1.0, micro_batch_tokens=64, several=several)
        assert stats.logp is not None
        assert torch.equal(stats.logp, stats.sampler_logp)
    np.testing.assert_allclose(stats.sampler_logp[stats.mask].numpy(), recorded(batch), atol=1e-7)
    assert np.abs(recorded(batch) - numbers(policy, batch)).max() > 1e-3


@pytest.mark.parametrize(
    ("entropies", "forgets"),
    [([], 0), ([0.1, 0.1], 0), ([0.1] * 3, 1), ([0.9, 0.1, 0.1], 0), ([0.3] * 3, 0), ([0.2, 0.3, 0.35], 1)],
)
def test_the_gate_is_the_mean_entropy_of_a_full_window(entropies: list[float], forgets: int) -> None:
    plan = context()
    groups = SampleThenForget().sample(plan, plan.tasks(), {"entropies": entropies})
    assert plan.metrics["eepo_forgot"] == forgets
    if not forgets:  # then EEPO's answers are the plain ones
        assert answers(groups) == answers(plan.sample(plan.tasks(), 4))
        assert "eepo_grad_norm" not in plan.metrics


def test_the_window_holds_the_last_steps() -> None:
    part, state = SampleThenForget(), SampleThenForget().initial_state()
    for value in (0.9, 0.5, 0.2, 0.1):
        state = part.end_step(state, {"entropy": value})
    assert state == {"entropies": [0.5, 0.2, 0.1]}
    assert part.end_step(state, {"updates": 0.0}) == state  # a step without an update measured nothing


def test_a_forgetting_step_is_no_longer_than_its_cap() -> None:
    policy = FakePolicy()
    plan = context(policy)
    before = policy.adapter.detach().clone()
    with plan.adapter_copy():
        SampleThenForget(eepo_step=2.0, eepo_grad_norm=1e-3)._forget(plan, plan.sample(plan.tasks(), 4))
        assert float((policy.adapter - before).detach().norm()) == pytest.approx(2e-3, rel=1e-6)


def test_the_adapter_is_back_although_the_second_half_fails() -> None:
    policy = FakePolicy()
    plan = context(policy)
    before, generate = policy.adapter.detach().clone(), policy.engine.generate

    def second_fails(*arguments: Any) -> Any:
        if policy.engine.calls:
            raise FloatingPointError("the engine's logits are not finite")
        return generate(*arguments)

    policy.engine.generate = second_fails  # type: ignore[method-assign]
    with pytest.raises(FloatingPointError):
        SampleThenForget(eepo_step=1.0).sample(plan, plan.tasks(), {"entropies": COLD})
    assert torch.equal(policy.adapter, before)


def test_a_certain_token_is_not_forgotten() -> None:
    """By hand: z = (2, 0), p = .881, U = 2.127, dU/dz = (.881, -.881); a token above 1 - eps has no gradient."""
    from test_algorithms import stats_of

    for z, value, slope in ((2.0, 2.127, 0.881), (8.0, 6.908, 0.0)):
        logits = torch.tensor([[[z, 0.0]]], dtype=torch.float64, requires_grad=True)
        one = torch.ones(1, dtype=torch.float64)
        stats = stats_of(logits, torch.tensor([[0]]), logits.detach(), one, one > 0, torch.ones(1, 1).bool(), 1)
        loss = Unlikelihood(1e-3).loss(stats).matrix[0, 0]
        assert float(loss.detach()) == pytest.approx(value, abs=6e-4)
        (gradient,) = torch.autograd.grad(loss, logits)
        np.testing.assert_allclose(gradient[0, 0].numpy(), [slope, -slope], atol=6e-4)


# The base model's answers


def moved() -> FakePolicy:
    """A policy whose adapter is far from the base model."""
    policy = FakePolicy()
    with torch.no_grad():
        policy.adapter += 0.5
    return policy


def test_auxiliary_answers_are_right_ones_of_the_base_model() -> None:
    policy, part = moved(), BaseAnswers(base_problems=3, base_samples=6)
    plan = context(policy)
    tasks = plan.tasks()
    batch = part.batch(plan, tasks, {})
    assert batch is not None
    assert policy.active
    assert 0 < len(batch) <= 3  # one right answer to each problem at most
    assert batch.correct.all()
    assert all(c.verdict.correct for c in batch.completions)
    assert batch.step_sequences == len(batch)
    assert batch.step_tokens == sum(len(c.ids) for c in batch.completions)
    with policy.base():
        np.testing.assert_allclose(recorded(batch), numbers(policy, batch), atol=1e-6)
    assert np.abs(recorded(batch) - numbers(policy, batch)).max() > 1e-3
    again = part.batch(context(policy), tasks, {})
    assert again is not None
    assert [c.text for c in again.completions] == [c.text for c in batch.completions]


def test_a_base_model_without_a_right_answer_gives_none() -> None:
    class AllWrong(FakeEnv):
        def grade(self, text: str, task: Task) -> Verdict:
            return Verdict("incorrect", 0.0, text)

    plan = context(env=AllWrong())
    assert BaseAnswers().batch(plan, plan.tasks(), {}) is None


@pytest.mark.parametrize("packs", [False, True])
def test_the_divergence_pulls_to_the_base_model(packs: bool) -> None:
    policy = moved()
    policy.packs = packs
    part = BaseAnswers(divergence_coefficient=1.0, base_problems=4, base_samples=8)
    plan = context(policy)
    batch = part.batch(plan, plan.tasks(), {})
    assert batch is not None
    shape: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": 8}
    losses = []
    for _ in range(20):
        losses.append(auxiliary_gradients(policy, part, batch, micro_batch_tokens=8, **shape)["auxiliary_loss"])
        assert policy.adapter.grad is not None
        with torch.no_grad():
            policy.adapter -= 0.2 * policy.adapter.grad
        policy.adapter.grad = None
    assert losses[0] > 0
    assert losses[-1] < 0.7 * losses[0]


def test_the_auxiliary_loss_is_added_to_every_update() -> None:
    method = algorithms.get("dph_rl", divergence_coefficient=0.0)
    pulled = algorithms.get("dph_rl", divergence_coefficient=5.0)
    adapters = []
    for chosen in (algorithms.get("grpo", clip_high=0.28), method, pulled):
        policy, settings = moved(), config(updates_per_batch=2, group_size=16, prompts_per_step=8)
        sampled = sample_step(policy, FakeEnv(), chosen, settings, 1, {}, TokenBudget(10**6))
        assert (sampled.auxiliary is None) == (chosen.auxiliary is None)
        optimizer = torch.optim.SGD([policy.adapter], lr=0.1)
        metrics = update(policy, chosen, optimizer, sampled, settings, 8, TokenBudget(10**6), 1, {})
        assert metrics["updates"] == 2
        adapters.append(policy.adapter.detach())
    assert torch.equal(adapters[0], adapters[1])  # a coefficient of 0 leaves GRPO's update
    assert (adapters[2] - adapters[1]).abs().max() > 1e-3


# On the built-in policy


def test_forgetting_on_the_built_in_policy() -> None:
    settings = train_config(
        {
            "algorithm": "eepo", "eepo_step": 1.0, "prompts_per_step": 4, "group_size": 8, "level": 1, "max_new_tokens": 24,
            "lora_rank": 4, "micro_batch_tokens": 2048, "decode_weights": "merged", "cache_bytes": 10**8,
        }
    )  # fmt: skip
    policy, method = make_policy(settings), algorithms.of(settings)
    env = make_env(settings, policy, "train")
    before = [parameter.detach().clone() for _, parameter in policy.trainable_parameters()]
    plan = StepContext(policy, env, settings, 1, TokenBudget(2048))
    groups = method.sample(plan, plan.tasks(), {"sampling": {"entropies": COLD}})
    assert plan.metrics["eepo_forgot"] == 1
    after = [parameter for _, parameter in policy.trainable_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert all(parameter.grad is None for parameter in after)
    first = batch_of([c for group in groups for c in group.completions[:4]])
    likely = logp_of(policy, first)
    np.testing.assert_allclose(recorded(first), numbers(policy, first), atol=2e-3)
    with plan.adapter_copy():
        method.sampling._forget(plan, [Group(g.task, g.completions[:4]) for g in groups])  # type: ignore[attr-defined]
        second = batch_of([c for group in groups for c in group.completions[4:]])
        np.testing.assert_allclose(recorded(second), numbers(policy, second), atol=2e-3)
        assert logp_of(policy, first) < likely - 0.1
    batch = make_batch(groups, method, env.max_new_tokens)
    optimizer = torch.optim.AdamW(after, 1e-3)
    metrics = update(policy, method, optimizer, Sampled(groups), settings, 24, TokenBudget(2048), 1, {})
    assert metrics["updates"] == float(len(batch) > 0)


def test_the_base_models_answers_of_the_built_in_policy_come_without_the_adapter() -> None:
    settings = train_config(
        {
            "algorithm": "dph_rl",
            "prompts_per_step": 2,
            "level": 1,
            "max_new_tokens": 24,
            "lora_rank": 2,
            "base_problems": 2,
        }
    )
    policy, method = make_policy(replace(settings, gradient_checkpointing=False)), algorithms.of(settings)
    with torch.no_grad():
        for _, parameter in policy.trainable_parameters():
            parameter += 0.02
    env = make_env(settings, policy, "train")
    plan = StepContext(policy, env, settings, 1, TokenBudget(256))
    batch = method.auxiliary_batch(plan, plan.tasks(), {})
    assert batch is not None
    with policy.base():
        np.testing.assert_allclose(recorded(batch), numbers(policy, batch), atol=2e-3)
    assert np.abs(recorded(batch) - numbers(policy, batch)).max() > 1e-2
