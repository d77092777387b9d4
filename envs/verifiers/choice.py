r"""One of few choices: a letter, `(A)` or `A`, or one word such as yes, no, true, false, valid, invalid.

Case, parentheses, `\text{}` and a closing full stop do not count. A letter may be followed by its option's text, `(B) 12`
or `B. 12`. Everything else in the final answer must be absent: `A or B` is no choice.
"""

from __future__ import annotations

import re

from simko.envs.verifiers.answer.extract import final_answer
from simko.types import Verdict

MAX_CHARS = 200
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}")
_LETTER = re.compile(r"(?:option|choice)?\s?(?:\(([a-z])\)|([a-z])\)|([a-z])(?=[.:]|$))[.:]?(\s?.*)", re.IGNORECASE)
_TYPE_SETTING = re.compile(r"\\[,;:! ()\[\]]|\\(?:displaystyle|left|right|[bB]igg?[lr]?|q?quad)(?![A-Za-z])")
_OTHERWISE = re.compile(
    r"\(?(?:wrong|incorrect|false|not)\b|(?:or|and|nor|unless|except|but|maybe|is|was)\b|isn't|[/,&?？吗]"
)


def normal(text: str) -> str:
    """The choice that `text` states: a lower-case letter or word; the text itself, lower-case, where it states neither."""
    text = _TYPE_SETTING.sub("", _TEXT.sub(r"\1", text[:MAX_CHARS])).strip(" \t\n$*_`\"'.,;:!").lower()
    match = _LETTER.fullmatch(re.sub(r"\(\s?([a-z])\s?\)", r"(\1)", text))
    if match:
        rest = match[4].strip()
        if not _OTHERWISE.match(rest) and not re.search(r"\([a-z]\)", rest):
            return match[1] or match[2] or match[3]
    return " ".join(text.split())


def choice(response: str, gold: str) -> Verdict:
    """Grade one of few choices."""
    if not gold.strip():
        return Verdict("error", 0.0)
    found = final_answer(response, same=lambda a, b: normal(a) == normal(b))
    if found.text is None:
        return Verdict("incorrect" if found.conflict else "no_answer", 0.0, found.shown)
    correct = normal(found.text) == normal(gold)
    return Verdict("correct" if correct else "incorrect", float(correct), found.shown)
