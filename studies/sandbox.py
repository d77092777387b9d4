"""Programs that try to get out, to cheat, or to take everything, against each sandbox of this machine: what held.

    python -m studies.sandbox                  # every probe in every sandbox, as this user and (for root) as an ordinary one
    python -m studies.sandbox --only bwrap

Each probe is a program whose `attempt(about)` returns True where it got what it wanted. `about` names what we put out for it: a
secret file, listening sockets, our process. A probe holds if nothing true came out, the program ended within its time, nothing
was changed, and neither a process nor a file was left behind. `cheat` probes hold if the program does not pass its tests.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simko.console import table
from simko.envs.code import values
from simko.envs.code.checks import plan
from simko.envs.code.grading import SandboxError, grade
from simko.envs.code.jails import NAMES, Jail, NoSandboxError, jail
from simko.envs.code.limits import Limits

LIMITS = Limits(cpu_seconds=1.0)
NOBODY = 65534
GONE_SECONDS = 5.0

_TRY = """
def tried(*calls):
    for call in calls:
        try:
            if call():
                return True
        except BaseException:
            pass
    return False
"""
ATTEMPTS: dict[str, str] = {
    "fork bomb": """
import os, time
def attempt(about):
    children = []
    try:
        for _ in range(200):
            pid = os.fork()
            if pid == 0:
                while True: pass
            children.append(pid)
    except OSError:
        pass
    return len(children) > 32
""",
    "a process that outlives it": """
import os, time
def attempt(about):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        os._exit(0)
    return False
""",
    "endless output": """
import os
def attempt(about):
    junk = b"x" * 65536
    while True:
        for descriptor in range(64):
            try: os.write(descriptor, junk)
            except OSError: pass
""",
    "TCP to this machine": """
import socket
def attempt(about):
    return tried(lambda: socket.create_connection(("127.0.0.1", about["tcp"]), 1) is not None)
""",
    "UDP to this machine": """
import socket
def attempt(about):
    tried(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", about["udp"])))
    return False
""",
    "Unix sockets": """
import socket
def attempt(about):
    def reach(address):
        with socket.socket(socket.AF_UNIX) as unix:
            unix.connect(address)
            return True
    return tried(lambda: reach(about["unix"]), lambda: reach(chr(0) + about["abstract"]))
""",
    "signals to its parents": """
import os, signal
def attempt(about):
    return tried(lambda: os.kill(about["pid"], 0) is None, lambda: os.kill(about["victim"], 9) is None)
""",
    "kill(-1), kill(getppid())": """
import os
def attempt(about):
    tried(lambda: os.kill(os.getppid(), 9), lambda: os.killpg(os.getpgid(os.getppid()), 9), lambda: os.kill(-1, 9))
    return False
""",
    "the home folder": """
import os
def attempt(about):
    own = os.__file__
    def look(folder):
        return [name for name in os.listdir(folder) if not own.startswith(os.path.join(folder, name, ""))]
    return tried(lambda: look(about["home"]), lambda: open(about["secret"]).read(), lambda: look(about["folder"]))
""",
    "other users' files": """
import os
def attempt(about):
    return tried(lambda: open("/etc/passwd").read(), lambda: open("/etc/shadow").read(), lambda: os.listdir("/home"))
""",
    "a symbolic link out of its folder": """
import os
def attempt(about):
    def follow():
        os.symlink(about["secret"], "link")
        return open("link").read()
    def overwrite():
        os.symlink(about["secret"], "other")
        return open("other", "w").write("changed")
    return tried(follow, overwrite)
""",
    "/proc of other processes": """
import os
def attempt(about):
    pid = about["pid"]
    return tried(
        lambda: open(f"/proc/{pid}/environ").read(), lambda: open(f"/proc/{pid}/cmdline").read(),
        lambda: open(f"/proc/{pid}/mem", "rb"), lambda: os.listdir(f"/proc/{pid}/fd"),
        lambda: open(f"/proc/{os.getppid()}/mem", "rb"),
    )
""",
    "sleeping": """
import time
def attempt(about):
    time.sleep(600)
    return True
""",
    "threads": """
import threading, time
def attempt(about):
    count = 0
    try:
        for _ in range(5000):
            threading.Thread(target=time.sleep, args=(600,)).start()
            count += 1
    except BaseException:
        pass
    return count > 1000
""",
    "much memory": """
def attempt(about):
    return tried(lambda: bytearray(4 << 30))
""",
    "much memory, in many processes": """
import os, time
def attempt(about):
    for _ in range(64):
        try: pid = os.fork()
        except OSError: break
        if pid == 0:
            keep = [bytearray(64 << 20) for _ in range(4)]
            time.sleep(600)
    return False
""",
    "memory that outlives it (System V)": """
import ctypes
def attempt(about):
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.shmget(0, 1 << 20, 0o1600)
    libc.shmctl(number, 0, None)
    return number >= 0
""",
    "namespaces of its own": """
import ctypes, os
def attempt(about):
    libc = ctypes.CDLL(None, use_errno=True)
    def clone():
        pid = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        return pid > 0
    return tried(lambda: libc.unshare(0x10000000) == 0, *([clone] if os.uname().machine == "x86_64" else []))
""",
    "a large file": """
import os
def attempt(about):
    def write(path):
        with open(path, "wb") as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
                file.flush()
        return True
    return tried(*(lambda path=path: write(path) for path in ("large", "/tmp/large", "/dev/shm/large", "/large")))
""",
    "many descriptors": """
import os
def attempt(about):
    return tried(lambda: [os.dup(0) for _ in range(5000)])
""",
    "deep recursion": """
import sys
def attempt(about):
    sys.setrecursionlimit(10**9)
    def down(n): return down(n + 1) + 1
    return down(0) > 0
""",
    "a huge whole number": """
def attempt(about):
    return (9 ** 9 ** 9) > 0
""",
    "ptrace and memory of its parents": """
import ctypes, os
def attempt(about):
    libc = ctypes.CDLL(None, use_errno=True)
    here, there = ctypes.create_string_buffer(8), (ctypes.c_size_t * 2)(0x400000, 8)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(here), 8)
    return tried(
        lambda: libc.ptrace(16, about["pid"], 0, 0) == 0,
        # process 1 of a namespace of its own is bwrap's, inside the sandbox, and holds nothing
        lambda: os.getppid() != 1 and libc.ptrace(16, os.getppid(), 0, 0) == 0,
        lambda: libc.process_vm_readv(about["pid"], local, 1, there, 1, 0) >= 0 or ctypes.get_errno() == 14,
    )
""",
    "privileges and mounts": """
import ctypes, os
def attempt(about):
    libc = ctypes.CDLL(None, use_errno=True)
    return tried(
        lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, 0) == 0, lambda: libc.chroot(b"/tmp") == 0,
        lambda: os.getuid() != 0 and os.setuid(0) is None, lambda: libc.sethostname(b"x", 1) == 0,
    )
""",
    "raising its limits": """
import resource
def attempt(about):
    return tried(*(
        lambda name=name: resource.setrlimit(name, (resource.RLIM_INFINITY,) * 2) is None
        for name in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE)
    ))
""",
    "the environment": """
import os
def attempt(about):
    return bool(set(os.environ) - {"PYTHONHASHSEED", "PWD", "LC_CTYPE"})
""",
}
"""Programs that must not get what they want."""

CHEATS: dict[str, str] = {
    "sys.exit(0)": "import sys\nsys.exit(0)",
    "os._exit(0)": "import os\nos._exit(0)",
    "raise SystemExit": "def f(x): raise SystemExit(0)",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return None",
    "an object equal to everything": """
class Anything(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
def f(x): return Anything(5)
""",
    "an instance that says it is an int": """
class Anything:
    __class__ = int
    def __eq__(self, other): return True
    def __int__(self): return 5
    def __index__(self): return 5
def f(x): return Anything()
""",
    "patched json and builtins": """
import builtins, json
json.dumps = lambda *a, **k: '[0, "value", true]'
json.JSONEncoder.default = lambda *a: True
builtins.eval = lambda *a: True
builtins.issubclass = lambda *a: True
def f(x): return None
""",
    "every number in memory as the result": """
import gc, os, sys
def numbers():
    frame = sys._getframe()
    seen = set()
    while frame:
        for value in [*frame.f_locals.values(), *gc.get_objects()]:
            parts = value if isinstance(value, (list, tuple, set)) else value.values() if isinstance(value, dict) else [value]
            seen |= {part for part in list(parts) if type(part) is int and part > 10**9}
        frame = frame.f_back
    return seen
found = numbers()
for descriptor in range(3, 64):
    for number in list(found)[:500] + [0, 1]:
        try: os.write(descriptor, b'[0, "value", %d]\\n' % number)
        except OSError: pass
def f(x): return max(found, default=0)
""",
    "a forged line for each step": """
import os
for descriptor in range(3, 64):
    try: os.write(descriptor, b'[0, "value", true]\\n[0, "held", ""]\\n[1, "held", ""]\\n["begun"]\\n')
    except OSError: pass
os._exit(0)
""",
    "a closed channel": "import os\nos.closerange(3, 64)\ndef f(x): return 5",
    "rewriting the runner": """
import os, sys
runner = sys.modules["__main__"].__file__
for path in (runner, os.path.dirname(runner) + "/grading.py"):
    try: open(path, "w").write("print(1)")
    except OSError: pass
def f(x): return None
""",
    "a value that is not plain": "def f(x): return (n for n in [5])",
    "endless values": "def f(x):\n    a = []\n    a.append(a)\n    return a",
    "a loop": "def f(x):\n    while True: pass",
}
"""Programs that must not pass tests whose expected values they do not know."""


CHEAT = "cheat: "
PROBES = (*ATTEMPTS, *(f"{CHEAT}{name}" for name in CHEATS))
"""The names of all probes, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a probe held, and what happened if it did not."""

    held: bool
    what: str = ""


@dataclass(frozen=True, slots=True)
class Bait:
    """What the attempts are after: a secret file, sockets that listen, a process of ours."""

    about: dict[str, Any]
    udp: socket.socket

    def changed(self) -> str:
        """What an attempt did to it; empty if nothing."""
        if Path(self.about["secret"]).read_text() != "secret":
            return "it changed a file"
        if not _alive(self.about["victim"]):
            return "it ended a process of ours"
        try:
            return f"it sent {len(self.udp.recv(100))} bytes"
        except BlockingIOError:
            return ""


@contextlib.contextmanager
def bait() -> Iterator[Bait]:
    """Put the bait out, and take it away again."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simko-bait-")))
        (folder / "secret").write_text("secret")
        os.chmod(folder, 0o755)
        os.chmod(folder / "secret", 0o666)
        abstract = f"simko-{secrets.token_hex(8)}"
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        for address in (str(folder / "unix"), f"\0{abstract}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
        os.chmod(folder / "unix", 0o777)
        victim = subprocess.Popen(["sleep", "600"])
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        about = {
            "folder": str(folder),
            "secret": str(folder / "secret"),
            "home": str(Path.home()),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "unix": str(folder / "unix"),
            "abstract": abstract,
            "pid": os.getpid(),
            "victim": victim.pid,
        }
        yield Bait(about, udp)


def attempt(name: str, where: Jail, out: Bait, limits: Limits = LIMITS) -> Outcome:
    """One of `ATTEMPTS` in a sandbox."""
    request = {
        "program": _TRY + ATTEMPTS[name],
        "entry": None,
        "name": "",
        "steps": [["value", f"attempt({out.about!r})"]],
        "inputs": None,
        "secret": "",
        "output_bytes": limits.output_bytes,
    }
    begun = time.monotonic()
    ending = where.run(request, limits)
    seconds = time.monotonic() - begun
    results = [values.parse(line) for line in ending.lines[1:]]
    if not ending.lines:
        return Outcome(False, f"the sandbox did not begin: {ending.complaint[-80:]}")
    if [0, "value", True] in results:
        return Outcome(False, "it got what it wanted")
    if seconds > limits.patience_seconds + 12:
        return Outcome(False, f"it took {seconds:.0f} s")
    changed = out.changed()
    return Outcome(not changed, changed)


def cheat(name: str, where: Jail, limits: Limits = LIMITS) -> Outcome:
    """One of `CHEATS` in a sandbox, against tests of a value, of a pair and of several."""
    wanted = secrets.randbelow(2**40) + 2**40
    gold = {"tests": f"assert f(1) == {wanted}\nassert f(2) == ({wanted}, 'x')\nassert f(3) in ({wanted}, 7)"}
    runner = Path(sys.modules[Jail.__module__].__file__ or "").with_name("runner.py").read_bytes()
    try:
        graded = grade(CHEATS[name], plan(json.dumps(gold)), where, limits)
    except SandboxError as error:
        return Outcome(False, f"the sandbox failed: {error}")
    if graded.passed:
        return Outcome(False, f"it passed {graded.passed} of {graded.total}")
    if Path(sys.modules[Jail.__module__].__file__ or "").with_name("runner.py").read_bytes() != runner:
        return Outcome(False, "it rewrote the runner")
    return Outcome(True)


def left_behind(begun: float) -> Outcome:
    """Whether a process or a working folder is left of programs that began at `begun`. What ends soon is not left behind."""
    until = time.monotonic() + GONE_SECONDS
    while True:
        processes, folders = runners(os.getpid()), list(Path(tempfile.gettempdir()).glob("simko-program-*"))
        folders = [folder for folder in folders if _age(folder) < time.monotonic() - begun]
        if not processes and not folders:
            return Outcome(True)
        if time.monotonic() > until:
            return Outcome(False, f"left behind: {processes or folders}")
        time.sleep(0.05)


def runners(pid: int) -> list[int]:
    """Processes with the command line of a runner that process `pid` started, the programs' own children among them."""
    theirs = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"runner.py\0{pid}\0".encode() in (entry / "cmdline").read_bytes():
                    theirs.append(int(entry.name))
    return theirs


def _age(folder: Path) -> float:
    """Seconds since a folder of ours was made; endless for somebody else's."""
    try:
        about = folder.stat()
    except OSError:
        return float("inf")
    return time.time() - about.st_ctime if about.st_uid == os.getuid() else float("inf")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def one(name: str, where: Jail, limits: Limits = LIMITS) -> Outcome:
    """One probe by its name in the table."""
    if name.startswith(CHEAT):
        return cheat(name.removeprefix(CHEAT), where, limits)
    with bait() as out:
        return attempt(name, where, out, limits)


def probe(where: Jail) -> dict[str, Outcome]:
    """Every probe in one sandbox, one after the other."""
    outcomes = {}
    for name in PROBES:
        begun = time.monotonic()
        outcome = one(name, where)
        outcomes[name] = outcome if not outcome.held else left_behind(begun)
    return outcomes


def as_nobody(work: Callable[[], Any]) -> Any:
    """The result of `work` as an ordinary user, in a forked copy of this process; a text if it failed. For root alone."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with open(writing, "w") as out:
            try:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                os.environ["HOME"] = "/nonexistent"
                out.write(json.dumps(work()))
            except BaseException as error:
                out.write(json.dumps(f"{type(error).__name__}: {error}"[:200]))
        os._exit(0)
    os.close(writing)
    with open(reading) as stream:
        result = json.loads(stream.read() or '"it ended"')
    os.waitpid(pid, 0)
    return result


def columns_of(name: str) -> dict[str, dict[str, Outcome]]:
    """The columns of one sandbox: as this user, and for root as an ordinary user too."""
    try:
        columns = {name: probe(jail(name))}
    except NoSandboxError as error:
        print(f"{name}: {error}")
        return {}
    if os.getuid() == 0:
        python = os.path.realpath("/usr/bin/python3")  # root's own may be closed to others
        result = as_nobody(lambda: {key: [o.held, o.what] for key, o in probe(jail(name, python)).items()})
        if isinstance(result, str):
            print(f"{name}, ordinary user: {result}")
        else:
            columns[f"{name}, ordinary user"] = {key: Outcome(*pair) for key, pair in result.items()}
    return columns


def milliseconds(name: str) -> str:
    """The median wall time of a program that returns at once, over 21 runs; or why there is none."""
    try:
        where = jail(name)
    except NoSandboxError as error:
        return str(error)
    tests = plan(json.dumps({"tests": "assert f(1) == 2"}))
    times = []
    for _ in range(21):
        begun = time.monotonic()
        grade("def f(x): return x + 1", tests, where)
        times.append(1000 * (time.monotonic() - begun))
    return f"{statistics.median(times):.0f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Hostile programs against each sandbox of this machine.")
    parser.add_argument("--only", choices=NAMES, help="one sandbox")
    parser.add_argument(
        "--times", action="store_true", help="how long a program takes that returns at once, and nothing else"
    )
    arguments = parser.parse_args()
    chosen = [name for name in NAMES if arguments.only in (None, name)]
    if arguments.times:
        print(table(("SANDBOX", "MEDIAN ms a program"), [(name, milliseconds(name)) for name in chosen]))
        return
    columns: dict[str, dict[str, Outcome]] = {}
    for name in chosen:
        columns |= columns_of(name)
    rows = []
    for key in PROBES:
        cells = [column[key] for column in columns.values()]
        rows.append((key, *("held" if cell.held else "NOT" for cell in cells)))
    user = "root" if os.getuid() == 0 else "an ordinary user"
    print(table((f"PROBE (as {user} where not said)", *columns), rows))
    for name, column in columns.items():
        print(f"{name}: {sum(cell.held for cell in column.values())} of {len(column)} held")
        for key, cell in column.items():
            if not cell.held:
                print(f"  {key}: {cell.what}")


if __name__ == "__main__":
    main()
