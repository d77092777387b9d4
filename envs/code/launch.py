"""One process with a program in it, from its start to the end of everything that it started. Safe to call from any thread.

The request goes to its stdin, lines come from its stdout. Both are bounded, and so is the time. Whatever happens here, also an
interrupt, the process is killed and waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Literal as OneOf

from simko.envs.code.limits import Limits

CHUNK = 65_536
POLL_SECONDS = 0.05
END_SECONDS = 10.0
"""How long a supervisor may take to end everything before it is killed itself."""
LOOK_SECONDS, BUSY_SHARE = 1.0, 0.3
MAX_LINES = 10_000
MAX_COMPLAINT = 2_000  # bytes of stderr


@dataclass(frozen=True, slots=True)
class Ending:
    """What came out of a process, and how it ended."""

    lines: tuple[bytes, ...]
    why: OneOf["ended", "time", "output", "killed"]
    """`time` and `output`: it was over a limit of ours. `killed`: a signal came from elsewhere."""
    complaint: str
    """The end of what the sandbox itself said."""


def launch(
    command: Sequence[str],
    request: dict[str, Any],
    limits: Limits,
    gentle: bool,
    descriptors: Sequence[int] = (),
) -> Ending:
    """Start `command`, hand it the request, and read until it ends or is over a limit.

    `gentle`: it is told to end by SIGTERM, so that it can end what it started. It inherits `descriptors`.

    Raises `OSError` if it cannot be started.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        cwd="/",
        bufsize=0,
        start_new_session=True,
        pass_fds=descriptors,
    )
    try:
        _give_up_first(process.pid)
        output, complaint, why = _converse(process, json.dumps(request).encode(), limits)
    finally:
        code = _end(process, gentle)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
    if why == "ended" and code < 0:
        why = "killed"
    lines = bytes(output).split(b"\n", MAX_LINES)[:-1]
    if why == "output":
        lines = lines[:1]  # that it began; the rest is noise
    return Ending(tuple(lines), why, complaint.decode("utf-8", "replace").strip())


def _converse(
    process: subprocess.Popen[bytes], request: bytes, limits: Limits
) -> tuple[bytearray, bytearray, OneOf["ended", "time", "output", "killed"]]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    output, complaint = bytearray(), bytearray()
    begun = time.monotonic()
    look, before = limits.wall_seconds, dict[int, int]()
    with selectors.DefaultSelector() as selector:
        for stream, event in (
            (stdin, selectors.EVENT_WRITE),
            (stdout, selectors.EVENT_READ),
            (stderr, selectors.EVENT_READ),
        ):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, event)
        left = memoryview(request)
        ended = closed = False
        while True:
            ready = {
                key.fileobj for key, _ in selector.select(0 if ended else POLL_SECONDS / 10 if closed else POLL_SECONDS)
            }
            if stdin in ready:
                try:
                    left = left[os.write(stdin.fileno(), left[:CHUNK]) :]
                except OSError:  # it reads no more
                    left = left[:0]
                if not left:
                    selector.unregister(stdin)
                    stdin.close()
            if stderr in ready:
                part = os.read(stderr.fileno(), CHUNK)
                complaint += part
                del complaint[:-MAX_COMPLAINT]
                if not part:
                    selector.unregister(stderr)
            if stdout in ready:
                part = os.read(stdout.fileno(), CHUNK)
                output += part
                if len(output) > limits.result_bytes:
                    return output, complaint, "output"
                if not part:
                    selector.unregister(stdout)
                    closed = True  # it ends about now
            if ended and not ready - {stdin}:
                return output, complaint, "ended"
            ended = process.poll() is not None
            elapsed = time.monotonic() - begun
            if ended or elapsed < look:
                continue
            now = active(process.pid)  # sleeping, or kept waiting by a busy machine?
            if elapsed > limits.patience_seconds or (before and _spent(before, now) < BUSY_SHARE * LOOK_SECONDS):
                return output, complaint, "time"
            look, before = elapsed + LOOK_SECONDS, now or {0: 0}


def _give_up_first(pid: int) -> None:
    """Have the kernel end this process, what it has started and what it will start before ours when memory runs out."""
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        with contextlib.suppress(OSError, ValueError):
            Path(f"/proc/{current}/oom_score_adj").write_text("1000")
            waiting += map(int, Path(f"/proc/{current}/task/{current}/children").read_text().split())


def active(pid: int) -> dict[int, int]:
    """Nanoseconds that each process below `pid` has computed, or waited for a processor; without those that have ended."""
    times: dict[int, int] = {}
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        with contextlib.suppress(OSError, ValueError, IndexError):
            for task in Path(f"/proc/{current}/task").iterdir():
                computed, queued, *_ = map(int, (task / "schedstat").read_text().split())
                times[int(task.name)] = computed + queued
                waiting += map(int, (task / "children").read_text().split())
    return times


def _spent(before: dict[int, int], now: dict[int, int]) -> float:
    """Seconds between two looks."""
    return sum(time - before.get(task, 0) for task, time in now.items()) / 1e9


def _end(process: subprocess.Popen[bytes], gentle: bool) -> int:
    """End the process and what it started, and return its status: negative if a signal of somebody else ended it."""
    code = process.poll()
    if code is None:
        with contextlib.suppress(OSError):
            process.send_signal(signal.SIGTERM if gentle else signal.SIGKILL)
        try:
            code = process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    return code
