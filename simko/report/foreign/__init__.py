"""Other people's results as arms: `read(path)` recognises a file by its content and its name.

A format is one small file. Counts that our verifiers have not seen are marked by `Measured.source`. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simko.errors import UserError
from simko.files import digest
from simko.report.foreign import completions, count_files, inspect_log, lm_eval, verifiers_runs
from simko.report.foreign.rows import first_row
from simko.report.foreign.samples import SampleFile, by_their_verdicts, of_tallies
from simko.report.measured import Measured

__all__ = ["KINDS", "read", "recognise"]

KINDS = {
    "counts": 'counts ({"id", "c", "n"} a line)',
    "completions": 'completions ({"id", "text"} a line)',
    "lm-eval": "lm-evaluation-harness samples_*.jsonl",
    "inspect": "inspect .eval logs",
    "verifiers-results": "verifiers results.jsonl or its folder",
    "verifiers-traces": "verifiers traces.jsonl or its folder",
}
"""What is read, in words, by the name that `recognise` gives it."""


@dataclass(frozen=True)
class _Options:
    env: str | None = None
    data: str | None = None
    level: int | None = None
    verifier: str | None = None
    filter: str | None = None
    metric: str | None = None

    @property
    def graded(self) -> bool:
        return self.env is not None or self.verifier is not None


def read(
    path: str | Path,
    *,
    env: str | None = None,
    data: str | None = None,
    level: int | None = None,
    verifier: str | None = None,
    filter: str | None = None,
    metric: str | None = None,
    arm: str | None = None,
    seed: int | None = None,
) -> list[Measured]:
    """The arms of another program's file or folder: one, or one for each of its filters or agents.

    With `env` or `verifier` our verifiers grade the responses, and the source is `completions`. Without them the other
    program's verdicts are counted. Of a file of counts, `env`, `data`, `level` and `verifier` state where it is from.

    Args:
        path: the file, or the results folder of verifiers.
        env, data, level: whose held-out problems they are. Ids, else problem texts, are matched with its tasks.
        verifier: grades instead of the environment's own; alone, it grades against the rows' own answers.
        filter: of an lm-eval file, one of its filters; of verifiers traces, one of its agents.
        metric: whose verdicts count: a metric of lm-eval, a scorer of inspect.
        arm, seed: name and training seed of the arm; the file's name and None if left out.

    Raises:
        UserError: the file is of no kind in `KINDS`, is damaged, or does not hold what is asked for.
    """
    place, options = Path(path).expanduser(), _Options(env, data, level, verifier, filter, metric)
    kind, place = recognise(place)
    _refuse_unused(kind, options, place)
    if kind == "counts":
        measured = _stated(count_files.read(place), options)
        arms = [measured if arm is None else replace(measured, arm=arm)]
    else:
        file = _find(kind, place, options)
        file.name = file.name if arm is None else arm
        ours = options.graded or kind == "completions"
        arms = [_graded(file, options, place)] if ours else by_their_verdicts(file, place)
    if not any(n for measured in arms for n, _ in measured.counts.values()):
        raise UserError(f"{place}: no sample with a verdict; give a file of a finished evaluation")
    return [replace(measured, seed=seed) for measured in arms]


def recognise(path: Path) -> tuple[str, Path]:
    """The kind of a file or folder, a key of `KINDS`, and the file to read. Raises `UserError` if it is of none."""
    if path.is_dir():
        file = verifiers_runs.file_in(path)
        if file is None:
            raise UserError(
                f"{path}: a folder without {verifiers_runs.RESULTS} or {verifiers_runs.TRACES}; {_readable()}"
            )
        path = file
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; {_readable()}")
    if path.suffix == ".eval":
        return "inspect", path
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(f"{path}: not a result of a kind that simko reads; {_readable()}")
    row = first_row(path)
    tests = {
        "counts": count_files.holds,
        "lm-eval": lm_eval.holds,
        "verifiers-traces": verifiers_runs.holds_episode,
        "verifiers-results": verifiers_runs.holds_result,
        "completions": completions.holds,
    }
    kind = next((name for name, holds in tests.items() if holds(row)), None)
    if kind is None:
        fields = ", ".join(map(str, row))[:120] or "none"
        raise UserError(
            f"{path}: its first row has the fields {fields}, which are of no kind that simko reads; {_readable()}"
        )
    return kind, path


def _readable() -> str:
    return f"it reads {'; '.join(KINDS.values())}"


def _refuse_unused(kind: str, options: _Options, path: Path) -> None:
    """Raise `UserError` for a choice that this kind of file does not offer."""
    if options.filter is not None and kind not in ("lm-eval", "verifiers-traces"):
        raise UserError(
            f"{path}: --filter is for lm-eval samples and verifiers traces, and this is {KINDS[kind]}; leave it out"
        )
    if options.metric is not None and (kind not in ("lm-eval", "inspect") or options.graded):
        why = "our verifiers grade here" if options.graded else f"this is {KINDS[kind]}"
        raise UserError(f"{path}: --metric is for the verdicts of lm-eval and inspect, and {why}; leave it out")


def _find(kind: str, path: Path, options: _Options) -> SampleFile:
    if kind == "completions":
        return completions.read(path)
    if kind == "lm-eval":
        return lm_eval.read(path, options.filter, options.metric, options.graded)
    if kind == "inspect":
        return inspect_log.read(path, options.metric, options.graded)
    if kind == "verifiers-traces":
        return verifiers_runs.read_traces(path, options.filter)
    return verifiers_runs.read_results(path)


def _graded(file: SampleFile, options: _Options, path: Path) -> Measured:
    from simko.report.foreign.graded import grade, judge, texts_alone  # with it come the environments

    by = judge(options.env, options.data, options.level, options.verifier)
    tallies, without_text = grade(texts_alone(file.samples), by)
    facts = {"env": None, **file.facts, **by.facts, "ungraded": without_text}
    return of_tallies(file.name, tallies, facts, path)


def _stated(measured: Measured, options: _Options) -> Measured:
    data_sha256 = digest(options.data) if options.data is not None and Path(options.data).is_file() else None
    facts: dict[str, Any] = {
        "env": options.env, "data_sha256": data_sha256, "level": options.level, "verifier": options.verifier
    }  # fmt: skip
    return replace(measured, facts={**measured.facts, **facts})
