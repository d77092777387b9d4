"""The fenced blocks of the pages, what stands above them, and the commands in them. Nothing is run here.

Lines `<!-- run with: --steps 2 -->` above a fence add words to the `simko` lines of the block that take them.
`<!-- not run: why -->` says why a block cannot run here, `<!-- exits with: 1 -->` that its last command fails, and
`<!-- numbers may differ -->` that another processor or another day prints other numbers. In an output `...` stands for a
part of a line, or for any lines where it stands alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"((?:^<!-- [^\n]* -->\n)*)^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"^<!-- (run with|not run|exits with): (.*) -->$", re.MULTILINE)
_GENERATED = re.compile(r"<!-- written by |^Written by `python -m", re.MULTILINE)
_BEFORE_COMMENT = re.compile(r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|(?<=\S)#|[^'"\\#])*""")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Block:
    """A fenced block. `expected` is the `text` block behind it, with nothing but white space between, if there is one.

    Attributes:
        line: the line of its fence.
        more: words for its `simko` lines; empty where nothing is said.
        reason: why the block is not run, or None
        code: the exit code of its last command.
        loose: its output may have other numbers.
    """

    line: int
    kind: str
    text: str
    expected: str | None
    more: tuple[str, ...] = ()
    reason: str | None = None
    code: int = 0
    loose: bool = False

    @property
    def file(self) -> str | None:
        """The file that the block is, where its first line names one."""
        named = re.match(r"# (\w+\.(?:py|yaml))\n", self.text)
        return named[1] if named else None


def pages(generated: bool = False) -> list[Path]:
    """README and the pages under docs/; with `generated` also those that a command writes, and the changes."""
    every = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    if generated:
        return every
    return [page for page in every if page.name != "CHANGELOG.md" and not _GENERATED.search(_head(page))]


def name_of(page: Path) -> str:
    """The page as the tests call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """The blocks of a page, in order."""
    matches = list(_FENCE.finditer(text))
    made = []
    for n, match in enumerate(matches):
        after = matches[n + 1] if n + 1 < len(matches) else None
        follows = after is not None and after[2] == "text" and not text[match.end() : after.start(2) - 3].strip()
        marks = dict(_MARK.findall(match[1]))
        made.append(
            Block(
                line=text[: match.start(2)].count("\n") + 1,
                kind=match[2],
                text=match[3],
                expected=after[3] if after is not None and follows else None,
                more=tuple(
                    word for name, words in _MARK.findall(match[1]) if name == "run with" for word in words.split()
                ),
                reason=marks.get("not run"),
                code=int(marks.get("exits with", 0)),
                loose="run with" in marks or "<!-- numbers may differ -->" in match[1],
            )
        )
    return made


def fences(text: str) -> int:
    """How many lines open or close a block, in whatever way."""
    return len(re.findall(r"^[ >\t]*(?:```|~~~)", text, re.MULTILINE))


def logical_lines(text: str) -> list[str]:
    """The lines of a shell block, continued lines joined, without comments and without empty lines."""
    lines = []
    for line in text.replace("\\\n", " ").splitlines():
        match = _BEFORE_COMMENT.match(line)
        if match and match[0].strip():
            lines.append(match[0].strip())
    return lines


def simple(line: str) -> bool:
    """Whether a line is one command of words: no pipe, no redirection, nothing that a shell expands."""
    bare = re.sub(r"'[^']*'", "", line)
    return not re.search(r"[$`]", bare) and not re.search(r"[|&;<>()*?\[\]{}~]", re.sub(r'"[^"]*"', "", bare))


def commands(text: str) -> Iterator[list[str]]:
    """The `simko` commands of a shell block, as words without `simko` itself."""
    for line in logical_lines(text):
        if "simko " not in line:
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split, lexer.commenters = True, ""
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();|&"):
                while command and (_ASSIGNMENT.match(command[0]) or command[0] == "do"):
                    command.pop(0)
                if command[:1] == ["simko"]:
                    words = command[1:]
                    yield words[: words.index(">")] if ">" in words else words
                command = []
            else:
                command.append(word)


def _head(page: Path) -> str:
    return "\n".join(page.read_text(encoding="utf-8").splitlines()[:4])
