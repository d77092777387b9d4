"""Knights and knaves: the final answer gives every person of the gold answer, and nobody else, the right role."""

from __future__ import annotations

import json
import re

from simko.envs.verifiers.extract import final_answer
from simko.types import Verdict

MAX_CHARS = 1_000
_SPLIT = re.compile(r"[,;\n]|\band\b", re.IGNORECASE)
_ROLE = re.compile(r"[\s*_-]*([A-Za-z]{1,20})\s?(?::|=|is(?:\s(?:a|the))?)\s?(knight|knave)[\s.*_]*", re.IGNORECASE)


def read_roles(text: str) -> dict[str, str] | None:
    """Name to role, lower-case; None where any part of `text` says something else, or a person is named twice."""
    if len(text) > MAX_CHARS:
        return None
    roles: dict[str, str] = {}
    for part in _SPLIT.split(" ".join(text.split(" ")).strip("{}[]()$ .")):
        if not part.strip():
            continue
        match = _ROLE.fullmatch(part)
        if match is None or match[1].lower() in roles:
            return None
        roles[match[1].lower()] = match[2].lower()
    return roles or None


def knights(response: str, gold: str) -> Verdict:
    """`gold` is a JSON object, name to `knight` or `knave`. The order of the people does not matter."""
    wanted = {name.lower(): role for name, role in json.loads(gold).items()}

    def same(a: str, b: str) -> bool:
        return read_roles(a) == read_roles(b)

    found = final_answer(response, same=same, whole=lambda text: read_roles(text) is not None)
    if found.text is None:
        return Verdict("incorrect" if found.conflict else "no_answer", 0.0, found.shown)
    correct = read_roles(found.text) == wanted
    return Verdict("correct" if correct else "incorrect", float(correct), found.shown)
