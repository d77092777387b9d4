r"""The one scanner of brackets: where a group closes, how deep groups nest, where a text may be cut.

A text is a string, one character a piece, or a list of tokens. Every function reads it once, from left to right, and
none recurses, so that a hostile nest of brackets costs no more than a flat text of the same length.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

BRACES = {"{": "}"}
PARENTHESES = {"(": ")"}


def closing(
    pieces: Sequence[str],
    start: int,
    opens: Container[str] = "{",
    closes: Container[str] = "}",
    escapes: bool = False,
    reach: int | None = None,
) -> int | None:
    r"""The place of the bracket that closes the group which opens at `start`.

    None if no group opens there, or if it does not close within `reach` pieces (all by default). Any of `closes` ends a
    group of any of `opens`, as in the interval `[0, 1)`. With `escapes`, `\{` and `\}` are no brackets.
    """
    if not 0 <= start < len(pieces) or pieces[start] not in opens:
        return None
    depth = 0
    for at in _places(pieces, start, escapes, reach):
        piece = pieces[at]
        if piece in opens:
            depth += 1
        elif piece in closes:
            depth -= 1
            if depth == 0:
                return at
    return None


def deepest(pieces: Sequence[str], pairs: Mapping[str, str] = BRACES) -> int | None:
    """How deep brackets nest, 0 for none; None if they do not balance.

    `pairs` maps each opening bracket to the only one that closes it: `(]` does not balance.
    """
    stack: list[str] = []
    depth = 0
    ends = frozenset(pairs.values())
    for piece in pieces:
        if piece in pairs:
            stack.append(pairs[piece])
            depth = max(depth, len(stack))
        elif piece in ends and (not stack or stack.pop() != piece):
            return None
    return None if stack else depth


def split(
    pieces: Sequence[str], separators: Container[str], opens: Container[str], closes: Container[str]
) -> list[str] | None:
    """The pieces cut at each separator that is in no group; None if the brackets do not balance.

    Any of `closes` ends a group of any of `opens`. The parts come as texts, with their white space.
    """
    parts: list[str] = []
    part: list[str] = []
    depth = 0
    for piece in pieces:
        if piece in opens:
            depth += 1
        elif piece in closes:
            depth -= 1
            if depth < 0:
                return None
        if depth == 0 and piece in separators:
            parts.append("".join(part))
            part = []
        else:
            part.append(piece)
    return None if depth else [*parts, "".join(part)]


def unclosed(
    pieces: Sequence[str], opens: Container[str] = "{", closes: Container[str] = "}", escapes: bool = False
) -> list[int]:
    """The places of the brackets that are still open at the end, the innermost last.

    A closing bracket that closes nothing is passed over.
    """
    stack: list[int] = []
    for at in _places(pieces, 0, escapes, None):
        if pieces[at] in opens:
            stack.append(at)
        elif stack and pieces[at] in closes:
            stack.pop()
    return stack


def _places(pieces: Sequence[str], start: int, escapes: bool, reach: int | None) -> Iterable[int]:
    """The places from `start` on, without a backslash and what follows it if those are escapes."""
    end = len(pieces) if reach is None else min(len(pieces), start + reach)
    return _unescaped(pieces, start, end) if escapes else range(start, end)


def _unescaped(pieces: Sequence[str], at: int, end: int) -> Iterator[int]:
    while at < end:
        if pieces[at] == "\\":
            at += 2
        else:
            yield at
            at += 1
