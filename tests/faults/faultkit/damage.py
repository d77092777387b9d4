"""Damaged run folders: every file of one, damaged in every way, before a resume, an evaluation or an export.

Allowed are: a refusal in one line that names the damaged file; going on from an older intact checkpoint, said so, with its
result; or the result that the undamaged folder gives. Never a traceback, never another result without a word.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faultkit.compare import difference
from faultkit.lab import Lab, Result
from faultkit.runs import Ran, Server, copy_run

FOUR, SIX = ("--steps", "4", "--checkpoint-every", "2"), ("--steps", "6", "--checkpoint-every", "2")
RESUME, EVAL, EXPORT = "resume", "eval", "export"
COMMANDS = {
    RESUME: ["train", "--resume", "run", "--steps", "6"],
    EVAL: ["eval", "run", "-n", "4", "--problems", "3", "--out", "out", "--max-new-tokens", "16", "--json"],
    EXPORT: ["export", "run", "--adapter", "out"],
}
NEWEST = "checkpoints/step-000004"


def files(lab: Lab) -> Result:
    """Three hundred damages, one at a time."""
    name = "one damaged file of a run folder, then resume, eval or export"
    start = lab.once("evaluated", lambda: _evaluated(lab))
    expected = lab.once("expected", lambda: _expected(lab, start))
    draws = lab.random("damage")
    names = sorted(str(p.relative_to(start)) for p in start.rglob("*") if p.is_file() and p.name != ".lock")
    items = [(file, how, command) for file in names for how in DAMAGES for command in _commands(file, how)]
    items += [(draws.choice(names), "one bit", RESUME) for _ in range(300 - len(items))]
    items = [(n, *item) for n, item in enumerate(items)]

    def trial(server: Server, cwd: Path, item: tuple[int, str, str, str]) -> str | None:
        number, file, how, command = item
        run = copy_run(start, cwd / "run")
        if DAMAGES[how](run / file, random.Random(f"{lab.seed}/{number}")):
            return None  # as it was before: the two files are equal
        return _judge(server.run(COMMANDS[command], cwd), cwd, command, file, expected)

    return lab.each(name, trial, lab.some(items, 2, name))


def folders(lab: Lab) -> Result:
    """Whole checkpoints in the wrong place, and parts of a run folder that are gone."""
    name = "checkpoints swapped, renamed or taken from another run; folders gone"
    start = lab.once("evaluated", lambda: _evaluated(lab))
    expected = lab.once("expected", lambda: _expected(lab, start))
    other = {
        "another seed": lab.reference(*FOUR, "--seed", "1"),
        "another rank": lab.reference(*FOUR, "--lora-rank", "3"),
        "another learning rate": lab.reference(*FOUR, "--learning-rate", "0.001"),
    }

    def swap(run: Path) -> None:
        checkpoints = run / "checkpoints"
        (checkpoints / "step-000002").rename(checkpoints / "x")
        (checkpoints / "step-000004").rename(checkpoints / "step-000002")
        (checkpoints / "x").rename(checkpoints / "step-000004")

    def take(what: str) -> Callable[[Path], None]:
        def from_other(run: Path) -> None:
            shutil.rmtree(run / NEWEST)
            shutil.copytree(other[what] / NEWEST, run / NEWEST)

        return from_other

    def gone(what: str) -> Callable[[Path], None]:
        return lambda run: shutil.rmtree(run / what)

    changes: dict[str, Callable[[Path], None]] = {
        "step-000004 is called step-000006": lambda run: (
            (run / NEWEST).rename(run / "checkpoints/step-000006") and None
        ),
        "step-000002 and step-000004 are swapped": swap,
        **{f"step-000004 is of a run with {what}": take(what) for what in other},
        **{f"{what} is gone": gone(what) for what in ("rollouts", "verdicts", "eval", "checkpoints", NEWEST)},
    }

    def trial(server: Server, cwd: Path, item: tuple[str, str]) -> str | None:
        run = copy_run(start, cwd / "run")
        what, command = item
        changes[what](run)
        file = "checkpoints" if "step-" in what else what.split()[0]
        file = "run" if what == "checkpoints is gone" else file  # no run without it
        return _judge(server.run(COMMANDS[command], cwd), cwd, command, file, expected)

    items = [(what, command) for what in changes for command in COMMANDS]
    return lab.each(name, trial, lab.some(items, 1, name))


def _commands(file: str, how: str) -> list[str]:
    """The commands that read the file."""
    if file.startswith(NEWEST):
        return [RESUME, EVAL] if how in ("one bit", "gone", "another") else [(RESUME, EVAL, EXPORT)[len(how) % 3]]
    if file in ("config.yaml", "problems.txt"):
        return [RESUME, EVAL]
    return [RESUME]


def _evaluated(lab: Lab) -> Path:
    """A finished run of four steps with an evaluation of it inside."""
    cwd = lab.folder()
    copy_run(lab.reference(*FOUR), cwd / "run")
    with lab.server() as server:
        ran = server.run(["eval", "run", "-n", "2", "--problems", "2"], cwd)
        if ran.rc:
            raise RuntimeError(f"eval fails: {ran.brief()}")
        return cwd / "run"


def _expected(lab: Lab, start: Path) -> dict[str, Any]:
    """What each command gives for the undamaged folder, and for one whose newest checkpoint is gone."""
    folders: dict[str, Any] = {RESUME: lab.reference(*SIX)}
    for key, newest in (("newest", True), ("older", False)):
        cwd = lab.folder()
        copy_run(start, cwd / "run")
        if not newest:
            shutil.rmtree(cwd / "run" / NEWEST)
        with lab.server() as server:
            for command in (EVAL, EXPORT):
                ran = server.run(COMMANDS[command], cwd)
                if ran.rc:
                    raise RuntimeError(f"{command} fails: {ran.brief()}")
                folders[f"{command} {key}"] = _result(ran, cwd, command)
                shutil.rmtree(cwd / "out")
    return folders


def _result(ran: Ran, cwd: Path, command: str) -> Any:
    if command == EXPORT:
        return {p.name: p.read_bytes() for p in sorted((cwd / "out").iterdir())}
    times = ("seconds", "machine", "versions")
    return {k: v for k, v in json.loads(ran.out).items() if k not in times}


def _judge(ran: Ran, cwd: Path, command: str, file: str, expected: dict[str, Any]) -> str | None:
    """The fault in how a command took the damage, or None."""
    if what := ran.trouble():
        return what
    if ran.refusal:
        checkpoint = file.removeprefix("checkpoints/").split("/")[0]
        named = any(word in ran.refusal for word in (Path(file).name, checkpoint))
        return None if named else f"the refusal does not name {file}: {ran.refusal}"
    if ran.rc:
        return f"neither refused nor done: {ran.brief()}"
    if command == RESUME:
        gone = ("checkpoints/best",) if Path(file).name in ran.err else ()  # lines that are gone, and said to be
        return difference(cwd / "run", expected[RESUME], (*gone, *_beside_the_point(cwd / "run", file)))
    result = _result(ran, cwd, command)
    if result == expected[f"{command} newest"]:
        return None
    if result != expected[f"{command} older"]:
        return "gives a result of neither checkpoint"
    return (
        None if "damaged" in ran.err or not (cwd / "run" / NEWEST).exists() else "takes the older checkpoint silently"
    )


def _beside_the_point(run: Path, file: str) -> tuple[str, ...]:
    """What may differ after a resume: the damaged file, evaluations of before, what was put aside as damaged."""
    aside = [str(p.relative_to(run)) for p in (run / "checkpoints").glob("*.damaged*")]
    return (file, "eval", "nowhere", *aside)  # "nowhere": what a dangling link leads to is written


def _one_bit(path: Path, draws: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if not data:
        path.write_bytes(b"\x01")
        return
    data[draws.randrange(len(data))] ^= 1 << draws.randrange(8)
    path.write_bytes(bytes(data))


def _many_bits(path: Path, draws: random.Random) -> None:
    for _ in range(64):
        _one_bit(path, draws)


def _cut(path: Path, draws: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draws.randrange(len(data))] if data else b"{")


def _empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def _zeros(path: Path, _: random.Random) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _more(path: Path, draws: random.Random) -> None:
    with path.open("ab") as out:
        out.write(draws.randbytes(40))


def _gone(path: Path, _: random.Random) -> None:
    path.unlink()


def _another(path: Path, draws: random.Random) -> bool:
    """A file of the same kind, else any other, takes its place. Returns whether it holds the same."""
    run = next(p for p in path.parents if (p / "config.yaml").exists())
    every = [p for p in sorted(run.rglob("*")) if p.is_file() and p != path and p.name != ".lock"]
    alike = [p for p in every if p.suffix == path.suffix and p.parent.name == path.parent.name]
    other = draws.choice([p for p in alike if p.name == path.name] or alike or every)
    same = other.read_bytes() == path.read_bytes()
    path.write_bytes(other.read_bytes())
    return same


def _folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _dangling(path: Path, _: random.Random) -> None:
    path.unlink()
    os.symlink("nowhere", path)


DAMAGES: dict[str, Callable[[Path, random.Random], bool | None]] = {
    "one bit": _one_bit,
    "64 bits": _many_bits,
    "cut short": _cut,
    "empty": _empty,
    "zeros": _zeros,
    "40 bytes more": _more,
    "gone": _gone,
    "another": _another,
    "a folder": _folder,
    "a dangling link": _dangling,
}
