r"""The verifier `choice`: a letter, `(A)` or `A`, or one word such as yes, no, true, false, valid, invalid.

Case, parentheses, `\text{}`, wide forms of letters and a full stop at the end do not count. A letter may be followed by its
option's text, as in `(B) 12` or `B. 12`. The final answer may hold nothing else: `A or B` is not a choice.
`Option (B) is correct.` states B, also as the last sentence of a response that states its answer in no other way, and no other
letter in this one.
"""

from __future__ import annotations

import re
import unicodedata

from simko.envs.verifiers.answer.extract import MAX_RESPONSE, final_answer, is_bare, wanted
from simko.envs.verifiers.answer.visible import visible
from simko.types import Verdict

MAX_CHARS = 200
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}")
_LETTER = re.compile(
    r"(?:(?:option|choice)\s?:?)?\s?(?:\(([a-z])\)|([a-z])\)|([a-z])(?=[.:]|$))[.:]?(\s?.*)", re.IGNORECASE
)
_TYPE_SETTING = re.compile(r"\\[,;:! ()\[\]]|\\(?:displaystyle|left|right|[bB]igg?[lr]?|q?quad)(?![A-Za-z])")
_OTHERWISE = re.compile(
    r"\(?(?:wrong|incorrect|false|not)\b|(?:or|and|nor|unless|except|but|maybe|is|was)\b|isn't|[/,&?？吗]"
)
_ANOTHER = re.compile(r"\([a-z]\)|(?<![a-z\\])[a-j][.:)]\s")  # the letter of another option
_GOOD = r"(?:(?:only|most)\s)?(?:correct|right|true|best|proper|appropriate|final)"
_STATES = re.compile(  # Option (B) is correct; I choose B; the correct option is (B)
    r"(?:(?:so|thus|hence|therefore|then|finally|clearly)\b,?\s)?(?:"
    r"(?:(?:the\s)?(?:option|choice|answer|letter)\s)?(?:\((?P<a>[a-z])\)|(?P<b>[a-z]))\s(?:is|must be)\s"
    rf"(?:{_GOOD}|(?:the|our|my)\s(?:{_GOOD}\s)?(?:answer|option|choice|one))"
    rf"|(?:i\s(?:choose|pick|select)|(?:the|our|my)\s(?:{_GOOD}\s)?(?:answer|option|choice)\sis)\s(?:(?:option|choice)\s)?"
    r"(?:\((?P<c>[a-z])\)|(?P<d>[a-z])))"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def normal(text: str) -> str:
    """The choice in `text`: a letter in lower case if it states one, else the whole text in lower case."""
    text = _plain(text)
    if letter := _stated(text):
        return letter
    match = _LETTER.fullmatch(re.sub(r"\(\s?([a-z])\s?\)", r"(\1)", text))
    if match:
        rest = match[4].strip()
        if not _OTHERWISE.match(rest) and not _ANOTHER.search(rest):
            return match[1] or match[2] or match[3]
    return " ".join(text.split())


def choice(response: str, gold: str) -> Verdict:
    """Grade one of few choices."""
    if not gold.strip():
        return Verdict("error", 0.0)
    answer = final_answer(response, same=lambda a, b: normal(a) == normal(b), whole=_is_whole)
    if answer.text is None and not answer.conflict and wanted() in ("any", "final"):
        letter = _of_sentences(visible(response, MAX_RESPONSE))
        if letter:
            correct = letter == normal(gold)
            return Verdict("correct" if correct else "incorrect", float(correct), letter)
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    correct = normal(answer.text) == normal(gold)
    return Verdict("correct" if correct else "incorrect", float(correct), answer.shown)


def _plain(text: str) -> str:
    """A text in lower case, without type setting and marks round it; a wide or styled letter is that letter (NFKC)."""
    text = unicodedata.normalize("NFKC", text[:MAX_CHARS])
    return _TYPE_SETTING.sub("", _TEXT.sub(r"\1", text)).strip(" \t\n$*_`\"'.,;:!。").lower()


def _stated(plain: str) -> str:
    """The letter that a sentence in plain text states; empty if it is no such sentence."""
    match = _STATES.fullmatch(plain.replace("$", "").replace("*", ""))
    return (match["a"] or match["b"] or match["c"] or match["d"]) if match else ""


def _is_whole(text: str) -> bool:
    """Whether a whole response is nothing but an answer. Where one of several sentences states a letter, all are looked at."""
    sentences = _SENTENCE_END.split(text) if is_bare(text) else []
    return len(sentences) == 1 or (bool(sentences) and not any(_stated(_plain(sentence)) for sentence in sentences))


def _of_sentences(text: str) -> str:
    """The letter that the last sentence of a text states; empty if it states none, or another sentence another one."""
    sentences = [_plain(sentence) for sentence in _SENTENCE_END.split(text.rstrip()) if len(sentence) <= MAX_CHARS]
    letters = {letter for sentence in sentences if (letter := _stated(sentence))}
    last = _stated(_plain(_SENTENCE_END.split(text.rstrip())[-1]))
    return last if last and letters == {last} else ""
