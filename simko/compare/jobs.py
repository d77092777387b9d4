"""A cell as a process of its own, which ends with its parent, and whose output goes to a file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import simko

PROGRAM = (sys.executable, "-m", "simko.cli.cell")
_PATIENCE_SECONDS = 120.0


class Job:
    """A process that runs one command of `simko`. Its standard input is a pipe: the child leaves when the pipe is closed.

    So it leaves too if this process is killed, and nothing goes on writing to the folder. It gets no signal of the terminal:
    `stop` asks it to save what it has. Raises `OSError` if the log cannot be written.
    """

    def __init__(self, arguments: Sequence[str], log: Path, program: Sequence[str] = PROGRAM) -> None:
        with log.open("ab") as output:
            output.write(f"$ simko {' '.join(arguments)}\n".encode("utf-8", "replace"))
            output.flush()
            self._process = subprocess.Popen(
                [*program, *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment(),
            )

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to save and to leave."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until it has left; one that does not is killed. A killed run can be resumed, too."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_SECONDS)
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


def environment() -> dict[str, str]:
    """That of this process, in which a checkout that is not installed is found from any folder."""
    root = Path(simko.__file__).parents[1]
    if not (root / "pyproject.toml").is_file():  # installed: its folder must not come before Python's own modules
        return dict(os.environ)
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([before, str(root)] if before else [str(root)])}


def pause() -> None:
    """Wait a little between two looks at the jobs."""
    time.sleep(0.2)


def last_line(log: Path) -> str:
    """The last line of a log, which says why the process ended; empty if there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
