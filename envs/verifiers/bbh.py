r"""The verifier `bbh` for BIG-Bench Hard: the form of the gold answer decides how answers are compared.

| gold | compared as |
|---|---|
| `(A)` | a letter: `A`, `(A)`, `(a) 12`, `\text{(A)}` |
| True, False, Yes, No, valid, invalid | that word, in any case; `Yes, because ...` counts |
| an integer | a number |
| brackets | the same brackets, with or without white space: `] ) >` or `])>` |
| words | the same words in order, in any case; commas and other marks do not count |
"""

from __future__ import annotations

import re
import unicodedata

from simko.envs.verifiers.answer.extract import MAX_RESPONSE, final_answer, wanted
from simko.envs.verifiers.answer.visible import without_thinking
from simko.envs.verifiers.choice import choice
from simko.envs.verifiers.numeric import numeric
from simko.types import Verdict

MAX_CHARS = 2_000
WORDS = frozenset({"true", "false", "yes", "no", "valid", "invalid"})
BRACKETS = frozenset("()[]{}<>")
_LETTER = re.compile(r"\([A-Z]\)")
_INTEGER = re.compile(r"-?\d{1,30}")
_FIRST = re.compile(
    r"(?:the\s)?(?:argument\sis\s)?(?:deductively\s)?(?P<word>[a-z]+)(?P<rest>[,;:.]\s.*)?[.!]?", re.IGNORECASE
)
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}")
_BOXED_BRACKETS = re.compile(r"\\boxed\s?\{([\s$()\[\]{}<>\\]{0,400})")
_ANSWER_TAG = re.compile(
    r"<(?:answer|solution)(?:\s[^<>]{0,80})?>([^\n]{0,400})</(?:answer|solution)\s?>", re.IGNORECASE
)
_ANSWER = re.compile(r"answer(?:\s?(?:is|:)){1,2}\**\s?(?P<answer>\S[^\n]{0,600})$", re.IGNORECASE)


def bbh(response: str, gold: str) -> Verdict:
    """Grade one answer of any of the 27 tasks."""
    if not gold.strip():
        return Verdict("error", 0.0)
    if _LETTER.fullmatch(gold):
        return choice(response, gold)
    if _INTEGER.fullmatch(gold):
        return numeric(response, gold)
    if set("".join(gold.split())) <= BRACKETS:
        return _brackets(response, gold)
    normal = _word if gold.lower() in WORDS else _words
    answer = final_answer(response, same=lambda a, b: normal(a) == normal(b), whole=_is_line)
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    correct = normal(answer.text) == normal(gold)
    return Verdict("correct" if correct else "incorrect", float(correct), answer.shown)


def _is_line(text: str) -> bool:
    return len(text) <= MAX_CHARS and "\n" not in text


def _plain(text: str) -> str:
    return _LATEX.sub(r"\1", unicodedata.normalize("NFC", text[:MAX_CHARS])).strip(" \t\n$*_`\"'.()").casefold()


def _word(text: str) -> str:
    """The first word of an answer such as `yes, because ...`. Any other answer is taken whole."""
    match = _FIRST.fullmatch(_plain(text))
    rest = (match["rest"] or "").strip(",;:. ") if match else ""
    if match is None or rest in WORDS or re.match(r"(?:or|unless|but|except|maybe|perhaps|not)\b", rest):
        return _plain(text)
    return match["word"]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*|\?", _plain(text))


def _brackets(response: str, gold: str) -> Verdict:
    """Grade brackets. A box of brackets need not balance, so a box is read as far as there are brackets."""
    text = without_thinking(response[-MAX_RESPONSE:])
    place = wanted()
    boxes = _BOXED_BRACKETS.findall(text) if place in ("any", "boxed") else []
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[-MAX_CHARS:]
    statement = _ANSWER.search(last)
    if boxes:
        answer = re.sub(r"\\(?=[^{}])", " ", boxes[-1]).replace("\\", "")
        answer = answer.rstrip().removesuffix("$").rstrip()
        if not answer.endswith("}"):
            return Verdict("incorrect", 0.0, boxes[-1][:80])
        answer = answer[:-1]
    elif place == "boxed":
        return Verdict("no_answer", 0.0)
    elif place != "whole" and (tags := _ANSWER_TAG.findall(text)):
        answer = tags[-1]
    elif place == "whole":
        answer, statement = text, None
    elif place == "final" and not statement:
        return Verdict("no_answer", 0.0)
    else:
        answer = statement["answer"] if statement else last.lstrip("# ")
    squeezed = "".join(answer.split()).strip("$`*\"'.:,").strip()
    if not squeezed or not set(squeezed) <= BRACKETS:
        return Verdict("incorrect" if boxes or statement else "no_answer", 0.0, answer[:80] or None)
    correct = squeezed == "".join(gold.split())
    return Verdict("correct" if correct else "incorrect", float(correct), squeezed[:80])
