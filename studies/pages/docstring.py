"""A docstring as Markdown: paragraphs, lists, and formulas as they stand.

The docstring of a file may describe several methods. `of_method` leaves what is said of one of them: a line of a formula whose
first word is the name of another is left out, and so is a sentence of a list that speaks of others alone.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

WIDTH = 126
_ITEM = re.compile(r"(?:-|\s?\d+\.) ")
_MARK = re.compile(r" (?=(?:[-+=>#*]+|\d+[.)]) )")
"""A space before what would be a list, a heading or a quote at the beginning of a line."""


@dataclass(frozen=True)
class Block:
    """A paragraph or an item of a list, in one line; or lines of a formula, as they stand."""

    kind: Literal["text", "item", "code"]
    text: str


def blocks(docstring: str) -> list[Block]:
    """The blocks of a docstring without its indentation. A formula is indented by four spaces, outside of a list."""
    found: list[Block] = []
    after_blank = True
    for line in docstring.splitlines():
        last = found[-1] if found else None
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            after_blank = True
            continue
        if match := _ITEM.match(line):
            found.append(Block("item", line[match.end() :].strip()))
        elif indent and last and last.kind == "item" and not after_blank:
            found[-1] = Block("item", f"{last.text} {line.strip()}")
        elif indent >= 4:
            joined = last.text + ("\n\n" if after_blank else "\n") if last and last.kind == "code" else ""
            found[len(found) - bool(joined) :] = [Block("code", joined + line[4:])]
        elif last and last.kind == "text" and not after_blank:
            found[-1] = Block("text", f"{last.text} {line.strip()}")
        else:
            found.append(Block("text", line.strip()))
        after_blank = False
    return found


def of_method(found: Iterable[Block], own: Collection[str], labels: Mapping[str, Collection[str]]) -> list[Block]:
    """The blocks that concern the names in `own`. `labels` are the words that stand for each name of the file."""
    kept = []
    for block in found:
        if block.kind == "code":
            lines = _own_lines(block.text, own, labels)
            kept += [Block("code", lines)] if lines.strip() else []
        elif not (spoken := {name for name, words in labels.items() if _speaks(block.text, words)}) or spoken & set(
            own
        ):
            kept.append(block)
    return kept


def _own_lines(formula: str, own: Collection[str], names: Collection[str]) -> str:
    """The lines of a formula that begin with a name in `own` or with none of `names`, each with what is indented below it."""
    kept, owner, depth = [], "", 0
    for line in formula.splitlines():
        indent = len(line) - len(line.lstrip())
        word = line.split()[0] if line.strip() else ""
        if word in names:
            owner, depth = word, indent
        elif indent <= depth:
            owner = ""
        if not owner or owner in own:
            kept.append(line)
    return "\n".join(kept).strip("\n")


def _speaks(text: str, words: Iterable[str]) -> bool:
    return any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-]|@)", text) for word in words)


def markdown(found: Iterable[Block]) -> str:
    """The blocks as Markdown, of lines that are not too long."""
    pieces: list[str] = []
    before = ""
    for block in found:
        if block.kind == "code":
            piece = f"```text\n{block.text}\n```"
        elif block.kind == "item":
            piece = wrapped(f"- {safe(block.text)}", indent="  ")
        else:
            piece = wrapped(safe(block.text))
        pieces.append(("\n" if before == block.kind == "item" else "\n\n" if pieces else "") + piece)
        before = block.kind
    return "".join(pieces)


def safe(text: str) -> str:
    """`text` with what Markdown would take for its own marks escaped, but for code spans."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if i % 2 else _escaped(part) for i, part in enumerate(parts))


def _escaped(text: str) -> str:
    text = re.sub(r"(?<![\w\\])_(?=\w)|(?<=\w)_(?!\w)|\*", lambda mark: "\\" + mark[0], text)
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", text)


def wrapped(text: str, indent: str = "") -> str:
    """`text` in lines of at most `WIDTH`, none of which begins with a mark of Markdown; a code span or a link is in one line."""
    spans = re.sub(r"`[^`]+`|\[[^\]]*\]\([^)]*\)", lambda span: span[0].replace(" ", "\0"), text)
    first, rest = spans[:2], spans[2:]
    kept = first + _MARK.sub("\0", rest)
    lines = textwrap.fill(kept, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\0", " ")
