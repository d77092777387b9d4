"""Matching braces in LaTeX: the one place where this folder counts them."""

from __future__ import annotations


def closing_brace(text: str, start: int, reach: int) -> int | None:
    r"""The index behind the `}` that closes the `{` at `start`; None where it does not close within `reach` characters.

    A backslash hides the character behind it: `\{` and `\}` do not count.
    """
    depth, at, stop = 0, start, min(len(text), start + reach)
    while at < stop:
        if text[at] == "\\":
            at += 2
            continue
        depth += (text[at] == "{") - (text[at] == "}")
        at += 1
        if depth == 0:
            return at
    return None


def open_braces(text: str) -> list[int]:
    r"""The indices of every `{` that is still open at the end of `text`, the outermost first."""
    indices: list[int] = []
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "{":
            indices.append(at)
        elif text[at] == "}" and indices:
            indices.pop()
        at += 1
    return indices
