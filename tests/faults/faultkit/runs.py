"""Command lines of simko, run in processes of their own; and what came of each."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
LIMIT_SECONDS = 600.0
TINY = (
    *("train", "--prompts-per-step", "2", "--group-size", "4", "--max-new-tokens", "16", "--level", "1"),
    *("--lora-rank", "2", "--preflight-prompts", "0", "--eval-problems", "0", "--logger", "none"),
    *("--steps", "6", "--checkpoint-every", "2"),
)
"""A run of six steps, in about a second."""


@dataclass(frozen=True)
class Ran:
    """How a command ended: its exit code (minus the signal's number if a signal ended it), what it printed, what it left."""

    argv: tuple[str, ...]
    rc: int
    out: str
    err: str
    seconds: float
    cpu: float
    orphans: tuple[str, ...] = ()
    stray: tuple[str, ...] = ()

    @property
    def refusal(self) -> str | None:
        """The one line of a refusal. None if the command was not refused."""
        lines = [line for line in self.err.splitlines() if line.startswith("simko: error: ")]
        return lines[0] if self.rc == 2 and len(lines) == 1 and self.err.splitlines()[-1] == lines[0] else None

    def trouble(self) -> str | None:
        """What no run may show, however it ends: a traceback, an orphan, a file left in the temporary folder."""
        if "Traceback (most recent call last)" in self.out + self.err:
            return f"traceback: {self.err.strip().splitlines()[-1][:200]}"
        if self.orphans:
            return f"orphans: {self.orphans}"
        if self.stray and self.rc != -signal.SIGKILL:
            return f"left in the temporary folder: {self.stray}"
        return None

    def brief(self) -> str:
        """One line for a failure's report."""
        last = (self.err.strip() or self.out.strip() or "nothing printed").splitlines()[-1]
        return f"exit {self.rc}: {last[:300]}"


@dataclass
class Server:
    """The fork server (see `server.py`), one run at a time. A context manager."""

    base: Path
    full: Path | None = None
    """A folder where the server, and it alone, sees a small file system of its own."""
    _process: Any = None
    _replies: Any = None
    _count: int = 0
    _log: Any = None
    _lock: Any = field(default_factory=threading.Lock)

    def __enter__(self) -> Server:
        reading, writing = os.pipe()
        environment = {
            **os.environ,
            **{"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "TOKENIZERS_PARALLELISM": "false"},
            **{"PYTHONWARNINGS": "ignore", "COLUMNS": "200", "NO_COLOR": "1"},
        }
        self._log = self.base / f"server-{id(self)}.log"
        command = [sys.executable, "-P", str(Path(__file__).with_name("server.py")), str(writing)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command if self.full is None else small_disk(self.full, command),
                stdin=subprocess.PIPE,
                stderr=log,
                pass_fds=(writing,),
                env=environment,
                text=True,
            )
        os.close(writing)
        self._replies = os.fdopen(reading)
        self._hear()
        return self

    def seen(self, path: Path) -> Path:
        """A path of the server's own file system, as this process reaches it."""
        return path if self.full is None else Path(f"/proc/{self._process.pid}/root{path}")

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._replies.close()

    def run(
        self,
        argv: Sequence[str | Path],
        cwd: Path,
        *,
        env: Mapping[str, str] | None = None,
        inject: Mapping[str, Any] | None = None,
        signals: Sequence[tuple[float, int]] = (),
        fresh: bool = False,
        limit: float = LIMIT_SECONDS,
        watch: Callable[[int], None] | None = None,
    ) -> Ran:
        """Run `simko ARGV` in the folder `cwd`.

        `signals` are (seconds after the start or after the last one, number). `inject`: see `inject.install`. With `fresh`
        the process is a new `python cli.py`. `watch` gets its process id, in a thread of its own, while it runs.
        """
        with self._lock, tempfile.TemporaryDirectory(prefix="ran-", dir=self.base) as scratch:
            temporary = Path(scratch, "tmp")
            temporary.mkdir()
            out, err = Path(scratch, "out"), Path(scratch, "err")
            request = {
                "argv": [str(a) for a in argv], "cwd": str(cwd), "out": str(out), "err": str(err), "fresh": fresh,
                "env": {"TMPDIR": str(temporary), **(env or {})}, "inject": dict(inject or {}),
            }  # fmt: skip
            began = time.monotonic()
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            pid = self._hear()["pid"]
            ended = threading.Event()
            threads = [threading.Thread(target=_send, args=(pid, signals, ended, limit))]
            threads += [threading.Thread(target=watch, args=(pid,))] if watch else []
            for thread in threads:
                thread.start()
            reply = self._hear()
            ended.set()
            for thread in threads:
                thread.join()
            return Ran(
                tuple(map(str, argv)), reply["rc"], out.read_text("utf-8", "replace"), err.read_text("utf-8", "replace"),
                time.monotonic() - began, reply["cpu"], tuple(reply["orphans"]),
                tuple(sorted(str(p.relative_to(temporary)) for p in temporary.rglob("*"))),
            )  # fmt: skip

    def _hear(self) -> dict[str, Any]:
        line = self._replies.readline()
        if not line:
            raise RuntimeError(f"the fork server ended: {self._log.read_text('utf-8', 'replace')[-2000:]}")
        return dict(json.loads(line))


def _send(pid: int, signals: Sequence[tuple[float, int]], ended: threading.Event, limit: float) -> None:
    for delay, number in [*signals, (limit, signal.SIGKILL)]:
        if ended.wait(delay):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


DISK_BYTES = 4 << 20


def small_disk(folder: Path, command: Sequence[str]) -> list[str]:
    """A command for which `folder`/disk is a file system of `DISK_BYTES`, and `folder`/read-only the same, read-only."""
    disk, fixed = folder / "disk", folder / "read-only"
    for path in (disk, fixed):
        path.mkdir(parents=True, exist_ok=True)
    script = (
        f"mount -t tmpfs -o size={DISK_BYTES} none '{disk}' && mount --bind '{disk}' '{fixed}' && "
        f"mount -o remount,bind,ro '{fixed}' && exec \"$@\""
    )
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command]


def can_mount(folder: Path) -> str | None:
    """The reason why no small file system can be made here, or None."""
    try:
        done = subprocess.run(small_disk(folder, ["true"]), capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no small file system here: {error}"
    return f"no small file system here: {done.stderr.strip()}" if done.returncode else None


def copy_run(source: Path, to: Path) -> Path:
    """A run folder's copy, whose config says where it is relative to the working folder, as the original's does."""
    return Path(shutil.copytree(source, to, symlinks=True))
