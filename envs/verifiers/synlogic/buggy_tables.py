"""Buggy tables: a number computed from a garbled table. It is unique, with two decimals; trailing zeros do not count."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from simko.envs.verifiers.synlogic.common import fenced_blocks, marked_or_last_line

MAX_CHARS = 10_000
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3}){1,6}|\d{1,20})(?:\.\d{1,20})?")
_FIELD = re.compile(r"[\"']answer[\"']\s{0,20}:\s{0,20}(?:\"([^\"\n]{0,80})\"|'([^'\n]{0,80})'|([-+\d.,]{1,80}))")


def number(text: str) -> Decimal | None:
    """`text` as a number, or None if it is not a number."""
    text = text.strip(" \t\n$*_`\"'")
    return Decimal(text.replace(",", "")) if text.isascii() and _NUMBER.fullmatch(text) else None


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the field `answer` of the JSON object (or else the box, or the last line) is the right number."""
    answer = _from_json(text)
    if answer is None:
        answer = marked_or_last_line(text, lambda line: number(line) is not None)
    if answer is None:
        return None
    value = number(answer)
    return value is not None and value == number(game["answer"])


def _from_json(text: str) -> str | None:
    for block in (*reversed(fenced_blocks(text)[-5:]), text):
        try:
            value = json.loads(block[:MAX_CHARS])
        except (ValueError, RecursionError):
            value = None
        result = value.get("result", value) if isinstance(value, dict) else None
        if isinstance(result, list) and len(result) == 1:
            result = result[0]
        if isinstance(result, dict) and isinstance(result.get("answer"), str | int | float):
            return str(result["answer"])
        if fields := _FIELD.findall(block[-MAX_CHARS:]):
            return next((part for part in fields[-1] if part), "")
    return None
