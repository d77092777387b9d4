"""Environments that raise or return rubbish, workers killed by the hundred, weights that are not finite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from faultkit.compare import end_difference, not_finite
from faultkit.lab import Lab, Result
from faultkit.runs import TINY, Ran, Server

GOES_ON, REFUSED = "goes on", "refused"
KINDS = {
    "RaisesNowAndThen": (GOES_ON, "fault_"),
    "Rubbish": (GOES_ON, "fault_"),
    "NotFinite": (GOES_ON, "fault_"),
    "Exits": (GOES_ON, "fault_"),
    "Cancels": (GOES_ON, "fault_"),
    "Prints": (GOES_ON, ""),
    "Raises": (REFUSED, "verifier failed on every answer"),
    "BadTask": (REFUSED, "bad_task"),
    "TaskRaises": (REFUSED, "no such table"),
}


def authors(lab: Lab) -> Result:
    """Each kind of faulty environment: the run goes on and counts the fault by kind, or ends with one line that says why."""

    def trial(server: Server, cwd: Path, kind: str) -> str | None:
        wanted, word = KINDS[kind]
        ran = server.run([*_flags(f"faulty_envs:faults/{kind}-v0"), "--steps", "8", "--out", "run"], cwd)
        if what := _clean(ran, cwd):
            return what
        if wanted == REFUSED:
            return None if ran.refusal and word in ran.refusal else f"no line that says '{word}': {ran.brief()}"
        if ran.rc:
            return f"does not go on: {ran.brief()}"
        lines = [json.loads(line) for line in (cwd / "run/metrics.jsonl").read_text().splitlines()]
        if word and not any(line[key] for line in lines for key in line if key.startswith(word)):
            return f"no {word} is counted: {sorted(lines[-1])}"
        return None if len(lines) == 8 else f"{len(lines)} steps of 8"

    return lab.each(
        "an environment that raises, exits, or returns rubbish", trial, lab.some(sorted(KINDS), 2, "authors")
    )


def killed_workers(lab: Lab) -> Result:
    """Verifier workers killed a hundred times and more during one run: it goes on, with the verdicts of a run without."""
    name = "verifier workers killed a hundred times during a run"
    steps = ("--steps", "4" if lab.quick else "30")
    calm = _finished(lab, "faulty_envs:faults/Worker-v0", steps)

    def trial(server: Server, cwd: Path, _: int) -> str | None:
        count = cwd / "count"
        count.touch()
        argv = [*_flags("faulty_envs:faults/Killer-v0"), *steps, "--out", "run"]
        ran = server.run(argv, cwd, env={"FAULTS_COUNT": str(count)})
        if ran.rc:
            return f"does not go on: {ran.brief()}"
        killed = len(count.read_bytes())
        if not lab.quick and killed < 100:
            return f"only {killed} workers were killed"
        if what := _clean(ran, cwd):
            return what
        mine, theirs = _outcomes(cwd / "run"), _outcomes(calm)
        wrong = [
            key for key in mine if theirs.get(key, mine[key]) != mine[key] and mine[key] not in ("error", "timeout")
        ]
        return f"other verdicts: {wrong[:2]}" if wrong else None

    return lab.each(name, trial, [0])


def exploding(lab: Lab) -> Result:
    """A learning rate that blows the weights up: skipped, stopped with the reason, and no NaN on the disk."""
    rates = ("1e2", "1e4", "1e6", "1e38")

    def trial(server: Server, cwd: Path, rate: str) -> str | None:
        flags = ("--learning-rate", rate, "--max-grad-norm", "1e30", "--steps", "12", "--checkpoint-every", "1")
        ran = server.run([*TINY, *flags, "--out", "run"], cwd)
        if what := _clean(ran, cwd):
            return what
        return None if ran.rc == 0 or ran.refusal else f"neither done nor refused in one line: {ran.brief()}"

    return lab.each(
        "weights blown up by the learning rate: NaN never reaches the disk", trial, lab.some(rates, 1, "nan")
    )


def same_bytes(lab: Lab) -> Result:
    """Byte-equal for a seed whatever the number of verifier workers, the checkpoint interval, and a fresh interpreter."""
    env = _flags("faulty_envs:faults/Worker-v0")
    changes: list[tuple[str, Sequence[str], bool]] = [
        ("1 worker", ("--verifier-workers", "1"), False),
        ("2 workers", ("--verifier-workers", "2"), False),
        ("4 workers", ("--verifier-workers", "4"), False),
        ("a checkpoint every step", ("--checkpoint-every", "1"), False),
        ("a checkpoint every 3 steps", ("--checkpoint-every", "3"), False),
        ("no checkpoint but the last", ("--checkpoint-every", "1000"), False),
        ("10 checkpoints kept", ("--keep-checkpoints", "10"), False),
        ("TensorBoard", ("--logger", "tensorboard"), False),
    ]
    steps = ("--steps", "4") if lab.quick else ()
    reference = _finished(lab, "faulty_envs:faults/Worker-v0", steps)
    fresh = [("python cli.py", (), True), ("python cli.py, 4 workers", ("--verifier-workers", "4"), True)]

    def trial(server: Server, cwd: Path, item: tuple[str, Sequence[str], bool]) -> str | None:
        ran = server.run([*env, *steps, *item[1], "--out", "run"], cwd, fresh=item[2], env={"PYTHONPATH": str(HERE)})
        if ran.rc:
            return ran.brief()
        import shutil

        shutil.rmtree(cwd / "run" / "tensorboard", ignore_errors=True)
        return ran.trouble() or end_difference(cwd / "run", reference)

    name = "the same bytes whatever the verifier workers, checkpoint interval, logger and interpreter"
    return lab.each(name, trial, changes[1:2] if lab.quick else [*changes, *fresh])


HERE = Path(__file__).resolve().parents[1]


def _flags(env: str) -> list[str]:
    level = TINY.index("--level")
    return [*TINY[:level], *TINY[level + 2 :], "--env", env]


def _finished(lab: Lab, env: str, more: Sequence[str]) -> Path:
    def make() -> Path:
        cwd = lab.folder()
        with lab.server() as server:
            ran = server.run([*_flags(env), *more, "--out", "run"], cwd)
        if ran.rc:
            raise RuntimeError(f"{env} fails: {ran.brief()}")
        return cwd / "run"

    return Path(lab.once(f"{env} {more}", make))


def _clean(ran: Ran, cwd: Path) -> str | None:
    return ran.trouble() or (not_finite(cwd / "run") if (cwd / "run").exists() else None)


def _outcomes(run: Path) -> dict[tuple[str, str], str]:
    """The outcome of each answer, by its task and hash."""
    entries = [
        json.loads(line.split("\t")[0])
        for path in sorted((run / "verdicts").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return {(task, answer): outcome for task, answer, outcome, *_ in entries}
