r"""Functions that read answers to puzzles. All rule checkers share them.

Nothing here evaluates text. Our own tokenizer reads lists in Python's or JSON's notation; their length, depth and number
of leaves are limited. No function raises, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from simko.envs.verifiers.answer.extract import MAX_RESPONSE
from simko.envs.verifiers.answer.visible import without_thinking
from simko.envs.verifiers.reading.brackets import closing

MAX_LIST = 20_000  # characters of one list
MAX_DEPTH = 6
MAX_LEAVES = 2_500
MAX_TRIES = 20  # places where a list may begin, from the last one backwards
MAX_DIGITS = 18

Tree = list[Any]
"""A list whose items are texts or lists again."""

_FENCE = re.compile(r"```[ \t]*[\w+-]{0,20}[ \t]*\n?((?:(?!```).){0,20000})```", re.DOTALL)
_TAG = re.compile(r"<answer>((?:(?!</?answer>).){0,20000})</answer>", re.DOTALL | re.IGNORECASE)
_START = re.compile(r"[\[(]\s{0,200}[\[(]")
_TOKEN = re.compile(
    r"""\s*(?:(?P<open>[\[(])|(?P<close>[\])])|(?P<comma>[,，])"""
    r"""|"(?P<double>(?:[^"\\\n]|\\[^\n]){0,500})"|'(?P<single>(?:[^'\\\n]|\\[^\n]){0,500})'"""
    r"""|(?P<bare>[^\s\[\](),，"'][^\[\](),，"']{0,500}))"""
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,4}\{")
_STATED = re.compile(r"(?:answer\s?(?:is|:|：|=)|答案\s?(?:是|为|:|：))\s?:?\s?(\S.{0,2000})$", re.IGNORECASE)
_DOUBLE = re.compile(r"\[\[([^\[\]]{1,2000})\]\]")
_INTEGER = re.compile(rf"[+-]?\d{{1,{MAX_DIGITS}}}")


def answer_part(response: str) -> str:
    """The part of a response that may hold the answer: after the thinking, and inside the last `<answer>` if it has one."""
    text = without_thinking(response[-MAX_RESPONSE:])
    tags = list(_TAG.finditer(text))
    return tags[-1][1] if tags else text


def fenced_blocks(text: str) -> list[str]:
    """The contents of all blocks fenced by three backticks, in order, stripped."""
    return [match[1].strip() for match in _FENCE.finditer(text)]


def last_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{...}` whose braces balance (`\{` and `\}` do not count), stripped."""
    for match in list(_BOX.finditer(text))[: -MAX_TRIES - 1 : -1]:
        end = closing(text, match.end() - 1, escapes=True, reach=MAX_LIST + 1)
        if end is not None:
            return text[match.end() : end].strip()
    return None


def parse_list(text: str, at: int = 0) -> tuple[Tree, int] | None:
    """The list or tuple that begins at `at`, and the place behind it; None if there is no such list.

    Items are lists, quoted texts or bare words (`X`, `-3`, `4 2 1`), all given as stripped text. A comma may be missing
    between two lists, and one may trail.
    """
    stack: list[Tree] = []
    leaves, end, closed = 0, min(len(text), at + MAX_LIST), False
    while at < end:
        match = _TOKEN.match(text, at, end)
        if match is None:
            return None
        at = match.end()
        kind = match.lastgroup
        if kind == "open":
            item: Tree = []
            if stack:
                stack[-1].append(item)
            stack.append(item)
            if len(stack) > MAX_DEPTH:
                return None
            closed = False
        elif not stack:
            return None
        elif kind == "close":
            done = stack.pop()
            if not stack:
                return done, at
            closed = True
        elif kind == "comma":
            closed = False
        else:
            leaves += 1
            if leaves > MAX_LEAVES or closed:
                return None
            stack[-1].append(_leaf(match[kind] if kind else "", kind))
            closed = True
    return None


def _leaf(text: str, kind: str | None) -> str:
    if kind == "bare":
        return text.strip()
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[2], text).strip()


def last_list(text: str) -> Tree | None:
    """The last list of lists (or tuple of tuples) in `text`. Lists in fenced blocks come before all others."""
    for place in (*reversed(fenced_blocks(text)[-MAX_TRIES:]), text):
        for start in list(_START.finditer(place))[: -MAX_TRIES - 1 : -1]:
            parsed = parse_list(place, start.start())
            if parsed is not None:
                return parsed[0]
    return None


def last_grid(text: str) -> list[list[str]] | None:
    """The last grid in `text` with its cells as text: `[[1, 2], [3, 4]]` in any notation, or `[[1 2,3 4]]`. Or None."""
    tree = last_list(text)
    if tree is None:
        return None
    while len(tree) == 1 and isinstance(tree[0], list) and tree[0] and all(isinstance(row, list) for row in tree[0]):
        tree = tree[0]
    rows: list[list[str]] = []
    if len(tree) == 1 and isinstance(tree[0], list) and any(" " in str(leaf) for leaf in tree[0]):
        tree = [[leaf] for leaf in tree[0]]  # rows between commas, cells between blanks
    for row in tree:
        if not isinstance(row, list) or not all(isinstance(leaf, str) for leaf in row):
            return None
        rows.append([cell for leaf in row for cell in (leaf.split() or [""])])
    return rows or None


def is_shape(grid: list[list[Any]], height: int, width: int) -> bool:
    """Whether `grid` has `height` rows of `width` cells each."""
    return len(grid) == height and all(len(row) == width for row in grid)


def to_int(text: Any) -> int | None:
    """The integer in a cell. None unless it is an integer of at most 18 digits; a bool is not an integer here."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    return int(text) if isinstance(text, str) and text.isascii() and _INTEGER.fullmatch(text.strip()) else None


def int_grid(grid: list[list[str]] | None) -> list[list[int]] | None:
    """The grid as integers, or None if a cell is not an integer."""
    if grid is None:
        return None
    rows = [[to_int(cell) for cell in row] for row in grid]
    return None if any(cell is None for row in rows for cell in row) else rows  # type: ignore[return-value]


def is_latin(grid: list[list[int]], size: int) -> bool:
    """Whether every row and every column of the square holds 1..`size` once."""
    numbers = list(range(1, size + 1))
    return is_shape(grid, size, size) and all(sorted(line) == numbers for line in (*grid, *zip(*grid, strict=True)))


def marked_or_last_line(text: str, is_answer: Callable[[str], bool]) -> str | None:
    r"""The short answer of `text`: a fenced block at its end, else the last box, the last line, or the last fenced block.

    The last line counts only if `is_answer` accepts it, or accepts the text after its "the answer is".
    """
    blocks = [block for block in fenced_blocks(text) if block]
    if blocks and text.rstrip().endswith("```"):
        return last_boxed(blocks[-1]) or blocks[-1]
    box = last_boxed(text)
    if box is not None:
        return box.strip("$ ")
    lines = [line.strip().strip("*`$ ").strip() for line in text.splitlines()]
    last = next((line for line in reversed(lines) if line), "")[:MAX_LIST]
    for candidate in (last, *(m[1].strip().rstrip(".。").strip("*`$ ") for m in [_STATED.search(last)] if m)):
        if candidate and is_answer(candidate):
            return candidate
    return blocks[-1] if blocks else None


def last_double_brackets(text: str) -> str | None:
    """The text in the last `[[...]]` without inner brackets, stripped."""
    matches = _DOUBLE.findall(text)
    return matches[-1].strip() if matches else None


def squeeze(text: str) -> str:
    """The text without white space. Short answers are compared in this form."""
    return "".join(text.split())
