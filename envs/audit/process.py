"""The parent's side of a verifier's audit. It starts the process of `child.py`, asks it, and kills it if it hangs."""

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
    """The watched process, for use in `with`. Whatever the verifier starts is killed together with it."""

    def __init__(self, verifier: str, module: str | None, canary: str) -> None:
        self._about = {"verifier": verifier, "module": module, "canary": canary}
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None
        self._since = 0

    def __enter__(self) -> Watched:
        """Start the process. Raises `UserError` if the verifier cannot be loaded."""
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        """Kill the process."""
        self._end()

    def ask(self, response: str, gold: str, limit: float) -> dict[str, Any] | str:
        """The verifier's reply. `HUNG` after `limit` seconds, or a text that says how the process ended."""
        if self._process is None:
            self._start()
        self._write({"response": response, "gold": gold})
        reply = self._read(limit)
        if isinstance(reply, str):
            self._end()
            return reply
        self._since += 1
        if self._since == 50:
            self._first = reply
        self._last = reply
        return reply

    def growth(self) -> tuple[float, int]:
        """The growth from the process's 50th answer to its last: MiB of resident memory, and open descriptors."""
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
        reply = self._read(START_SECONDS)
        if isinstance(reply, str) or "failed" in reply:
            self._end()
            why = reply if isinstance(reply, str) else reply["failed"]
            raise UserError(
                f"verifier '{self._about['verifier']}' cannot be audited ({why}); see that its module can be imported"
            )

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process ended; `_read` says so

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
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads its own group, so the processes it started are killed too
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
