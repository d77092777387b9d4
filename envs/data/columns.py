"""Which column of a row is the problem, which the answer: `problem=question,answer=final_answer`.

A column may lie deeper (`answer=reward_model.ground_truth`). Behind the column of an answer may stand where in a worked
solution the answer is: `answer=solution:boxed` (in the last box), `answer=answer:####` (behind the last `####`, as in GSM8K).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simko.envs.data.loading import ABSENT, Row, dig, last_boxed
from simko.errors import UserError, nearest

FIELDS = ("problem", "answer", "id", "level", "system")
"""What a column may be."""
_FORM = "problem=COLUMN,answer=COLUMN"


@dataclass(frozen=True)
class Columns:
    """The columns of a data set, by what they are to us. A field that is not named is the column of its own name.

    Attributes:
        names: field to column.
        part: where the answer is within its column: `"boxed"`, `"####"` or `""` (all of it).
    """

    names: Mapping[str, str] = field(default_factory=dict)
    part: str = ""

    @classmethod
    def read(cls, columns: str | Mapping[str, str] | None) -> Columns:
        """Read `problem=question,answer=final_answer`, or the mapping that it stands for.

        Raises `UserError` for another form, an unknown field, and a field that is named twice.
        """
        if isinstance(columns, Mapping):
            pairs = [(str(key), str(value)) for key, value in columns.items()]
        else:
            cut = [part.partition("=") for part in (columns or "").split(",") if part.strip()]
            if broken := next((key for key, sign, _ in cut if not sign), None):
                raise UserError(f"columns is {columns!r}: '{broken.strip()}' names no column; write {_FORM}")
            pairs = [(key.strip(), value.strip()) for key, _, value in cut]
        names: dict[str, str] = {}
        part = ""
        for name, column in pairs:
            if name not in FIELDS:
                raise UserError(f"columns: unknown field '{name}'{nearest(name, FIELDS)}; known: {', '.join(FIELDS)}")
            if name in names:
                raise UserError(f"columns: '{name}' is named twice; leave one out")
            if name == "answer":
                head, _, tail = column.rpartition(":")
                column, part = (head, tail) if tail in ("boxed", "####") else (column, "")
            if not column:
                raise UserError(f"columns: '{name}' names no column; write {_FORM}")
            names[name] = column
        return cls(names, part)

    def apply(self, row: Row, place: str) -> Row:
        """The row with our fields in place of its own columns. Raises `UserError` if it lacks a column."""
        fields: Row = {}
        for name, column in self.names.items():
            value: Any = row[column] if column in row else dig(row, column)
            if value is ABSENT:
                mend = f"{nearest(column, row)} (it has: {', '.join(map(str, row)) or 'none'})"
                raise UserError(f"{place}: no column '{column}', which --columns names as the {name}{mend}")
            fields[name] = value
        if self.part:
            fields["answer"] = self._within(fields["answer"], place)
        return {**row, **fields}

    def shown(self, name: str) -> str:
        """The column of a field, as an error names it."""
        return self.names.get(name, name)

    def _within(self, solution: Any, place: str) -> str:
        text = solution if isinstance(solution, str) else ""
        answer = last_boxed(text) if self.part == "boxed" else text.rpartition("####")[2] if "####" in text else None
        if answer is None or not answer.strip():
            what = "\\boxed{}" if self.part == "boxed" else "answer behind ####"
            raise UserError(
                f"{place}: field '{self.shown('answer')}' has no {what} ({solution!r:.60}); mend the row, or name another column"
            )
        return answer.strip()
