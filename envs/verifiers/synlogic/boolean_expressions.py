"""Boolean expressions: which options are true? The set of labels is unique, so it must equal the stored one."""

from __future__ import annotations

import re
from typing import Any

from simko.envs.verifiers.synlogic.common import marked_or_last_line

MAX_CHARS = 200
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}")
_LABELS = re.compile(r"\(?[A-Z]\)?\.?(?:(?:\s*[,，、;]\s*(?:and\s)?|\s+and\s+|\s*和\s*|\s+)\(?[A-Z]\)?\.?)*")


def labels(text: str) -> set[str] | None:
    """The labels in a list such as `A, B and D`. None if the text says anything else, or a label twice."""
    text = _LATEX.sub(r"\1", text[:MAX_CHARS]).replace("\\,", " ").replace("\\ ", " ").strip(" \t\n$*_`\"'.{}[]")
    if not _LABELS.fullmatch(text):
        return None
    letters = re.findall(r"(?<![A-Za-z])[A-Z](?![A-Za-z])", text)
    return set(letters) if len(set(letters)) == len(letters) else None


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last box (or block, or line) lists exactly the true options."""
    answer = marked_or_last_line(text, lambda line: labels(line) is not None)
    return None if answer is None else labels(answer) == labels(game["answer"])
