"""The sandboxes: what each needs, how a runner is started in it, and which one this machine has. Found out by trying.

sandlock   Landlock and seccomp, no namespace and no privilege needed; Linux 6.7 or later (the extra `simko[sandbox]`)
bwrap      bubblewrap: namespaces; as an ordinary user only where the system lets users make them
unsafe     no sandbox: limits, an empty environment and another user id, if there is one to change to
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simko.envs.code import seccomp
from simko.envs.code.launch import Ending, launch
from simko.envs.code.limits import CPU_SECONDS, MAX_CPU_SECONDS, Limits, tasks_of_user
from simko.errors import UserError

NAMES = ("sandlock", "bwrap", "unsafe")
MEND = (
    "pip install 'simko[sandbox]' (Linux 6.7 or later), or install bubblewrap, or let programs run without a sandbox by "
    "--unsafe-no-sandbox"
)
_HERE = Path(__file__).resolve().parent
_FLAGS = (
    "-s",
    "-P",
    "-S",
    "-B",
    "-X",
    "utf8",
)  # as -I, but for PYTHONHASHSEED: the order of a set is the same each time
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo")
_DENIED = ("memfd_create", "memfd_secret", "userfaultfd", "perf_event_open", "bpf")
_UIDS = range(1_000_000_000, 2_000_000_000)  # nobody's: of each run its own, so that limits count that run alone
_NAMESPACED_LIMITS = (5, 14)  # the kernel since which RLIMIT_NPROC counts in each user namespace by itself


@dataclass(frozen=True, slots=True)
class Jail:
    """A sandbox of this machine. `python` is the interpreter that runs inside."""

    name: str
    python: str

    def run(self, request: dict[str, Any], limits: Limits) -> Ending:
        """Run one request of `runner.py`, and return what came out. Raises `OSError` if the process cannot be started."""
        with self._folder() as folder:
            as_root = os.getuid() == 0
            uid = secrets.choice(_UIDS) if as_root and self.name != "sandlock" else None
            if uid is not None and folder is not None:
                os.chown(folder, uid, uid)
            request = {**request, "limits": limits.of_runner(uid, self._processes(limits, uid))}
            if self.name != "bwrap":
                return launch(self._supervised(limits, folder), request, limits, gentle=True)
            calls = seccomp.descriptor()
            passed = () if calls is None else (calls,)
            try:
                return launch(self._bwrap(calls), request, limits, gentle=False, descriptors=passed)
            finally:
                for number in passed:
                    os.close(number)

    @contextmanager
    def _folder(self) -> Iterator[str | None]:
        """The working folder: an empty one, which only `unsafe` can write to; bwrap has the root of its own file system."""
        if self.name == "bwrap":
            yield None
            return
        folder = tempfile.mkdtemp(prefix="simko-program-")
        try:
            yield folder
        finally:
            _remove(folder)

    def _processes(self, limits: Limits, uid: int | None) -> int | None:
        """The limit of processes that the runner must set itself. It counts all of a user, unless that is made for one run."""
        if self.name == "sandlock":
            return None
        if uid is not None or (self.name == "bwrap" and _kernel() >= _NAMESPACED_LIMITS):
            return limits.processes
        return limits.processes + tasks_of_user()

    def _inside(self, runner: str) -> list[str]:
        return [self.python, *_FLAGS, runner, str(os.getpid())]  # the number says whose it is, in a list of processes

    def _bwrap(self, calls: int | None) -> list[str]:
        options = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        if os.getuid() != 0:
            options += ["--unshare-user", "--cap-drop", "ALL"]
        options += ["--die-with-parent", "--new-session", "--clearenv"]
        options += [] if calls is None else ["--seccomp", str(calls)]
        for name, value in _ENVIRONMENT.items():
            options += ["--setenv", name, value]
        paths = readable(self.python)
        for parent in sorted({str(parent) for path in paths for parent in Path(path).parents} - {"/"}):
            options += ["--perms", "0755", "--dir", parent]  # bwrap makes them 0700, and root changes its id later
        for path in paths:
            options += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
        options += ["--ro-bind", str(_HERE / "runner.py"), "/runner.py", "--dev-bind", "/dev/null", "/dev/null"]
        options += ["--ro-bind", "/dev/urandom", "/dev/urandom", "--chdir", "/", "--remount-ro", "/"]
        return [shutil.which("bwrap") or "bwrap", *options, "--", *self._inside("/runner.py")]

    def _supervised(self, limits: Limits, folder: str | None) -> list[str]:
        runner = str(_HERE / "runner.py")
        settings: dict[str, Any] = {
            "parent": os.getpid(),
            "folder": folder,
            "command": self._inside(runner),
            "environment": _ENVIRONMENT,
        }
        if self.name == "sandlock":
            paths = [path for path in readable(self.python) if not os.path.islink(path)]
            settings |= {
                "packages": _sandlock_folder(),
                "readable": [*paths, runner, folder, "/dev/urandom"],
                "writable": ["/dev/null"],
                "memory_bytes": limits.memory_bytes,
                "processes": limits.processes,
                "files": limits.files,
                "denied": list(_DENIED),
            }
        script = str(_HERE / "supervise.py")
        return [self.python, "-I", "-S", "-B", script, self.name, json.dumps(settings)]


def readable(python: str) -> list[str]:
    """What a runner may read: the interpreter, its library, and the system's shared libraries."""
    prefix = Path(python).parent.parent
    paths = [python, *(str(prefix / name) for name in ("lib", "lib64")), *_LIBRARIES]
    if python.startswith("/nix/"):
        paths.append("/nix/store")
    paths = [path for path in dict.fromkeys(paths) if os.path.exists(path)]
    return [p for p in paths if not any(p.startswith(f"{other}/") for other in paths if not os.path.islink(other))]


def _sandlock_folder() -> str | None:
    """The folder that sandlock is imported from. Finding it imports nothing."""
    try:
        spec = importlib.util.find_spec("sandlock")
    except (ImportError, ValueError):
        return None
    return str(Path(spec.origin).parent.parent) if spec is not None and spec.origin else None


def _kernel() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))


def _interpreter(for_everybody: bool) -> str | None:
    """A Python without a virtual environment; with `for_everybody` one that every user of the machine can read."""
    own = os.path.realpath(sys.executable)
    if not for_everybody:
        return own
    others = [os.path.realpath(path) for path in (own, "/usr/local/bin/python3", "/usr/bin/python3")]
    return next((path for path in others if os.path.isfile(path) and _open_to_all(Path(path))), None)


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


def _remove(folder: str) -> None:
    """Remove a working folder, whatever a program left in it: trees of any depth, folders that nobody may enter."""
    try:
        os.rmdir(folder)
    except OSError:
        for command in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            if os.path.exists(folder):
                subprocess.run([*command, "--", folder], stdin=subprocess.DEVNULL, capture_output=True, check=False)


class NoSandboxError(Exception):
    """This sandbox does not work here. The message is the reason, in a few words."""


def jail(name: str, python: str | None = None) -> Jail:
    """The sandbox of that name, after it has held in a trial. Raises `NoSandboxError` with the reason."""
    if name == "sandlock" and _sandlock_folder() is None:
        raise NoSandboxError("sandlock is not installed")
    if name == "bwrap" and shutil.which("bwrap") is None:
        raise NoSandboxError("bwrap is not installed")
    python = python or _interpreter(for_everybody=name == "unsafe" and os.getuid() == 0)
    if python is None:
        raise NoSandboxError("root needs a Python that every user can read; run as an ordinary user")
    made = Jail(name, python)
    if reason := _why_not(made):
        raise NoSandboxError(f"{name} does not work here ({reason})")
    return made


_TRIAL = """
def trial(path):
    try:
        open(path).close()
    except OSError:
        return 42
    return 43
"""


def _why_not(made: Jail) -> str:
    """Why a sandbox is not one, from a trial: a program must run in it, and must not be able to read a file of ours."""
    with tempfile.NamedTemporaryFile() as secret:
        os.chmod(secret.name, 0o644)
        request = {
            "program": _TRIAL,
            "entry": None,
            "name": "",
            "steps": [["value", f"trial({secret.name!r})"]],
            "inputs": None,
            "secret": "",
            "output_bytes": 0,
        }
        try:
            ending = made.run(request, Limits())
        except OSError as error:
            return error.strerror or str(error)
    if made.name == "unsafe" and ending.lines[1:] == (b'[0, "value", 43]',):
        return ""
    if ending.lines[1:] == (b'[0, "value", 42]',):
        return ""
    if ending.lines[1:]:
        return "a program read a file outside of it"
    last = (ending.complaint.splitlines() or [f"it ended without a word ({ending.why})"])[-1]
    return last[:160]


@dataclass(frozen=True, slots=True)
class Settings:
    """How this process runs programs."""

    unsafe: bool = False
    cpu_seconds: float = CPU_SECONDS


_settings = Settings()
_lock = threading.Lock()


def configure(unsafe: bool = False, cpu_seconds: float = CPU_SECONDS) -> None:
    """Set how this process runs programs: without a sandbox (`unsafe`), and for how long at most.

    Raises `UserError` for a time that is not above 0, or above `MAX_CPU_SECONDS`.
    """
    global _settings
    if not 0 < cpu_seconds <= MAX_CPU_SECONDS:
        raise UserError(f"code_seconds is {cpu_seconds}; give seconds above 0, up to {MAX_CPU_SECONDS:g}")
    _settings = Settings(unsafe, cpu_seconds)


def settings() -> Settings:
    """How this process runs programs."""
    return _settings


@functools.lru_cache(maxsize=2)
def _found(unsafe: bool) -> Jail | str:
    reasons = []
    for name in ("unsafe",) if unsafe else NAMES[:2]:
        try:
            return jail(name)
        except NoSandboxError as error:
            reasons.append(str(error))
    return ", ".join(reasons)


def chosen() -> Jail:
    """The sandbox that programs run in. Raises `UserError` with the mend if this machine has no sandbox."""
    if not sys.platform.startswith("linux"):
        raise UserError("programs of a model are run on Linux alone; use Linux or WSL2")
    with _lock:  # one trial, however many threads ask
        result = _found(_settings.unsafe)
    if isinstance(result, Jail):
        return result
    if _settings.unsafe:
        raise UserError(f"programs cannot be run ({result}); see docs/how/code.md")
    raise UserError(f"no sandbox for programs: {result}; {MEND}")
