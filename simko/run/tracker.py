"""Metrics to the loggers a user asked for, and one line at a time to the terminal."""

from __future__ import annotations

import importlib
import io
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from simko.console import duration, say
from simko.errors import UserError
from simko.files import append


class Tracker:
    """Scalars to TensorBoard, W&B or trackio, beside the run's own metrics.jsonl.

    A logger that fails is reported once and not called again. The run goes on, and metrics.jsonl has everything.
    """

    def __init__(
        self, kind: str, folder: Path, config: Mapping[str, Any], start: int, console: Console | None = None
    ) -> None:
        self._kind, self._console, self._sink = kind, console or Console(stderr=True), None
        if kind == "tensorboard":
            self._sink = self._guarded(EventFile, folder / "tensorboard", start)
        elif kind in ("wandb", "trackio"):
            sink = _extra(kind, kind)
            self._guarded(sink.init, project="simko", name=folder.name, config=dict(config))
            self._sink = sink

    def log(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """Send the step's scalars."""
        values = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        if self._kind != "none" and self._sink is not None:
            if self._kind == "tensorboard":
                self._guarded(self._sink.add, step, values)
            else:
                self._guarded(self._sink.log, values, step=step)

    def close(self) -> None:
        """Flush."""
        if self._kind in ("wandb", "trackio") and self._sink is not None:
            self._guarded(self._sink.finish)

    def _guarded(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except Exception as error:  # a logger raises whatever it likes
            message = " ".join(str(error).split())[:200] or type(error).__name__
            say(self._console, f"fault: logger {self._kind} failed ({message}); the run goes on without it", "yellow")
            self._kind = "none"
            return None


class EventFile:
    """Scalars in TensorBoard's own format, written as they come. There is no thread: every error is raised here."""

    def __init__(self, folder: Path, purge_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 1000:020d}.{os.getpid()}.simko"
        self._path = folder / name
        self._write(file_version="brain.Event:2")
        if purge_step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step=purge_step, session_log=start)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """One step's values. Raises `OSError`."""
        scalars = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=summary_pb2.Summary(value=scalars))

    def _write(self, **content: Any) -> None:
        packed = io.BytesIO()
        RecordWriter(packed).write(event_pb2.Event(wall_time=time.time(), **content).SerializeToString())
        append(self._path, packed.getvalue(), durable=False)


class Progress:
    """A line now and then: reward, informative groups, and the time left by the median of the last steps."""

    def __init__(self, console: Console, total: int, every_seconds: float = 5.0, gap_limit: float = math.inf) -> None:
        self._console, self._total, self._every = console, total, every_seconds
        self._gap_limit = gap_limit
        self._durations: deque[float] = deque(maxlen=20)
        self._began = self._printed = time.monotonic()

    def step(self, step: int, metrics: Mapping[str, Any], seconds: float) -> None:
        """Print a line, unless one was printed a moment ago. Warn once if sampler and trainer drift apart."""
        self._durations.append(seconds)
        if (gap := metrics.get("sampler_gap") or 0.0) > self._gap_limit:
            say(
                self._console,
                f"step {step}: sampler and trainer disagree by {gap:.2g} nats a token (sampler_gap; {self._gap_limit:g} is "
                "normal); set tis_clip to 2, or decode_weights to live",
            )
            self._gap_limit = math.inf
        now = time.monotonic()
        if step not in (1, self._total) and now - self._printed < self._every:
            return
        self._printed = now
        left = median(self._durations) * (self._total - step)
        ending = f"left {duration(left)}" if left else f"done in {duration(now - self._began)}"
        say(
            self._console,
            f"step {step:>{len(str(self._total))}}/{self._total}  reward {metrics['reward'] or 0.0:.3f}  "
            f"informative {metrics['informative'] or 0.0:4.0%}  entropy {metrics.get('entropy') or 0.0:.2f}  "
            f"{seconds:.1f} s/step  {ending}",
        )


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"logger {extra}: not installed; pip install 'simko[{extra}]', or --logger none") from error
