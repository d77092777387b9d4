r"""Boxes: what each `\boxed{...}` of a response holds, and what outside of it changes its value.

A box to fill in (`\boxed{}`, `\boxed{your answer}`) and a box with a question mark behind it do not count. Boxes with nothing
but a comma, "and" or "or" between them are one list: `\boxed{1}, \boxed{2}` says `1, 2`. A box is **bound** where the formula
around it makes another value of it: `-\boxed{42}`, `\boxed{42}_5`, `\boxed{42}^2`, `\frac{\boxed{42}}{2}`, `\boxed{42} = 43`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from simko.envs.verifiers.answer.statements import inner_answer
from simko.envs.verifiers.reading.brackets import closing, unclosed
from simko.envs.verifiers.reading.numbers import parse_number
from simko.envs.verifiers.reading.text import words

MAX_BOX = 2_000  # characters in a box
MAX_BOXES = 500
MAX_LISTED = 20  # boxes of one list, and lists that differ: more are a conflict, whatever they say
MAX_SHOWN = 200
REACH = 240  # characters on either side of a box that are looked at
REACH_OF_FORMULA = 2_000  # characters to the left in which the formula may have begun
MAX_BETWEEN = 60  # characters between two boxes of a list

BOX = re.compile(
    r"\\(?:boxed|fbox|framebox|Boxed)(?![A-Za-z])\s{0,4}(?:\[[^\[\]\n]{0,20}\]){0,2}[ ]{0,4}"  # \framebox[2cm]{42}
    r"|(?<![A-Za-z\\])boxed(?=\{)"  # the backslash was lost: boxed{42}
)
_TOKEN = re.compile(r"\d+|[A-Za-z]")  # \boxed 5
_BLANK = re.compile(
    r"[\s_?.…$*]*(?:\\(?:phantom|hspace|rule)\s?\{[^{}]{0,80}\}|\\(?:q?quad|[lc]?dots|cdot|square|Box|_+))?[\s_?.…$*]*"
    r"|[\s$\[<(*]*(?:\\(?:text|textbf|textit|mathrm|emph)\s?\{)?[\s\[<(]*"  # \boxed{\text{your final answer}}
    r"(?:(?:the|your|my|our|final|correct|numerical|answer|ans|result|value|solution|here|goes|put|insert|expression|number"
    r"|letter)[\s_-]*){1,6}[\s\]>)}$*.…!]*",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"(?:[\s$&]|\\[,;:! ()\[\]]|\\q?quad(?![A-Za-z])|(?P<join>[,;]|\\text\s?\{\s?,?\s?(?:and|or)\s?\}|and|or)){1,20}"
)
_NAME_INSIDE = re.compile(r"\s*\$?([A-Za-z])\s?=(?!=)")  # \boxed{x = 1}
_NAME_LEFT = re.compile(r"(?<![A-Za-z\\\d^_+*/)}-])([A-Za-z])\s?=\s?\$?$")  # x = \boxed{1}

_DENIED = re.compile(  # It is not \boxed{42}; The answer isn't equal to $\boxed{42}$; x \neq \boxed{42}
    r"(?:\bnot|n['’]t|\bcannot|\bnever|\banything but|\brule out|\\neq?|\\not\s?=?|≠|\s!=)"
    r"(?:\s(?:equal|to|be|the|answer|exactly|simply|just|write|contain)){0,3}[\s:$({\[\\,]*$",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(  # $\boxed{42}$ is not the answer
    r"[\s$)\]}\\*]{0,8}(?:is|would be)\s(?:certainly\s)?(?:wrong|incorrect|not\s(?:the\s|our\s)?(?:correct|right|answer))\b"
)
_ASKED = re.compile(r"[\s$)\]}\\*]{0,8}\?")  # \boxed{42}?
_OR_ANOTHER = re.compile(r"[\s$)\]}\\*]{0,8}or\s\$?[-\\(\d]")  # $\boxed{42}$ or $43$

_SPACING = r"(?:[\s~&]|\\[,;:! ]|\\(?:left|right|displaystyle|textstyle)(?![A-Za-z])\.?)"
_FACTOR = re.compile(  # 2\boxed{42}, x^\boxed{42}, \sin \boxed{42}, x < \boxed{42}
    r"(?:[\d+*/^_√±×]|(?<=\S\s)[<>]|\\(?:pm|mp|times|cdot|div|sqrt|pi|log|ln|sin|cos|tan|exp|neg|lt|gt)(?![A-Za-z]))"
    rf"{_SPACING}{{0,6}}\$?{_SPACING}{{0,2}}$"
)
_MINUS = re.compile(r"(?<!-)[-−]\$?$")  # -\boxed{42}; a dash in prose has a blank behind it
_NO_FACTOR = re.compile(  # 1. \boxed{42}; * \boxed{42}; it is 3 \boxed{42}; **\boxed{42}**; = +\boxed{42}
    r"(?:^|\n)\s*(?:\d{1,2}[.)]?\s*|[*+]\s*|[-−]\s+)\$?\s?$|\d\s+\$?$|\*\*\s?\$?$|[=&]\s?\+\$?$"
)
_COMMAND = re.compile(r"\\([A-Za-z]+)\s?(?:\[[^\[\]]{0,20}\]|\{[^{}]{0,80}\})?\s?$")  # \frac{1} before {\boxed{42}}
_TYPE_SETTING = words(
    "text textbf textit mathbf mathrm boldsymbol bm underline color textcolor colorbox fcolorbox displaystyle large "
    "Large huge Huge LARGE boxed fbox framebox ensuremath mbox hbox emph mathit Rightarrow center multicolumn"
)
_POWER = (  # a power, but not the degrees of \boxed{42}^\circ
    r"\^(?!\s?\{?\s?(?:\\circ|°)\s?(?:\}|(?!\}))(?!\s?(?:[-+*/^\d]|\\(?:cdot|times|div|pm)(?![A-Za-z]))))"
)
_BOUND_IN_TEXT = re.compile(  # \boxed{4}2, \boxed{42}^2, \boxed{42}/7, \boxed{42}'s half, \boxed{42} \times 10
    rf"[\d+/]|{_POWER}|[*_!](?=[\w\\{{(])|[A-Za-z](?![A-Za-z])|\.\d|['’]s\b"
    rf"|\s?(?:\\(?:times|cdot|neq?)(?![A-Za-z])|≠|_|{_POWER})"
)
_UNIT = (
    r"(?:\\(?:text|mathrm|textrm|mathsf|mbox|rm|operatorname)\s?\{|\{\s?[\s~]?(?=[A-Za-z\s]))(?P<unit>[^{}]{0,60})"  # \text{ cm}
    r"|\\(?:AA|mu|Omega|degree)(?![A-Za-z])|\\frac\s?\{\s?\\(?:text|mathrm)"
    r"|(?<=\s)(?P<symbol>(?:[munckM]?(?:m|s|g|eV|V|Hz|J|N|W|A|L|Pa|mol)|amu|ft|in|lb|mi|hr|min|deg|rad|[a-z]{5,20})"  # nm, m/s
    r"(?:\s?\^\s?\{?-?\d\}?)?(?:\s?/\s?[a-z]{1,3})?)(?=[\s.,;]{0,3}(?:\$|\\[\])]|$|\n|\\\\))"
)
_FREE_IN_FORMULA = re.compile(
    rf"(?:{_SPACING}|[.,;:}})\]]){{0,12}}(?:"
    r"$|\$|\n|\\\\|\\[\])]|\\end(?![A-Za-z])"  # the formula ends, or its line
    rf"|\\?%|°|\^\s?\{{?\s?(?:\\circ|\\prime|°)|[/\[]?{_SPACING}{{0,4}}(?:{_UNIT})|/{_SPACING}{{0,4}}\$"  # a unit
    r"|\\[a-z]*mod(?![A-Za-z])|\\(?:q?quad|tag|equiv|Rightarrow|Longrightarrow|implies|iff|because|therefore|renewcommand"
    r"|checkmark|blacksquare|square|hfill)(?![A-Za-z])"
    r"|(?:\\approx|\\simeq|≈)(?![A-Za-z])|=(?P<side>(?:[^=<>$\\&,;\n]|\\(?!end)[A-Za-z]){0,40}))"  # another side of an equation
)
_OTHER_VALUE = re.compile(r"^\s*(?:or|and)\b|\b(?:not|thousand|million|billion|hundred|dozen)s?\b")  # \text{ thousand}


@dataclass(frozen=True, slots=True)
class Box:
    r"""A box at `text[start:end]`. `content` is None if its braces do not close."""

    start: int
    end: int
    content: str | None


@dataclass(frozen=True, slots=True)
class Boxes:
    """`answers`: what the boxes hold, each once, the last one stated last. `conflict`: a box that spoils them, or None."""

    answers: tuple[str, ...] = ()
    conflict: str | None = None


def read_boxes(text: str) -> Boxes:
    """The answers of all boxes that count, or the conflict: a box that is cut off, bound, or negated with no other left."""
    boxes = find_boxes(text)
    answers: dict[str, None] = {}
    listed: list[str] = []  # boxes of one list
    denied: str | None = None
    previous: Box | None = None  # the last box that counts
    for number, box in enumerate(boxes):
        shown = text[max(0, box.start - 10) : box.end + 10][:MAX_SHOWN]
        if box.content is None:
            return Boxes(conflict=text[box.start :][:MAX_SHOWN])
        if _BLANK.fullmatch(box.content) or _ASKED.match(text, box.end):
            continue
        if _DENIED.search(_sentence(text, box.start)) or _DENIED_BEHIND.match(text, box.end):
            denied, listed = shown, []
            continue
        follower = boxes[number + 1].start if number + 1 < len(boxes) else None
        joined = follower is not None and _BETWEEN.fullmatch(text, box.end, follower) is not None
        if _is_bound_left(text, box) or (not joined and _is_bound_right(text, box)):
            return Boxes(conflict=shown)
        if listed and previous is not None and _are_joined(text, previous, box):
            answers.pop(_as_list(listed), None)
        else:
            listed = []
        listed.append(box.content)
        previous = box
        answers.pop(_as_list(listed), None)  # the last one stated comes last
        answers[_as_list(listed)] = None
        if max(len(answers), len(listed)) > MAX_LISTED or number >= MAX_BOXES:
            return Boxes(conflict="")
    return Boxes(tuple(answers), None if answers else denied)


def find_boxes(text: str) -> list[Box]:
    """All boxes in order, `MAX_BOXES` and one at most; the last one may be cut off."""
    boxes: list[Box] = []
    at = 0
    while len(boxes) <= MAX_BOXES and (match := BOX.search(text, at)):
        content, at = _content(text, match.end())
        if content is not None and "answer" in content.lower():
            content = inner_answer(content)  # \boxed{The answer is 42}
        boxes.append(Box(match.start(), at, content))
        if content is None:
            break
    return boxes


def by_name(text: str) -> str:
    """`x = 1, y = 2` of boxes that name one letter each, inside or left of them; empty where one names none or two the same."""
    values: dict[str, str] = {}
    for box in find_boxes(text):
        inside = _NAME_INSIDE.match(box.content or "")
        name = inside or _name_left(text, box)
        if box.content is None or name is None or box.content.count("=") > 1 or len(values) > MAX_LISTED:
            return ""
        value = box.content[inside.end() :].strip() if inside else box.content
        if values.setdefault(name[1], value) != value:
            return ""
    return ", ".join(f"{name} = {value}" for name, value in values.items()) if len(values) > 1 else ""


def _content(text: str, at: int) -> tuple[str | None, int]:
    """The content of a box whose braces open at `at`, and its end. The content is None if they do not close in `MAX_BOX`."""
    if not text.startswith("{", at):
        token = _TOKEN.match(text, at)
        return (token[0], token.end()) if token else (None, at)
    end = _closing(text, at)
    if end is None:
        return None, min(len(text), at + MAX_BOX)
    content = text[at + 1 : end].strip()
    for _ in range(3):  # a box that holds nothing but a box
        nested = BOX.match(content)
        if nested is None or _closing(content, nested.end()) != len(content) - 1:
            break
        content = content[nested.end() + 1 : -1].strip()
    return content, end + 1


def _closing(text: str, at: int) -> int | None:
    """The place of the brace that closes the box that opens at `at`."""
    return closing(text, at, escapes=True, reach=MAX_BOX)


def _as_list(contents: list[str]) -> str:
    return contents[-1] if len(set(contents)) == 1 else ", ".join(contents)


def _are_joined(text: str, first: Box, second: Box) -> bool:
    r"""Whether a comma, "and" or "or" joins two boxes, one name before both aside: `x = \boxed{1}` or `x = \boxed{2}`."""
    start = second.start
    if start - first.end > MAX_BETWEEN:
        return False
    name, again = _name_left(text, first), _NAME_LEFT.search(text, first.end, start)
    if name is not None and again is not None and name[1] == again[1]:
        start = again.start()
    match = _BETWEEN.fullmatch(text, first.end, start)
    return match is not None and match["join"] is not None


def _name_left(text: str, box: Box) -> re.Match[str] | None:
    return _NAME_LEFT.search(text[max(0, box.start - 12) : box.start])


def _sentence(text: str, start: int) -> str:
    """The end of the sentence to the left of a box."""
    return re.split(r"[.!?]\s|\n", text[max(0, start - REACH) : start])[-1][-80:]


def _is_bound_left(text: str, box: Box) -> bool:
    """Whether a sign or factor stands left of the box, or it is an argument: of a root, a fraction, an exponent."""
    before = text[max(0, box.start - REACH) : box.start].rpartition("\n\n")[2]
    if (_FACTOR.search(before) or _MINUS.search(before)) and not _NO_FACTOR.search(before):
        return True
    for brace in unclosed(before, escapes=True):
        outside = before[:brace].rstrip()
        command = _COMMAND.search(outside)
        if outside[-1:] in ("^", "_") or (command is not None and command[1] not in _TYPE_SETTING):
            return True
    return False


def _is_bound_right(text: str, box: Box) -> bool:
    """Whether what stands right of the box makes another value of it, or states another one."""
    if _OR_ANOTHER.match(text, box.end):
        return True
    if not _in_formula(text, box.start):
        return _BOUND_IN_TEXT.match(text, box.end) is not None
    match = _FREE_IN_FORMULA.match(text[box.end : box.end + REACH])
    if match is None:
        return True
    if unit := match["unit"] or match["symbol"]:
        return _OTHER_VALUE.search(unit) is not None
    side, value = parse_number((match["side"] or "").strip(" .")), parse_number(box.content or "")
    return side is not None and value is not None and side.value != value.value


def _in_formula(text: str, start: int) -> bool:
    """Whether a formula is open at `start`."""
    paragraph = text[max(0, start - REACH_OF_FORMULA) : start].rpartition("\n\n")[2].replace("\\$", "")
    if paragraph.count("$") % 2:
        return True
    pairs = (("\\[", "\\]"), ("\\(", "\\)"), ("\\begin{", "\\end{"))
    return any(paragraph.rfind(opening) > paragraph.rfind(closing) for opening, closing in pairs)
