r"""Answers as text: one spelling for the many ways to write the same LaTeX, and the comparison of texts.

`clean` runs the table of `cleaning`. `key` is for comparing as strings. `unlabelled` takes the letter of a choice off. All of
them read a text that has been cut to `MAX_ANSWER` characters a bounded number of times.
"""

from __future__ import annotations

import re
from functools import lru_cache

from simko.envs.verifiers.reading.cleaning import PROGRAM
from simko.envs.verifiers.reading.rewrites import COMMAND, WORD, unpunctuated
from simko.envs.verifiers.reading.steps import run

MAX_ANSWER = 1000  # characters of an answer that are looked at: a longer one is no answer

_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_OPTION = r"(?:[Oo]ption|[Cc]hoice)\s"
_LABEL = re.compile(  # (B) 12, B. 12, \text{(B)} 12, \text{Option B: } 12
    rf"(?:\\text\s?\{{\s?(?:{_OPTION}\(?(?P<a>[A-J])\)?[.:]?|\(?(?P<b>[A-J])(?:\)[.:]?|[.:]))\s?\}}"
    rf"|(?:{_OPTION})?(?:\((?P<c>[A-J])\)|(?P<d>[A-J])(?:\)|[.:](?=\s))))"
    r"(?:\\[,; ]|[\s:.~])*(?P<rest>[^\s,;)\]].*)"
)
_ANOTHER = re.compile(
    r"^(?:\\text\s?\{\s?)?(?:or|and|nor|unless|except|but|is|was|not|maybe)\b|\([A-J]\)|\?|\\text\s?\{\(?[A-J]\)?\}"
    r"|(?<![A-Za-z\\])[A-J][.:)]\s|^[A-J]$"
    r"|^[=<>+*/^_&|!]|^\\(?:to|ne|le|ge|approx|sim|equiv|\w*arrow|implies|in|notin|pm|mp|times|cdot|cup|cap|div)(?![A-Za-z])"
)


def words(text: str) -> frozenset[str]:
    """The set of the words of a text: for the tables of this folder."""
    return frozenset(text.split())


def clean(text: str) -> str:
    r"""One spelling: delimiters, spacing and styling gone, variants of a command made one, Unicode and words made LaTeX."""
    return run(PROGRAM, text[: MAX_ANSWER + 1])


@lru_cache(maxsize=4096)
def key(cleaned: str) -> str:
    r"""The string that two answers share if they say the same. `cleaned` has been through `clean`.

    White space (but not between digits), `\text{}`, how often a backslash is repeated, and the parentheses of a single
    letter, `(A)`, do not count.
    """
    text = _TEXT.sub(lambda m: m[1], cleaned)
    text = re.sub(r"\\+", r"\\", re.sub(r"\s+(?!(?<=\d\s)\d)", "", re.sub(r"\s+", " ", text))).replace("\\usd", "")
    if letter := re.fullmatch(r"(?:[Oo]ption|[Cc]hoice)?\{?\(?([A-Za-z])\)?,?\}?", text):
        return letter[1]
    while len(text) > 2 and text[0] == "{" and text[-1] == "}" and "{" not in text[1:-1] and "}" not in text[1:-1]:
        text = text[1:-1]
    return unpunctuated(text)


def same_string(a: str, b: str) -> bool:
    """Whether two cleaned answers, the gold one first, have one key. Case does not count in words and choices."""
    x, y = key(a), key(b)
    if len(x) == 1 and x.upper() == y.upper() and x in "ABCDEFGHJ":  # the gold answer is one of several choices
        return True
    return (
        x == y
        or x.lower() == y.lower() == "no"
        or (bool(WORD.search(COMMAND.sub("", a + b))) and x.lower() == y.lower())
    )


def unlabelled(gold: str, answer: str) -> str:
    r"""The answer without the letter of its choice, `\text{(B)} 12`; only the letter if the gold answer is one."""
    inside = _TEXT.fullmatch(answer)
    match = (inside and _LABEL.fullmatch(inside[1])) or _LABEL.fullmatch(answer)
    if match is None or _LABEL.fullmatch(gold) or _ANOTHER.search(match["rest"]):
        return answer
    if re.fullmatch(r"(?:\\text\s?\{)?\s?\(?[A-J]\)?\s?\}?", gold):
        return match["a"] or match["b"] or match["c"] or match["d"]
    return match["rest"]
