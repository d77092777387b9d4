"""The state of a run for a program: one JSON object for each new step, and one at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from simko.alarms import Alarm
from simko.report.terminal.follow import Line
from simko.report.terminal.history import History
from simko.report.terminal.runs import RunOf
from simko.report.terminal.state import State


class Steps:
    """Which steps were told. After a resume, the steps that were taken again are told again, and no others."""

    def __init__(self) -> None:
        self._told: dict[int, int] = {}

    def is_new(self, line: Line) -> bool:
        """Whether the line was not told before; it counts as told from now on."""
        step, mark = int(line["step"] or 0), crc32(repr(line).encode())
        before = self._told.get(step)
        if before is not None and before != mark:  # what was told after it is of another past
            self._told = {told: of for told, of in self._told.items() if told < step}
        self._told[step] = mark
        return before != mark


def step_event(state: State, history: History, sounding: Iterable[Alarm]) -> dict[str, Any]:
    """A step: its metrics, how far the run is, and the alarms that sound in it."""
    return {
        "event": "step",
        "step": history.step,
        "steps": state.steps or None,
        "seconds_left": history.seconds_left(state.steps),
        "metrics": {name: value for name, value in history.last.items() if name != "step"},
        "alarms": [_alarm(alarm) for alarm in sounding],
    }


def state_event(state: State, history: History, event: str) -> dict[str, Any]:
    """How a run stands: at its end, or now."""
    return {
        "event": event,
        "status": state.status,
        "reason": state.reason or None,
        "step": history.step,
        "steps": state.steps or None,
        "seconds_left": history.seconds_left(state.steps) if state.status == "running" else None,
        "checkpoint": state.checkpoints[-1] if state.checkpoints else None,
        "best_checkpoint": state.best,
        "metrics": {name: value for name, value in history.last.items() if name != "step"},
        "alarms": [_alarm(alarm) for alarm in history.alarms],
        "evaluations": [_evaluation(result) for result in state.results],
    }


def runs_event(runs: Sequence[RunOf], planned: int | None, event: str) -> dict[str, Any]:
    """How the runs of a comparison stand."""
    listed = [
        {
            "arm": run.arm,
            "seed": run.seed,
            "status": run.state.status,
            "step": run.history.step,
            "steps": run.state.steps or None,
            "solve_rate": run.history.last.get("solve_rate"),
            "entropy": run.history.last.get("entropy"),
            "alarms": [alarm.name for alarm in run.history.alarms],
        }
        for run in runs
    ]
    return {"event": event, "planned": planned, "runs": listed}


def as_line(event: Mapping[str, Any]) -> str:
    """One line of JSON in ASCII: nothing in it acts on a terminal."""
    return json.dumps(event, ensure_ascii=True, allow_nan=False)


def _alarm(alarm: Alarm) -> dict[str, Any]:
    return {
        "name": alarm.name, "step": alarm.step, "since": alarm.since, "seen": alarm.seen, "remedy": alarm.remedy,
    }  # fmt: skip


def _evaluation(result: Mapping[str, Any]) -> dict[str, Any]:
    sides = {side: {str(k): value for k, value in result[side].items()} for side in ("pass_at_k", "base")}
    return {"step": result["step"], **sides}
