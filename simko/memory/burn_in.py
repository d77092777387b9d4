"""Training within memory: empty settings are planned, and the worst case is tried before the first step."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from rich.console import Console

from simko import ranks
from simko.algorithms.compose import Algorithm
from simko.config import MemorySettings, TrainConfig
from simko.console import say
from simko.device import Peak, cuda_memory, pick_device, release
from simko.envs.registry import resolve
from simko.errors import UserError
from simko.fields import parse_bytes
from simko.memory import lookup
from simko.memory.fastest import fastest
from simko.memory.forecast import (
    GB,
    MICRO_BATCH_TOKENS,
    Forecast,
    Job,
    Plan,
    Settings,
    forecast,
    verdict,
)
from simko.memory.planner import choose
from simko.memory.shapes import Shape
from simko.micro_batch import TokenBudget
from simko.ranks.start import sharers
from simko.run.folder import RunFolder
from simko.run.follower import agreed
from simko.run.places import absolute
from simko.settings import check_end, settled
from simko.sizes import CPU_CACHE_BYTES, CUDA_CONTEXT_BYTES
from simko.step_stats import prepare
from simko.types import Batch, Completion, Sampling, Verdict
from simko.update import accumulate_gradients

_DECODED = 4  # tokens that the burn-in decodes with the longest rows


def planned(config: TrainConfig, new: bool = False) -> TrainConfig:
    """Fill in every setting that was left to the planner; return `config` itself if none was.

    The config of a `new` run is settled first, and its paths are made absolute. Nothing is printed: what follows may still
    refuse the model or the data, and one mistake is one line. `burn_in` tells the plan.

    Raises:
        UserError: no such environment; a setting that another overrides; or the run does not fit, and `config.force` is off.
            The line says what would fit.
    """
    config = agreed(config)
    if new:
        config = absolute(settled(config))
    else:
        check_end(config)
    plannable = (config.micro_batch_tokens, config.gradient_checkpointing, config.cache_bytes)
    is_whole = None not in plannable and config.decode_weights != "auto"
    if is_whole and config.memory is None:
        return config
    device = pick_device(config.device)
    memory = _memory_of_all(config, device)
    resolve(config.env, {})  # an unknown environment is one line, and not one more about the plan
    try:
        plan = plan_of(config, device, memory)
    except UserError:  # an unknown kind of model: the run goes on without a plan
        settings, weights = Settings(MICRO_BATCH_TOKENS, False, "live", CPU_CACHE_BYTES), str(config.decode_weights)
    else:
        if not plan.fits and not config.force:
            raise UserError(
                f"{verdict(plan)}; fits with {' or '.join(plan.advice)}; or train all the same with --force"
            )
        settings, weights = plan.settings, _weights(config, plan, device)
    if is_whole:
        return config
    filled = _filled(config, settings, weights)  # rank 0's counts: ranks with other settings would part
    return replace(config, **ranks.of_main(lambda: {name: getattr(filled, name) for name in asdict(settings)}))


def plan_of(config: TrainConfig, device: torch.device, memory: float) -> Plan:
    """The plan of a config for `memory` bytes of a device; raises `UserError` if model or environment are unknown."""
    facts = lookup.facts(config.model)
    work = lookup.job(config, "cuda" if device.type == "cuda" else "cpu", facts, _card_bytes(config, device, memory))
    return choose(
        facts.shape,
        work,
        memory,
        micro_batch_tokens=config.micro_batch_tokens,
        gradient_checkpointing=config.gradient_checkpointing,
        decode_weights=config.decode_weights,
        cache_bytes=config.cache_bytes,
    )


def memory_of(settings: MemorySettings, device: torch.device) -> float:
    """Bytes to plan for: the setting `memory`, or what the device has."""
    if settings.memory is not None:
        return parse_bytes(settings.memory)
    if device.type == "cuda":  # a forecast counts the context, which is there already and not among the usable bytes
        return cuda_memory(device).usable + CUDA_CONTEXT_BYTES
    return float(lookup.machine_bytes())


def _memory_of_all(config: TrainConfig, device: torch.device) -> float:
    """Bytes to plan for: of several ranks, what the one with the least has, and its part of what it shares with others."""
    memory = memory_of(config, device)
    if ranks.world().alone:
        return memory
    share = 1 if config.memory is not None else sharers(device)
    return min(ranks.of_all(memory / share))


def _card_bytes(settings: MemorySettings, device: torch.device, memory: float) -> float:
    """The whole memory of a card, in use or not and planned for or not: vLLM's share is of that. Otherwise it is `memory`."""
    if settings.engine != "vllm" or device.type != "cuda":
        return memory
    return float(torch.cuda.get_device_properties(device).total_memory)


def burn_in(
    config: TrainConfig, policy: Any, env: Any, method: Algorithm, optimizer: torch.optim.Optimizer, console: Console,
    run: RunFolder | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Try the worst case of the plan: all slots at their longest, a full micro-batch with the optimizer's moments held.

    Weights, optimizer, gradients, random streams and the method's state are as before. Returns entries for the manifest.
    If `decode_weights` is `measured`, live and merged weights are timed first. The config of `run` then names the faster one,
    so that a resumed run decodes in the same way.

    Raises:
        UserError: the device ran out of memory.
    """
    loaded, why = None, None
    try:
        loaded = _as_loaded(config, policy, env)
    except UserError as error:
        why = str(error)
    whys = [line for line in ranks.of_all(why) if line is not None]  # without a plan on one rank, there is none on any
    if loaded is None or whys:
        say(console, f"memory: not planned: {whys[0]}")
        return {}
    shape, work = loaded
    memory = _memory_of_all(config, policy.device)
    plan = Plan(shape, work, _settings(config), forecast(shape, work, _settings(config)), memory)
    say(console, f"memory: {verdict(plan)}")
    chosen, notes = _measured_weights(config, policy, shape, work, console)
    if run is not None and chosen is not config:
        run.keep(chosen)
    config, settings = chosen, _settings(chosen)
    expected = forecast(shape, work, settings)
    sizes: dict[str, Any] = {"forecast_rollout": int(expected.rollout), "forecast_update": int(expected.update)}
    wanted = config.burn_in
    if wanted is None:
        wanted = policy.device.type == "cuda" or expected.peak > memory / 2
    if not wanted:
        return notes | {"memory": sizes}
    began = time.monotonic()
    fitting: list[int] = []
    try:
        with ranks.within(ranks.ALONE):  # each rank tries its own card
            sizes["measured_rollout"] = measured(
                policy.device, lambda: try_rollout(policy, work, expected, config.temperature)
            )
            if work.engine == "vllm":  # it sleeps again when the peak is read
                sizes["measured_rollout"] = None
            sizes["measured_update"] = measured(
                policy.device,
                lambda: fitting.append(try_update(policy, method, optimizer, work, settings, config.temperature)),
            )
    except FloatingPointError as error:  # training counts such steps, and says so
        say(console, f"memory: no burn-in: {error}")
        return notes | {"memory": sizes}
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"burn-in: out of memory at {settings.micro_batch_tokens} tokens a micro-batch and {expected.slots} slots "
            f"(forecast {expected.peak / GB:.2f} GB): lower --memory, or close what else uses the device"
        ) from error
    if fitting[0] < settings.micro_batch_tokens:  # training halves, too, and goes on
        sizes["micro_batch_tokens_that_fit"] = fitting[0]
        say(
            console,
            f"warning: micro-batches of {settings.micro_batch_tokens} tokens did not fit, {fitting[0]} did; the forecast was "
            f"{expected.peak / GB:.2f} GB: lower --memory, or close what else uses the device",
        )
    peaks = [sizes[f"measured_{phase}"] for phase in ("rollout", "update")]
    if None not in peaks:
        sizes["error"] = round(expected.peak / max(peaks) - 1, 4)
        say(
            console,
            f"memory: burn-in measured {max(peaks) / GB:.2f} GB (rollout {peaks[0] / GB:.2f}, update {peaks[1] / GB:.2f}), "
            f"forecast {expected.peak / GB:.2f} GB: {sizes['error']:+.1%}, in {time.monotonic() - began:.1f} s",
        )
    return notes | {"memory": sizes}


def measured(device: torch.device, work: Callable[[], None]) -> int | None:
    """Peak bytes that the process holds while `work` runs; None if the platform does not tell."""
    gc.collect()
    release(device)
    peak = Peak(device)
    peak.start()
    work()
    size = peak.read()
    release(device)
    return size


def try_rollout(policy: Any, work: Job, expected: Forecast, temperature: float) -> None:
    """Fill every slot with a row of the longest kind; decode a few tokens at the far end of its cache.

    Slots of a server are not ours.
    """
    if work.engine == "vllm-server":
        return
    length = max(1, work.capacity - _DECODED)
    prompts = max(1, min(work.prompts, expected.slots))
    n = max(1, expected.slots // prompts)
    ids = _dull_ids(policy, prompts * length).reshape(prompts, length)
    sampling = Sampling(temperature, max_new_tokens=_DECODED)
    policy.engine.generate(ids.tolist(), n, sampling, list(range(prompts * n)))


def try_update(
    policy: Any, method: Algorithm, optimizer: torch.optim.Optimizer, work: Job, settings: Settings, temperature: float
) -> int:
    """Forward and backward of one full micro-batch of the longest rows; the gradients are thrown away.

    Returns the micro-batch budget in tokens, which is halved where the device has no memory for it.
    """
    parameters = [parameter for _, parameter in policy.trainable_parameters()]
    before = [parameter.grad for parameter in parameters]
    moments = [torch.zeros_like(p) for p in parameters for _ in range(2) if not optimizer.state.get(p)]
    batch = _dull_batch(policy, settings.micro_batch_tokens, work)
    full = max(settings.micro_batch_tokens, work.capacity)
    budget = TokenBudget(full)
    try:
        step, prepared = prepare(
            policy, method, batch, temperature=temperature, micro_batch_tokens=budget, state=method.initial_state()
        )
        accumulate_gradients(
            policy, method, batch, temperature=temperature, micro_batch_tokens=budget,
            max_new_tokens=work.max_new_tokens, step=step, prepared=prepared,
        )  # fmt: skip
    finally:
        for parameter, gradient in zip(parameters, before, strict=True):
            parameter.grad = gradient
        del moments
    return budget.tokens


def _dull_batch(policy: Any, tokens: int, work: Job) -> Batch:
    """Answers of the longest kind to prompts of about the longest, in groups, as many as `tokens` hold; half of them right."""
    new, used = work.max_new_tokens, 0
    answers: list[Completion] = []
    while len(answers) < work.rows:
        group, sample = divmod(len(answers), work.group_size)
        prompt = max(1, work.longest_prompt - group % 2)  # two lengths: attention then needs its mask
        used += new - 1 + (0 if sample else prompt)
        if used > tokens and answers:
            break
        ids = _dull_ids(policy, (group + 1) * prompt + (len(answers) + 1) * new)
        verdict = Verdict("incorrect", 0.0) if sample % 2 else Verdict("correct", 1.0)
        answers.append(
            Completion(
                prompt_ids=ids[group * prompt : (group + 1) * prompt], ids=ids[-new:], logprobs=np.zeros(new, np.float32),
                sampled=np.ones(new, np.bool_), text="", finish="length", verdict=verdict,
            )
        )  # fmt: skip
    right = np.array([answer.verdict.correct for answer in answers])
    groups = np.arange(len(answers)) // work.group_size
    return Batch(tuple(answers), groups, np.where(right, 1.0, -1.0), right, len(answers) * new, len(answers))


def _dull_ids(policy: Any, count: int) -> Any:
    """Filler token ids that never end an answer."""
    vocabulary = min(len(policy.tokenizer), int(policy.lm_head().weight.shape[0]))
    usable = np.array(sorted(set(range(min(vocabulary, 997))) - set(policy.eos_ids)), dtype=np.int64)
    return usable[(7 * np.arange(count) + 3) % len(usable)]


def _as_loaded(config: TrainConfig, policy: Any, env: Any) -> tuple[Shape, Job]:
    """Shape and job of the objects in memory: the model's own config, the environment's own budgets."""
    described = policy.model.get_base_model().config.to_dict()
    kind = "cuda" if policy.device.type == "cuda" else "cpu"
    card = _card_bytes(config, policy.device, memory_of(config, policy.device))
    work = lookup.job(config, kind, lookup.facts(config.model), card)  # type: ignore[arg-type]
    shape, new = Shape.from_config(config.model, described), env.max_new_tokens
    return shape, replace(work, max_new_tokens=new if shape.context is None else max(1, min(new, shape.context - 1)))


def _weights(settings: MemorySettings, plan: Plan, device: torch.device) -> str:
    """Merged if memory allows it; `measured` if both fit and the faster one is to be found, as on CUDA by default."""
    asked = settings.decode_weights == "measured"
    by_itself = device.type == "cuda" and settings.decode_weights == "auto" and settings.engine == "local"
    if plan.settings.decode_weights == "merged" and (asked or (by_itself and settings.burn_in is not False)):
        return "measured"
    return plan.settings.decode_weights


def _measured_weights(
    config: TrainConfig, policy: Any, shape: Shape, work: Job, console: Console
) -> tuple[TrainConfig, dict[str, Any]]:
    """The config with the faster weights, and the entry of the manifest on the measurement."""
    if config.decode_weights != "measured" or not work.decodes_here:
        return config, {}
    expected = forecast(shape, work, _settings(config))
    weights, seconds = ranks.of_main(  # one clock decides for all ranks
        lambda: fastest(policy, work, expected.slots, lambda count: _dull_ids(policy, count), config.temperature)
    )
    policy.decode_weights = weights
    shown = ", ".join(f"{kind} {'out of memory' if s is None else f'{s:.1f} s'}" for kind, s in seconds.items())
    say(console, f"decoding: a rollout of the longest answers would take: {shown}; {weights} it is")
    return replace(config, decode_weights=weights), {"decode_weights": {"chosen": weights, "seconds": seconds}}


def _settings(settings: MemorySettings) -> Settings:
    return Settings(
        settings.micro_batch_tokens or MICRO_BATCH_TOKENS,
        bool(settings.gradient_checkpointing),
        "merged" if settings.decode_weights in ("merged", "measured") else "live",
        settings.cache_bytes or CPU_CACHE_BYTES,
    )


def _filled(config: TrainConfig, settings: Settings, decode_weights: Any) -> TrainConfig:
    values = asdict(settings) | {"decode_weights": decode_weights}
    elsewhere = ("cache_bytes", "decode_weights")
    unused = {"local": (), "generate_batch": ("cache_bytes",)}.get(config.engine, elsewhere)
    empty = [name for name in values if getattr(config, name) in (None, "auto", "measured") and name not in unused]
    return replace(config, **{name: values[name] for name in empty})
