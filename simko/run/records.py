"""What a run records of each step: its metrics, every completion, and the problems it trained on."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from simko.errors import UserError
from simko.files import append, locked, write_atomically
from simko.run.columns import Column, is_metrics
from simko.types import Group

LOOKS = "heldout.jsonl"
_LONGEST_LINE, _LONGEST_FILE = 1 << 26, 1 << 32
_ROW: dict[str, Any] = {
    **{"step": int, "sample": int, "task": str, "problem": str, "gold": str, "text": str, "outcome": str},
    **{"reward": int | float | None, "extracted": str | None},
}


def problem_key(text: str) -> str:
    """A hash of a problem's text without case and white space, so that a reader's "same problem" has the same hash."""
    return blake2b("".join(text.split()).casefold().encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Look:
    """Few held-out problems after `step` steps: for each task its samples with a verdict, and how many of them are correct."""

    step: int
    counts: Mapping[str, tuple[int, int]]

    def line(self) -> str:
        """As a line of heldout.jsonl."""
        return json.dumps({"step": self.step, "counts": self.counts}, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, line: bytes) -> Look:
        """A line of heldout.jsonl. Raises `ValueError` if it is none."""
        row = typed_row(line, {"step": int, "counts": dict})
        for name, pair in row["counts"].items():
            numbers = isinstance(pair, list) and len(pair) == 2 and all(type(number) is int for number in pair)
            if not numbers or not 0 <= pair[1] <= pair[0]:
                raise ValueError(f"the counts of {name!r:.40} are {pair!r:.40}")
        return cls(row["step"], {name: (samples, right) for name, (samples, right) in row["counts"].items()})


class Records:
    """metrics.jsonl, rollouts/, problems.txt and heldout.jsonl of a run folder."""

    def __init__(self, path: Path) -> None:
        self.metrics_path, self.rollouts_path = path / "metrics.jsonl", path / "rollouts"
        self.problems_path, self.looks_path = path / "problems.txt", path / LOOKS
        self._columns: dict[str, Column] = {}

    def add(self, step: int, groups: Sequence[Group], metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Write one step: its problems, every completion to rollouts/, then its metrics as one line; returns the metrics.

        The metrics come last: a step whose line is there was recorded whole. Numbers that are not finite become null, and are
        counted as `nonfinite_metrics`.
        """
        line = finite(metrics)
        if not math.isfinite(sum(x for x in metrics.values() if isinstance(x, int | float))):
            line["nonfinite_metrics"] = sum(line[name] is None for name in metrics if metrics[name] is not None)
        keys = sorted({problem_key(group.task.problem) for group in groups})
        append(self.problems_path, "".join(_problem_line((step, key)) for key in keys).encode(), durable=False)
        rows = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in _rollout_rows(step, groups))
        packed = gzip.compress("".join(rows).encode("utf-8", "surrogatepass"), compresslevel=6, mtime=0)
        write_atomically(self.rollouts_path / f"{step:06d}.jsonl.gz", packed)
        append(self.metrics_path, (json.dumps({"step": step, **line}, allow_nan=False) + "\n").encode())
        return line

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, oldest first; a last line cut short by a kill is left out.

        Raises:
            UserError: an earlier line is not one that `add` writes.
        """
        return [json.loads(line) for line in self._metrics_lines()]

    def column(self, name: str) -> dict[int, Any]:
        """A metric of each recorded step, by step. A later call reads only the lines that were added since.

        Raises:
            UserError: a line is not one that `add` writes.
        """
        column = self._columns.setdefault(name, Column(name))
        try:
            return dict(column.look(self.metrics_path))
        except (ValueError, RecursionError):
            del self._columns[name]
            return {line["step"]: line.get(name) for line in self.metrics()}

    def rollouts(self, step: int) -> list[dict[str, Any]]:
        """Every completion of a step. Raises `UserError` if the file is damaged."""
        path = self.rollouts_path / f"{step:06d}.jsonl.gz"
        try:
            with gzip.open(path, "rb") as packed:
                return [_rollout_row(line) for line in unpacked_lines(packed, _LONGEST_FILE)]
        except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
            raise UserError(f"{path}: damaged, cannot be read ({error}); delete it to go on without it") from error

    def recorded_steps(self) -> list[int]:
        """Steps whose completions are on disk, in order."""
        names = [re.fullmatch(r"(\d{6,9})\.jsonl\.gz", path.name) for path in self.rollouts_path.glob("*.jsonl.gz")]
        return sorted(int(name[1]) for name in names if name)

    def training_problems(self) -> set[str]:
        """`problem_key` of every problem the run trained on.

        Steps that problems.txt does not list, as it is damaged or of an older version, are read from rollouts/. They are then
        added to it, unless another process has the folder: the next command has one file to read, and not thousands.
        """
        lines = self._problem_lines()
        listed = {step for step, _ in lines}
        missing = [step for step in self.recorded_steps() if step not in listed]
        added = {(step, problem_key(row["problem"])) for step in missing for row in self.rollouts(step)}
        if added:
            with suppress(OSError), locked(self.problems_path.parent):
                write_atomically(self.problems_path, "".join(map(_problem_line, sorted({*lines, *added}))))
        return {key for _, key in lines} | {key for _, key in added}

    def add_look(self, look: Look) -> None:
        """Write the counts of few held-out problems after a step."""
        append(self.looks_path, look.line().encode("utf-8", "surrogatepass"))

    def looks(self) -> list[Look]:
        """The looks at held-out problems, oldest first; a last line cut short by a kill is left out.

        Raises:
            UserError: an earlier line is not one that `add_look` writes.
        """
        if not self.looks_path.exists():
            return []
        lines = self.looks_path.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        try:
            return [Look.read(line) for line in whole]
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.looks_path}: damaged ({error}); delete it to go on without it") from error

    def rewind(self, step: int) -> None:
        """Forget what was recorded after `step`; verdicts stay. Raises `UserError` if metrics.jsonl is damaged."""
        self._columns.clear()
        metrics = [line for line in self._metrics_lines() if json.loads(line)["step"] <= step]
        write_atomically(self.metrics_path, "".join(metrics))
        if self.problems_path.exists():
            lines = [line for line in self._problem_lines() if line[0] <= step]
            write_atomically(self.problems_path, "".join(map(_problem_line, lines)))
        if self.looks_path.exists():
            looks = [look for look in self.looks() if look.step <= step]
            write_atomically(self.looks_path, "".join(map(Look.line, looks)))
        for later in self.recorded_steps():
            if later > step:
                (self.rollouts_path / f"{later:06d}.jsonl.gz").unlink()

    def _metrics_lines(self) -> list[str]:
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_bytes().splitlines(keepends=True)
        texts = []
        for number, line in enumerate(lines, start=1):
            try:
                if not is_metrics(json.loads(line)):
                    raise ValueError("no step")
                if line.endswith(b"\n"):
                    texts.append(line.decode())
            except (ValueError, RecursionError) as error:
                if number < len(lines) or line.endswith(b"\n"):
                    raise UserError(
                        f"{self.metrics_path}, line {number}: damaged, not what a step wrote; delete that line"
                    ) from error
        return texts

    def _problem_lines(self) -> list[tuple[int, str]]:
        """Step and key of each line; empty if the file is damaged, so that the rollouts are read instead."""
        try:
            text = self.problems_path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return []
        matches = [re.fullmatch(r"(\d{6,}) ([0-9a-f]{32})", line) for line in text.splitlines()]
        if not all(matches[:-1]):  # the last line may have been cut short by a kill
            return []
        return [(int(match[1]), match[2]) for match in matches if match]


def _problem_line(line: tuple[int, str]) -> str:
    """Step and key as a line of problems.txt."""
    return f"{line[0]:06d} {line[1]}\n"


def groups_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """The rows of one step by groups, cut where the samples begin again."""
    group: list[Any] = []
    for row in rows:
        if group and (row["sample"] == 0 or row["task"] != group[-1]["task"]):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def unpacked_lines(packed: gzip.GzipFile, longest_file: int) -> Iterator[bytes]:
    """The lines of a packed file, up to what may be written: a few packed bytes may hold more than any memory.

    Raises:
        ValueError: a line or the file is longer.
    """
    total = 0
    while line := packed.readline(_LONGEST_LINE + 1):
        total += len(line)
        if len(line) > _LONGEST_LINE or total > longest_file:
            raise ValueError(
                f"unpacked it is longer than {_LONGEST_LINE if total <= longest_file else longest_file} bytes"
            )
        yield line


def typed_row(line: bytes, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of a line. Raises `ValueError` if it is none, or a value in it is not of its kind."""
    row = json.loads(line.decode("utf-8", "surrogatepass"))
    if not isinstance(row, dict):
        raise ValueError("a line is not a JSON object")
    for name, kind in kinds.items():
        if not isinstance(row.get(name), kind):
            raise ValueError(f"a line's {name} is {row.get(name)!r:.40}")
    return row


def _rollout_row(line: bytes) -> dict[str, Any]:
    """The completion of a line. Raises `ValueError` if the line does not hold one."""
    row = typed_row(line, _ROW)
    parts = row.get("parts", {})
    if not isinstance(parts, dict) or not all(isinstance(value, int | float | None) for value in parts.values()):
        raise ValueError(f"a line's parts are {parts!r:.40}")
    return row


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values, with None for each number that is not finite."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _rollout_rows(step: int, groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    for group in groups:
        task = group.task
        for sample, c in enumerate(group.completions):
            yield {
                "step": step,
                "task": task.id,
                "level": task.level,
                "problem": task.problem,
                **({} if task.system is None else {"system": task.system}),
                "gold": task.gold,
                "sample": sample,
                "text": c.text,
                "finish": c.finish,
                "outcome": c.verdict.outcome,
                "reward": c.verdict.reward if math.isfinite(c.verdict.reward) else None,
                "extracted": c.verdict.extracted,
                **({"parts": finite(c.verdict.parts)} if c.verdict.parts else {}),
                "seconds": round(c.verdict.seconds, 6),
                "ids": c.ids.tolist(),
                "sampled": None if c.sampled.all() else c.sampled.astype(int).tolist(),
                "logprobs": [round(float(x), 5) if math.isfinite(x) else None for x in c.logprobs],
            }
