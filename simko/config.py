"""The settings of a stage: one flat frozen dataclass, put together of parts. YAML keys = CLI flags = Python keywords.

EnvironmentSettings   which tasks, how they are asked, how they are graded; shared by training and evaluation
ModelSettings         the frozen weights and the adapter on them
MemorySettings        what the planner fills in, and what decodes
UpdateSettings        the training method and its optimizer steps
RunSettings           how long, where to, and what is said on the way
SamplingSettings      how many answers an evaluation samples, and how

A function takes the part that it reads. A part is a dataclass like the whole, and its fields stand flat beside the others.
Values are checked on construction, by pydantic; see `simko.fields`. A training method's own settings (alpha, clip_low, ...) are
the fields of its class in `simko.algorithms`; in YAML and on the command line they stand beside the others, and they travel
in `TrainConfig.method`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from simko.errors import UserError
from simko.fields import Decides, again, checked, entries, setting
from simko.types import DecodeWeights, EngineName, Quantization

__all__ = ["EvalConfig", "TrainConfig", "as_dict", "deciding", "names", "read_yaml", "setting", "write_yaml"]

Logger = Literal["tensorboard", "wandb", "trackio", "none"]
Collectives = Literal["auto", "nccl", "gloo"]
Part = Literal["all", "tuning", "final"]

# Tuned on the tiny policy's own problems by `python -m studies.tune_tiny`; the tables are in docs/results/tuning.md.
TINY_PRESET: dict[str, Any] = {
    "prompts_per_step": 32,
    "group_size": 16,
    "lora_rank": 32,
    "learning_rate": 5e-4,
    "steps": 150,
    "threads": 1,
    "eval_problems": 128,
    "eval_samples": 256,
    "eval_temperature": 1.0,
    "eval_top_p": 1.0,
}
TIS_CLIP = 2.0  # where vLLM samples and transformers trains; see `simko.micro_batch.importance_weight`
UNSTORED = ("python", "unsafe_no_sandbox")
"""What no file says: whoever wrote it must not choose which program is started, or that a model's programs run unguarded."""
TINY_LOSS_PRESET: dict[str, dict[str, Any]] = {"simko": {"alpha": 0.2, "top1_penalty": 1.2}}


@dataclass(frozen=True, kw_only=True)
class EnvironmentSettings:
    """An environment and its prompts. An empty setting comes from the run that is evaluated, else from the environment.

    Names of results hash these settings in the order of this class; in a file `attempts` stands behind `level`.
    """

    env: str | None = setting(None, "environment id, or module:id")
    data: str | None = setting(None, "data file, folder or Hub id of the environment, where it reads one", path=True)
    keep_good_rows: bool | None = setting(
        None, "leave bad rows of the data out and count them; they are refused otherwise", decides="run"
    )
    level: int | None = setting(None, "difficulty of the environment; its own default where empty", minimum=0)
    template: str | None = setting(
        None, "prompt: chat (the model's), plain, qwen, simple, llama, qwen3_no_thinking, or text with {problem}"
    )
    verifier: str | None = setting(None, "verifier name; the environment's own where empty")
    attempts: int | None = setting(
        None, "answers to a problem: after a wrong one the policy is told so and tries again", minimum=1, after="level"
    )
    max_prompt_tokens: int | None = setting(
        None, "longest prompt; the environment's own where empty", minimum=1, decides="run"
    )
    max_new_tokens: int | None = setting(
        None, "token budget of an answer; the environment's own where empty", minimum=1
    )
    code_seconds: float | None = setting(
        None,
        "processor time of a program, for all its tests together (verifier code); 4 where empty",
        above=0.0,
        maximum=600.0,
        decides="run",
        later=True,
    )
    unsafe_no_sandbox: bool | None = setting(
        None,
        "run programs of the model without a sandbox: they may read and change whatever this user may",
        decides=False,
        later=True,
    )
    columns: str | None = setting(
        None, "which column of the data is what, as problem=question,answer=final_answer", later=True, after="data"
    )
    env_options: str | None = setting(None, "options of the environment's problems, as size=500,seed=3", later=True)
    python: str | None = setting(
        None,
        "interpreter that has the environment's foreign package; never stored, so no run folder can name one",
        path=True,
        later=True,
        decides=False,
    )


@dataclass(frozen=True, kw_only=True)
class TrainEnvironment(EnvironmentSettings):
    """The environment of a run: nothing of it is left to another run."""

    env: str = again(EnvironmentSettings, "env", "simko/Countdown-v0")
    keep_good_rows: bool = again(EnvironmentSettings, "keep_good_rows", False)
    template: str = again(EnvironmentSettings, "template", "chat")
    attempts: int = again(EnvironmentSettings, "attempts", 1)
    code_seconds: float = again(EnvironmentSettings, "code_seconds", 4.0)
    unsafe_no_sandbox: bool = again(EnvironmentSettings, "unsafe_no_sandbox", False)


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What both the policy and the update read."""

    seed: int = setting(0, "of everything random in the run", minimum=0, maximum=2**64 - 1, after="steps")
    tis_clip: float | None = setting(
        None,  # `TrainConfig` puts a number there
        "cap of truncated importance sampling where the sampler is not the trainer; 0: off; where empty: 2 with a vllm engine, "
        "else 0",
        minimum=0.0,
        after="max_grad_norm",
    )


@dataclass(frozen=True, kw_only=True)
class ModelSettings(CommonSettings):
    """The frozen weights, the adapter, and where they compute."""

    model: str = setting("tiny", "Hub id, local folder, or 'tiny' (built in)", path=True, after="env")
    quantization: Quantization = setting("nf4", "of the frozen weights")
    adapter: str | None = setting(None, "PEFT folder to continue from; rank and alpha are its own", path=True)
    lora_rank: int = setting(16, "rank of the adapter", minimum=1)
    lora_alpha: int | None = setting(None, "scale of the adapter times rank; twice the rank where empty", minimum=1)
    target_modules: str | None = setting(
        None, "layers to adapt, as q_proj,v_proj; every linear layer but the output where empty", names=True, later=True
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:0, ...", decides=False)
    threads: int = setting(
        0, "CPU threads of torch; 0 leaves torch's own choice", minimum=0, maximum=1024, decides=False
    )


@dataclass(frozen=True, kw_only=True)
class MemorySettings:
    """What is in memory at once. The planner fills in what is empty. But for `engine`, it changes the update by rounding only."""

    memory: str | None = setting(None, "to plan for, as 8GB; what the device has where empty", size=True, decides=False)
    gradient_checkpointing: bool | None = setting(
        None, "recompute activations in the backward: less memory, more time; planned where empty", decides=False
    )
    decode_weights: DecodeWeights = setting(
        "auto",
        "live quantised layers, or a merged copy (more memory), or the faster of both, measured before step 1",
        decides=False,
    )
    engine: EngineName = setting(
        "local",
        "what decodes: local, transformers' generate_batch, vllm in this process (an extra), or a vllm-server elsewhere",
    )
    engine_url: str | None = setting(
        None, "address of the vllm-server, as http://host:8000", decides=False, later=True, after="engine"
    )
    engine_adapter_folder: str | None = setting(
        None,
        "folder that trainer and vllm-server see under one path; one of this machine where empty",
        path=True,
        decides=False,
        later=True,
        after="engine_url",
    )
    engine_connections: int = setting(
        256,
        "most sequences under way at once at the vllm-server",
        minimum=1,
        maximum=4096,
        decides=False,
        later=True,
        after="engine_adapter_folder",
    )
    engine_timeout: float = setting(
        600.0,
        "seconds without any sequence that ends, after which a run with a vllm-server stops",
        above=0.0,
        maximum=1e6,
        decides=False,
        later=True,
        after="engine_connections",
    )
    engine_share: float = setting(
        0.4,
        "share of the GPU's memory that --engine vllm has while it decodes",
        above=0.0,
        maximum=0.95,
        decides=False,
        later=True,
        after="engine_timeout",
    )
    cache_bytes: int | None = setting(
        None, "decode engine's keys, values, logits; planned where empty", minimum=1, decides=False
    )
    burn_in: bool | None = setting(
        None,
        "try the worst case before step 1; where empty: on CUDA, and where the plan takes half the memory",
        decides=False,
    )
    micro_batch_tokens: int | None = setting(
        None,
        "tokens a forward; planned where empty; does not change the update",
        minimum=1,
        decides=False,
        after="updates_per_batch",
    )


@dataclass(frozen=True, kw_only=True)
class PolicySettings(MemorySettings, ModelSettings):
    """All that makes a policy."""


@dataclass(frozen=True, kw_only=True)
class UpdateSettings(CommonSettings):
    """A step: how many answers, and what is learned from them."""

    algorithm: str = setting("simko", "training method: see `simko algorithms`", after="model")
    prompts_per_step: int = setting(16, "distinct problems a step", minimum=1)
    group_size: int = setting(8, "completions a problem (G)", minimum=2)
    temperature: float = setting(1.0, "of the rollouts, and of every log-prob", above=0.0)
    keep_solved: str | None = setting(
        None,
        "LOW:HIGH, as 0.1:0.9: train only on problems that the base model solves at such a rate; all where empty",
        decides="run",
    )
    solve_samples: int = setting(8, "answers a problem that measure its solve rate", minimum=1, decides="run")
    solve_rates: str | None = setting(
        None, "solve_rates.jsonl of another run, whose rates need not be measured again", path=True, decides="run"
    )
    updates_per_batch: int = setting(1, "optimizer steps a rollout batch", minimum=1)
    learning_rate: float = setting(1e-4, "AdamW, constant after warm-up, for LoRA", above=0.0, maximum=1e6)
    warmup_steps: int = setting(0, "linear learning-rate warm-up", minimum=0)
    weight_decay: float = setting(0.0, "AdamW", minimum=0.0)
    max_grad_norm: float = setting(1.0, "gradient clipping", above=0.0)
    random_rewards: float | None = setting(
        None,
        "a control: verdicts by a coin with this chance of a correct one, whatever the answer says",
        minimum=0.0,
        maximum=1.0,
        later=True,
        decides="run",
    )
    method: Mapping[str, Any] = setting({}, "settings of the method; its own defaults where left out")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How long a run is, what it keeps, and what is looked at before, in between and after."""

    steps: int = setting(
        200,
        "optimizer steps in total; a finished run resumed with more goes on",
        minimum=0,
        decides=False,
        after="algorithm",
    )
    out: str = setting("", "run folder; a new one under runs/ where empty", path=True, decides=False, after="seed")
    verifier_workers: int = setting(
        1, "verifier processes at work at once; does not change a verdict", minimum=1, decides=False, after="verifier"
    )
    checkpoint_every: int = setting(
        25, "steps between checkpoints; the last step always has one", minimum=1, decides=False
    )
    keep_checkpoints: int = setting(2, "newest checkpoints kept", minimum=1, decides=False)
    collectives: Collectives = setting(
        "auto", "what sums the gradient of several processes: nccl, gloo; nccl where each has a CUDA card", decides=False,
        later=True,
    )  # fmt: skip
    digest_every: int = setting(
        10, "steps between comparisons of the adapter over several processes", minimum=1, decides=False, later=True
    )
    logger: Logger = setting("tensorboard", "beside metrics.jsonl", decides=False)
    preflight_prompts: int = setting(
        16, "problems sampled before training to see whether it can learn; 0: none", minimum=0, decides=False
    )
    force: bool = setting(False, "train although the preflight says that nothing can be learned", decides=False)
    eval_problems: int = setting(
        0, "held-out problems evaluated before and after training; 0: none", minimum=0, decides=False
    )
    eval_samples: int = setting(64, "samples a problem in those evaluations", minimum=1, decides=False)
    eval_temperature: float = setting(0.6, "of those evaluations", minimum=0.0, decides=False)
    eval_top_p: float = setting(0.95, "of those evaluations", above=0.0, maximum=1.0, decides=False)
    eval_every: int = setting(
        0, "steps between looks at few held-out problems during training; 0: none", minimum=0, decides=False, later=True
    )
    eval_every_problems: int = setting(
        16, "problems of a look, from the tuning part", minimum=1, decides=False, later=True
    )
    eval_every_samples: int = setting(
        32, "samples a problem of a look; half of them is its K", minimum=1, decides=False, later=True
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunSettings, UpdateSettings, PolicySettings, TrainEnvironment):
    """Everything that decides a training run. Defaults are for a pretrained LLM; `tiny` has a preset of its own.

    Raises:
        UserError: a value of another type or out of bounds.
    """

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "method", dict(self.method))
        if self.tis_clip is None:
            object.__setattr__(self, "tis_clip", TIS_CLIP if self.engine in ("vllm", "vllm-server") else 0.0)
        if self.keep_solved is not None:
            solved_range(self.keep_solved)
        elif self.solve_rates is not None:
            raise UserError(
                f"config: solve_rates is '{self.solve_rates}', and keep_solved is empty; give --keep-solved LOW:HIGH too, or "
                "leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How many answers are sampled, and how."""

    n: int = setting(256, "samples a problem", minimum=1)
    problems: int | None = setting(
        None, "held-out problems; all of a data set, 100 of a generated task, where empty", minimum=1
    )
    part: Part | None = setting(
        None,
        "of the held-out problems: one in four is for tuning, the others are final; all where empty, final for a run with "
        "--eval-every",
        later=True,
        after="problems",
    )
    seed: int = setting(0, "of problems and samples", minimum=0, maximum=2**64 - 1)
    problem_seed: int | None = setting(
        None, "which problems; the seed where empty", minimum=0, maximum=2**64 - 1, later=True, after="seed"
    )
    temperature: float | None = setting(None, "sampling temperature; 0.6 (the paper's) where empty", minimum=0.0)
    top_p: float | None = setting(None, "nucleus; 0.95 (the paper's) where empty", above=0.0, maximum=1.0)
    training_sampling: bool = setting(False, "sample at the run's training temperature, untruncated", decides=False)


@dataclass(frozen=True)
class EvalConfig(EnvironmentSettings, SamplingSettings):
    """Everything that decides an evaluation.

    Raises:
        UserError: a value of another type or out of bounds, or no target.
    """

    target: str = setting("", "run folder, Hub id, local model folder, or 'tiny'", path=True)
    base: bool = setting(True, "evaluate the base model on the same problems too, where there is an adapter")
    out: str | None = setting(None, "folder for the result; RUN/eval or eval/ where empty", path=True, decides=False)
    samples: bool = setting(True, "keep every answer in a file beside the result", decides=False)
    model: str | None = setting(
        None, "of a run: where its model is now, if the folder has moved; the weights must be the same", path=True
    )
    quantization: Quantization | None = setting(None, "of the weights; the run's own, else nf4, where empty")
    adapter: str | None = setting(None, "PEFT folder to put on a model", path=True)
    best: bool = setting(
        False, "of a run: the checkpoint with the best training solve rate, instead of the newest", decides=False
    )
    device: str = again(ModelSettings, "device", "auto")
    threads: int = again(ModelSettings, "threads", 0)
    engine: EngineName | None = setting(None, "what decodes; the run's own, else local, where empty", later=True)
    engine_url: str | None = again(MemorySettings, "engine_url", None)
    engine_adapter_folder: str | None = again(MemorySettings, "engine_adapter_folder", None)
    allow_overlap: bool = setting(
        False, "evaluate although problems occur among the run's training prompts", decides=False
    )

    def __post_init__(self) -> None:
        _check(self)
        if not self.target:
            raise UserError("eval: target is empty; give a run folder, a model folder, a Hub id, or 'tiny'")


def solved_range(text: str) -> tuple[float, float]:
    """The bounds of `keep_solved`; raises `UserError` unless it is `LOW:HIGH` with 0 <= LOW <= HIGH <= 1."""
    low, _, high = text.partition(":")
    try:
        bounds = float(low), float(high)
    except ValueError:
        bounds = math.nan, math.nan
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise UserError(
            f"config: keep_solved is '{text}'; it must be LOW:HIGH, two solve rates from 0 to 1, as 0.1:0.9"
        )
    return bounds


def names(settings: type, *decides: Decides) -> list[str]:
    """Names of the settings of a class, in the order of the class; only those with one of `decides`, if given."""
    return [entry.name for entry in fields(settings) if not decides or entry.metadata["decides"] in decides]


def as_dict(config: Any, stored: bool = True) -> dict[str, Any]:
    """The settings of a config in the order of a file. One that came later is left out where it has its default.

    `UNSTORED` are left out, too, but for the other processes of a run (`stored` is False).
    """
    values = {entry.name: getattr(config, entry.name) for entry in entries(type(config))}
    values = {name: value for name, value in values.items() if not stored or name not in UNSTORED}
    later = {entry.name: entry.default for entry in fields(config) if entry.metadata["later"]}
    values = {name: value for name, value in values.items() if name not in later or value != later[name]}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def deciding(config: TrainConfig) -> dict[str, Any]:
    """The settings that decide the updates of a run."""
    every = as_dict(config)
    return {name: every[name] for name in names(TrainConfig, True, "run") if name in every}


class _Plain(yaml.SafeLoader):
    """YAML without aliases and without a key that stands twice: of two values, YAML would take the last in silence.

    With aliases, a few lines can make an endless value.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node; raises `YAMLError` for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "an alias; write the value itself", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> Any:
        """The next mapping, at any depth; raises `YAMLError` at the second of two equal keys."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key in _keys(node):
            name = (key.tag, str(key.value))
            if name in lines:
                raise yaml.composer.ComposerError(
                    None, None, f"'{key.value}' stands on line {lines[name]}, too; keep one of the two", key.start_mark
                )
            lines[name] = key.start_mark.line + 1
        return node


def _keys(node: yaml.MappingNode) -> list[yaml.ScalarNode]:
    """The plain keys of a mapping, with those of mappings that `<<` merges into it, in the order of the file."""
    keys: list[yaml.ScalarNode] = []
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            keys.append(key)
        if key.tag == "tag:yaml.org,2002:merge":
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            keys += [inner for part in merged if isinstance(part, yaml.MappingNode) for inner in _keys(part)]
    return keys


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The flat mapping in a YAML file; raises `UserError` with file and line if there is no such mapping."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
        content = _Plain(text).get_single_data()
    except OSError as error:
        raise UserError(f"config {path}: {error.strerror}; give a YAML file that exists") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes, a date, or a number out of range
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = " ".join(str(getattr(error, "problem", None) or error).split())[:200]
        mend = "mend that line" if mark else "write `key: value` lines as UTF-8 text"
        raise UserError(f"config {path}{where}: not valid YAML ({what}); {mend}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"config {path}: it is a {type(content).__name__}; write `key: value` lines")
    for key in content:
        if not isinstance(key, str):
            raise UserError(f"config {path}: YAML reads a key as {key!r}, and no setting is called so; delete it")
    return content


def write_yaml(config: Any) -> str:
    """A config as YAML text."""
    return yaml.safe_dump(as_dict(config), sort_keys=False, allow_unicode=True)


def _check(config: Any) -> None:
    for name, value in checked(type(config), vars(config), "config").items():
        object.__setattr__(config, name, value)
