"""Dyck language, three bracket puzzles: close a sequence, find its first error, find the wrong steps of a stack."""

from __future__ import annotations

import re
from typing import Any

from simko.envs.verifiers.synlogic.common import marked_or_last_line, squeeze, to_int

PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
MAX_CHARS = 2_000
_RUN = re.compile(r"[()\[\]{}<>]{2,}")
_STEPS = re.compile(r"\d{1,4}(?:\s*[,，、;]\s*\d{1,4})*")


def first_error(sequence: str) -> int:
    """The place, from 1, of the first bracket that closes wrongly. Length + 1 if some stay open; -1 if all is right."""
    stack: list[str] = []
    for place, char in enumerate(sequence, 1):
        if char in PAIRS:
            stack.append(PAIRS[char])
        elif not stack or stack.pop() != char:
            return place
    return len(sequence) + 1 if stack else -1


def complete(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the answer is a sequence that begins with the given one and leaves nothing open or wrongly closed."""
    answer = marked_or_last_line(text, lambda line: bool(_RUN.search(squeeze(line[:MAX_CHARS]))))
    if answer is None:
        return None
    answer = answer.replace("\\", "")[:MAX_CHARS]
    whole = squeeze(answer).strip("\"'`")
    if not _RUN.fullmatch(whole):
        runs = _RUN.findall(answer)
        whole = runs[-1] if runs else ""
    return bool(whole) and whole.startswith(game["metadata"]["question_sequence"]) and first_error(whole) == -1


def errors(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the answer is the place of the first error (-1 if there is no error)."""
    answer = marked_or_last_line(text, lambda line: to_int(line) is not None)
    return None if answer is None else to_int(answer.strip("\"'`. ")) == first_error(game["metadata"]["bracket_string"])


def steps(text: str) -> set[int] | None:
    """The numbers in a list, and the empty set for `""`. None for any other text."""
    text = text[:MAX_CHARS].strip().strip("[]{}$ ")
    if text in ('""', "''", "“”"):
        return set()
    text = text.strip("\"'“”` .")
    return {int(n) for n in re.findall(r"\d+", text)} if text.isascii() and _STEPS.fullmatch(text) else None


def reasoning_errors(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the answer lists exactly the wrong thoughts. It is `""` if no thought is wrong."""
    answer = marked_or_last_line(text, lambda line: steps(line) is not None)
    return None if answer is None else steps(answer) == set(game["metadata"]["error_indices"])
