r"""The shape of an answer: lists, tuples, intervals, unions and matrices, taken apart to scalars.

Shapes are compared here, in-process and strictly (`(1, 2)` is not `[1, 2)`), so that only scalars need algebra.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from simko.envs.verifiers.allowlist import GREEK
from simko.envs.verifiers.units import changes_value

Kind = Literal["scalar", "list", "set", "group", "union", "matrix"]
MAX_ITEMS = 24
_OPEN, _CLOSE = (
    ("(", "[", "\\{", "\\langle", "{", "\\lfloor", "\\lceil"),
    (")", "]", "\\}", "\\rangle", "}", "\\rfloor", "\\rceil"),
)
_PIECE = re.compile(r"\\\\|\\[A-Za-z]+|\\.|[^\\]", re.DOTALL)
_MATRIX = re.compile(r"\\begin\s*\{([pbB]?matrix)\}(.*)\\end\s*\{\1\}", re.DOTALL)
_AND = re.compile(r",?\s*(?:\\text\s*\{\s*,?\s*(?:and|or)\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*")
_MEMBER = re.compile(r"^\s*[A-Za-z]\s*\\in(?![A-Za-z])\s*")
_NAME = re.compile(
    rf"""(?x)
    (?: \\(?:{"|".join(sorted(GREEK))})(?![a-zA-Z]) | [A-Za-z] | [A-Z]{{2,3}}
      | m?\\angle\s*[A-Z]{{1,3}} | \\overline\s*\{{[A-Z]{{1,3}}\}} )
    (?: _\s*(?:\{{[A-Za-z0-9]{{1,4}}\}}|[A-Za-z0-9]) )? '{{0,3}}
    (?: \s*\(\s*[A-Za-z0-9](?:\s*,\s*[A-Za-z0-9]){{0,3}}\s*\) | \s*\^\s*\{{-1\}}\s*\(\s*[A-Za-z]\s*\) )?
    | \(\s*[A-Za-z](?:\s*,\s*[A-Za-z]){{1,4}}\s*\)
    | \\text\s*\{{(?P<words>[A-Za-z .]{{1,40}})\}}
    """
)


@dataclass(frozen=True, slots=True)
class Shape:
    """An answer taken apart. `items` are texts (of a matrix, row by row); `brackets` of a group, `(` `]` and so on.

    A `list` is written without brackets, a `set` within braces, a `group` within parentheses or brackets, of one item or
    more. `columns` is the width of a matrix.
    """

    kind: Kind
    items: tuple[str, ...]
    brackets: str = ""
    columns: int = 0


def split(text: str, separators: tuple[str, ...]) -> list[str] | None:
    """`text` cut at the separators that are inside no bracket; None where the brackets do not balance."""
    parts: list[str] = []
    current: list[str] = []
    depth = 0
    for piece in _PIECE.findall(text):
        if piece in _OPEN:
            depth += 1
        elif piece in _CLOSE:
            depth -= 1
            if depth < 0:
                return None
        if depth == 0 and piece in separators:
            parts.append("".join(current))
            current = []
        else:
            current.append(piece)
    return None if depth else [part.strip() for part in [*parts, "".join(current)]]


def shape(cleaned: str) -> Shape:
    """The outermost shape of a text that has been through `latex.clean`."""
    text = _MEMBER.sub("", cleaned).strip()
    scalar = Shape("scalar", (text,))
    if match := _MATRIX.fullmatch(text):
        rows = [row.strip() for row in re.split(r"\\\\", match[2])]
        cells = [[cell.strip() for cell in row.split("&")] for row in rows if row]
        if not cells or len({len(row) for row in cells}) != 1:
            return scalar
        return Shape("matrix", tuple(cell for row in cells for cell in row), columns=len(cells[0]))
    parts = split(_AND.sub(",", text), (",", ";"))
    if parts is None:
        return scalar
    parts = [part for part in parts if part]
    if 1 < len(parts) <= MAX_ITEMS:
        return Shape("list", tuple(parts))
    pieces = split(text, ("\\cup",)) or []
    if 1 < len(pieces) <= MAX_ITEMS and all(pieces):
        return Shape("union", tuple(pieces))
    if (signs := split(text, ("\\pm",)) or []) and len(signs) == 2 and signs[1] and "\\pm" not in signs[0] + signs[1]:
        return Shape("list", (f"{signs[0]}+{signs[1]}" if signs[0] else signs[1], f"{signs[0]}-{signs[1]}"))
    return _group(text) or scalar


def _group(text: str) -> Shape | None:
    pieces = _PIECE.findall(text)
    if (
        len(pieces) < 2
        or pieces[0] not in ("(", "[", "\\{", "\\langle")
        or pieces[-1] not in (")", "]", "\\}", "\\rangle")
    ):
        return None
    depth = 0
    for i, piece in enumerate(pieces):  # the first bracket must close at the very end
        depth += (piece in _OPEN) - (piece in _CLOSE)
        if depth == 0 and i < len(pieces) - 1:
            return None
    if depth:
        return None
    inside = split("".join(pieces[1:-1]), (",", ";"))
    if inside is None or not 1 <= len(inside) <= MAX_ITEMS or not all(inside):
        return None
    if (pieces[0], pieces[-1]) == ("\\{", "\\}"):
        return Shape("set", tuple(inside))
    opened, closed = (p.replace("\\langle", "(").replace("\\rangle", ")") for p in (pieces[0], pieces[-1]))
    return Shape("group", tuple(inside), opened + closed)


def sides(text: str) -> list[str]:
    """`text` cut at its equality signs that are inside no bracket; one item where there is none."""
    return split(text, ("=",)) or [text]


def is_name(text: str) -> bool:
    r"""Whether `text` is what an equation may name on its left: `x`, `f(x)`, `x_{1}`, `(x, y)`, `\angle ABC`, `\text{Area}`."""
    match = _NAME.fullmatch(text.strip())
    return match is not None and not (match["words"] and changes_value(match["words"]))


def is_inequality(text: str) -> bool:
    r"""Whether `<`, `>`, `\le` or `\ge` occurs."""
    return re.search(r"[<>]|\\[lg]e(?![A-Za-z])", text) is not None
