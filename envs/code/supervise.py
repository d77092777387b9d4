"""The process above the sandbox, for the kinds of it that leave processes behind: it starts the runner, and ends all there is.

A script of its own process: `supervise.py KIND SETTINGS`, with KIND `sandlock` or `unsafe` and SETTINGS as JSON. Every orphan
becomes its child (a "child subreaper"), so none escapes by a session of its own. It ends them all when the runner is over, when
its own parent is gone (the kernel sends SIGTERM then), and when it is told so by SIGTERM.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PASSES = 200


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    try:
        tasks = [Path(f"/proc/{pid}/task/{thread}/children") for thread in os.listdir(f"/proc/{pid}/task")]
        return [int(number) for task in tasks for number in task.read_text().split()]
    except OSError:  # a kernel without these lists, or the process has ended
        return [number for number in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent(number) == pid]


def parent(pid: int) -> int | None:
    """The parent of a process; None if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return None


def end_all() -> None:
    """Kill every descendant. The children of a killed one become ours, so this goes on until there is none."""
    for _ in range(PASSES):
        rest = children(os.getpid())
        if not rest:
            return
        for pid in rest:
            for descendant in (*children(pid), pid):
                with contextlib.suppress(OSError):
                    os.kill(descendant, signal.SIGKILL)
        reap()


def reap() -> None:
    """Collect what has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def drop_capabilities() -> None:
    """Keep user 0 without its privileges: as an ordinary user would, it then obeys limits and permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; those that the kernel does not have are refused
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS: no program that is started gets them back


def sandlock(settings: dict[str, Any]) -> None:
    """The runner under Landlock and seccomp: it reads what it is given, writes nothing, and has no network."""
    if os.getuid() == 0:
        drop_capabilities()
    sys.path.append(settings["packages"])
    from sandlock import Sandbox

    box = Sandbox(
        fs_readable=settings["readable"],
        fs_writable=settings["writable"],
        cwd=settings["folder"],
        clean_env=True,
        env=settings["environment"],
        max_memory=settings["memory_bytes"],
        max_processes=settings["processes"],
        max_open_files=settings["files"],
        no_coredump=True,
        extra_deny_syscalls=settings["denied"],
    )
    process = box.popen(settings["command"])
    done = threading.Event()

    def wait() -> None:
        process.wait()
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    done.wait()  # in the main thread, where a signal interrupts it


def unsafe(settings: dict[str, Any]) -> None:
    """The runner with nothing around it but its own limits."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.chdir(settings["folder"])
        os.execve(settings["command"][0], settings["command"], settings["environment"])
    while os.waitpid(pid, 0)[0] != pid:
        pass


def main() -> None:
    """Run one runner, and leave nothing behind."""
    libc = ctypes.CDLL(None)
    settings = json.loads(sys.argv[2])

    def leave() -> None:
        end_all()
        with contextlib.suppress(OSError):  # whoever started this removes it too, unless it was killed
            os.rmdir(settings["folder"])

    def stop(number: int, frame: Any) -> None:
        leave()
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != settings["parent"]:
        return
    try:
        {"sandlock": sandlock, "unsafe": unsafe}[sys.argv[1]](settings)
    finally:
        leave()
    os._exit(0)


if __name__ == "__main__":
    main()
