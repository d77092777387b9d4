"""Results of `simko eval` as arms, to be written in the formats of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simko.errors import UserError
from simko.report.foreign.rows import inside, read_object
from simko.report.measured import Measured

_FACTS = (
    "env", "level", "data_sha256", "verifier", "max_new_tokens", "attempts", "temperature", "top_p", "template", "model",
    "quantization", "adapter_sha256", "step", "n", "problems",
)  # fmt: skip
_OF_TRAINING = ("adapter_sha256", "step")


def read_own(path: Path) -> list[Measured]:
    """The trained side and the base side of a result, or of the only result in a run folder.

    Raises:
        UserError: the run has no result or several, or the file is damaged or no result of an evaluation.
    """
    if path.is_dir():
        files = sorted((path / "eval").glob("*.json"))
        if len(files) != 1:
            what = (
                "no evaluation; measure it with `simko eval`" if not files else f"{len(files)}; name one, as {files[0]}"
            )
            raise UserError(f"results: run {path} has {what}")
        path = files[0]
    result = read_object(path)
    if "pass_at_k" not in result or not isinstance(result.get("counts"), dict):
        raise UserError(f"{path}: not a result of `simko eval` (no counts); give one, or a run folder")
    facts = {name: result.get(name) for name in _FACTS}
    trained = result.get("adapter") is not None or result.get("run") is not None
    name = str(result.get("algorithm") or "trained") if trained else "base"
    arms = [_side(result, name, facts, path)]
    if isinstance(result.get("base"), dict):
        of_base = {key: None if key in _OF_TRAINING else value for key, value in facts.items()}
        arms.append(_side(result["base"], "base", of_base, path))
    return arms


def _side(side: dict[str, Any], name: str, facts: dict[str, Any], path: Path) -> Measured:
    counts = {
        task: _pair(inside(entry, "samples"), inside(entry, "correct"), path) for task, entry in side["counts"].items()
    }
    answers: dict[str, dict[str, tuple[int, int]]] = {}
    for task, votes_of in (side.get("answers") or {}).items():
        pairs = {answer: votes for answer, votes in votes_of.items() if isinstance(votes, list) and len(votes) == 2}
        answers[task] = {answer: _pair(votes[0], votes[1], path) for answer, votes in pairs.items()}
    return Measured(name, None, counts, answers, facts, "simko", str(path))


def _pair(n: Any, c: Any, path: Path) -> tuple[int, int]:
    if any(isinstance(value, bool) or not isinstance(value, int) for value in (n, c)) or not 0 <= c <= n:
        raise UserError(f"{path}: damaged ({c!r:.20} correct of {n!r:.20} samples); measure it again with `simko eval`")
    return n, c
