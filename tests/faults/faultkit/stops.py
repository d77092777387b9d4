"""SIGTERM, SIGINT and SIGHUP: a checkpoint within a step, the exit code of the signal, and nothing left behind."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from faultkit.compare import end_difference
from faultkit.kills import WINDOW, watched
from faultkit.lab import Lab, Result, finish
from faultkit.runs import TINY, Ran, Server

CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129}
STALL = 4.0  # seconds: long enough for a signal to come while an operation waits, on a busy machine too


def at_random_moments(lab: Lab) -> Result:
    """One signal at a random moment of the run, then a resume."""
    reference, draws = lab.reference(), lab.random("stops")
    usual = lab.seconds[reference]

    def trial(server: Server, cwd: Path, item: tuple[int, str, float]) -> str | None:
        _, name, when = item
        ran = server.run([*TINY, "--out", "run"], cwd, signals=[(when * usual, getattr(signal, name))])
        # Python gives signals back to the kernel while it starts and ends; a shell shows 128 and the number there, too.
        outside = not (cwd / "run" / "checkpoints").exists() or "done in" in ran.out
        if what := _stopped(ran, cwd, (CODES[name], 0, *((-getattr(signal, name),) if outside else ()))):
            return what
        return _resumed(server, cwd, reference)

    items = [(n, name, round(draws.uniform(0.2, 1.0), 3)) for n in range(5) for name in CODES]
    return lab.each("SIGTERM, SIGINT or SIGHUP at a random moment, then --resume", trial, lab.some(items, 2, "stops"))


def inside_operations(lab: Lab) -> Result:
    """One signal while a step is being recorded, or a checkpoint written: it is finished first."""
    reference = lab.reference(*WINDOW)
    operations = watched(lab)
    third = next(n for n, what in enumerate(operations, 1) if "rollouts/" in what and "000003" in what)
    points = [(n, operations[n - 1], name) for n in range(third, len(operations), 6) for name in ("SIGTERM", "SIGINT")]

    def trial(server: Server, cwd: Path, item: tuple[int, str, str]) -> str | None:
        number, _, name = item
        stall = {"root": str(cwd / "run"), "stall_at": number, "stall": STALL}
        argv = [*TINY, *WINDOW, "--out", "run"]
        ran = server.run(argv, cwd, inject=stall, signals=[(STALL - 0.5, getattr(signal, name))])
        if what := _stopped(ran, cwd, (CODES[name], 0)):
            return what
        return _resumed(server, cwd, reference)

    name = "SIGTERM or SIGINT during a record or a save, then --resume"
    return lab.each(name, trial, lab.some(points, 1, name))


def twice(lab: Lab) -> Result:
    """A second SIGINT leaves at once, wherever the first found the run; what was saved before is there."""
    reference = lab.reference(*WINDOW)
    operations = watched(lab)
    third = next(n for n, what in enumerate(operations, 1) if "rollouts/" in what and "000003" in what)
    points = [(n, operations[n - 1]) for n in range(third, len(operations) - 8, 12)]

    def trial(server: Server, cwd: Path, item: tuple[int, str]) -> str | None:
        stall = {"root": str(cwd / "run"), "stall_at": item[0], "stall": 30.0}
        both = [(STALL - 0.5, signal.SIGINT), (0.4, signal.SIGINT)]
        ran = server.run([*TINY, *WINDOW, "--out", "run"], cwd, inject=stall, signals=both)
        if what := ran.trouble():
            return what
        if ran.rc != 130 or ran.seconds > 15:
            return f"left after {ran.seconds:.1f} s: {ran.brief()}"
        return _resumed(server, cwd, reference)

    name = "a second SIGINT leaves at once, then --resume"
    return lab.each(name, trial, lab.some(points, 1, name))


def _stopped(ran: Ran, cwd: Path, codes: tuple[int, ...]) -> str | None:
    if what := ran.trouble():
        return what
    if ran.rc not in codes:
        return f"exit code not one of {codes}: {ran.brief()}"
    run = cwd / "run"
    lines = run.joinpath("metrics.jsonl").read_text().splitlines() if run.joinpath("metrics.jsonl").exists() else []
    if not lines or ran.rc < 0:
        return None
    last = json.loads(lines[-1])["step"]
    saved = sorted(path.name for path in (run / "checkpoints").glob("step-*"))
    if saved[-1:] != [f"step-{last:06d}"]:
        return f"step {last} is recorded, the checkpoints are {saved}"
    finished = json.loads(run.joinpath("manifest.json").read_text())["status"] == "finished"  # nothing to go on with
    if ran.rc and not finished and "--resume" not in ran.err:
        return f"does not say how to go on: {ran.brief()}"
    left = [p.name for p in run.rglob(".*")]
    return f"left in the run folder: {left}" if left else None


def _resumed(server: Server, cwd: Path, reference: Path) -> str | None:
    flags = WINDOW if len((reference / "metrics.jsonl").read_text().splitlines()) == 4 else ()
    ran = finish(server, cwd, flags)
    if ran.rc:
        return f"does not go on: {ran.brief()}"
    return ran.trouble() or end_difference(cwd / "run", reference)
