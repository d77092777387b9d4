"""The child processes that run math-verify. Run by path, not as a module: of simko it imports the files beside it alone.

(`python -m simko.envs.verifiers.worker.worker` would import Gymnasium and register every environment first. By path it needs
`-P`: without it this folder would be first on `sys.path`. Its arguments are folders
for the end of that path.)

The process that is started is a **fork server**: it imports sympy once, then makes a worker of itself for every socket
that the parent sends over stdin (a Unix socket), in milliseconds. A worker takes JSON lines from its socket: it sends
`{"pid"}`, then for each `{"gold", "answer", "digits", "seconds"}` one of `{"equal": bool}`, `{"error": why}` and
`{"forbidden": event}`; after the last two it ends. `gold` and `answer` have passed `allowlist.admit`. `digits` is not null
if the answer was a plain decimal: the number of its decimals. Both processes end when the parent's end of their socket
closes. A worker also ends when its fork server ends, even if it is stopped or computing. The kernel ends a worker that
still computes long after its limit of CPU `seconds`.

A worker may do arithmetic and nothing else: `guard` refuses every audit event that is not on a short list, so it can open
no file, import no module, start no process, make no socket and compile nothing but the monomial arithmetic of sympy's
polynomials. Such an event is an execution: the worker reports it and ends. It also has no network, if the kernel lets an
ordinary process give it up, no memory beyond `MEMORY_BYTES`, no new files or processes, and nothing of the parent's environment.
No answer leaves anything behind for the next one: caches that sympy keeps are dropped, random numbers start anew.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NoReturn

HERE = os.path.dirname(os.path.abspath(__file__))
for _name in ("simko", "simko.envs", "simko.envs.verifiers", "simko.envs.verifiers.worker"):
    if _name not in sys.modules:  # empty packages: of simko a worker can import this folder and nothing else
        sys.modules[_name] = ModuleType(_name)
        sys.modules[_name].__path__ = [HERE] if _name.endswith(".worker") else []

from simko.envs.verifiers.worker import comparison, guard, warming  # noqa: E402

compare, warm_up = comparison.compare, warming.warm_up

MEMORY_BYTES = 1 << 30
SPARE_SECONDS = 1.0  # CPU beyond the limit of a request, until the kernel ends the worker; the parent is to be first
OPEN_FILES = 16


def confine(memory: int = MEMORY_BYTES) -> None:
    """Give up memory beyond `memory` bytes, files, child processes and core dumps, as far as the platform can."""
    try:
        import resource
    except ImportError:
        return
    limits = {
        "RLIMIT_AS": memory,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_NPROC": 0,
    }
    for name, value in limits.items():
        try:
            hard = resource.getrlimit(getattr(resource, name))[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(getattr(resource, name), (value, value))
        except (AttributeError, ValueError, OSError):
            continue


def leave_network() -> None:
    """Move to an empty network of its own, if the kernel lets an ordinary process do so."""
    new_user, new_network = 0x10000000, 0x40000000  # from linux/sched.h
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        unshare: Callable[[int], Any] = getattr(os, "unshare", None) or ctypes.CDLL(None).unshare
        unshare(new_user | new_network)
    except (ImportError, OSError, AttributeError):
        pass


def end_with(server: int) -> None:
    """Have the kernel end this process when its parent, the fork server, ends, even if it is stopped or computing."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, from linux/prctl.h
    except (ImportError, OSError, AttributeError):
        return
    if os.getppid() != server:  # it ended before that
        os._exit(0)


def answer_request(request: dict[str, Any], watch: guard.Guard) -> dict[str, Any]:
    """The reply to one request, whatever the comparison does. The request leaves nothing behind."""
    from sympy.core.cache import clear_cache
    from sympy.core.random import seed

    random.seed(0)
    seed(0)
    try:
        reply: dict[str, Any] = {"equal": compare(request["gold"], request["answer"], request["digits"])}
    except MemoryError:
        reply = {"error": "memory"}
    except (Exception, guard.ForbiddenError):  # sympy raises whatever it likes: what it cannot compare is not equal
        reply = {"equal": False}
    clear_cache()
    return {"forbidden": watch.event} if watch.event is not None else reply


def lines(channel: int) -> Iterator[bytes]:
    """The lines that come over a socket, until it closes."""
    pending = b""
    while chunk := os.read(channel, 65536):
        *whole, pending = (pending + chunk).split(b"\n")
        yield from whole


def serve(channel: int) -> None:
    """Be a worker: answer the requests that come over a socket until it closes or one fails."""
    confine()
    watch = guard.Guard()
    os.write(channel, json.dumps({"pid": os.getpid()}).encode() + b"\n")
    sys.addaudithook(watch)
    for line in lines(channel):
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["seconds"] + SPARE_SECONDS)  # its signal ends the process
        reply = answer_request(request, watch)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(channel, json.dumps(reply).encode() + b"\n")
        if "equal" not in reply:
            return


def main(warm: Callable[[], None] = warm_up, work: Callable[[int], None] = serve) -> NoReturn:
    """Be the fork server: warm up, then make a worker for each socket that comes over stdin, until that closes."""
    import socket

    sys.path.extend(folder for folder in sys.argv[1:] if folder not in sys.path)
    sys.setrecursionlimit(3000)
    os.umask(0o077)
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    warm()
    leave_network()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the workers
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the caller may ignore it, or block it
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.collect()
    gc.freeze()
    server = os.getpid()
    while True:
        message, channels, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            os._exit(0)
        try:
            child = os.fork() if channels else None
        except OSError:  # no process to be had: the parent sees the socket close
            child = None
        if child == 0:
            try:
                control.close()
                end_with(server)
                work(channels[0])
            finally:
                os._exit(0)
        for channel in channels:
            os.close(channel)


if __name__ == "__main__":
    main()
