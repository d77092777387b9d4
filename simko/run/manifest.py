"""A run's record of its machine, versions and data; and the lines that it prints before it begins."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium
import torch
from rich.console import Console

from simko.algorithms import KINDS
from simko.algorithms.compose import Algorithm
from simko.config import TrainConfig
from simko.console import say
from simko.envs.code import jails
from simko.files import digest
from simko.ranks import world
from simko.ranks.digests import check_same
from simko.run.idle import idle_settings
from simko.run.places import data_path
from simko.schedule import training_tasks

_RECORDED = ("simko", "torch", "transformers", "peft", "bitsandbytes", "gymnasium", "math-verify", "sympy", "numpy")


def introduce(
    config: TrainConfig, policy: Any, env: Any, method: Algorithm, start: int, console: Console
) -> dict[str, Any]:
    """Say what is about to be trained, and show one rendered prompt. Returns the manifest's first entries."""
    first = training_tasks(env.source, config.seed, 1, config.prompts_per_step)
    example = first[0]
    fingerprint, data = getattr(policy, "fingerprint", None), file_hash(data_path(config))
    prompt = policy.tokenizer.decode(env.prompt_ids(example), skip_special_tokens=False)
    check_same(
        {"base model": fingerprint, "data file": data, "first prompt": prompt, "simko": metadata.version("simko")}
    )
    trained = sum(parameter.numel() for _, parameter in policy.trainable_parameters())
    weights = "unquantised" if config.quantization == "none" else config.quantization.upper()
    say(
        console,
        f"{named(config)} on {config.env}: {config.model} ({weights}, LoRA rank {config.lora_rank}, {trained:,} trained "
        f"parameters) on {policy.device}, {config.prompts_per_step} prompts x {config.group_size} a step"
        + (f", by {world().size} processes" if not world().alone else "")
        + (f", from step {start}" if start else ""),
    )
    for line in [*data_notes(env), *date_notes(env)]:
        say(console, f"data: {line}")
    for line in sandbox_notes(env):
        say(console, line, "yellow" if "warning" in line else "")
    say(console, f"a prompt: {prompt!r}")
    if not getattr(policy, "packs", False):
        say(
            console,
            "updates compute padded rows, each with its prompt: this model's attention cannot be computed packed",
        )
    if config.random_rewards is not None:
        say(
            console,
            f"note: rewards are a coin, correct with a chance of {config.random_rewards:g}: a control, in which no answer is "
            "better than another",
        )
    if len(first) < config.prompts_per_step:
        say(console, f"data: {config.prompts_per_step} prompts a step were asked for, and there are {len(first)}")
    if config.engine in ("vllm", "vllm-server"):
        weights = f"clipped at {config.tis_clip:g} (tis_clip)" if config.tis_clip else "off (tis_clip 0)"
        say(console, f"engine {config.engine} samples; importance weights against it are {weights}")
    for line in idle_settings(config, method, start):
        say(console, f"note: {line}")
    if start >= config.steps > 0:
        say(console, f"all {start} steps are done; --steps N goes on to step N")
    if config.learning_rate <= 1e-6:
        say(console, "warning: a LoRA adapter hardly moves at a learning rate of 1e-6", "yellow")
    return {
            "versions": versions(), "machine": machine(policy.device), "seed": config.seed, "model": config.model,
            "weights_sha256": fingerprint, "env_folder": env_folder(config.env),
            "env": config.env, "data_sha256": data, "trained_parameters": trained, "status": "running",
            "reason": None,
            "prompt_example": prompt, "started": datetime.now(UTC).isoformat(timespec="seconds"),
    } | date_entry(env) | sandbox_entry(env)  # fmt: skip


def named(config: TrainConfig) -> str:
    """The method, and the parts that were put in place of its own."""
    parts = [f"{kind} {config.method[kind]}" for kind in KINDS if config.method.get(kind)]
    return f"{config.algorithm} with {', '.join(parts)}," if parts else config.algorithm


def data_notes(env: Any) -> list[str]:
    """Lines on the rows of an environment: how many were left out, and why."""
    notes = [str(note) for note in getattr(env.source, "notes", ())]
    if bad := getattr(env.source, "bad_rows", ()):
        notes.append(f"{len(bad)} bad rows are left out, the first: {bad[0]}")
    return notes


def date_entry(env: Any) -> dict[str, str]:
    """`prompt_date`, where the chat template reads the clock: a resumed run and its evaluations go on with it."""
    format: Any = getattr(env, "format", None)
    return {"prompt_date": format.date} if getattr(format, "reads_clock", False) else {}


def date_notes(env: Any) -> list[str]:
    """A line on the date in the prompts, where the chat template reads the clock."""
    return [f"the chat template prints a date: it is {date} in every prompt" for date in date_entry(env).values()]


def sandbox_entry(env: Any) -> dict[str, str]:
    """`sandbox`: what programs of the model run in, where the environment runs any."""
    if getattr(env, "verifier_name", "") != "code":
        return {}
    return {"sandbox": "none (--unsafe-no-sandbox)" if jails.settings().unsafe else jails.chosen().name}


def sandbox_notes(env: Any) -> list[str]:
    """A line on what programs of the model run in: a warning where that is nothing."""
    if jails.settings().unsafe:
        warning = (
            "warning: programs of the model run without a sandbox (--unsafe-no-sandbox); they may read and change whatever "
            "this user may"
        )
        return [warning for _ in sandbox_entry(env)]
    return [f"programs of the model run in a sandbox: {name}" for name in sandbox_entry(env).values()]


def env_folder(env_id: str) -> str | None:
    """The folder that holds the module of `"module:id"`, of which an error may tell; None for an id of simko's own."""
    module = sys.modules.get(env_id.rpartition(":")[0].partition(".")[0])
    file = getattr(module, "__file__", None)
    if file is None or env_id.startswith("jsonl:"):
        return None
    path = Path(file).absolute().parent
    return str(path.parent if hasattr(module, "__path__") else path)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a run's numbers."""
    numbers = {"python": platform.python_version()}
    for name in _RECORDED:
        try:
            numbers[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            numbers[name] = "not installed"
    return numbers


def machine(device: Any) -> dict[str, Any]:
    """Platform and device of a run."""
    on_cuda = torch.device(device).type == "cuda"
    return {
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if on_cuda else "cpu",
        "threads": torch.get_num_threads(),
        "gymnasium": gymnasium.__version__,
    }


def file_hash(path: str | Path | None) -> str | None:
    """SHA-256 of a data file; None for a folder or no path."""
    return digest(Path(path)) if path is not None and Path(path).is_file() else None
