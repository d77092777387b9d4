"""The loop with the built-in policy: deterministic, resumable, and what each part of a step does."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import FakeEnv, FakePolicy, gradient, random_groups
from rich.console import Console

from simko import algorithms
from simko.advantages import group_normalised, make_batch
from simko.algorithms.base import RolloutContext, Sampling
from simko.algorithms.grpo import ClippedLoss
from simko.algorithms.stats import State
from simko.config import TrainConfig
from simko.errors import UserError
from simko.metrics import describe
from simko.micro_batch import TokenBudget
from simko.run.folder import RunFolder
from simko.sampling import Sampled, StepContext, sample_step
from simko.settings import train_config
from simko.train import train, update
from simko.types import Batch, Group, Task
from simko.update import accumulate_gradients

GRPO = algorithms.get("grpo")
SMALL = {
    "prompts_per_step": 4, "group_size": 4, "level": 1, "max_new_tokens": 16, "eval_problems": 0, "preflight_prompts": 0,
    "logger": "none", "lora_rank": 4, "checkpoint_every": 2,
}  # fmt: skip


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def small_run(out: Path, steps: int, resume: RunFolder | None = None, **settings: Any) -> RunFolder:
    config = train_config({**SMALL, "out": str(out), "steps": steps, **settings})
    return train(config, resume=resume, console=quiet())


def timeless(run: RunFolder) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if not k.startswith("seconds")} for line in run.metrics()]


def files(run: RunFolder) -> dict[str, bytes]:
    latest = run.latest_checkpoint()
    assert latest is not None
    names = ["adapter/adapter_model.safetensors", "optimizer.safetensors", "state.json"]
    return {"name": latest.name.encode(), **{name: (latest / name).read_bytes() for name in names}}


def test_same_seed_same_bytes_and_resume_equals_uninterrupted(tmp_path: Path) -> None:
    whole = small_run(tmp_path / "whole", 4)
    assert [line["step"] for line in whole.metrics()] == [1, 2, 3, 4]
    assert sum(line["updates"] for line in whole.metrics()) > 0

    stopped = small_run(tmp_path / "stopped", 3)
    for name in ("step-000003",):  # as if killed after step 3 was recorded and before its checkpoint
        for path in sorted((stopped.checkpoints_path / name).rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        (stopped.checkpoints_path / name).rmdir()
    resumed = small_run(stopped.path, 4, resume=RunFolder.open(stopped.path))
    assert timeless(resumed) == timeless(whole)
    assert files(resumed) == files(whole)
    texts = [[row["text"] for row in run.records.rollouts(4)] for run in (resumed, whole)]
    assert texts[0] == texts[1]

    other = small_run(tmp_path / "other", 1, seed=1)
    assert timeless(other)[0] != timeless(whole)[0]


def test_an_environment_that_draws_from_the_global_generators_draws_the_same_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[float, ...]] = []

    def drawing(*arguments: Any) -> Any:
        drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))
        return sample_step(*arguments)

    monkeypatch.setattr("simko.train.sample_step", drawing)
    small_run(tmp_path / "whole", 2)
    small_run(tmp_path / "run", 1)
    small_run(tmp_path / "run", 2, resume=RunFolder.open(tmp_path / "run"))
    assert drawn[2:] == drawn[:2]
    assert len(set(drawn)) == 2


def test_more_steps_on_a_finished_run(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", 1)
    longer = small_run(run.path, 2, resume=RunFolder.open(run.path))
    assert [line["step"] for line in longer.metrics()] == [1, 2]
    assert RunFolder.open(run.path).config.steps == 2
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert (manifest["status"], manifest["steps"]) == ("finished", 2)


def test_the_folder_tells_everything(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", 1, logger="tensorboard")
    present = {path.name for path in run.path.iterdir()}
    assert {
        "config.yaml",
        "manifest.json",
        "metrics.jsonl",
        "rollouts",
        "checkpoints",
        "eval",
        "tensorboard",
    } <= present
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert {"versions", "machine", "seed", "prompt_example"} <= set(manifest)
    rows = run.records.rollouts(1)
    assert len(rows) == 16
    assert {row["task"] for row in rows} == {row["task"] for row in rows if row["sample"] == 3}
    with pytest.raises(UserError, match="not empty"):
        small_run(run.path, 1)


def test_training_moves_the_adapter_and_zero_steps_do_not(tmp_path: Path) -> None:
    control, trained = small_run(tmp_path / "control", 0), small_run(tmp_path / "trained", 2)
    assert control.metrics() == []
    name = "adapter/adapter_model.safetensors"
    assert files(control)[name] != files(trained)[name]
    again = small_run(tmp_path / "again", 0)
    assert files(control)[name] == files(again)[name]


def test_a_preflight_that_finds_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing can be learned"):
        small_run(tmp_path / "run", 2, env="simko/Arithmetic-v0", level=4, preflight_prompts=2, max_new_tokens=4)
    assert not (tmp_path / "run").exists()


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(**{"prompts_per_step": 4, "group_size": 4, "micro_batch_tokens": 64, **settings})


def test_several_updates_use_old_logprobs_of_before_the_first() -> None:
    seen: list[torch.Tensor] = []

    class Watching(ClippedLoss):
        def loss(self, stats: Any) -> Any:
            seen.append((stats.logp - stats.old_logp).detach()[stats.mask].abs().max())
            return super().loss(stats)

    method = replace(GRPO, loss_part=Watching())

    policy, groups = FakePolicy(), random_groups(0, groups=6)
    optimizer = torch.optim.AdamW([policy.adapter], lr=0.05)
    metrics = update(
        policy, method, optimizer, Sampled(groups), config(updates_per_batch=2), 8, TokenBudget(10**6), 1, {}
    )
    assert metrics["updates"] == 2
    assert seen[0] < 1e-9
    assert seen[-1] > 1e-4


def test_no_informative_group_costs_no_forward_and_moves_nothing() -> None:
    policy = FakePolicy()
    groups = [group for seed in range(40) for group in random_groups(seed) if not group.informative]
    optimizer = torch.optim.AdamW([policy.adapter], lr=0.05)
    before = policy.adapter.detach().clone()
    metrics = update(
        policy, algorithms.get("simko"), optimizer, Sampled(groups), config(), 8, TokenBudget(10**6), 1, {}
    )
    assert groups
    assert metrics["updates"] == policy.forwards == 0
    assert torch.equal(policy.adapter, before)


def test_dropping_groups_without_signal_changes_nothing() -> None:
    groups = random_groups(3, groups=12)
    dropped = make_batch(groups, GRPO)
    rows = [(i, c) for i, group in enumerate(groups) for c in group.completions]
    advantages = [a for g in groups for a in group_normalised([c.verdict.reward for c in g.completions])]
    everything = Batch(
        tuple(c for _, c in rows), np.array([i for i, _ in rows]), np.array(advantages),
        np.array([c.verdict.correct for _, c in rows]), dropped.step_tokens, dropped.step_sequences,
    )  # fmt: skip
    assert len(dropped) < len(everything)
    policy, gradients = FakePolicy(), []
    for batch in (dropped, everything):
        accumulate_gradients(
            policy, algorithms.get("simko"), batch, temperature=1.0, micro_batch_tokens=99, max_new_tokens=8
        )
        gradients.append(gradient(policy))
    torch.testing.assert_close(*gradients)


def context(policy: Any = None, step: int = 1, **settings: Any) -> StepContext:
    return StepContext(policy or FakePolicy(), FakeEnv(), config(**settings), step, TokenBudget(10**6))


def texts(groups: Sequence[Group]) -> list[list[str]]:
    return [[c.text for c in group.completions] for group in groups]


def test_stages_of_a_plan_sample_what_one_stage_does() -> None:
    @dataclass(frozen=True)
    class Staged(Sampling):
        def sample(self, context: RolloutContext, tasks: Sequence[Task], state: State) -> list[Group]:
            first = context.sample(tasks, 1)
            rest = context.sample(tasks, context.group_size - 1, 1)
            return [Group(a.task, a.completions + b.completions) for a, b in zip(first, rest, strict=True)]

    tasks = context().tasks()
    staged = Staged().sample(context(), tasks, {})
    assert texts(staged) == texts(GRPO.sample(context(), tasks, {}))
    assert [c.text for c in context().probe(tasks)] == [c.text for c in context().probe(tasks)]


def test_more_tasks_are_others_and_the_same_again() -> None:
    one, two = context(), context()
    tasks = one.tasks()
    more = one.refill(3)
    assert len({task.problem for task in [*tasks, *more]}) == len(tasks) + 3
    two.tasks()
    assert [task.id for task in two.refill(3)] == [task.id for task in more]
    assert {task.problem for task in two.refill(3)}.isdisjoint(task.problem for task in [*tasks, *more])


def test_the_adapter_is_back_bit_for_bit_after_a_plan_changed_it() -> None:
    policy = FakePolicy()
    before = policy.adapter.detach().clone()
    with context(policy).adapter_copy(), torch.no_grad():
        policy.adapter += 0.3
    assert torch.equal(policy.adapter, before)


def test_a_plans_gradient_leaves_no_gradient_behind() -> None:
    policy = FakePolicy()
    plan = context(policy)
    [group, *_] = plan.sample(plan.tasks(), 4)
    [gradient], metrics = plan.gradient(group.completions, GRPO.loss_part)
    assert metrics["loss"] != 0
    assert gradient is not None
    assert gradient.abs().max() > 0
    assert policy.adapter.grad is None


def test_the_base_model_samples_from_streams_of_its_own() -> None:
    policy = FakePolicy()
    with torch.no_grad():
        policy.adapter.copy_(torch.eye(len(policy.adapter)))  # the base and the adapter are one model
    plan = context(policy)
    tasks = plan.tasks()
    with plan.base():
        assert not policy.active
        base = plan.sample(tasks, 4)
    assert policy.active
    assert texts(base) != texts(plan.sample(tasks, 4))


def test_what_a_steps_rollouts_show() -> None:
    groups = random_groups(0)
    shown = describe(groups)
    every = [c for group in groups for c in group.completions]
    assert shown["reward"] == pytest.approx(sum(c.verdict.reward for c in every) / 16)
    assert shown["informative"] == sum(g.informative for g in groups) / 4
    assert shown["verifier_failed"] == 0


def test_an_alarm_is_told_once_and_a_resumed_run_writes_the_same(tmp_path: Path) -> None:
    def told(run: RunFolder) -> list[list[str]]:
        return [[name for name in line if name.startswith("alarm_")] for line in run.metrics()]

    console = quiet()
    settings = {**SMALL, "max_new_tokens": 3, "out": str(tmp_path / "whole"), "steps": 4}
    whole = train(train_config(settings), console=console)
    assert told(whole) == [[], [], ["alarm_template"], []]
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert output.count("alarm: template: 100% of the first answers were cut off") == 1
    for cut in (2, 3):
        out = tmp_path / f"cut-{cut}"
        small_run(out, cut, max_new_tokens=3)
        resumed = small_run(out, 4, resume=RunFolder.open(out), max_new_tokens=3)
        assert timeless(resumed) == timeless(whole)


def test_metrics_of_concentration_are_in_every_line_with_an_update(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", 2, updates_per_batch=2)
    lines = [line for line in run.metrics() if line["updates"]]
    assert lines
    for line in lines:
        assert sum(value for name, value in line.items() if name.startswith("entropy_hist_")) == pytest.approx(1)
        assert 1 <= line["candidates_95"] <= 512
        assert 1 <= line["distinct_tokens"] <= SMALL["group_size"]
        assert line["logp_rank3"] >= line["logp_rank4"] >= line["logp_rank5"]
        assert line["gated_entropy"] > line["entropy"]
