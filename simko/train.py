"""The training loop, on one page: tasks -> rollout -> advantages -> update -> record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console

from simko import algorithms
from simko.advantages import make_batch, split_groups
from simko.algorithms.base import Algorithm
from simko.build import make_env, make_policy
from simko.checkpoint import RunFolder, new_folder
from simko.config import EvalConfig, TrainConfig
from simko.evaluate import evaluate
from simko.journal import Progress, Tracker, introduce
from simko.metrics import describe
from simko.preflight import preflight
from simko.rollout import Environment, rollout
from simko.schedule import learning_rate, training_tasks
from simko.types import Completion, Group, Policy, Task
from simko.update import accumulate_gradients, apply_gradients, token_logprobs


def train(config: TrainConfig, *, resume: RunFolder | None = None, console: Console | None = None) -> RunFolder:
    """Train until step `config.steps`, from the start or from the newest checkpoint of `resume`.

    Raises:
        UserError: the run folder is taken or damaged, or the preflight says that nothing can be learned.
    """
    console = console or Console()
    run = resume or RunFolder(new_folder(config), config).refuse_used()
    checkpoint = run.latest_checkpoint() if resume else None
    policy = make_policy(config, checkpoint / "adapter" if checkpoint else config.adapter)
    env, method = make_env(config, policy, "train"), algorithms.get(config.algorithm, **config.method)
    parameters = [parameter for _, parameter in policy.trainable_parameters()]
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay)
    start = run.restore_optimizer(checkpoint, policy, optimizer) if checkpoint else 0
    manifest = introduce(config, policy, env, method, start, console)
    if not start and config.steps and config.preflight_prompts:
        preflight(config, policy, env, console)

    with run.opened(config, start), closing(Tracker(config.logger, run.path, asdict(config), start)) as tracker:
        run.write_manifest(manifest)
        progress = Progress(console, config.steps)
        for step in range(start + 1, config.steps + 1):
            began = time.monotonic()
            tasks = method.select_prompts(
                training_tasks(env.source, config.seed, step, config.prompts_per_step),
                partial(_greedy, policy, env, config.seed, step),
            )
            groups = sample_groups(policy, env, method, tasks, config, step)
            sampled = time.monotonic()
            optimizer.param_groups[0]["lr"] = learning_rate(config.learning_rate, config.warmup_steps, step)
            metrics = describe(groups) | update(policy, method, optimizer, groups, config, env.max_new_tokens)
            method.on_step_end(metrics)
            metrics |= {"seconds_rollout": sampled - began, "seconds_update": time.monotonic() - sampled}
            run.record(step, groups, metrics)
            tracker.log(step, metrics)
            if step % config.checkpoint_every == 0 or step == config.steps:
                run.save_checkpoint(step, policy, optimizer)
            progress.step(step, metrics, time.monotonic() - began)
        if not run.checkpoints():  # zero steps: a study's control
            run.save_checkpoint(start, policy, optimizer)
        run.write_manifest({"status": "finished", "steps": max(start, config.steps)})
        if config.eval_problems:
            _evaluate(run, config, policy, console)
    return run


def sample_groups(
    policy: Policy, env: Environment, method: Algorithm, tasks: Sequence[Task], config: TrainConfig, step: int
) -> list[Group]:
    """G graded completions of each task, in the stages that the method asks for."""
    groups = [Group(task, ()) for task in tasks]
    done = 0
    for index, n in enumerate(method.plan_rollouts(config.group_size)):
        with method.stage(index, policy, groups):
            more = rollout(
                policy.engine, env, tasks, n,
                temperature=config.temperature, seed=config.seed, step=step, first_sample=done,
            )  # fmt: skip
        groups = [Group(old.task, old.completions + new.completions) for old, new in zip(groups, more, strict=True)]
        done += n
    return groups


def update(
    policy: Policy, method: Algorithm, optimizer: torch.optim.Optimizer, groups: Sequence[Group], config: TrainConfig,
    max_new_tokens: int,
) -> dict[str, float]:  # fmt: skip
    """`updates_per_batch` optimizer steps on the groups; metrics are the mean over them."""
    batches = [make_batch(part, method) for part in split_groups(groups, config.updates_per_batch)]
    batches = [batch for batch in batches if len(batch)]
    shape: dict[str, Any] = {"temperature": config.temperature, "micro_batch_tokens": config.micro_batch_tokens}
    several, reference = len(batches) > 1, "reference" in method.needs
    old = [token_logprobs(policy, batch, **shape) if several else None for batch in batches]
    ref = [token_logprobs(policy, batch, **shape, base=True) if reference else None for batch in batches]
    measured, skipped = [], 0
    for batch, old_logp, ref_logp in zip(batches, old, ref, strict=True):
        metrics = accumulate_gradients(
            policy, method, batch, **shape, max_new_tokens=max_new_tokens, old_logp=old_logp, ref_logp=ref_logp
        )
        metrics["grad_norm"], finite = apply_gradients(policy, optimizer, config.max_grad_norm)
        skipped += not finite
        measured += [metrics] if finite else []
    means = {name: float(np.mean([m[name] for m in measured])) for name in (measured[0] if measured else ())}
    return {
        "updates": len(measured),
        "updates_skipped": skipped,
        "learning_rate": optimizer.param_groups[0]["lr"],
        **means,
    }


def _greedy(policy: Policy, env: Environment, seed: int, step: int, tasks: Sequence[Task]) -> list[Completion]:
    groups = rollout(policy.engine, env, tasks, 1, temperature=0.0, seed=seed, step=step)
    return [group.completions[0] for group in groups]


def _evaluate(run: RunFolder, config: TrainConfig, policy: Any, console: Console) -> None:
    settings = EvalConfig(
        target=str(run.path), n=config.eval_samples, problems=config.eval_problems, seed=config.seed,
        temperature=config.eval_temperature, top_p=config.eval_top_p, device=config.device, threads=config.threads,
    )  # fmt: skip
    evaluate(settings, console=console, policy=policy)
