"""One flat frozen dataclass for each stage, validated on construction. YAML keys = CLI flags = Python keywords.

A training method's own settings (alpha, clip_low, ...) are the fields of its class in `simko.algorithms`; in YAML and on the
command line they stand beside the others and travel in `TrainConfig.method`.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml

from simko.errors import UserError, nearest
from simko.types import DecodeWeights, EngineName, Quantization

Logger = Literal["tensorboard", "wandb", "trackio", "none"]


def setting(default: Any, help: str, **bounds: float) -> Any:
    """A config field with its help text and bounds (`minimum`, `maximum` inclusive; `above` exclusive)."""
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata={"help": help, **bounds})
    return field(default=default, metadata={"help": help, **bounds})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run. Defaults are for a pretrained LLM; `tiny` has a preset of its own."""

    env: str = setting("simko/Countdown-v0", "environment id, or module:id")
    model: str = setting("tiny", "Hub id, local folder, or 'tiny' (built in)")
    algorithm: str = setting("simko", "training method: see `simko algorithms`")
    steps: int = setting(200, "optimizer steps in total; a finished run resumed with more goes on", minimum=0)
    seed: int = setting(0, "of everything random in the run", minimum=0)
    out: str = setting("", "run folder; a new one under runs/ where empty")

    data: str | None = setting(None, "data file or folder of the environment, where it reads one")
    keep_good_rows: bool = setting(False, "leave bad rows of the data out and count them; they are refused otherwise")
    level: int | None = setting(None, "difficulty of the environment; its own default where empty", minimum=0)
    attempts: int = setting(
        1, "answers to a problem: after a wrong one the policy is told so and tries again", minimum=1
    )
    template: str = setting(
        "chat", "prompt: chat (the model's), plain, qwen, simple, llama, qwen3_no_thinking, or text with {problem}"
    )
    verifier: str | None = setting(None, "verifier name; the environment's own where empty")
    verifier_workers: int = setting(1, "verifier processes at work at once; does not change a verdict", minimum=1)
    max_prompt_tokens: int | None = setting(None, "longest prompt; the environment's own where empty", minimum=1)
    max_new_tokens: int | None = setting(
        None, "token budget of an answer; the environment's own where empty", minimum=1
    )

    quantization: Quantization = setting("nf4", "of the frozen weights")
    adapter: str | None = setting(None, "PEFT folder to continue from")
    lora_rank: int = setting(16, "rank of the adapter", minimum=1)
    lora_alpha: int | None = setting(None, "scale of the adapter times rank; twice the rank where empty", minimum=1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:0, ...")
    threads: int = setting(0, "CPU threads of torch; 0 leaves torch's own choice", minimum=0)
    memory: str | None = setting(None, "to plan for, as 8GB; what the device has where empty")
    gradient_checkpointing: bool | None = setting(
        None, "recompute activations in the backward: less memory, more time; planned where empty"
    )
    decode_weights: DecodeWeights = setting(
        "auto", "live quantised layers, or a merged copy (more memory), or the faster of both, measured before step 1"
    )
    engine: EngineName = setting("local", "what decodes: local, transformers' generate_batch, or vllm (an extra)")
    cache_bytes: int | None = setting(None, "decode engine's keys, values, logits; planned where empty", minimum=1)
    burn_in: bool | None = setting(
        None, "try the worst case before step 1; where empty: on CUDA, and where the plan takes half the memory"
    )

    prompts_per_step: int = setting(16, "distinct problems a step", minimum=1)
    group_size: int = setting(8, "completions a problem (G)", minimum=2)
    temperature: float = setting(1.0, "of the rollouts, and of every log-prob", above=0.0)
    updates_per_batch: int = setting(1, "optimizer steps a rollout batch", minimum=1)
    micro_batch_tokens: int | None = setting(
        None, "tokens a forward; planned where empty; does not change the update", minimum=1
    )
    learning_rate: float = setting(1e-4, "AdamW, constant after warm-up, for LoRA", above=0.0, maximum=1e6)
    warmup_steps: int = setting(0, "linear learning-rate warm-up", minimum=0)
    weight_decay: float = setting(0.0, "AdamW", minimum=0.0)
    max_grad_norm: float = setting(1.0, "gradient clipping", above=0.0)
    tis_clip: float = setting(
        0.0, "cap of truncated importance sampling where the sampler is not the trainer; 0: off", minimum=0.0
    )
    method: Mapping[str, Any] = setting({}, "settings of the method; its own defaults where left out")

    checkpoint_every: int = setting(25, "steps between checkpoints; the last step always has one", minimum=1)
    keep_checkpoints: int = setting(2, "newest checkpoints kept", minimum=1)
    logger: Logger = setting("tensorboard", "beside metrics.jsonl")
    preflight_prompts: int = setting(
        16, "problems sampled before training to see whether it can learn; 0: none", minimum=0
    )
    force: bool = setting(False, "train although the preflight says that nothing can be learned")
    eval_problems: int = setting(0, "held-out problems evaluated before and after training; 0: none", minimum=0)
    eval_samples: int = setting(64, "samples a problem in those evaluations", minimum=1)
    eval_temperature: float = setting(0.6, "of those evaluations", minimum=0.0)
    eval_top_p: float = setting(0.95, "of those evaluations", above=0.0, maximum=1.0)

    def __post_init__(self) -> None:
        validate(self)
        object.__setattr__(self, "method", dict(self.method))


@dataclass(frozen=True)
class EvalConfig:
    """Everything that decides an evaluation."""

    target: str = setting("", "run folder, Hub id, local model folder, or 'tiny'")
    env: str | None = setting(None, "environment id; the run's own where empty")
    n: int = setting(256, "samples a problem", minimum=1)
    problems: int | None = setting(
        None, "held-out problems; all of a data set, 100 of a generated task, where empty", minimum=1
    )
    seed: int = setting(0, "of problems and samples", minimum=0)
    temperature: float | None = setting(None, "sampling temperature; 0.6 (the paper's) where empty", minimum=0.0)
    top_p: float | None = setting(None, "nucleus; 0.95 (the paper's) where empty", above=0.0, maximum=1.0)
    training_sampling: bool = setting(False, "sample at the run's training temperature, untruncated")
    base: bool = setting(True, "evaluate the base model on the same problems too, where there is an adapter")
    out: str | None = setting(None, "folder for the result; RUN/eval or eval/ where empty")

    data: str | None = setting(None, "data file or folder of the environment")
    keep_good_rows: bool | None = setting(None, "leave bad rows of the data out and count them")
    level: int | None = setting(None, "difficulty of the environment", minimum=0)
    attempts: int | None = setting(
        None, "answers to a problem, with feedback between; the run's own where empty", minimum=1
    )
    template: str | None = setting(None, "prompt template")
    verifier: str | None = setting(None, "verifier name")
    max_prompt_tokens: int | None = setting(None, "longest prompt", minimum=1)
    max_new_tokens: int | None = setting(None, "token budget of an answer", minimum=1)
    quantization: Quantization | None = setting(None, "of the weights; the run's own, else nf4, where empty")
    adapter: str | None = setting(None, "PEFT folder to put on a model")
    best: bool = setting(False, "of a run: the checkpoint with the best training solve rate, instead of the newest")
    device: str = setting("auto", "auto, cpu, cuda, cuda:0, ...")
    threads: int = setting(0, "CPU threads of torch; 0 leaves torch's own choice", minimum=0)
    allow_overlap: bool = setting(False, "evaluate although problems occur among the run's training prompts")

    def __post_init__(self) -> None:
        validate(self)
        if not self.target:
            raise UserError("eval: target is empty; give a run folder, a model folder, a Hub id, or 'tiny'")


class _Plain(yaml.SafeLoader):
    """YAML without aliases, of which a few lines make a value without end."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node; raises `YAMLError` for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "an alias; write the value itself", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The flat mapping in a YAML file; raises `UserError` with file and line where it is none."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = _Plain(text).get_single_data()
    except OSError as error:
        raise UserError(f"config {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes, a date, or a number out of range
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = " ".join(str(getattr(error, "problem", None) or error).split())[:200]
        raise UserError(f"config {path}{where}: not valid YAML ({what})") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"config {path}: expected `key: value` lines, got {type(content).__name__}")
    return content


def write_yaml(config: Any) -> str:
    """A config as YAML text, in the order of its fields."""
    return yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)


def validate(config: Any) -> None:
    """Type and bounds of every field of a config dataclass; ints become floats where a float is asked for.

    Raises:
        UserError: naming the field, the value and what it must be.
    """
    for entry in fields(config):
        hints = _hints(type(config))
        value = coerce(f"config: {entry.name}", getattr(config, entry.name), hints[entry.name])
        object.__setattr__(config, entry.name, value)
        check_bounds(f"config: {entry.name}", value, entry.metadata)


def check_bounds(where: str, value: Any, bounds: Mapping[str, Any]) -> None:
    """Raise `UserError` where a number lies outside `minimum`, `maximum` (inclusive) or `above` (exclusive)."""
    if value is None or isinstance(value, (str, bool)) or not isinstance(value, (int, float)):
        return
    tests = {
        "minimum": (value >= bounds.get("minimum", value), ">="),
        "maximum": (value <= bounds.get("maximum", value), "<="),
        "above": ("above" not in bounds or value > bounds["above"], ">"),
    }
    for key, (holds, sign) in tests.items():
        if not holds or not math.isfinite(value):
            wanted = f"{sign} {bounds[key]:g}" if key in bounds else "a finite number"
            raise UserError(f"{where} is {value:g}; it must be {wanted}")


def coerce(where: str, value: Any, hint: Any) -> Any:
    """`value` as the annotated type, from text too (a command-line flag); raises `UserError` where it is none."""
    options = get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    (kind,) = [option for option in options if option is not type(None)]
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            allowed = ", ".join(map(str, get_args(kind)))
            raise UserError(f"{where} is {value!r}; it must be one of {allowed}{nearest(str(value), get_args(kind))}")
        return value
    if get_origin(kind) is Mapping:
        if not isinstance(value, Mapping):
            raise UserError(f"{where} is {value!r}; it must be a mapping")
        return value
    return _scalar(where, value, kind)


def _scalar(where: str, value: Any, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if kind is int and not isinstance(value, bool) and float(value) == int(float(value)):
            return int(value) if isinstance(value, (int, str)) else int(float(value))
        if kind is float and not isinstance(value, bool):
            return float(value)
        if kind is str and isinstance(value, (str, Path)):
            return str(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        pass
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    raise UserError(f"{where} is {value!r}; it must be {names.get(kind, kind)}")


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


MAY_CHANGE = frozenset(
    (
        *("steps", "device", "threads", "micro_batch_tokens", "checkpoint_every", "keep_checkpoints", "logger"),
        *("force", "preflight_prompts", "verifier_workers"),
        *("cache_bytes", "gradient_checkpointing", "memory", "burn_in", "decode_weights"),
    )
)
"""Settings that leave the update as it is: a resumed run may change them, and those that begin with `eval_`."""


def deciding(config: TrainConfig) -> dict[str, Any]:
    """The settings that decide the updates of a run."""
    return {k: v for k, v in asdict(config).items() if k != "out" and not may_change(k)}


def may_change(key: str) -> bool:
    """Whether a resumed run may have another value of this setting."""
    return key in MAY_CHANGE or key.startswith("eval_")
