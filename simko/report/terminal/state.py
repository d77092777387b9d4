"""How a run stands, by its folder: config.yaml, manifest.json, the lock, checkpoints and evaluations.

The folder may be half made, damaged, or somebody else's: what cannot be read is left out, and nothing in it is trusted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from simko.config import TrainConfig, read_yaml
from simko.errors import UserError
from simko.files import LOCK, is_locked
from simko.report.terminal.numbers import number

Status = Literal["waiting", "starting", "running", "evaluating", "finished", "stopped", "failed", "died"]
ENDED: tuple[Status, ...] = ("finished", "stopped", "failed", "died")
_LONGEST_FILE = 16 << 20
_MOST_RESULTS = 64
_CHECKPOINT = re.compile(r"step-(\d{6}|[1-9]\d{6,8})")


@dataclass(frozen=True)
class State:
    """How a run stands.

    Attributes:
        status: `waiting`: there is no run yet. `starting`: a process has the folder, and has not begun, or resumed, the run.
            `died`: the manifest says that it runs, and no process has the folder.
        reason: why it was stopped or failed.
        config: the settings of the run; empty if config.yaml cannot be read.
        checkpoints: steps of the checkpoints, oldest first.
        best: the step of the best one.
        results: of evaluations, the oldest step first, each with `step`, `pass_at_k` and `base`.
    """

    path: Path
    status: Status
    reason: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    checkpoints: tuple[int, ...] = ()
    best: int | None = None
    results: tuple[Mapping[str, Any], ...] = ()

    @property
    def steps(self) -> int:
        """How many steps are planned; 0 if that is not known."""
        steps = self.config.get("steps")
        return steps if isinstance(steps, int) and 0 < steps < 10**9 else 0

    def setting(self, name: str) -> str:
        """A setting as text; empty if it is not known."""
        value = self.config.get(name)
        return "" if value is None else str(value)[:200]

    @property
    def ended(self) -> bool:
        """Whether no process goes on with the run."""
        return self.status in ENDED


class RunReader:
    """Reads the state of a run again and again. A file that did not change is not read again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[Path, tuple[tuple[int, int], Any]] = {}

    def state(self) -> State:
        """How the run stands now.

        Raises:
            UserError: the path is not a run folder and will not become one: it is a file, or other things are in it.
        """
        if not (self.path / "config.yaml").is_file():
            refuse_other(self.path)
            return State(self.path, "starting" if is_locked(self.path) else "waiting")
        config, manifest = self._config(), self._json(self.path / "manifest.json")
        status, reason = status_of(manifest, is_locked(self.path))
        steps = self._checkpoints()
        best = self._json(self.path / "checkpoints" / "best").get("checkpoint")
        return State(
            self.path, status, reason, config, steps,
            next((step for step in steps if best == f"step-{step:06d}"), None), self._results(),
        )  # fmt: skip

    def _config(self) -> Mapping[str, Any]:
        return self._kept(self.path / "config.yaml", _settings)

    def _checkpoints(self) -> tuple[int, ...]:
        try:
            names = [_CHECKPOINT.fullmatch(path.name) for path in (self.path / "checkpoints").iterdir()]
        except OSError:
            return ()
        return tuple(sorted(int(name[1]) for name in names if name))

    def _results(self) -> tuple[Mapping[str, Any], ...]:
        paths = sorted((self.path / "eval").glob("*.json"))[:_MOST_RESULTS]
        results = [self._kept(path, _result) for path in paths]
        return tuple(sorted((result for result in results if result), key=lambda result: result["step"] or 0))

    def _json(self, path: Path) -> Mapping[str, Any]:
        return self._kept(path, _object)

    def _kept(self, path: Path, read: Callable[[Path], Mapping[str, Any]]) -> Mapping[str, Any]:
        """`read(path)`, or what it gave for the same file before; empty if it cannot be read."""
        try:
            about = path.lstat()
            if not path.is_file() or path.is_symlink() or about.st_size > _LONGEST_FILE:
                return {}
            mark = about.st_mtime_ns, about.st_size
            if path not in self._read or self._read[path][0] != mark:
                self._read[path] = mark, read(path)
        except (OSError, ValueError, RecursionError, UserError):
            return {}
        content: Mapping[str, Any] = self._read[path][1]
        return content


def status_of(manifest: Mapping[str, Any], held: bool) -> tuple[Status, str]:
    """The status by the manifest, and by whether a process holds the folder; and the reason of an end."""
    said, reason = manifest.get("status"), manifest.get("reason")
    reason = reason if isinstance(reason, str) else ""
    if said == "finished":
        return ("evaluating" if held else "finished"), ""
    if said == "running":
        return ("running", "") if held else ("died", "killed, or the machine went down")
    if held:
        return "starting", ""
    if said in ("stopped", "failed"):
        return said, reason
    return "died", "before its first step"


def refuse_other(path: Path) -> None:
    """Raise `UserError` if `path` is a file, or a folder with other things than a run that begins."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; give the folder of a run")
    begun = (LOCK, "checkpoints", "rollouts", "verdicts", "eval", "solve_rates.jsonl")
    other = (
        [p.name for p in path.iterdir() if p.name not in begun and not p.name.startswith(".")] if path.is_dir() else []
    )
    if other:
        raise UserError(
            f"{path} is not a run folder: it has no config.yaml, and it has {other[0]!r}; give the folder that "
            "`simko train --out` wrote"
        )


def _settings(path: Path) -> Mapping[str, Any]:
    content = read_yaml(path)
    return {name: value for name, value in content.items() if name in TrainConfig.__dataclass_fields__}


def _object(path: Path) -> Mapping[str, Any]:
    content = json.loads(path.read_bytes())
    return content if isinstance(content, dict) else {}


def _result(path: Path) -> Mapping[str, Any]:
    """Step, pass@K by K, and that of the base model, of a result of `simko eval`."""
    content = _object(path)
    step, passed = content.get("step"), _pass_at_k(content)
    base = content.get("base")
    if not passed or not (step is None or (isinstance(step, int) and 0 <= step < 10**9)):
        return {}
    return {"step": step, "pass_at_k": passed, "base": _pass_at_k(base) if isinstance(base, dict) else {}}


def _pass_at_k(side: Mapping[str, Any]) -> dict[int, float]:
    values = side.get("pass_at_k")
    if not isinstance(values, dict):
        return {}
    pairs = [(int(k), number(value)) for k, value in values.items() if str(k).isdecimal() and len(str(k)) < 8]
    return dict(sorted((k, value) for k, value in pairs if value is not None))
