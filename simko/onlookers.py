"""Who looks on while a run trains: held-out problems, alarms, loggers, the terminal, the count of steps that taught nothing.

Of several ranks, they also compare the adapters: a difference ends the run.

None of them changes an update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from torch.optim import Optimizer

from simko.alarms import Alarm, Watch
from simko.config import TrainConfig, as_dict
from simko.console import say
from simko.held_out import HeldOut
from simko.metrics import gap_limit
from simko.ranks.digests import check_equal
from simko.run.faults import Streak
from simko.run.folder import RunFolder
from simko.run.tracker import Progress, Tracker
from simko.types import Group


class Onlookers:
    """All that looks on. `begin` before the first step, `close` at the end, whatever happens.

    Raises:
        UserError: `eval_every` is set, and the environment has no held-out problems in its tuning part.
    """

    def __init__(
        self, config: TrainConfig, policy: Any, run: RunFolder, console: Console, optimizer: Optimizer
    ) -> None:
        self._config, self._run, self._console = config, run, console
        self._policy, self._optimizer = policy, optimizer
        self._held_out = HeldOut(config, policy, run, console)
        self._gap_limit = gap_limit(policy.dtype, config.engine)
        self._alarms: list[Alarm] = []
        self._tracker: Tracker | None = None

    def begin(self, start: int) -> None:
        """Open the loggers, read what the run has recorded so far, and look at held-out problems for the first time."""
        check_equal(self._policy, self._optimizer, start)
        self._progress = Progress(
            self._console, self._config.steps, gap_limit=self._gap_limit, engine=self._config.engine
        )
        lines = self._run.metrics()
        self._streak, self._watch = Streak(lines), Watch(lines)
        self._tracker = Tracker(self._config.logger, self._run.path, as_dict(self._config), start, self._console)
        if reference := self._held_out.begin(start):
            self._tracker.log(start, reference)

    def metrics(self, step: int, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """What a step's line gets besides its own `metrics`: a look at held-out problems, and the alarms that sound."""
        config = self._config
        if step % config.digest_every == 0 or step % config.checkpoint_every == 0 or step == config.steps:
            check_equal(self._policy, self._optimizer, step)
        more = self._held_out.after(step, metrics)
        self._alarms = self._watch.step({"step": step, **metrics, **more})
        return more | {f"alarm_{alarm.name}": 1.0 for alarm in self._alarms}

    def tell(self, step: int, metrics: Mapping[str, Any], groups: Sequence[Group], seconds: float) -> None:
        """Tell loggers and terminal of a step that is recorded. Raises `UserError` after too many that taught nothing."""
        if self._tracker:
            self._tracker.log(step, metrics, groups)
        self._progress.step(step, metrics, seconds)
        for alarm in self._alarms:
            say(self._console, str(alarm), "yellow")
        self._streak.step(metrics)

    def curve(self, step: int, plot: str | Path) -> None:
        """Give the loggers the picture of pass@K."""
        if self._tracker:
            self._tracker.curve(step, plot)

    def close(self) -> None:
        """Flush the loggers."""
        if self._tracker:
            self._tracker.close()
