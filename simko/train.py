"""The training loop, on one page: tasks -> rollout -> advantages -> update -> record."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import torch
from rich.console import Console

from simko import algorithms
from simko.advantages import make_batch, split_groups
from simko.algorithms.compose import Algorithm
from simko.algorithms.stats import State
from simko.begin import adapter_of, opened
from simko.build import make_env, make_policy
from simko.config import TrainConfig, UpdateSettings
from simko.difficulty import keep_solved
from simko.envs.watched import WatchedEnv
from simko.evaluate import evaluate_run
from simko.memory import burn_in
from simko.memory.forecast import MICRO_BATCH_TOKENS
from simko.metrics import describe, of_updates
from simko.micro_batch import TokenBudget
from simko.onlookers import Onlookers
from simko.preflight import preflight
from simko.ranks import of_main
from simko.ranks.start import started
from simko.run.faults import Faults
from simko.run.folder import RunFolder
from simko.run.manifest import introduce
from simko.run.rescue import Rescue, no_random_state_moved, say_faults, warm_up
from simko.run.signals import StopSignals
from simko.run.verdicts import VerdictJournal
from simko.sampling import Sampled, auxiliary_gradients, sample_step
from simko.schedule import learning_rate, seed_everything
from simko.step_stats import prepare
from simko.types import Policy
from simko.update import accumulate_gradients, apply_gradients


def train(config: TrainConfig, *, resume: RunFolder | None = None, console: Console | None = None) -> RunFolder:
    """Train until step `config.steps`, from the start or from the newest intact checkpoint of `resume`.

    Raises:
        UserError: the run folder is taken, damaged or cannot be written, the preflight says that nothing can be learned, or
            several steps in a row gave no update. The steps before are saved.
        Stopped: SIGINT, SIGTERM or SIGHUP came. The steps before are saved.
    """
    console = console or Console()
    with (
        started(), no_random_state_moved(), StopSignals() as stop,
        opened(config, resume, console) as (run, config, checkpoint), Rescue(run) as rescue,
    ):  # fmt: skip
        policy = make_policy(config, adapter_of(config, checkpoint))
        journal = VerdictJournal(run.verdicts_path.absolute(), faults := Faults())
        env = WatchedEnv(make_env(config, policy, "train", run.prompt_date()), config.env, journal.grading)
        warm_up(env, config.verifier_workers)
        method = algorithms.of(config)
        parameters = [parameter for _, parameter in policy.trainable_parameters()]
        optimizer = torch.optim.AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay)
        start, state = run.restore(checkpoint, policy, optimizer) if checkpoint else (0, method.initial_state())
        manifest = introduce(config, policy, env, method, start, console)
        onlookers = Onlookers(config, policy, run, console, optimizer)
        env = keep_solved(config, policy, env, run, faults, console)
        if not start and config.steps and config.preflight_prompts:
            preflight(config, policy, env, console)
        manifest |= burn_in.burn_in(config, policy, env, method, optimizer, console, run)
        run.begin(start, manifest)

        budget = TokenBudget(config.micro_batch_tokens or MICRO_BATCH_TOKENS)
        rescue.begin(start, policy, optimizer, state)
        with closing(onlookers):
            onlookers.begin(start)
            for step in range(start + 1, config.steps + 1):
                began = time.monotonic()
                seed_everything(config.seed, step)
                journal.begin(step)
                try:
                    sampled = sample_step(policy, env, method, config, step, state, budget)
                except FloatingPointError:
                    sampled = Sampled()
                    faults.count("engine_nonfinite")
                groups, decoded = sampled.groups, time.monotonic()
                with stop.deferred():  # a signal waits until the step is whole, and saved
                    with rescue.step(step):
                        journal.end()
                        optimizer.param_groups[0]["lr"] = learning_rate(config.learning_rate, config.warmup_steps, step)
                        metrics = describe(groups, method.informative) | faults.take(groups, env.max_new_tokens)
                        metrics |= dict(sampled.metrics)
                        metrics |= update(
                            policy, method, optimizer, sampled, config, env.max_new_tokens, budget, step, state
                        )
                        state.update(method.end_step(state, metrics))
                        metrics |= {"seconds_rollout": decoded - began, "seconds_update": time.monotonic() - decoded}
                        metrics |= onlookers.metrics(step, metrics)
                        metrics = run.records.add(step, groups, metrics)
                    if step % config.checkpoint_every == 0 or step == config.steps:
                        rescue.save()
                onlookers.tell(step, metrics, groups, time.monotonic() - began)
            rescue.save()  # zero steps too: a study's control
            run.write_manifest({"status": "finished", "steps": max(start, config.steps)})
            say_faults(run, console)
            if config.eval_problems:
                onlookers.curve(max(start, config.steps), evaluate_run(run, config, policy, console)["plot"])
    return run


def update(
    policy: Policy, method: Algorithm, optimizer: torch.optim.Optimizer, sampled: Sampled,
    settings: UpdateSettings, max_new_tokens: int, budget: TokenBudget, step: int, state: State,
) -> dict[str, float]:  # fmt: skip
    """`updates_per_batch` optimizer steps on the groups; metrics are the mean over them."""
    parts = split_groups(sampled.groups, settings.updates_per_batch)
    batches = [batch for part in parts if len(batch := make_batch(part, method, max_new_tokens))]
    shape: dict[str, Any] = {"temperature": settings.temperature, "micro_batch_tokens": budget}
    whole: dict[str, Any] = {"several": len(batches) > 1, "state": state, "seed": settings.seed, "step": step}
    prepared = [prepare(policy, method, batch, **shape, **whole) for batch in batches]
    shape |= {"max_new_tokens": max_new_tokens}
    updates = []
    for batch, (stats, decided) in zip(batches, prepared, strict=True):
        metrics = accumulate_gradients(
            policy, method, batch, **shape, step=stats, prepared=decided, tis_clip=settings.tis_clip or 0.0,
            group_size=settings.group_size,
        )  # fmt: skip
        if method.auxiliary and sampled.auxiliary:
            metrics |= auxiliary_gradients(policy, method.auxiliary, sampled.auxiliary, **shape)
        metrics["grad_norm"], taken = apply_gradients(policy, optimizer, settings.max_grad_norm)
        updates.append((metrics, taken))
    return of_main(lambda: {"learning_rate": optimizer.param_groups[0]["lr"], **of_updates(updates)})
