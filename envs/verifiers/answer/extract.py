r"""Which part of a response is its final answer: the one policy that all bundled verifiers share.

1. What a reader does not see is dropped (`visible`): thinking, other channels, comments, struck-out text, programs.
2. If there is a `\boxed{...}` (or `\fbox`, `\framebox`; braces must balance), the boxes are the answers; not those to fill in,
   supposed, asked about or quoted (`context`).
3. Else, if there are final-answer statements (`statements`, `sayings`), those are.
4. Else the whole response, where it is one short line and nothing but an answer.

`narrowed("boxed" | "final" | "whole")` makes step 2, 3 or 4 the only one, for verifiers called inside it; what the others
would have found does not count then, for or against.

Boxes with nothing between them but a comma, "and" or "or" are one list: `\boxed{1}, \boxed{2}` says `1, 2`. Several answers
count only where they are all the same; two that differ are a **conflict**, which is incorrect: guessing twice must not pay.
A box that is cut off or bound to something outside it (`-\boxed{42}`, `\boxed{42}_5`), one that is negated with no other left, an
answer that is taken back behind it (`retraction`), and a value on a final-answer line that differs from a boxed one are
conflicts, too.

The response is cut to its last `MAX_RESPONSE` characters once its thinking is gone, and no pattern backtracks beyond its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from simko.envs.verifiers.answer.context import is_denied, is_disowned, is_supposed
from simko.envs.verifiers.answer.retraction import REACH, is_other, is_taken_back
from simko.envs.verifiers.answer.sayings import stated
from simko.envs.verifiers.answer.statements import Statement, is_bare, statements
from simko.envs.verifiers.answer.statements import whole as whole_answer
from simko.envs.verifiers.answer.visible import visible

EXTRACTS = ("any", "boxed", "final", "whole")
MAX_RESPONSE = 100_000  # characters
MAX_WHOLE = 200  # characters of a response that may be an answer as a whole
MAX_BOX = 2_000
MAX_ANSWERS = 20  # that differ as strings: more are a conflict, whatever they say
MAX_BOXES = 500
MAX_SHOWN = 200
MAX_EQUALS = 4  # answers that may be compared with the gold answer, each

_BOX = re.compile(
    r"\\(?:boxed|fbox|framebox|Boxed)(?![A-Za-z])\s{0,4}(?:\[[^\[\]\n]{0,20}\]){0,2}[ ]{0,4}"
    r"|(?<![A-Za-z\\])boxed(?=\{)"
)
_CALCULATED = re.compile(r"<<[^<>\n]{1,200}>>")  # GSM8K's marks, as in 2 + 3 = <<2+3=5>>5
_BETWEEN = re.compile(
    r"(?:[\s$&]|\\[,;:! ()\[\]]|\\q?quad(?![A-Za-z])|(?P<join>[,;]|\\text\s?\{\s?,?\s?(?:and|or)\s?\}|and|or)){1,20}"
)
_BLANK = re.compile(
    r"[\s_?.…$*]*(?:\\(?:phantom|hspace|rule)\s?\{[^{}]{0,80}\}|\\q?quad|\\(?:[lc]?dots|cdot|ldot|square|Box"
    r"|_+))?[\s_?.…$*]*"
    r"|[\s$\[<(*]*(?:\\(?:text|textbf|textit|mathrm|emph)\s?\{)?\s*[\[<(]?\s*(?:(?:the|your|my|our|final|correct"
    r"|numerical|numeric|answer|ans|result|value|solution"
    r"|here|goes|put|insert|expression|number|letter)[\s_-]*){1,6}[\]>)]?\s*\}?[\s$\]>)*.…!]*|\.{2,}",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\s*\$?([A-Za-z])\s?=(?!=)")
_NAMED_LEFT = re.compile(r"(?<![A-Za-z\\\d^_+*/)}-])([A-Za-z])\s?=\s?\$?$")


@dataclass(frozen=True, slots=True)
class Found:
    """`text`: the final answer, None where there is none or where several `conflict`. `shown`: for the verdict.

    `stated`: the answers that conflict only because they could not be told to be the same. A verifier that finds each of
    them equal to the gold answer may say so.
    """

    text: str | None
    shown: str | None = None
    conflict: bool = False
    stated: tuple[str, ...] = ()


_wanted: ContextVar[str] = ContextVar("extract", default="any")


@contextmanager
def narrowed(extract: str) -> Iterator[None]:
    """Inside, in this thread or task, final answers are looked for in that place alone (`any`: by the whole policy)."""
    token = _wanted.set(extract)
    try:
        yield
    finally:
        _wanted.reset(token)


def wanted() -> str:
    """Where final answers are looked for: for the few scorers that read their answers themselves."""
    return _wanted.get()


def same_text(a: str, b: str) -> bool:
    """Whether two answers are the same but for white space."""
    return a.split() == b.split()


def final_answer(
    response: str, same: Callable[[str, str], bool] = same_text, whole: Callable[[str], bool] | None = None
) -> Found:
    """The one final answer of `response`, by the policy of this module.

    `same(a, b)` tells whether two stated answers agree; `whole(text)` whether a whole response is nothing but an answer
    (default: one short line of few words).
    """
    text = visible(response, MAX_RESPONSE)
    if "<<" in text:
        text = _CALCULATED.sub("", text)
    place = _wanted.get()
    boxes, end = _boxes(text) if place in ("any", "boxed") else ([], 0)
    if isinstance(boxes, Found):
        return boxes
    said = statements(text) if place in ("any", "final") else []
    stating = (
        [*boxes, *(s.answer for s in said if _differs(s.answer, boxes[-1], same))]
        if boxes
        else [s.answer for s in said]
    )
    if not stating:
        return _whole(text, whole or is_bare) if place in ("any", "whole") else Found(None)
    last = boxes[-1] if boxes else stating[-1]
    agreeing = [s for s in said if s.answer == last or same(s.answer, last) or _BOX.search(s.answer)]
    shown = " | ".join(dict.fromkeys(other[:60] for other in [*stating[:MAX_ANSWERS], last]))[:MAX_SHOWN]
    if len(stating) > 2 * MAX_ANSWERS or is_taken_back(_behind(text, end, agreeing), last, same):
        return Found(None, shown, conflict=True)
    if all(other == last or same(other, last) for other in stating):
        return Found(last, last[:MAX_SHOWN])
    if boxes and (together := _by_name(text)):
        return Found(together, together[:MAX_SHOWN])
    return Found(None, shown, conflict=True, stated=tuple(stating) if len(stating) <= MAX_EQUALS else ())


def _whole(text: str, is_answer: Callable[[str], bool]) -> Found:
    """A response that is nothing but an answer; what was boxed and was none, such as `Is it \\boxed{42}?`, is not read again."""
    line = text.strip()
    line = whole_answer(line)
    if not line or not is_answer(line) or (_wanted.get() == "any" and _BOX.search(line)):
        return Found(None)
    return Found(line, line[:MAX_SHOWN])


def _behind(text: str, end: int, said: list[Statement]) -> str:
    """What stands behind the last place where the answer was stated, in a box that ends at `end` or in words."""
    last = max(said, key=lambda s: s.at, default=None)
    line_end = text.find("\n", end) + 1 or len(text)
    if last is not None and last.at and (not end or line_end < last.at):
        return last.after
    return text[end : end + REACH] if end else ""


def _by_name(text: str) -> str:
    """`x = 1, y = 2` of boxes that name one letter each, inside or left of them; empty where one names none or two the same."""
    values: dict[str, str] = {}
    at = 0
    while (match := _BOX.search(text, at)) and len(values) <= MAX_ANSWERS:
        content, at = _content(text, match.end())
        inside = _NAMED.match(content or "")
        name = inside or _NAMED_LEFT.search(text[max(0, match.start() - 12) : match.start()])
        if content is None or name is None or content.count("=") > 1:
            return ""
        value = content[inside.end() :].strip() if inside else content
        if values.setdefault(name[1], value) != value:
            return ""
    return ", ".join(f"{name} = {value}" for name, value in values.items()) if len(values) > 1 else ""


def boxes(text: str) -> list[str]:
    """What all boxes hold, each content once; none where one of them is cut off, negated or bound."""
    found, _ = _boxes(text)
    return [] if isinstance(found, Found) else found


def _boxes(text: str) -> tuple[list[str] | Found, int]:
    """What the boxes hold, each content once, and where the last ends; or a conflict: one is cut off or bound to its outside.

    A box that is only supposed, quoted or asked about is none. A negated one is a conflict only where no other is left.
    """
    contents: dict[str, None] = {}
    run: list[str] = []  # of boxes that are one list
    at = end = stated_end = 0
    denied: Found | None = None
    name: re.Match[str] | None = None  # of the last box, left of it
    number = 0
    match = _BOX.search(text)
    while match:
        content, at = _content(text, match.end())
        shown = text[max(0, match.start() - 10) : at + 10][:MAX_SHOWN]
        if content is None:
            return Found(None, text[match.start() :][:MAX_SHOWN], conflict=True), 0
        box, match, number = match, _BOX.search(text, at), number + 1
        content = stated(content) if "answer" in content.lower() else content
        if _BLANK.fullmatch(content):
            continue  # a box to fill in, quoted from the problem
        if is_supposed(text, box.start(), at):
            continue
        between = _joined(text, end, box.start(), name) if run or denied else None
        name = _NAMED_LEFT.search(text[max(0, box.start() - 12) : box.start()])
        if is_denied(text, box.start()) or (denied is not None and not run and between is not None):
            denied, run, end = Found(None, shown, conflict=True), [], at
            continue
        listed = match is not None and _BETWEEN.fullmatch(text, at, match.start()) is not None
        if is_disowned(text, box.start(), at, content, listed=listed):
            return Found(None, shown, conflict=True), 0
        if between is not None and run and between["join"]:
            contents.pop(_listed(run), None)
        else:
            run = []
        run.append(content)
        end = stated_end = at
        contents.pop(_listed(run), None)  # the last one stated is to be the last one here
        contents[_listed(run)] = None
        if len(contents) > MAX_ANSWERS or len(run) > MAX_ANSWERS or number > MAX_BOXES:
            return Found(None, conflict=True), 0
    return denied if denied is not None and not contents else list(contents), stated_end


def _joined(text: str, end: int, start: int, name: re.Match[str] | None) -> re.Match[str] | None:
    """What joins a box that starts at `start` to the one that ended at `end`; `or x =` does where that was named x."""
    if start - end > 60:
        return None
    if name is not None and (again := _NAMED_LEFT.search(text, end, start)) and again[1] == name[1]:
        start = again.start()
    return _BETWEEN.fullmatch(text, end, start)


def _listed(run: list[str]) -> str:
    return run[-1] if len(set(run)) == 1 else ", ".join(run)


def _content(text: str, at: int) -> tuple[str | None, int]:
    """What a box at `at` holds, and where it ends; None where its braces do not balance within `MAX_BOX`."""
    content, end = _group(text, at)
    inner = content
    for _ in range(3):  # a box in a box
        nested = _BOX.match(inner) if inner else None
        if inner is None or nested is None:
            break
        inside, closed = _group(inner, nested.end())
        if inside is None or closed != len(inner):
            break
        content = inner = inside
    return content, end


def _group(text: str, at: int) -> tuple[str | None, int]:
    if not text.startswith("{", at):
        token = re.match(r"\d+|[A-Za-z]", text[at : at + 40])
        return (token[0], at + token.end()) if token else (None, at)
    depth, i, stop = 0, at, min(len(text), at + MAX_BOX)
    while i < stop:
        char = text[i]
        if char == "\\":
            i += 2
            continue
        depth += (char == "{") - (char == "}")
        i += 1
        if depth == 0:
            return text[at + 1 : i - 1].strip(), i
    return None, i


def _differs(answer: str, boxed: str, same: Callable[[str, str], bool]) -> bool:
    """Whether a statement is a value that differs from the boxed one: not where it repeats the box, or asks."""
    return not _BOX.search(answer) and not answer.endswith("?") and is_other(answer, boxed, same)
