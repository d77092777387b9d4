"""The parent's side of the fork server: start it, let it make workers, see whether it is stopped, end it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

from simko.envs.verifiers.worker.channel import Worker

SEND_SECONDS = 5.0  # wall clock, to hand over a socket: a server that takes longer does not read
_ENVIRONMENT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
)
"""The variables that the fork server inherits."""
PACKAGES = ("math_verify", "latex2sympy2_extended", "antlr4", "sympy", "mpmath")


class ForkServer:
    """The process that makes workers. It starts with the first one; one thread at a time uses it."""

    def __init__(self, script: Path, python: str | None = None, packages: tuple[str, ...] = PACKAGES) -> None:
        self.script = script
        self.python = python
        self.packages = packages
        self.is_warm = False
        """Whether a worker of this server has come up. The next one then takes milliseconds."""
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None before it is started."""
        return None if self._process is None else self._process.pid

    def fork(self) -> Worker:
        """A new worker, which may still be coming up. Raises `OSError` if the server does not start."""
        for attempt in (1, 2):
            ours, theirs = socket.socketpair()
            try:
                socket.send_fds(self._running(), [b"w"], [theirs.fileno()])
                return Worker(ours)
            except BaseException as error:
                ours.close()
                if not isinstance(error, OSError):
                    raise
                self.end()
                if attempt == 2:
                    raise
            finally:
                theirs.close()
        raise AssertionError("unreachable")

    def is_stopped(self) -> bool:
        """Whether somebody stopped it (SIGSTOP), so that it makes no worker."""
        process = self._process
        if process is None or not hasattr(os, "waitid"):
            return False
        try:
            return os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        except OSError:
            return False

    def end(self) -> None:
        """End the process and its workers. The next `fork` starts it again."""
        process, self._process = self._process, None
        control, self._control = self._control, None
        self.is_warm = False
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait()

    def forget(self) -> None:
        """Let go of it without ending it: in a forked copy of the process that started it."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.returncode = 0  # not our child: nothing to wait for
        self._process = self._control = None
        self.is_warm = False

    def _running(self) -> socket.socket:
        """The socket to the process, which is started if it does not run."""
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self.end()
        folders = _folders(() if self.python else self.packages)  # another interpreter has its own
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [self.python or sys.executable, "-P", "-B", "-s", str(self.script), *folders],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environment, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
                cwd=os.path.abspath(os.sep),
                start_new_session=True,  # Ctrl-C at the terminal is for the parent
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.settimeout(SEND_SECONDS)
        self._control = ours
        return ours


def _folders(packages: tuple[str, ...] = PACKAGES) -> list[str]:
    """The folders from which this process would import the packages that a worker needs.

    They come last on the worker's search path. Finding them imports nothing.
    """
    folders: dict[str, None] = {}
    for name in packages:
        with contextlib.suppress(ImportError, ValueError, OSError):
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.origin and os.path.isabs(spec.origin):
                folders[str(Path(spec.origin).parent.parent)] = None
    return list(folders)
