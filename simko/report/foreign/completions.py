"""Completions from anywhere: `{"id", "text"}` a line, or `{"id", "completions": [...]}`. Ours to grade.

Several lines with one id are its samples. A row may bring `problem` and `answer`, where no environment knows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simko.envs.data.rows import text_of
from simko.errors import UserError
from simko.report.foreign.rows import Row, identity, rows
from simko.report.foreign.samples import Sample, SampleFile, stem


def holds(row: Row) -> bool:
    """Whether a row has the fields of a completion."""
    return "id" in row and ("text" in row or "completions" in row)


def read(path: Path) -> SampleFile:
    """The samples of a file. Raises `UserError`, while they are read, for a row without an id or without texts."""
    return SampleFile(stem(path), _samples(path), "completions")


def _samples(path: Path) -> Iterator[Sample]:
    for place, row in rows(path):
        problem = identity(row.get("id"), place)
        question, gold = (_optional(row, name, place) for name in ("problem", "answer"))
        for text in _texts(row, place):
            yield Sample(problem, place, text=text, problem=question, gold=gold)


def _texts(row: Row, place: str) -> list[str]:
    if ("text" in row) == ("completions" in row):
        raise UserError(f"{place}: give one of the fields 'text' and 'completions'")
    name = "text" if "text" in row else "completions"
    texts = [row["text"]] if name == "text" else row["completions"]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(
            f"{place}: field '{name}' is {row[name]!r:.60}; give {'text' if name == 'text' else 'a list of texts'}"
        )
    return texts


def _optional(row: Row, name: str, place: str) -> str | None:
    value: Any = row.get(name)
    text = None if value is None else text_of(value)
    if value is not None and text is None:
        raise UserError(f"{place}: field '{name}' is {value!r:.60}; give text or a number, or leave it out")
    return text
