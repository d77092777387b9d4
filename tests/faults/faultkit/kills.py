"""SIGKILL at random moments, and before, in the middle of and after every file-system operation of a save."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

from faultkit.lab import Lab, Result, finish, finished_as
from faultkit.runs import TINY, Server, copy_run

WINDOW = ("--steps", "4", "--checkpoint-every", "2", "--keep-checkpoints", "1")
"""Four steps, whose second checkpoint takes the place of the first."""
KILLED = -signal.SIGKILL


def random_kills(lab: Lab) -> Result:
    """SIGKILL at a random moment; half of them a second time while resuming; every tenth a whole `python cli.py`."""
    reference, draws = lab.reference(), lab.random("kills")
    usual = lab.seconds[reference]

    def trial(server: Server, cwd: Path, item: tuple[int, float, float, bool]) -> str | None:
        _, first, second, fresh = item
        for _ in range(6):  # a moment after the end is no kill: half as late, then
            ran = server.run([*TINY, "--out", "run"], cwd, signals=[(first * usual, signal.SIGKILL)])
            if ran.rc not in (0, KILLED) or ran.trouble():
                return ran.trouble() or ran.brief()
            if ran.rc == KILLED:
                break
            shutil.rmtree(cwd / "run")
            first /= 2
        else:
            return "never killed in time"
        if second:
            again = finish(server, cwd, signals=[(second * usual, signal.SIGKILL)])
            if again.rc not in (0, KILLED) or again.trouble():
                return again.trouble() or again.brief()
        return finished_as(finish(server, cwd, fresh=fresh), cwd, reference)

    items = [
        (n, round(draws.random(), 3), round(draws.random(), 3) if n % 2 else 0.0, n % 10 == 9)
        for n in range(2 if lab.quick else 50)
    ]
    return lab.each("kill -9 at a random moment, then --resume", trial, items)


def save_points(lab: Lab) -> Result:
    """SIGKILL before every operation of the last two steps and their checkpoint, and in the middle of every write."""
    return _points(lab, "kill -9 at every file operation of a step's record and a checkpoint's save", late=True)


def start_points(lab: Lab) -> Result:
    """SIGKILL before every operation of a run's first steps."""
    return _points(lab, "kill -9 at every file operation of a run's beginning", late=False)


def resume_points(lab: Lab) -> Result:
    """SIGKILL at every operation of a resume: a crash while coming back from a crash."""
    reference = lab.reference(*WINDOW)
    broken = cut_short(lab)
    points = _every(operations_of(lab, ["train", "--resume", "run"], broken))

    def trial(server: Server, cwd: Path, item: tuple[int, str, bool]) -> str | None:
        copy_run(broken, cwd / "run")
        ran = server.run(["train", "--resume", "run"], cwd, inject=_kill(cwd, *item))
        if ran.rc != KILLED:
            return f"not killed: {ran.brief()}"
        return finished_as(finish(server, cwd, WINDOW), cwd, reference)

    name = "kill -9 at every file operation of a resume"
    return lab.each(name, trial, lab.some(points, 1, name))


def _points(lab: Lab, name: str, late: bool) -> Result:
    reference = lab.reference(*WINDOW)
    operations = watched(lab)
    third = next(n for n, what in enumerate(operations, 1) if "rollouts/" in what and "000003" in what)
    points = [point for point in _every(operations) if (point[0] >= third) == late]

    def trial(server: Server, cwd: Path, item: tuple[int, str, bool]) -> str | None:
        ran = server.run([*TINY, *WINDOW, "--out", "run"], cwd, inject=_kill(cwd, *item))
        if ran.rc != KILLED:
            return f"not killed: {ran.brief()}"
        return finished_as(finish(server, cwd, WINDOW), cwd, reference)

    return lab.each(name, trial, lab.some(points, 2, name))


def _every(operations: list[str]) -> list[tuple[int, str, bool]]:
    """One point before each operation, and one with half of it done if it writes."""
    return [
        (n, what, torn)
        for n, what in enumerate(operations, 1)
        for torn in ((False, True) if what.startswith(("write", "serialize")) else (False,))
    ]


def _kill(cwd: Path, number: int, what: str, torn: bool) -> dict[str, Any]:
    return {"root": str(cwd / "run"), "kill_at": number, "torn": torn}


def watched(lab: Lab) -> list[str]:
    """The file operations of an uninterrupted run, in order."""
    return lab.once("operations", lambda: operations_of(lab, [*TINY, *WINDOW, "--out", "run"]))


def operations_of(lab: Lab, argv: list[str], start: Path | None = None) -> list[str]:
    """The file operations of a command, in order; `start` is a run folder that it finds."""
    with lab.server() as server:
        cwd = lab.folder()
        if start is not None:
            copy_run(start, cwd / "run")
        ran = server.run(argv, cwd, inject={"root": str(cwd / "run"), "log": str(cwd / "operations")})
        if ran.rc:
            raise RuntimeError(f"the watched run fails: {ran.brief()}")
        return (cwd / "operations").read_text().splitlines()


def cut_short(lab: Lab) -> Path:
    """A run folder of a run that was killed between the record of step 3 and the checkpoint of step 4."""
    fourth = next(n for n, what in enumerate(watched(lab), 1) if "rollouts/" in what and "000004" in what)

    def make() -> Path:
        with lab.server() as server:
            cwd = lab.folder()
            server.run([*TINY, *WINDOW, "--out", "run"], cwd, inject=_kill(cwd, fourth, "", False))
            return cwd / "run"

    return lab.once("cut short", make)
