r"""The verifier `choice`: a letter, `(A)` or `A`, or one word such as yes, no, true, false, valid, invalid.

Case, parentheses, `\text{}` and a full stop at the end do not count. A letter may be followed by its option's text, as in
`(B) 12` or `B. 12`. The final answer may hold nothing else: `A or B` is not a choice.
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
    """The choice in `text`: a letter in lower case if it states one, else the whole text in lower case."""
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
    answer = final_answer(response, same=lambda a, b: normal(a) == normal(b))
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    correct = normal(answer.text) == normal(gold)
    return Verdict("correct" if correct else "incorrect", float(correct), answer.shown)
