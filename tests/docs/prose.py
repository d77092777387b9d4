"""Prose of a Markdown page: its sentences and words, without code blocks, tables and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import median

from markdown_it import MarkdownIt
from markdown_it.token import Token

MOST_WORDS = 32
MEDIAN_WORDS = 17
MOST_CHARACTERS = 130
BANNED = (
    *("simply", "just", "obviously", "obvious", "easily", "effortless", "effortlessly", "basically", "trivially"),
    *("leverage", "leverages", "leveraging", "utilise", "utilize", "utilises", "utilizes", "utilising", "utilizing"),
    *("seamless", "seamlessly", "robust", "robustly", "powerful", "blazing", "blazingly", "lightning-fast", "elegant"),
    *("cutting-edge", "state-of-the-art", "world-class", "game-changing", "revolutionary", "delve", "of which"),
    *("in order to", "please note", "out of the box", "under the hood", "at scale", "best-in-class", "supercharge"),
)
"""Words that praise, hurry the reader or only fill. Say what happens, and with which number."""
FIELD = frozenset({"program", "programs", "optimizer", "optimizers", "license"})
"""American spellings that the field, a file or a verb keeps."""
ABBREVIATIONS = re.compile(r"\b(?:e\.g|i\.e|vs|cf|al|approx|Fig|Eq|Sec|No|St|Dr)\.$")
BREAK = re.compile(r"""[.!?]["'”’)]*\s+""")
"""The end of a sentence. The next one may begin with a small letter: simko, torch, bfloat16."""
MANY_LINKS = 9
"""A paragraph of so many links is an index and no prose."""
CODE = "\x00"
"""Before a code span: one word, whose blanks and stops are hidden meanwhile."""
HIDDEN = str.maketrans(" .!?\n", "\ue000\ue001\ue002\ue003\ue000")
SHOWN = str.maketrans("\ue000\ue001\ue002\ue003", " .!?", CODE)


@dataclass(frozen=True)
class Sentence:
    """A sentence and the line on which it begins."""

    line: int
    text: str

    @property
    def words(self) -> list[str]:
        """Words; a code span or a formula is one, a sign alone none."""
        return [word for word in self.text.split() if re.search(rf"[\w{CODE}]", word)]


def inlines(page: str) -> Iterator[Token]:
    """Text of paragraphs, also in lists and quotations; headings, cells of tables and rows of links are left out."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    for before, token in zip([None, *tokens], tokens, strict=False):
        links = sum(child.type == "link_open" for child in token.children or [])
        if token.type == "inline" and before is not None and before.type == "paragraph_open" and links < MANY_LINKS:
            yield token


def plain(token: Token) -> str:
    """What a reader reads, one line for each line of the source."""
    parts = []
    for child in token.children or []:
        if child.type == "code_inline":
            parts.append(CODE + child.content.translate(HIDDEN))
        elif child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type == "text":
            parts.append(child.content)
    return "".join(parts)


def sentences(page: str) -> list[Sentence]:
    """Sentences of a page's prose, in order."""
    found = []
    for token in inlines(page):
        text, first = plain(token), (token.map or [0])[0] + 1
        start = 0
        for match in [*BREAK.finditer(text), None]:
            end = match.end() if match else len(text)
            if match and ABBREVIATIONS.search(text[: match.start() + 1]):
                continue
            piece = text[start:end]
            line = first + text.count("\n", 0, start + len(piece) - len(piece.lstrip()))
            if piece.strip():
                found.append(Sentence(line, " ".join(piece.split())))
            start = end
    return found


def american() -> dict[str, str]:
    """American spellings and how the pages write them: codespell's own table, turned round."""
    table = files("codespell_lib").joinpath("data/dictionary_en-GB_to_en-US.txt").read_text(encoding="utf-8")
    pairs = (line.split("->") for line in table.splitlines() if line.count("->") == 1)
    words = {us.strip().rstrip(",").lower(): uk.lower() for uk, us in pairs if "," not in us.strip().rstrip(",")}
    return {us: uk for us, uk in words.items() if us not in FIELD}


def faults(path: Path, name: str) -> list[str]:
    """What a page says too long, too loudly or in another spelling: `page:line: what: the sentence`."""
    page = path.read_text(encoding="utf-8")
    british = american()
    found = []
    for sentence in (spoken := sentences(page)):
        place, text = f"{name}:{sentence.line}", sentence.text.translate(SHOWN)
        words = sentence.words
        if len(words) > MOST_WORDS:
            found.append(f"{place}: {len(words)} words, at most {MOST_WORDS}: {text}")
        prose = " ".join(word for word in sentence.text.split() if CODE not in word)
        for word in BANNED:
            if re.search(rf"(?<![\w-]){word}(?![\w-])", prose, re.IGNORECASE):
                found.append(f"{place}: say it without {word!r}: {text}")
        for word in re.findall(r"(?<![\w-])[A-Za-z]+(?![\w-])", prose):
            if word.lower() in british and not word.isupper():
                found.append(f"{place}: {word!r} is written {british[word.lower()]!r} here: {text}")
    if spoken and (middle := median(len(sentence.words) for sentence in spoken)) > MEDIAN_WORDS:
        found.append(f"{name}: the median sentence has {middle:g} words, at most {MEDIAN_WORDS}: split the long ones")
    return found + lines(page, name)


def lines(page: str, name: str) -> list[str]:
    """Lines that are too long or end in blanks. A line of a table, a picture or a code block may be long."""
    found, fenced = [], False
    for number, line in enumerate(page.splitlines(), start=1):
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        if line != line.rstrip() and not fenced:
            found.append(f"{name}:{number}: blanks at the end of the line")
        free = fenced or line.lstrip().startswith(("|", "!["))
        if len(line) > MOST_CHARACTERS and not free:
            found.append(f"{name}:{number}: {len(line)} characters, at most {MOST_CHARACTERS}")
    return found
