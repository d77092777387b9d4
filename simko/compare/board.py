"""The state of a comparison, as its folder says it: which cells are done, which can be done now, and which must wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from simko.compare.cells import Cell, Evaluation, Training, evaluation_settings, progress_of, run_path, side_file
from simko.compare.plan import Plan
from simko.compare.study import BASE
from simko.config import TrainConfig
from simko.files import write_atomically

FEWER = "problems.json"
"""How many problems each part of the held-out split has, where it has fewer than the plan asks for."""
State = Literal["done", "half", "ready", "waiting"]


@dataclass(frozen=True)
class Result:
    """What a comparison reads of a result: its file, its score for choices, its cost, and how many problems it has."""

    path: Path
    score: float
    seconds: float
    problems: int


@dataclass(frozen=True)
class Entry:
    """A cell and its state: a training that is `half` done can go on; a cell that is `waiting` needs another one first."""

    cell: Cell
    state: State


class Board:
    """All cells of a plan in the order in which they are run: whole seeds first. The folder is read anew at each call."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self._trained: set[Training] = set()
        self._read: dict[Path, tuple[int, dict[str, Any]]] = {}
        self._fewer = _read_fewer(folder / FEWER)

    def entries(self) -> list[Entry]:
        """Every cell. Raises `UserError` if a run in the folder is of other settings."""
        return [entry for seed in self.plan.seeds for entry in self.of_seed(seed)]

    def of_seed(self, seed: int) -> list[Entry]:
        """The cells of a seed."""
        cells = [*self._base(seed), *(cell for arm in self.plan.arms for cell in self._arm(arm, seed))]
        return [Entry(cell, self.state(cell)) for cell in cells]

    def state(self, cell: Cell) -> State:
        """The state of a cell."""
        if isinstance(cell, Training):
            if cell in self._trained:  # a run that is done stays so while this process holds the folder
                return "done"
            state = progress_of(self.folder, self.plan.config(cell.arm, cell.seed), cell.arm)
            if state == "done":
                self._trained.add(cell)
            return "ready" if state == "new" else state
        if cell.temperature is None or (cell.choice == "prompt" and cell.template is None):
            return "waiting"
        if self.result(cell) is not None or self.refused(cell):
            return "done"
        return "ready" if cell.arm == BASE or self.state(Training(cell.arm, cell.seed)) == "done" else "waiting"

    def result(self, cell: Evaluation) -> Result | None:
        """The result of an evaluation, if it exists and is of the runs as they are now."""
        wanted = evaluation_settings(self.plan, cell, self._config(cell))
        every = self._found(cell)
        return next((result for result in every if self._is_whole(result, wanted)), None)

    def accept(self, cell: Evaluation) -> bool:
        """Whether the evaluation that has just ended left its result; a part with fewer problems than asked for is noted.

        Raises `OSError`.
        """
        if self.result(cell) is None and (every := self._found(cell)):
            self._fewer[cell.part] = max(result.problems for result in every)
            write_atomically(self.folder / FEWER, json.dumps(self._fewer) + "\n")
        return self.result(cell) is not None

    def _found(self, cell: Evaluation) -> list[Result]:
        """The results of an evaluation, of any number of problems."""
        config = self._config(cell)
        wanted = evaluation_settings(self.plan, cell, config)
        facts = {key: wanted[key] for key in ("part", "n", "problem_seed", "seed", "temperature", "top_p")}
        facts |= {"template": cell.template or config.template, "level": config.level}
        facts |= {} if cell.arm == BASE else {"step": config.steps}
        path = run_path(self.folder, cell.arm, cell.seed)
        every = []
        for file in sorted((path if cell.arm == BASE else path / "eval").glob("*.json")):
            content = self._content(file)
            same_env = content and _same_env(content["env"], config.env)
            if same_env and all(content[key] == value for key, value in facts.items()):
                every.append(Result(file, content["score"], content["seconds"], content["problems"]))
        return every

    def _config(self, cell: Evaluation) -> TrainConfig:
        return self.plan.common if cell.arm == BASE else self.plan.config(cell.arm, cell.seed)

    def refused(self, cell: Evaluation) -> bool:
        """Whether the base model cannot be evaluated at a prompt, say because the prompt is too long. It is no candidate."""
        return cell.choice == "prompt" and side_file(self.folder, cell, "refused").exists()

    def choices(self, arm: str) -> list[Evaluation]:
        """The evaluations on tuning problems, at the first seed, among which an arm's temperature is chosen.

        The temperature of the final evaluations comes first: of equal ones it stays.
        """
        grid = sorted(self.plan.sizes.grid, key=lambda value: value != self.plan.sizes.eval_temperature)
        return [Evaluation(arm, self.plan.seeds[0], "tuning", value) for value in grid] if len(grid) > 1 else []

    def prompts(self) -> list[Evaluation]:
        """The evaluations on tuning problems among which the base model's prompt is chosen; that of training is the first."""
        own, every = self.plan.common.template, self.plan.sizes.templates.split(",")
        if len(every) < 2:
            return []
        like = Evaluation(BASE, self.plan.seeds[0], "tuning", self.plan.sizes.eval_temperature)
        return [like, *(replace(like, template=name, choice="prompt") for name in every if name != own)]

    def best(self, among: list[Evaluation]) -> Evaluation | None:
        """The one with the best score, of equal ones the first; None while one of them is missing, or there is none."""
        scores = [
            -1.0 if self.refused(cell) else None if (result := self.result(cell)) is None else result.score
            for cell in among
        ]
        known = [score for score in scores if score is not None]
        return None if not among or len(known) < len(among) else among[known.index(max(known))]

    def finals(self, arm: str, seed: int) -> Iterator[Evaluation]:
        """The evaluations on final problems: as trained, then at what was chosen, where it is something else."""
        plain = Evaluation(arm, seed, "final", self.plan.sizes.eval_temperature)
        yield plain
        if arm == BASE and (prompts := self.prompts()):
            chosen = self.best(prompts)
            if chosen is None or chosen.template is not None:
                yield replace(plain, template=None if chosen is None else chosen.template, choice="prompt")
        if temperatures := self.choices(arm):
            chosen = self.best(temperatures)
            if chosen is None or chosen.temperature != plain.temperature:
                yield replace(plain, temperature=None if chosen is None else chosen.temperature, choice="temperature")

    def _arm(self, arm: str, seed: int) -> Iterator[Cell]:
        yield Training(arm, seed)
        if self.plan.is_sweep:
            yield self.candidate(arm, seed)
            return
        if seed == self.plan.seeds[0]:
            yield from self.choices(arm)
        yield from self.finals(arm, seed)

    def candidate(self, arm: str, seed: int) -> Evaluation:
        """The evaluation of a sweep's candidate."""
        return Evaluation(arm, seed, "tuning", self.plan.sizes.eval_temperature)

    def _base(self, seed: int) -> Iterator[Cell]:
        if self.plan.is_sweep:
            return
        if seed == self.plan.seeds[0]:
            yield from dict.fromkeys([*self.prompts(), *self.choices(BASE)])
        yield from self.finals(BASE, seed)

    def _is_whole(self, result: Result, wanted: dict[str, Any]) -> bool:
        """Whether a result has all problems that were asked for, or all that there are."""
        fewer = self._fewer.get(wanted["part"])
        return result.problems == (wanted["problems"] if fewer is None else min(fewer, wanted["problems"]))

    def _content(self, path: Path) -> dict[str, Any]:
        """What is needed of a result file; empty if it is not one."""
        try:
            stamp = path.stat().st_mtime_ns
            if self._read.get(path, (None,))[0] != stamp:
                self._read[path] = stamp, _digest(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, ZeroDivisionError):
            return {}
        return self._read[path][1]


def _read_fewer(path: Path) -> dict[str, int]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {part: int(content[part]) for part in ("tuning", "final") if part in content}
    except (OSError, ValueError, TypeError):
        return {}


def _same_env(one: str, other: str) -> bool:
    """Whether two ids name one environment; the file of `jsonl:PATH` may have moved with its run."""
    return one == other or (one.startswith("jsonl:") and other.startswith("jsonl:"))


def _digest(content: dict[str, Any]) -> dict[str, Any]:
    kept = (
        "part", "n", "problem_seed", "seed", "temperature", "top_p", "step", "template", "problems", "seconds", "env", "level",
    )  # fmt: skip
    passed = {int(k): float(value) for k, value in content["pass_at_k"].items()}
    return {key: content[key] for key in kept} | {"score": score(passed, content["n"])}


def score(passed: dict[int, float], n: int) -> float:
    """What is chosen by: the mean of pass@K over K = 1, 2, 4 ... n/2, of the K's that were measured.

    At K = n one problem gives 0 or 1, so that K is left out.
    """
    ks = [k for k in passed if k & (k - 1) == 0 and 2 * k <= n]
    return sum(passed[k] for k in ks) / len(ks)
