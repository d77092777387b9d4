"""Metrics to the loggers a user asked for, and one line at a time to the terminal."""

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from simko.algorithms.base import Algorithm
from simko.build import data_notes, file_hash, machine, versions
from simko.config import TrainConfig
from simko.errors import UserError
from simko.schedule import training_tasks


class Tracker:
    """Scalars to TensorBoard, W&B or trackio, beside the run's own metrics.jsonl."""

    def __init__(self, kind: str, folder: Path, config: Mapping[str, Any], start: int) -> None:
        self._kind = kind
        if kind == "tensorboard":
            writer = _extra("torch.utils.tensorboard", "tensorboard")
            self._sink: Any = writer.SummaryWriter(str(folder / "tensorboard"), purge_step=start or None)
        elif kind in ("wandb", "trackio"):
            self._sink = _extra(kind, kind)
            self._sink.init(project="simko", name=folder.name, config=dict(config))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """The step's scalars."""
        if self._kind == "tensorboard":
            for name, value in metrics.items():
                self._sink.add_scalar(name, value, step)
        elif self._kind != "none":
            self._sink.log(dict(metrics), step=step)

    def close(self) -> None:
        """Flush."""
        if self._kind == "tensorboard":
            self._sink.close()
        elif self._kind != "none":
            self._sink.finish()


class Progress:
    """Reward and informative groups as the headline, and an ETA from the median of the last steps."""

    def __init__(self, console: Console, total: int, every_seconds: float = 5.0) -> None:
        self._console, self._total, self._every = console, total, every_seconds
        self._durations: deque[float] = deque(maxlen=20)
        self._began = self._printed = time.monotonic()

    def step(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Print a line, unless one was printed a moment ago."""
        self._durations.append(seconds)
        now = time.monotonic()
        if step not in (1, self._total) and now - self._printed < self._every:
            return
        self._printed = now
        left = median(self._durations) * (self._total - step)
        ending = f"left {duration(left)}" if left else f"done in {duration(now - self._began)}"
        self._console.print(
            f"step {step:>{len(str(self._total))}}/{self._total}  reward {metrics['reward']:.3f}  "
            f"informative {metrics['informative']:4.0%}  entropy {metrics.get('entropy', 0.0):.2f}  "
            f"{seconds:.1f} s/step  {ending}",
            highlight=False,
            soft_wrap=True,
        )


def introduce(
    config: TrainConfig, policy: Any, env: Any, method: Algorithm, start: int, console: Console
) -> dict[str, Any]:
    """Say what is about to be trained, and show one rendered prompt; returns what the manifest keeps of it."""
    example = training_tasks(env.source, config.seed, 1, 1)[0]
    prompt = policy.tokenizer.decode(env.prompt_ids(example), skip_special_tokens=False)
    trained = sum(parameter.numel() for _, parameter in policy.trainable_parameters())
    weights = "unquantised" if config.quantization == "none" else config.quantization.upper()
    console.print(
        f"{config.algorithm} on {config.env}: {config.model} ({weights}, LoRA rank {config.lora_rank}, {trained:,} trained "
        f"parameters) on {policy.device}, {config.prompts_per_step} prompts x {config.group_size} a step"
        + (f", from step {start}" if start else ""),
        highlight=False,
        soft_wrap=True,
    )
    for said in data_notes(env):
        console.print(f"data: {said}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"a prompt: {prompt!r}", markup=False, highlight=False, soft_wrap=True)
    if inert := method.inert(config.updates_per_batch):
        console.print(
            f"inert at {config.updates_per_batch} update a rollout batch: {', '.join(inert)}", highlight=False
        )
    if config.learning_rate <= 1e-6:
        console.print(
            "warning: a LoRA adapter hardly moves at a learning rate of 1e-6", style="yellow", highlight=False
        )
    return {
            "versions": versions(), "machine": machine(policy.device), "seed": config.seed, "model": config.model,
            "env": config.env, "data_sha256": file_hash(config.data), "trained_parameters": trained, "status": "running",
            "prompt_example": prompt, "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def duration(seconds: float) -> str:
    """`42 s`, `3 min 10 s`, `2 h 05 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"logger {extra}: not installed; pip install 'simko[{extra}]', or --logger none") from error
