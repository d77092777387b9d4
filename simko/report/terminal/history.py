"""What the metrics of a run have said so far, in a bounded space: histories, speed, held-out looks, alarms."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from simko.alarms import Alarm, Watch
from simko.report.terminal.follow import Line
from simko.report.terminal.series import Series

LEARNING = ("reward", "solve_rate", "informative", "entropy", "completion_tokens", "truncated")
RANKS = tuple(f"logp_rank{rank}" for rank in range(1, 6))
SPREAD = ("top1_fraction", "candidates_95", "distinct_tokens")
_SHOWN = (*LEARNING, *RANKS, *SPREAD)
_HELD_OUT = re.compile(r"heldout_pass_(\d{1,6})")
_MOST_ALARMS = 20
_MOST_KS = 12


@dataclass
class History:
    """Fed line by line; `add` of each line in order.

    Attributes:
        step: the last step.
        last: its numbers.
        series: of each shown metric.
        held_out: by K, the history of pass@K in the looks at held-out problems during training.
        looked: the step of the last look.
        alarms: the newest, oldest first.
    """

    step: int = 0
    last: Line = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=lambda: {name: Series() for name in _SHOWN})
    held_out: dict[int, Series] = field(default_factory=dict)
    looked: int = 0
    alarms: deque[Alarm] = field(default_factory=lambda: deque(maxlen=_MOST_ALARMS))
    _watch: Watch = field(default_factory=Watch)
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=20))

    def add(self, line: Line) -> list[Alarm]:
        """Take the numbers of the next step; return the alarms that sound."""
        self.step, self.last = int(line["step"] or 0), line
        for name, series in self.series.items():
            series.add(line.get(name))
        for name, value in line.items():
            if value is not None and (match := _HELD_OUT.fullmatch(name)):
                k = int(match[1])
                if k in self.held_out or len(self.held_out) < _MOST_KS:
                    self.held_out.setdefault(k, Series()).add(value)
                    self.looked = self.step
        seconds = (line.get("seconds_rollout") or 0.0) + (line.get("seconds_update") or 0.0)
        if seconds > 0:
            self._seconds.append(seconds)
        sounding = self._watch.step(line)
        self.alarms.extend(sounding)
        return sounding

    def extend(self, lines: Iterable[Line]) -> None:
        """Take several steps."""
        for line in lines:
            self.add(line)

    @property
    def seconds_a_step(self) -> float | None:
        """The median of the last steps; None if none says how long it took."""
        return median(self._seconds) if self._seconds else None

    def seconds_left(self, steps: int) -> float | None:
        """The time to step `steps` at the speed of the last steps; None if that is not known."""
        each = self.seconds_a_step
        return None if each is None or not steps else each * max(0, steps - self.step)
