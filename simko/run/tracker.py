"""Metrics to the loggers a user asked for, and one line at a time to the terminal."""

from __future__ import annotations

import importlib
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from simko.console import duration, say
from simko.errors import UserError
from simko.run.logged import completion_rows
from simko.run.loggers import EventFile, ModuleLogger
from simko.types import Group

_SCALARS, _TABLE, _CURVE = "scalars", "completions table", "pass@K curve"


class Tracker:
    """Scalars, a few completions and the curve to TensorBoard, W&B or trackio, beside the run's own files.

    The names are the same in all three. A logger that fails is reported once and not called again; one whose table or picture
    fails goes on with scalars. The run goes on, and metrics.jsonl and rollouts/ have everything.
    """

    def __init__(
        self, kind: str, folder: Path, config: Mapping[str, Any], start: int, console: Console | None = None
    ) -> None:
        self._kind, self._console = kind, console or Console(stderr=True)
        self._every, self._steps = config.get("checkpoint_every") or 0, config.get("steps")
        self._failed: set[str] = set()
        self._logger: EventFile | ModuleLogger | None = None
        if kind == "tensorboard":
            self._logger = self._guarded(_SCALARS, EventFile, folder / "tensorboard", start)
        elif kind in ("wandb", "trackio"):
            self._logger = self._guarded(_SCALARS, ModuleLogger, _extra(kind), folder, config)

    def log(self, step: int, metrics: Mapping[str, float | None], groups: Sequence[Group] = ()) -> None:
        """Send the step's scalars, and a few of its completions where a checkpoint is due."""
        if self._logger is None:
            return
        values = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        self._guarded(_SCALARS, self._logger.scalars, step, values)
        if groups and (step == self._steps or (self._every and step % self._every == 0)):
            self._guarded(_TABLE, lambda logger: logger.table(step, completion_rows(step, groups)), self._logger)

    def curve(self, step: int, plot: str | Path) -> None:
        """Send the picture of pass@K, a PNG."""
        if self._logger is not None:
            self._guarded(_CURVE, self._logger.picture, step, Path(plot))

    def close(self) -> None:
        """Flush."""
        if self._logger is not None:
            self._guarded(_SCALARS, self._logger.close)

    def _guarded(self, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
        if self._failed & {what, _SCALARS}:
            return None
        try:
            return call(*arguments)
        except Exception as error:  # a logger raises whatever it likes
            message = " ".join(str(error).split())[:200] or type(error).__name__
            part, rest = ("", "it") if what == _SCALARS else (f": the {what}", "that")
            line = f"fault: logger {self._kind}{part} failed ({message}); the run goes on without {rest}"
            say(self._console, line, "yellow")
            self._failed.add(what)
            return None


class Progress:
    """A line now and then: reward, informative groups, and the time left by the median of the last steps."""

    def __init__(
        self,
        console: Console,
        total: int,
        every_seconds: float = 5.0,
        gap_limit: float = math.inf,
        engine: str = "local",
    ) -> None:
        self._console, self._total, self._every = console, total, every_seconds
        self._gap_limit, self._engine = gap_limit, engine
        self._durations: deque[float] = deque(maxlen=20)
        self._began = self._printed = time.monotonic()

    def step(self, step: int, metrics: Mapping[str, Any], seconds: float) -> None:
        """Print a line, unless one was printed a moment ago. Warn once if sampler and trainer drift apart."""
        self._durations.append(seconds)
        if (gap := metrics.get("sampler_gap") or 0.0) > self._gap_limit:
            mend = "tis_clip to 2, or decode_weights to live"
            if self._engine in ("vllm", "vllm-server"):
                mend = "quantization to int8 or none, which comes closer to the engine's weights"
            say(
                self._console,
                f"step {step}: sampler and trainer disagree by {gap:.2g} nats a token (sampler_gap; {self._gap_limit:g} is "
                f"normal); set {mend}",
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


def _extra(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"logger {name}: not installed; pip install 'simko[{name}]', or --logger none") from error
