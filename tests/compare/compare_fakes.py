"""Cells without a model: a fake of the process that trains or evaluates, which leaves the files that a real one leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from simko.compare.board import Board
from simko.compare.plan import Plan, checked_plan
from simko.compare.runner import Runner
from simko.compare.study import Study
from simko.run.folder import RunFolder
from simko.settings import train_config

COMMON = {"env": "simko/Countdown-v0", "steps": 4, "prompts_per_step": 2, "group_size": 2}
SIZES = {"eval_problems": 3, "eval_samples": 8, "tuning_problems": 2, "tuning_samples": 8,
         "temperatures": "1.0", "templates": "chat"}  # fmt: skip


def study(*algorithms: str, seeds: Sequence[int] = (0,), control: bool = False, **more: Any) -> Study:
    arms = {name: {"algorithm": name} for name in algorithms}
    sizes = {**SIZES, **{key: more.pop(key) for key in list(more) if key in SIZES}}
    return Study({**COMMON, **more}, arms, {}, tuple(seeds), sizes, control)


def board(folder: Path, of: Study, before: Plan | None = None) -> Board:
    folder.mkdir(exist_ok=True)
    return Board(folder, checked_plan(of, before))


@dataclass
class FakeClock:
    """Time that passes by a second at each pause."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self) -> None:
        self.now += 1.0


@dataclass
class FakeJob:
    """A process that is done after so many pauses of its clock."""

    clock: FakeClock
    until: float
    act: Callable[[], int]
    code: int | None = None
    stopped: bool = False

    def poll(self) -> int | None:
        if self.code is None and self.clock.now >= self.until:
            self.code = self.act()
        return self.code

    def stop(self) -> None:
        self.stopped = True

    def wait(self) -> None:
        pass


@dataclass
class FakeMachine:
    """Launches fake cells. `broken` maps a part of a command to the exit code of cells that have it."""

    clock: FakeClock = field(default_factory=FakeClock)
    seconds: float = 1.0
    broken: dict[str, int] = field(default_factory=dict)
    better: Callable[[dict[str, Any]], float] = lambda result: 0.5
    commands: list[list[str]] = field(default_factory=list)
    jobs: list[FakeJob] = field(default_factory=list)
    most_at_once: int = 0

    def __call__(self, words: Sequence[str], log: Path) -> FakeJob:
        self.commands.append(list(words))
        log.write_text(f"$ {' '.join(words)}\nlast words\n")
        job = FakeJob(self.clock, self.clock.now + self.seconds, lambda: self._end(list(words)))
        self.jobs.append(job)
        self.most_at_once = max(self.most_at_once, sum(job.code is None for job in self.jobs))
        return job

    def _end(self, words: list[str]) -> int:
        for part, code in self.broken.items():
            if part in " ".join(words):
                return code
        (self._train if words[0] == "train" else self._evaluate)(words)
        return 0

    def _train(self, words: list[str]) -> None:
        if "--resume" in words:
            run = RunFolder.open(words[words.index("--resume") + 1])
            finish(run, int(words[-1]))
        else:
            content = yaml.safe_load(Path(words[2]).read_text())
            finish(trained(Path(words[4]), content), content["steps"])

    def _evaluate(self, words: list[str]) -> None:
        asked = yaml.safe_load(Path(words[3]).read_text())
        run = RunFolder.open(words[1]) if RunFolder.is_run(words[1]) else None
        result = {**asked, "seconds": 6.0, "step": run and run.config.steps}
        result |= {key: asked.get(key) or (run and getattr(run.config, key)) for key in ("env", "level")}
        result["template"] = asked.get("template") or (run and run.config.template)
        result["path"] = words[1]
        value = self.better(result)
        right = round(value * asked["n"])
        result["counts"] = {f"t{i}": {"samples": asked["n"], "correct": right} for i in range(asked["problems"])}
        result["model"], result["adapter"] = "tiny", run and "adapter"
        result["pass_at_k"] = {str(k): value for k in (1, 2, 4, 8)}
        folder = run.path / "eval" if run else Path(asked["out"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"result-{len(list(folder.iterdir()))}.json").write_text(json.dumps(result))


def trained(path: Path, settings: dict[str, Any]) -> RunFolder:
    """A run folder that nothing was trained in yet."""
    run = RunFolder(path, train_config({**settings, "out": str(path)}))
    with run.opened(run.config):
        return run


def finish(run: RunFolder, steps: int, status: str = "finished") -> None:
    """Let a run have `steps` steps of 2 + 1 seconds, and a checkpoint."""
    run.keep(replace(run.config, steps=steps))
    lines = [{"step": step, "seconds_rollout": 2.0, "seconds_update": 1.0} for step in range(1, steps + 1)]
    run.records.metrics_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run.checkpoints_path / f"step-{steps:06d}").mkdir(exist_ok=True)
    run.write_manifest({"status": status})


def run_all(of: Board, machine: FakeMachine | None = None, **options: Any) -> tuple[Any, FakeMachine, list[str]]:
    """Run what is missing with fake cells; returns the outcome, the machine, and what was said."""
    machine = machine or FakeMachine()
    lines: list[str] = []
    runner = Runner(of, lines.append, launch=machine, clock=machine.clock, pause=machine.clock.pause, **options)
    return runner.run(), machine, lines
