"""What a run records of each step: its metrics, every completion, and which problems it trained on."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from simko.errors import UserError
from simko.files import append, write_atomically
from simko.types import Group

_LONGEST_LINE, _LONGEST_FILE = 1 << 26, 1 << 32
_ROW: dict[str, Any] = {
    **{"step": int, "sample": int, "task": str, "problem": str, "gold": str, "text": str, "outcome": str},
    **{"reward": int | float | None, "extracted": str | None},
}


def problem_key(text: str) -> str:
    """A hash of a problem's text without case and white space: equal for what a reader would call the same problem."""
    return blake2b("".join(text.split()).casefold().encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Records:
    """metrics.jsonl, rollouts/ and problems.txt of a run folder."""

    def __init__(self, path: Path) -> None:
        self.metrics_path, self.rollouts_path = path / "metrics.jsonl", path / "rollouts"
        self.problems_path = path / "problems.txt"

    def record(self, step: int, groups: Sequence[Group], metrics: Mapping[str, Any]) -> dict[str, Any]:
        """One step: its problems, every completion to rollouts/, then its metrics as one line; returns these.

        What is not finite is null there, and counted as `nonfinite_metrics`.
        """
        found = finite(metrics)
        if not math.isfinite(sum(x for x in metrics.values() if isinstance(x, int | float))):
            found["nonfinite_metrics"] = sum(found[name] is None for name in metrics if metrics[name] is not None)
        keys = sorted({problem_key(group.task.problem) for group in groups})
        append(self.problems_path, "".join(f"{step:06d} {key}\n" for key in keys).encode(), durable=False)
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in _rollout_rows(step, groups))
        packed = gzip.compress("".join(lines).encode("utf-8", "surrogatepass"), compresslevel=6, mtime=0)
        write_atomically(self.rollouts_path / f"{step:06d}.jsonl.gz", packed)
        append(self.metrics_path, (json.dumps({"step": step, **found}, allow_nan=False) + "\n").encode())
        return found

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, oldest first; a last line cut short by a kill is left out.

        Raises:
            UserError: a line before it is none of ours.
        """
        return [json.loads(line) for line in self._metrics_lines()]

    def rollouts(self, step: int) -> list[dict[str, Any]]:
        """Every completion of a step; raises `UserError` where the file is damaged."""
        path = self.rollouts_path / f"{step:06d}.jsonl.gz"
        try:
            with gzip.open(path, "rb") as packed:
                return [_rollout_row(line) for line in _lines(packed)]
        except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
            raise UserError(f"{path}: damaged, cannot be read ({error}); delete it to do without it") from error

    def recorded_steps(self) -> list[int]:
        """Steps that have rollouts, in order."""
        names = [re.fullmatch(r"(\d{6,9})\.jsonl\.gz", path.name) for path in self.rollouts_path.glob("*.jsonl.gz")]
        return sorted(int(name[1]) for name in names if name)

    def training_problems(self) -> set[str]:
        """`problem_key` of every problem the run trained on."""
        noted = self._problem_lines()
        missing = [step for step in self.recorded_steps() if step not in {step for step, _ in noted}]
        return {key for _, key in noted} | {
            problem_key(row["problem"]) for step in missing for row in self.rollouts(step)
        }

    def rewind(self, step: int) -> None:
        """Forget what was recorded after `step`; verdicts stay. Raises `UserError` where metrics.jsonl is damaged."""
        kept = [line for line in self._metrics_lines() if json.loads(line)["step"] <= step]
        write_atomically(self.metrics_path, "".join(kept))
        if self.problems_path.exists():
            lines = [f"{number:06d} {key}\n" for number, key in self._problem_lines() if number <= step]
            write_atomically(self.problems_path, "".join(lines))
        for later in self.recorded_steps():
            if later > step:
                (self.rollouts_path / f"{later:06d}.jsonl.gz").unlink()

    def _metrics_lines(self) -> list[str]:
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_bytes().splitlines(keepends=True)
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                if not _is_metrics(json.loads(line)):
                    raise ValueError("no step")
                if line.endswith(b"\n"):
                    found.append(line.decode())
            except (ValueError, RecursionError) as error:
                if number < len(lines) or line.endswith(b"\n"):
                    raise UserError(
                        f"{self.metrics_path}, line {number}: damaged, not what a step wrote; delete that line"
                    ) from error
        return found

    def _problem_lines(self) -> list[tuple[int, str]]:
        """Step and key of each line; none where the file is not ours, so that the rollouts are read."""
        try:
            text = self.problems_path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return []
        found = [re.fullmatch(r"(\d{6,}) ([0-9a-f]{32})", line) for line in text.splitlines()]
        return [(int(match[1]), match[2]) for match in found if match] if all(found[:-1]) else []


def _is_metrics(line: Any) -> bool:
    """Whether a line's value is what `record` writes: a step, and numbers by name."""
    numbers = isinstance(line, dict) and all(v is None or isinstance(v, int | float) for v in line.values())
    return numbers and isinstance(line.get("step"), int) and line["step"] > 0


def _lines(packed: gzip.GzipFile) -> Iterator[bytes]:
    """The lines of a file of rollouts, as many as a run may write: a few bytes may hold more than any memory."""
    total = 0
    while line := packed.readline(_LONGEST_LINE + 1):
        total += len(line)
        if len(line) > _LONGEST_LINE or total > _LONGEST_FILE:
            raise ValueError(
                f"unpacked it is longer than {_LONGEST_LINE if total <= _LONGEST_FILE else _LONGEST_FILE} bytes"
            )
        yield line


def _rollout_row(line: bytes) -> dict[str, Any]:
    """A completion; raises `ValueError` where a line is none."""
    row = json.loads(line.decode("utf-8", "surrogatepass"))
    if not isinstance(row, dict):
        raise ValueError("a line is no JSON object")
    for name, kind in _ROW.items():
        if not isinstance(row.get(name), kind):
            raise ValueError(f"a line's {name} is {row.get(name)!r:.40}")
    return row


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with None for each number that is not finite."""
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
                "gold": task.gold,
                "sample": sample,
                "text": c.text,
                "finish": c.finish,
                "outcome": c.verdict.outcome,
                "reward": c.verdict.reward if math.isfinite(c.verdict.reward) else None,
                "extracted": c.verdict.extracted,
                "seconds": round(c.verdict.seconds, 6),
                "ids": c.ids.tolist(),
                "sampled": None if c.sampled.all() else c.sampled.astype(int).tolist(),
                "logprobs": [round(float(x), 5) if math.isfinite(x) else None for x in c.logprobs],
            }
