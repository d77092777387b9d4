"""One step of a part: a command in a process of its own. A step that fails is a row with its message, and the rest goes on."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from benchmarks.common import ROOT
from benchmarks.gpu.machine import python_path
from simko.console import one_line

_TERMINATED = 128 + signal.SIGTERM
Findings = dict[
    str, Any
]  # "values": numbers by name, for the goals; "tables": [{"columns": [...], "rows": [[...]]}]; "notes"


@dataclass(frozen=True)
class Step:
    """A command and the reader of its output.

    Attributes:
        command: arguments of the interpreter.
        read: from stdout to findings. It may raise; then the step has failed.
        environ: variables that the command needs; they stand before the command on the page.
        limit_s: seconds after which the step is killed.
        stop_s: seconds after which the command is asked to stop (SIGTERM), as a long run of training is. This is no failure.
        good: exit codes that are no failure.
    """

    name: str
    command: tuple[str, ...]
    read: Callable[[str], Findings]
    environ: Mapping[str, str] = field(default_factory=dict)
    limit_s: float = 450.0
    stop_s: float | None = None
    good: tuple[int, ...] = (0,)

    def shown(self) -> str:
        """The command as a person types it."""
        variables = [f"{key}={shlex.quote(value)}" for key, value in self.environ.items()]
        return " ".join([*variables, "python", shlex.join(self.command)])


def run_step(step: Step, limit_s: float, environ: Mapping[str, str]) -> dict[str, Any]:
    """Run a step for at most `limit_s` seconds; return its row: `status` ok or failed, `message`, `findings`, when and how.

    Nothing of the step goes on afterwards: its process group is killed.
    """
    row: dict[str, Any] = {
        "name": step.name,
        "command": step.shown(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "failed",
        "message": "",
        "findings": {},
    }
    if limit_s < 1:
        return row | {"message": "no time was left in this part", "seconds": 0.0}
    began = time.monotonic()
    with (
        tempfile.TemporaryFile("w+", errors="replace") as out,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        code = _run([sys.executable, *step.command], min(step.limit_s, limit_s), step.stop_s, out, errors, {
            **os.environ, **environ, **step.environ, "PYTHONPATH": python_path(), "PYTHONUNBUFFERED": "1",
        })  # fmt: skip
        row["seconds"] = round(time.monotonic() - began, 1)
        out.seek(0)
        errors.seek(0)
        stdout, stderr = out.read(), errors.read()
    try:
        row["findings"] = step.read(stdout)
    except Exception as error:  # the output of a broken command may be anything
        row["message"] = f"its output cannot be read ({type(error).__name__}: {one_line(str(error))[:200]})"
    stopped = step.stop_s is not None and code in (_TERMINATED, -signal.SIGTERM)
    if code is None:
        row["message"] = f"killed after {row['seconds']:.0f} s"
    elif code not in step.good and not stopped:
        row["message"] = f"exit {code}: {_last_line(stderr) or _last_line(stdout)}"
    elif not row["message"]:
        row["status"] = "ok"
    return row


def _run(
    command: list[str], limit_s: float, stop_s: float | None, out: Any, errors: Any, environ: Mapping[str, str]
) -> int | None:
    """Run a command in a process group of its own; return its exit code, None if it was killed for its time."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=errors,
        start_new_session=True,
    )
    began = time.monotonic()
    try:
        if stop_s is not None and stop_s < limit_s:
            try:
                return process.wait(stop_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)
        return process.wait(max(1.0, limit_s - (time.monotonic() - began)))
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(text: str) -> str:
    lines = [line for line in map(one_line, text.splitlines()) if line]
    return lines[-1][:300] if lines else ""
