"""Settings of a run that have no effect beside its other settings: a line each, for those that somebody has set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields

from simko import algorithms
from simko.algorithms.compose import Algorithm
from simko.config import TINY_LOSS_PRESET, TINY_PRESET, TrainConfig

OF_ENGINE = {
    "vllm": ("engine_share",),
    "vllm-server": ("engine_url", "engine_adapter_folder", "engine_connections", "engine_timeout"),
}
"""Settings that only one engine reads."""
_EVALUATION = ("eval_samples", "eval_temperature", "eval_top_p")


def idle_settings(config: TrainConfig, method: Algorithm, start: int = 0) -> list[str]:
    """Lines on settings without effect, in a run that goes on from step `start`. A default is not worth a line."""
    chosen = set(_chosen(config))
    idle = method.inert(config.updates_per_batch)
    always = method.inert(config.updates_per_batch + 1)
    lines = []
    if chosen & set(always):
        lines.append(f"{_flags(always)}: no effect, beside the method's other settings")
    if once := [name for name in idle if name not in always and name in chosen]:
        lines.append(f"{_flags(once)}: no effect, since nothing is clipped in the first update after a rollout")
    if (
        config.updates_per_batch == 1
        and method.loss_part.needs_several_updates
        and method.sampling.old_policy == "trainer"
    ):
        lines.append(
            f"{method.loss_part.name} differs from the plain policy gradient only in later updates of a rollout batch; set "
            "--updates-per-batch to 2 or more"
        )
    if not config.eval_problems and (unused := [name for name in _EVALUATION if name in chosen]):
        lines.append(f"{_flags(unused)}: no effect, since --eval-problems is 0")
    if config.keep_solved is None and "solve_samples" in chosen:
        lines.append("--solve-samples: no effect without --keep-solved")
    if start and "preflight_prompts" in chosen:
        lines.append("--preflight-prompts: no effect, since the run has begun")
    if config.engine != "local" and config.cache_bytes is not None:
        lines.append("--cache-bytes: no effect, since it is of --engine local")
    if config.engine in ("vllm", "vllm-server") and config.decode_weights != "auto":
        lines.append(f"--decode-weights: no effect, since --engine {config.engine} has weights of its own")
    for engine, names in OF_ENGINE.items():
        if config.engine != engine and (unused := [name for name in names if name in chosen]):
            lines.append(f"{_flags(unused)}: no effect, since --engine is {config.engine}")
    if config.warmup_steps > config.steps > 0:
        lines.append(
            f"--warmup-steps {config.warmup_steps} is more than --steps {config.steps}: the learning rate ends at "
            f"{config.steps / config.warmup_steps:.0%} of --learning-rate"
        )
    return lines


def _chosen(config: TrainConfig) -> Iterator[str]:
    """Names of settings, and of the method's, with another value than their default."""
    tiny = config.model == "tiny"
    preset = TINY_PRESET if tiny else {}
    for entry in fields(TrainConfig):
        default = preset.get(entry.name, entry.default)
        if default is not MISSING and getattr(config, entry.name) != default:
            yield entry.name
    of_method = {name: about["default"] for name, about in algorithms.settings(config.algorithm, config.method).items()}
    of_method |= TINY_LOSS_PRESET.get(algorithms.of(config).loss_part.name, {}) if tiny else {}
    yield from (name for name, default in of_method.items() if config.method.get(name, default) != default)


def _flags(names: Iterable[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)
