"""Full disks: a real one (a small tmpfs in a mount namespace of its own), and ENOSPC at every operation that takes space."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faultkit.kills import WINDOW, watched
from faultkit.lab import Lab, Result, finish, finished_as
from faultkit.runs import DISK_BYTES, TINY, Ran, Server, can_mount, copy_run
from simko.errors import UserError
from simko.run.samples import SUFFIX, read_samples

_SAYS = re.compile(r"no space left|disk (is )?full", re.IGNORECASE)
_READ_ONLY = re.compile(r"read-only|not writable", re.IGNORECASE)


def really_full(lab: Lab) -> Result:
    """A file system with too little room for a run: one line; then, with room made, the same bytes as without the fault."""
    name = "disk full, a real file system with too little room; then room is made and the run resumed"
    reference = lab.reference(*WINDOW)

    def trial(server: Server, disk: Path, room: int) -> str | None:
        filler = _fill(server.seen(disk), room)
        ran = server.run([*TINY, *WINDOW, "--out", "run"], disk)
        if what := _refused(ran, _SAYS, "run"):
            return what
        filler.unlink()
        return _ended(server, disk, reference)

    def rooms(server: Server, disk: Path) -> list[int]:
        if lab.quick:
            return [0, 100_000]
        enough = _enough_room(server, disk)
        return [(enough - 16_384) * n // 19 for n in range(20)]

    return _on_small_disk(lab, name, trial, rooms)


def _enough_room(server: Server, disk: Path) -> int:
    """Bytes in which a whole run just finds room, to 16 KiB."""
    low, high = 0, DISK_BYTES
    while high - low > 16_384:
        room = (low + high) // 2
        filler = _fill(server.seen(disk), room)
        done = server.run([*TINY, *WINDOW, "--out", "run"], disk).rc == 0
        low, high = (low, room) if done else (room, high)
        filler.unlink()
        shutil.rmtree(server.seen(disk / "run"), ignore_errors=True)
    return high


def results_on_full_disk(lab: Lab) -> Result:
    """Evaluations and exports with too little room: one line, and nothing half written."""
    name = "disk full while evaluating and exporting"
    reference = lab.reference(*WINDOW)
    commands = [
        ["eval", "run", "-n", "2", "--problems", "2"],
        ["export", "run", "--adapter", "out"],
        ["export", "run", "--merged", "out"],
    ]

    def trial(server: Server, disk: Path, item: tuple[int, list[str]]) -> str | None:
        room, command = item
        run = copy_run(reference, server.seen(disk) / "run")
        _fill(server.seen(disk), room)
        before = _names(server.seen(disk))
        ran = server.run(command, disk)
        if what := _refused(ran, _SAYS, "", also="GB are free"):
            return what
        left = _names(server.seen(disk)) - before
        if left := [name for name in left if not _whole_result(server.seen(disk) / name)]:
            return f"left behind: {sorted(left)}"
        shutil.rmtree(run)
        return None

    items = [(room, command) for command in commands for room in (0, 8_192, 40_000)]
    return _on_small_disk(lab, name, trial, lambda *_: lab.some(items, 1, name))


def read_only(lab: Lab) -> Result:
    """A read-only file system: training, resuming and evaluating into it are refused; reading from it works."""
    name = "read-only folder: train, resume, eval, export into it; sample and export from it"
    reference = lab.reference(*WINDOW)
    refused = [
        [*TINY, *WINDOW, "--out", "new"],
        ["train", "--resume", "run", "--steps", "5"],
        ["eval", "run", "-n", "2", "--problems", "2"],
        ["export", "run", "--adapter", "out"],
        ["export", "run", "--merged", "out"],
    ]
    allowed = [["sample", "run", "-n", "1", "--problems", "1"], ["export", "run", "--adapter", "OUT"]]

    def trial(server: Server, disk: Path, command: list[str]) -> str | None:
        copy_run(reference, server.seen(disk) / "run")
        fixed = disk.parent.parent / "read-only" / disk.name
        elsewhere = str(lab.folder() / "out")
        ran = server.run([elsewhere if word == "OUT" else word for word in command], fixed)
        if command in allowed:
            return ran.trouble() or (ran.brief() if ran.rc else None)
        return _refused(ran, _READ_ONLY, "")

    return _on_small_disk(lab, name, trial, lambda *_: lab.some(refused + allowed, 1, name))


def every_operation(lab: Lab) -> Result:
    """ENOSPC from one operation on, for every operation of a run that takes space or syncs."""
    name = "disk full from each file operation of a run on; then room is made and the run resumed"
    reference = lab.reference(*WINDOW)
    kinds = ("open", "write", "mkdir", "serialize", "fsync")
    points = [(n, what) for n, what in enumerate(watched(lab), 1) if what.startswith(kinds)]

    def trial(server: Server, cwd: Path, item: tuple[int, str]) -> str | None:
        inject = {"root": str(cwd / "run"), "error_at": item[0], "error": errno.ENOSPC}
        ran = server.run([*TINY, *WINDOW, "--out", "run"], cwd, inject=inject)
        return _refused(ran, _SAYS, "run") or _ended(server, cwd, reference)

    return lab.each(name, trial, lab.some(points, 1, name))


def _ended(server: Server, cwd: Path, reference: Path) -> str | None:
    ran = finish(server, cwd, WINDOW, seen=server.seen(cwd))
    return finished_as(ran, server.seen(cwd), reference)


def _refused(ran: Ran, says: re.Pattern[str], names: str, also: str = "") -> str | None:
    """What is wrong with a refusal that should be one line, say why, and name what could not be written."""
    if what := ran.trouble():
        return what
    if ran.refusal is None:
        return f"not refused in one line: {ran.brief()}"
    if not says.search(ran.refusal) and not (also and also in ran.refusal):
        return f"the line does not say why: {ran.refusal}"
    return f"the line does not name '{names}': {ran.refusal}" if names not in ran.refusal else None


def _whole_result(path: Path) -> bool:
    """Whether this is an evaluation's result or its answers, complete: what came after them found no room."""
    try:
        if path.name.endswith(SUFFIX):
            return bool(list(read_samples(path)))
        return path.suffix == ".json" and isinstance(json.loads(path.read_text()), dict)
    except (OSError, ValueError, KeyError, UserError):
        return False


def _on_small_disk(lab: Lab, name: str, trial: Any, items: Callable[[Server, Path], list[Any]]) -> Result:
    """Try the items one after the other on a file system of `DISK_BYTES`, each in a folder of its own."""
    folder = lab.folder()
    if why := can_mount(folder):
        return Result(name, skipped=why)

    def on_disk(given: Server, __: Path, item: Any) -> str | None:
        server = own or given
        disk = _disk(server) / "trial"
        server.seen(disk).mkdir()
        try:
            return str(failure) if (failure := trial(server, disk, item)) else None
        finally:
            shutil.rmtree(server.seen(disk))

    if lab.quick:
        own = None
        with lab.server() as server:
            chosen = items(server, _disk(server))
        return lab.each(name, on_disk, chosen)
    with Server(lab.base, full=folder) as own:
        return lab.each(name, on_disk, items(own, _disk(own)), jobs=1)


def _disk(server: Server) -> Path:
    assert server.full is not None
    return server.full / "disk"


def _fill(disk: Path, room: int) -> Path:
    """A file that leaves `room` bytes."""
    filler = disk / "filler"
    with filler.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, DISK_BYTES - _used(disk) - room)
    return filler


def _used(disk: Path) -> int:
    usage = os.statvfs(disk)
    return (usage.f_blocks - usage.f_bfree) * usage.f_frsize


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
