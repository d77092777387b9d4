"""The process in which a verifier is audited. It grades cases from its parent and watches what they set off.

It reads and writes JSON lines on stdin and stdout. First comes `{"verifier", "module", "canary"}`; then each
`{"response", "gold"}` is answered by `{"outcome", "seconds", "events", "rss", "descriptors"}`. An audit hook notes what no
answer may set off: a shell, a process, a file opened for writing, a connection, an import that the answer names, or
source that is compiled. simko's own workers may be started.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simko.envs.verifiers.reading.text import words
from simko.errors import UserError

FORBIDDEN = words(
    "os.system os.exec os.fork os.forkpty os.posix_spawn os.spawn subprocess.Popen socket.connect socket.bind "
    "socket.getaddrinfo socket.gethostbyname urllib.Request ctypes.dlopen ctypes.dlsym os.remove os.rename os.rmdir os.mkdir "
    "os.chmod os.link os.symlink os.truncate os.putenv os.unsetenv shutil.rmtree shutil.move shutil.copyfile pickle.find_class "
    "builtins.input builtins.breakpoint cpython.run_command cpython.run_file os.kill webbrowser.open pty.spawn"
)
_OWN_WORKER = str(Path(__file__).parents[1] / "verifiers" / "worker" / "worker.py")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Watch:
    """Notes forbidden events while an answer is graded. It stays for good: an audit hook cannot be removed."""

    def __init__(self) -> None:
        self.response: str | None = None
        self.events: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.response is None or len(self.events) >= 20:
            return
        if self._is_forbidden(event, args):
            self.events.append(f"{event} {args!r}"[:200])

    def _is_forbidden(self, event: str, args: tuple[Any, ...]) -> bool:
        if event in FORBIDDEN:
            return _OWN_WORKER not in repr(args)
        if event == "open":
            path, mode, flags = args
            writes = bool(flags & _WRITING) if mode is None else any(c in str(mode) for c in "wax+")
            return writes and path not in (os.devnull, os.devnull.encode()) and not isinstance(path, int)
        if event == "import":
            return args[0].partition(".")[0] in (self.response or "")
        if event == "compile":
            return args[1] in (None, "<string>") and args[0] is not None
        if event == "exec":
            return getattr(args[0], "co_filename", "") == "<string>"
        return False


def load(name: str, module: str | None) -> Callable[[str, str], Any]:
    """Import `module`, and return the verifier: a registered name, or `module:function`."""
    from simko.envs import verifiers

    for place in (
        module,
        name.rpartition(":")[0] if ":" in name and name.split(":")[0] not in verifiers.BUNDLED else None,
    ):
        if place:
            if importlib.util.find_spec(place.partition(".")[0]) is None:
                sys.path.append(os.getcwd())  # at the end, so that nothing there can replace an installed package
            importlib.import_module(place)
    where, _, function = name.rpartition(":")
    if where and where.split(":")[0] not in verifiers.BUNDLED and where not in verifiers.verifier_names():
        check = getattr(sys.modules[where], function)
        if not callable(check):
            raise UserError(f"{name} is of type {type(check).__name__}, not a function; give one of (response, gold)")
        return lambda response, gold: verifiers.to_verdict(check(response, gold))
    return verifiers.get_verifier(name)


def serve(verify: Callable[[str, str], Any], canary: Path, watch: Watch, replies: Any) -> None:
    """Grade cases until stdin ends."""
    for line in sys.stdin:
        case = json.loads(line)
        watch.events.clear()
        watch.response = case["response"]
        begun = time.perf_counter()
        try:
            outcome = verify(case["response"], case["gold"]).outcome
        except BaseException as error:
            outcome = f"raised {type(error).__name__}"
        seconds = time.perf_counter() - begun
        watch.response = None
        if canary.exists():
            watch.events.append(f"wrote {canary.name}")
            canary.unlink()
        reply = {"outcome": outcome, "seconds": seconds, "events": list(dict.fromkeys(watch.events))}
        replies.write(json.dumps({**reply, **_state()}) + "\n")
        replies.flush()


def _state() -> dict[str, int]:
    """Resident memory in bytes and open descriptors, or zeros on a system without /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {"rss": pages * os.sysconf("SC_PAGE_SIZE"), "descriptors": len(os.listdir("/proc/self/fd"))}
    except (OSError, ValueError):
        return {"rss": 0, "descriptors": 0}


def main() -> None:
    """Read which verifier to audit, load it, and grade."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)  # so that a verifier's own prints do not get into the replies
        about = json.loads(sys.stdin.readline())
        try:
            verify = load(about["verifier"], about["module"])
        except UserError as error:
            replies.write(json.dumps({"failed": str(error)}) + "\n")
            return
        except (Exception, SystemExit) as error:
            replies.write(json.dumps({"failed": " ".join(f"{type(error).__name__}: {error}".split())}) + "\n")
            return
        replies.write(json.dumps({"ready": True}) + "\n")
        replies.flush()
        serve(verify, Path(about["canary"]), Watch(), replies)


if __name__ == "__main__":
    main()
