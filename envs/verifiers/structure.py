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
_LETTER = rf"(?:\\(?:{'|'.join(sorted(GREEK))})(?![a-zA-Z])|[A-Za-z])"
_SUBSCRIPT = r"(?:_\s?(?:\{[A-Za-z0-9]{1,6}\}|[A-Za-z0-9]))?"
_FIGURE = r"[A-Z]{2,5}"
_NAME = re.compile(
    rf"""(?x)
    (?: {_LETTER} | {_FIGURE} | m?\\angle\s*[A-Z]{{1,3}} | \\overline\s*\{{[A-Z]{{1,3}}\}} ) {_SUBSCRIPT} '{{0,3}}
    (?: \s*\(\s*[A-Za-z0-9](?:\s*,\s*[A-Za-z0-9]){{0,3}}\s*\) | \s*\^\s*\{{-1\}}\s*\(\s*[A-Za-z]\s*\) )?
    | \|\s?(?:{_FIGURE}|{_LETTER})\s?\|
    | (?:{_FIGURE}|[A-Z]{_SUBSCRIPT})\s?[:/]\s?(?:{_FIGURE}|[A-Z]{_SUBSCRIPT})
    | \\frac\s?\{{\s?{_FIGURE}\s?\}}\s?\{{\s?{_FIGURE}\s?\}}
    | \[{_FIGURE}\] | \\(?:triangle|square|Delta)\s?{_FIGURE} | {_FIGURE}\s?\^\s?\{{2\}} | \\?\#\s?[A-Z]
    | \\(?:max|min) | \\gcd\s?\([\d,\s]{{1,40}}\) | \\text\s?\{{lcm\}}\s?\([\d,\s]{{1,40}}\) | \\lfloor\s?{_LETTER}\s?\\rfloor
    | \\(?:sin|cos|tan|cot|sec|csc)\s?(?:\(\s?{_LETTER}\s?\)|{_LETTER}|\\angle\s?[A-Z]{{1,3}})
    | \(\s*[A-Za-z](?:\s*,\s*[A-Za-z]){{1,4}}\s*\)
    | \\text\s*\{{(?P<words>[A-Za-z .]{{1,40}})\}}
    """
)
_SUM = re.compile(r"[a-zA-Z](?:\^\{2\})?(?:\s?[+-]\s?[a-zA-Z](?:\^\{2\})?){1,5}|[a-z]{2}")
_ORDER = re.compile(r"<|>|\\[lg]e(?![A-Za-z])")
_TURNED = {"<": "<", "\\le": "<=", ">": ">", "\\ge": ">="}
_RATIO = re.compile(r"(\d{1,12})\s?:\s?(\d{1,12})")
_FRACTION = re.compile(r"(\d{1,12})\s?/\s?(\d{1,12})|\\frac\s?\{\s?(\d{1,12})\s?\}\s?\{\s?(\d{1,12})\s?\}")


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
    return match is not None and not changes_value(match["words"] or (text if text.strip().isalpha() else ""))


def is_inequality(text: str) -> bool:
    r"""Whether `<`, `>`, `\le`, `\ge` or `\ne` occurs."""
    return re.search(r"[<>]|\\(?:[lgn]e)(?![A-Za-z])", text) is not None


def is_sum_of_names(text: str) -> bool:
    """Whether `text` is what an answer may name on its left where the gold answer is a value: `m+n`, `a-b`, `xy`."""
    found = re.findall(r"[A-Za-z]", text)
    return _SUM.fullmatch(text.strip()) is not None and len(set(found)) == len(found) and not changes_value(text)


def as_interval(text: str) -> str | None:
    r"""The interval that an inequality in one name says: `(1, 2]` of `1 < x \le 2`; a union where `or` joins several."""
    pieces = re.split(r"\\text\s?\{\s?or\s?\}|(?<![A-Za-z\\])or(?![A-Za-z])", text)
    if len(pieces) > MAX_ITEMS:
        return None
    intervals = [_interval(piece.strip()) for piece in pieces]
    if any(found is None for found in intervals) or len({found[0] for found in intervals if found}) != 1:
        return None
    return " \\cup ".join(found[1] for found in intervals if found)


def _interval(text: str) -> tuple[str, str] | None:
    """The name and the interval of one inequality."""
    if match := re.fullmatch(r"([^<>=]{1,60})\\ne(?![A-Za-z])([^<>=]{1,60})", text):
        name, point = match[1].strip(), match[2].strip()
        return (name, f"(-\\infty, {point}) \\cup ({point}, \\infty)") if is_name(name) and point else None
    signs = [_TURNED[sign] for sign in _ORDER.findall(text)]
    terms = [term.strip() for term in _ORDER.split(text)]
    if not all(terms) or any("=" in term or "\\ne" in term for term in terms):
        return None
    if len(signs) == 1 and (is_name(terms[0]) != is_name(terms[1])):
        name, bound, sign = (*terms, signs[0]) if is_name(terms[0]) else (*terms[::-1], signs[0].translate(_FLIP))
        if sign.startswith("<"):
            return name, f"(-\\infty, {bound}{']' if '=' in sign else ')'}"
        return name, f"{'[' if '=' in sign else '('}{bound}, \\infty)"
    if len(signs) == 2 and is_name(terms[1]) and signs[0][0] == signs[1][0]:
        if signs[0][0] == ">":
            terms, signs = terms[::-1], signs[::-1]
        return terms[1], f"{'[' if '=' in signs[0] else '('}{terms[0]}, {terms[2]}{']' if '=' in signs[1] else ')'}"
    return None


_FLIP = str.maketrans("<>", "><")


def is_plain_pair(text: str) -> bool:
    """Whether an interval may as well be a point: `(0, 1)`, but neither `[0, 1)` nor `(0, \\infty)` nor a union."""
    return not re.search(r"[\[\]]|\\infty|\\cup|\\in(?![A-Za-z])", text)


def same_ratio(a: str, b: str) -> bool:
    """Whether one is a ratio `3:2` and the other the fraction of its terms, `3/2`. (None is reduced: `12:30` is a time.)"""
    for one, other in ((a, b), (b, a)):
        ratio, fraction = _RATIO.fullmatch(one), _FRACTION.fullmatch(other)
        if ratio and fraction:
            return (ratio[1], ratio[2]) == (fraction[1] or fraction[3], fraction[2] or fraction[4])
    return False


def in_order_of_names(items: tuple[str, ...]) -> tuple[str, ...]:
    """Items such as `y = 5`, `x = 8` by their names, where each names another single letter; else as they are."""
    names = [re.match(r"\s*([a-z])\s*=", item) for item in items]
    letters = [match[1] for match in names if match]
    if len(letters) < len(items) or len(set(letters)) < len(items):
        return items
    return tuple(item for _, item in sorted(zip(letters, items, strict=True)))
