"""Rows of another program's file: bounded, and checked value by value. Nothing in them is executed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simko.envs.data.rows import FieldTwiceError, Sieve, once, read_jsonl, utf8
from simko.errors import UserError

Row = dict[str, Any]
MAX_ROWS = 20_000_000
"""Rows of a file. A few packed bytes may hold more rows than any memory."""
MAX_OBJECT = 50_000_000
"""Bytes of a JSON file that is read as a whole."""
_LONGEST_ID = 1000


class _Refusing(Sieve):
    """Every bad row is refused. The mend of a data set, which leaves rows out, is none here."""

    def refuse(self, message: str) -> None:
        raise UserError(message)


def rows(path: Path) -> Iterator[tuple[str, Row]]:
    """`file:line` and object of each line of a `.jsonl` or `.jsonl.gz` file, read line by line.

    Raises:
        UserError: the file cannot be read, has too many or too long lines, or a line is not one JSON object in UTF-8.
    """
    for count, (number, row) in enumerate(read_jsonl(path, _Refusing()), 1):
        if count > MAX_ROWS:
            raise UserError(f"{path}:{number}: more than {MAX_ROWS} rows; split the file")
        yield f"{path}:{number}", row


def first_row(path: Path) -> Row:
    """The first row, or an empty object if the file has none. Raises `UserError` as `rows` does."""
    return next((row for _, row in rows(path)), {})


def read_object(path: Path) -> Row:
    """The one object of a JSON file. Raises `UserError` if it cannot be read, is too long or is no object."""
    try:
        with path.open("rb") as source:
            content = source.read(MAX_OBJECT + 1)
        if len(content) > MAX_OBJECT:
            raise UserError(f"{path}: longer than {MAX_OBJECT} bytes; is this the right file?")
        value = json.loads(utf8(content, path), object_pairs_hook=once)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a file that exists") from error
    except FieldTwiceError as error:
        raise UserError(f"{path}: field '{str(error)[:60]}' occurs twice in an object; leave one out") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({str(error)[:80]}); fetch it again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object; is this the right file?")
    return value


def identity(value: Any, place: str, field: str = "id") -> str:
    """The id of a problem as text. A whole number and its digits are one id.

    Raises:
        UserError: it is neither text nor a whole number, it is empty or too long, or it is not Unicode.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UserError(f"{place}: field '{field}' is {value!r:.60}; give text or a whole number")
    text = str(value)
    if not 0 < len(text) <= _LONGEST_ID:
        raise UserError(f"{place}: field '{field}' has {len(text)} characters; give 1 to {_LONGEST_ID}")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise UserError(f"{place}: field '{field}' is {text!a:.60}, which is not Unicode; give whole characters")
    return text


def score(value: Any) -> float | None:
    """A score as a finite number: `True` is 1. None for anything else: the other program reached no verdict."""
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def setting(value: Any, kind: type[int] | type[float] = float) -> Any:
    """A number out of a file's settings, or None if it is not a finite one. `int` takes whole numbers alone."""
    number = None if isinstance(value, bool) else score(value)
    if number is None or kind is float:
        return number
    return int(number) if number.is_integer() else None


def inside(value: Any, *path: str) -> Any:
    """What stands in nested objects under these names; None where one is missing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
