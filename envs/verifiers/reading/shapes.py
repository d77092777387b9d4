r"""The shape of an answer: lists, tuples, intervals, unions and matrices, taken apart to scalars.

Shapes are compared here, in-process and strictly (`(1, 2)` is not `[1, 2)`), so that only scalars need sympy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Literal

from simko.envs.verifiers.reading import brackets
from simko.envs.verifiers.reading.allowlist import GREEK
from simko.envs.verifiers.reading.numbers import parse_number
from simko.envs.verifiers.reading.units import changes_value

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
_RATIO = re.compile(r"(\d{1,12})\s?:\s?(\d{1,12})")
_FRACTION = re.compile(r"(\d{1,12})\s?/\s?(\d{1,12})|\\frac\s?\{\s?(\d{1,12})\s?\}\s?\{\s?(\d{1,12})\s?\}")


_QUANTITY = re.compile(
    r"\\(?:int|iint|oint|sum|prod|lim|det|dim|Pr)(?![A-Za-z])|(?:n|P|E|Var|\\text\s?\{Var\})\s?[(\[]"
)
"""The beginning of a quantity that the answer repeats before its value: a sum, an integral, a probability."""
MAX_QUANTITY = 120
_KEPT = "\x01"  # a comma that separates nothing
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_CUT_NUMBER = re.compile(r"0\d\d(?!\d)")  # the middle of 1,000,5
_PLUS_MINUS = re.compile(r"(\\[pm][mp])(?![A-Za-z])(\s*(?:[\w({.]|\\[A-Za-z])?)")


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
    """`text` cut at the separators that are in no bracket, stripped; None if the brackets do not balance."""
    parts = brackets.split(_PIECE.findall(text), separators, _OPEN, _CLOSE)
    return None if parts is None else [part.strip() for part in parts]


def _items(text: str, in_brackets: bool = False) -> list[str] | None:
    """`text` cut at its commas and semicolons, but not at those within a number such as `1,000`.

    None if a comma may be either, or if the brackets do not balance. Within brackets a comma between groups of digits
    separates, `(12,345)`, unless other commas have a blank behind them.
    """
    marked = text
    if not in_brackets or re.search(r",\s", text):
        marked = _THOUSANDS.sub(lambda m: m[0].replace(",", _KEPT), text)
    pieces = split(marked, (",", ";"))
    if pieces is None:
        return None
    pieces = [piece.replace(_KEPT, ",") for piece in pieces]
    after = pieces[1:] if not re.search(r",\s", text) else []
    return None if any(_CUT_NUMBER.match(piece) for piece in after) else pieces


def spread(text: str) -> list[str]:
    r"""The values of a text with one or two `\pm`, such as `1+\sqrt{2}` and `1-\sqrt{2}`. Without one, the text alone."""
    signs = _PLUS_MINUS.findall(text)
    if not signs or len(signs) > 2 or any(not follower.strip() for _, follower in signs):
        return [text]
    if signs[0][0] != "\\pm" or text.count("\\pm") + text.count("\\mp") != len(signs):
        return [text]
    choices = [("+", "-"), ("-", "+")] if signs[-1][0] == "\\mp" else list(product("+-", repeat=len(signs)))
    spellings = []
    for choice in choices:
        values = iter(choice)
        written = _PLUS_MINUS.sub(lambda m, v=values: next(v) + m[2], text)  # type: ignore[misc]
        spellings.append(re.sub(r"(^|[(\[{,=])(\s?)\+", r"\1\2", written))
    return spellings


def shape(cleaned: str) -> Shape:
    """The outermost shape of a text that `clean` has rewritten."""
    text = _MEMBER.sub("", cleaned).strip()
    scalar = Shape("scalar", (text,))
    if parse_number(text) is not None:
        return scalar
    if match := _MATRIX.fullmatch(text):
        return _matrix(match[2]) or scalar
    parts = _items(_AND.sub(", ", text))
    if parts is None:
        return scalar
    signs = "\\pm" in text
    parts = [item for part in parts if part for item in (spread(part) if signs else (part,))]
    if 1 < len(parts) <= MAX_ITEMS:
        return Shape("list", tuple(parts), "\\pm" if signs else "")
    pieces = split(text, ("\\cup",)) or []
    if 1 < len(pieces) <= MAX_ITEMS and all(pieces):
        return Shape("union", tuple(pieces))
    return _group(text) or scalar


def _matrix(body: str) -> Shape | None:
    rows = [row.strip() for row in re.split(r"\\\\", body)]
    cells = [[cell.strip() for cell in row.split("&")] for row in rows if row]
    if not cells or len({len(row) for row in cells}) != 1:
        return None
    return Shape("matrix", tuple(cell for row in cells for cell in row), columns=len(cells[0]))


def as_list(text: str) -> Shape | None:
    """`45,135` as a list, for a gold answer that is a list. None if the text cannot be read as one."""
    if not _THOUSANDS.fullmatch(text):
        return None
    items = text.split(",")
    return None if any(_CUT_NUMBER.match(item) for item in items) else Shape("list", tuple(items))


def as_matrix(group: Shape) -> Shape:
    """Rows in brackets within brackets, `[[1,2],[3,4]]`, as a matrix. Any other shape stays as it is."""
    if group.kind != "group" or group.brackets != "[]":
        return group
    rows = [_group(item) for item in group.items]
    if any(row is None or row.brackets != "[]" for row in rows) or len({len(row.items) for row in rows if row}) != 1:
        return group
    cells = tuple(cell for row in rows if row for cell in row.items)
    return Shape("matrix", cells, columns=len(cells) // len(rows))


def _group(text: str) -> Shape | None:
    pieces = _PIECE.findall(text)
    if (
        len(pieces) < 2
        or pieces[0] not in ("(", "[", "\\{", "\\langle")
        or pieces[-1] not in (")", "]", "\\}", "\\rangle")
    ):
        return None
    if brackets.closing(pieces, 0, _OPEN, _CLOSE) != len(pieces) - 1:
        return None
    inside = _items("".join(pieces[1:-1]), in_brackets=True)
    if inside is None or not 1 <= len(inside) <= MAX_ITEMS or not all(inside):
        return None
    if (pieces[0], pieces[-1]) == ("\\{", "\\}"):
        return Shape("set", tuple(inside))
    opened, closed = (p.replace("\\langle", "(").replace("\\rangle", ")") for p in (pieces[0], pieces[-1]))
    return Shape("group", tuple(inside), opened + closed)


def sides(text: str) -> list[str]:
    """`text` cut at its equality signs outside of brackets."""
    return split(text, ("=",)) or [text]


def is_name(text: str) -> bool:
    r"""Whether `text` is a name, as on the left of an equation: `x`, `f(x)`, `x_{1}`, `(x, y)`, `\angle ABC`, `\text{Area}`."""
    text = text.strip()
    if (
        len(text) <= MAX_QUANTITY
        and _QUANTITY.match(text)
        and not is_inequality(re.sub(r"\([^()]*\)|\{[^{}]*\}", "", text))
    ):
        return True
    match = _NAME.fullmatch(text)
    if match is None:
        return False
    words = re.sub(r"\b(?:of|and|between|to|by|the|roots?|remainder|power|ones|tens)\b", "", match["words"] or "")
    return not changes_value(words if match["words"] else text if text.isalpha() else "")


def is_inequality(text: str) -> bool:
    r"""Whether `<`, `>`, `\le`, `\ge` or `\ne` occurs."""
    return re.search(r"[<>]|\\(?:[lgn]e)(?![A-Za-z])", text) is not None


def same_ratio(a: str, b: str) -> bool:
    """Whether one is a ratio `3:2` and the other the fraction of its terms, `3/2`. (Neither is reduced: `12:30` is a time.)"""
    for one, other in ((a, b), (b, a)):
        ratio, fraction = _RATIO.fullmatch(one), _FRACTION.fullmatch(other)
        if ratio and fraction:
            return (ratio[1], ratio[2]) == (fraction[1] or fraction[3], fraction[2] or fraction[4])
    return False


def in_order_of_names(items: tuple[str, ...]) -> tuple[str, ...]:
    """Items such as `y = 5`, `x = 8` by their names, if each names another single letter. Otherwise as they are."""
    names = [re.match(r"\s*([a-z])\s*=", item) for item in items]
    letters = [match[1] for match in names if match]
    if len(letters) < len(items) or len(set(letters)) < len(items):
        return items
    return tuple(item for _, item in sorted(zip(letters, items, strict=True)))


def with_dots(shape: Shape) -> bool:
    """Whether dots stand for items that are left out: then the order of the others counts."""
    return "\\ldots" in shape.items


def reads_as_interval(pair: Shape) -> bool:
    """Whether a pair in parentheses may as well be an interval: two numbers, the lower one first."""
    if len(pair.items) != 2:
        return False
    low, high = (parse_number(item) for item in pair.items)
    return low is not None and high is not None and low.value < high.value


def unnamed_point(text: str) -> str | None:
    """`(1, 2)` of `P(1, 2)`. None unless the text is a capital letter before a tuple."""
    match = re.fullmatch(r"[A-Z]\s?(\([^()]{1,200}[,;][^()]{1,200}\))", text)
    return match[1] if match else None
