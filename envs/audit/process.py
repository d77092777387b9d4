"""The parent's side of the process in which a verifier is audited: started, asked, killed where it hangs, started again."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import Any

from simko.errors import UserError

START_SECONDS = 120.0
HUNG = "no reply in time"


class Watched:
    """The watched process, for use in `with`. What the verifier starts is killed with it."""

    def __init__(self, verifier: str, module: str | None, canary: str) -> None:
        self._about = {"verifier": verifier, "module": module, "canary": canary}
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None
        self._since = 0

    def __enter__(self) -> Watched:
        """Start it; raises `UserError` where the verifier cannot be loaded."""
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self._end()

    def ask(self, response: str, gold: str, limit: float) -> dict[str, Any] | str:
        """What the verifier said; `HUNG` after `limit` seconds; or in words how it took its process with it."""
        if self._process is None:
            self._start()
        self._write({"response": response, "gold": gold})
        said = self._read(limit)
        if isinstance(said, str):
            self._end()
            return said
        self._since += 1
        if self._since == 50:
            self._first = said
        self._last = said
        return said

    def growth(self) -> tuple[float, int]:
        """MiB of resident memory and descriptors, from the process's 50th answer to its last."""
        if self._first is None or self._last is None:
            return 0.0, 0
        grown = (self._last["rss"] - self._first["rss"]) / 2**20
        return round(max(grown, 0.0), 1), max(self._last["descriptors"] - self._first["descriptors"], 0)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simko.envs.audit.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        self._pending, self._since, self._first, self._last = b"", 0, None, None
        self._write(self._about)
        said = self._read(START_SECONDS)
        if isinstance(said, str) or "failed" in said:
            self._end()
            why = said if isinstance(said, str) else said["failed"]
            raise UserError(f"verifier '{self._about['verifier']}' cannot be audited: {why}")

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; the reading says so

    def _read(self, limit: float) -> dict[str, Any] | str:
        assert self._process is not None
        assert self._process.stdout is not None
        until = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                if not selector.select(max(0.0, until - time.monotonic())):
                    return HUNG
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    return _ended(self._process)
                self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own: what it started goes with it
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        process.wait()


def _ended(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(1.0)
    except subprocess.TimeoutExpired:
        return "it closed its output"
    return f"it ended itself with signal {-code}" if code < 0 else f"it ended itself with status {code}"
