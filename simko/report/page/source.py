"""What a report is made of, read without a model: a run folder as far as it is whole, and lines about what is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simko.config import read_yaml
from simko.errors import UserError
from simko.files import odd_file
from simko.report.arm_files import is_evaluation, read_json
from simko.report.forks import Forks, newest_forks, read_forks
from simko.run.records import Records
from simko.run.samples import SUFFIX

_LONGEST_LINE = 1 << 20
_PARTS = ("config.yaml", "metrics.jsonl", "manifest.json", "rollouts", "eval", "checkpoints", "forks")


@dataclass
class RunData:
    """A run as it lies on disk. Every part may be empty; then `missing` says why."""

    path: Path
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    evaluation: Mapping[str, Any] | None = None
    evaluation_path: Path | None = None
    checkpoints: list[str] = field(default_factory=list)
    forks: Forks | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def records(self) -> Records:
        """Its recorded completions."""
        return Records(self.path)

    @property
    def samples_path(self) -> Path | None:
        """The file of the evaluation's answers, if it is there."""
        if self.evaluation_path is None:
            return None
        path = self.evaluation_path.with_name(self.evaluation_path.name.removesuffix(".json") + SUFFIX)
        return path if path.is_file() else None

    def column(self, name: str) -> list[tuple[float, float]]:
        """(step, value) of a metric, where it is a number."""
        return [(float(row["step"]), float(row[name])) for row in self.metrics if is_number(row.get(name))]


def is_number(value: object) -> bool:
    """Whether this is a number that can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def is_run_folder(path: Path) -> bool:
    """Whether a folder holds any part of a run."""
    return path.is_dir() and any((path / name).exists() for name in _PARTS[:2])


def read_run(path: Path) -> RunData:
    """The run in a folder: all of it that can be read.

    Raises:
        UserError: it is no run folder, or a part of it is a link or a pipe.
    """
    if not is_run_folder(path):
        raise UserError(
            f"report: {path} is not a run folder; give one, a result of `simko eval`, or a comparison's folder"
        )
    refuse_links(path)
    run = RunData(path, path.resolve().name)
    run.config = _tried(run, "config.yaml", lambda: read_yaml(path / "config.yaml"), {})
    run.manifest = _tried(run, "manifest.json", lambda: _mapping(path / "manifest.json"), {})
    run.metrics = read_metrics(path / "metrics.jsonl", run.missing)
    run.steps = run.records.recorded_steps()
    if not run.steps:
        run.missing.append("rollouts/: no completions were recorded: no group browser")
    run.checkpoints = sorted(
        p.name for p in (path / "checkpoints").glob("step-*") if re.fullmatch(r"step-\d{6,9}", p.name)
    )
    _read_evaluation(run)
    forks = newest_forks(path)
    if forks is not None:
        run.forks = _tried(run, f"forks/{forks.name}", lambda: read_forks(forks), None)
    return run


def read_metrics(path: Path, missing: list[str]) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that hold a step, in the order of the steps; others are counted in `missing`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        missing.append(f"{path.name}: {error.strerror}: no learning curves, no concentration, no alarms")
        return []
    steps: dict[int, dict[str, Any]] = {}
    spoilt = 0
    lines = data.splitlines()
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text, parse_constant=lambda _: None) if len(text) <= _LONGEST_LINE else None
        except (ValueError, RecursionError):
            line = None
        step = line.get("step") if isinstance(line, dict) else None
        if isinstance(line, dict) and isinstance(step, int) and 0 < step < 1 << 31:
            steps[step] = line
        elif number == len(lines) and not data.endswith(b"\n"):
            missing.append(f"{path.name}: the last line is half written and left out")
        else:
            spoilt += 1
    if spoilt:
        missing.append(f"{path.name}: {spoilt} damaged line{'s' if spoilt > 1 else ''} left out")
    if not steps:
        missing.append(f"{path.name}: no step was recorded")
    return [steps[step] for step in sorted(steps)]


def _read_evaluation(run: RunData) -> None:
    """The evaluation that a comparison would take: of the run's own environment, most samples, newest step, newest file."""
    usable: list[tuple[Any, Path, Mapping[str, Any]]] = []
    for path in sorted((run.path / "eval").glob("*.json")):
        try:
            result = read_json(path)
        except UserError as error:
            run.missing.append(f"eval/{path.name}: {error}")
            continue
        if is_evaluation(result):
            own = run.config.get("env") in (None, result.get("env"))
            ranked = [value if isinstance(value, int) else -1 for value in (result.get("n"), result.get("step"))]
            usable.append(((own, result.get("part") != "tuning", *ranked, path.stat().st_mtime_ns), path, result))
    if not usable:
        run.missing.append("eval/: no evaluation: no pass@K before and after; write one with `simko eval RUN`")
        return
    _, run.evaluation_path, run.evaluation = max(usable, key=lambda entry: entry[0])
    if run.evaluation.get("base") is None:
        run.missing.append(f"eval/{run.evaluation_path.name}: the base model was not measured: nothing to compare with")
    if run.samples_path is None:
        run.missing.append(
            f"eval/{run.evaluation_path.name}: its answers were not kept: lost and won problems have no examples"
        )


def _tried(run: RunData, name: str, read: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return read()
    except (UserError, OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        run.missing.append(f"{name}: {str(why).removeprefix(f'config {run.path / name}: ')}")
        return otherwise


def manifest_of(path: Path) -> dict[str, Any]:
    """What manifest.json of a run says; empty if it cannot be read. Raises `UserError` for a link or a pipe."""
    refuse_links(path)
    return _tried(RunData(path, path.name), "manifest.json", lambda: _mapping(path / "manifest.json"), {})


def _mapping(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def refuse_links(path: Path) -> None:
    """A link in a foreign folder could lead to any file of the reader, and its text would be in the page. A pipe never ends.

    Raises:
        UserError: a part of the run is a link or a pipe.
    """
    for name in _PARTS:
        part = path / name
        if part.is_dir() and not part.is_symlink():
            odd = odd_file(part) if name != "checkpoints" else None
        else:
            odd = part if part.is_symlink() or (part.exists() and not part.is_file()) else None
        if odd is not None:
            raise UserError(f"{odd} is a link or a pipe, not a file of the run; put the file itself there")
