"""A process that has imported simko and forks a child for each command line: a second a run instead of seven.

Started by `runs.Server`. It reads one JSON request a line from stdin and writes two JSON lines to the descriptor that it is
given: the child's process id, and how it ended. The child goes through `simko.cli.main` and the interpreter's normal end.
With `fresh` it becomes a new `python cli.py ...` by exec. Orphans of the child come to the server (it is a subreaper), which
reports and ends them.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ORPHAN_SECONDS = 60.0  # of a hang: a worker notices at once that its parent is gone, if the machine lets it


def main() -> None:
    """Serve requests until stdin ends."""
    replies = int(sys.argv[1])
    os.chdir("/")
    sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parents[1])]
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _import_everything()
    _say(replies, {"ready": True})
    while line := sys.stdin.readline():
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.close(replies)
            _become(request)
            return
        _say(replies, {"pid": pid})
        _, status, usage = os.wait4(pid, 0)
        ended = {"rc": os.waitstatus_to_exitcode(status), "cpu": usage.ru_utime + usage.ru_stime}
        _say(replies, {**ended, "orphans": _orphans()})


def _import_everything() -> None:
    import torch

    torch.set_num_threads(1)
    import bitsandbytes  # noqa: F401
    import peft  # noqa: F401
    import transformers  # noqa: F401

    import simko.cli
    import simko.cli.export
    import simko.envs
    import simko.evaluate
    import simko.train  # noqa: F401
    from simko.agents import LoraPolicy
    from simko.settings import train_config

    LoraPolicy.from_pretrained(train_config({}).model)  # fills the caches of transformers and of `re`; starts no thread
    gc.collect()
    gc.freeze()  # a child's collector must not touch, and so copy, what it shares with the server
    if (threads := threading.active_count()) != 1:
        raise RuntimeError(f"{threads} threads in the fork server: a child would have one of them")


def _become(request: dict[str, Any]) -> None:
    """The child: a command line of simko in its own folder, with its own stdin, stdout and stderr."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    for name in (
        "SIGINT",
        "SIGTERM",
        "SIGHUP",
    ):  # a job under `nohup` or in the background inherits that they are ignored
        signal.signal(getattr(signal, name), signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
    os.chdir(request["cwd"])
    for fd, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, request["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    os.environ.update(request["env"])
    if request["fresh"]:
        python, script = sys.executable, str(ROOT / "cli.py")
        os.execve(python, [python, script, *request["argv"]], dict(os.environ))
    sys.argv = ["simko", *request["argv"]]
    if request["inject"]:
        from faultkit import inject

        inject.install(**request["inject"])
    from simko.cli import main as simko

    simko()


def _orphans() -> list[str]:
    """Command lines of processes that the child left behind and that did not end by themselves."""
    until = time.monotonic() + ORPHAN_SECONDS
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = Path("/proc/self/task", str(os.getpid()), "children").read_text().split()
        if not left or time.monotonic() > until:
            break
        time.sleep(0.02)
    commands = []
    for pid in left:
        with contextlib.suppress(OSError):
            commands.append(Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)
    return commands


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _say(fd: int, what: dict[str, Any]) -> None:
    os.write(fd, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
