r"""Steps of `clean` that one regular expression cannot do: what needs matching brackets, arguments or a condition.

Each is a pure function of a text that has been cut to `text.MAX_ANSWER` characters, and reads it a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from simko.envs.verifiers.reading.brackets import closing

ROW = "\x00"
"""The end of a row of a matrix while `clean` is at work: no answer holds this character."""

FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|theta|alpha|beta|phi"
COMMAND = re.compile(r"\\([A-Za-z]+)")
WORD = re.compile(r"[A-Za-z]{3}")
POWERS_OF_TEN = {
    "thousand": 3,
    "million": 6,
    "billion": 9,
    "trillion": 12,
    "lakh": 5,
    "lakhs": 5,
    "crore": 7,
    "crores": 7,
}
TIME_OF_DAY = r"(?i:(?<=\d)\s*(\\text\s?\{\s?)?([ap])\.?\s?m\.?(?(1)\s?\})$)"

_WRAPPER = re.compile(
    r"\\(?:underline|ensuremath|textcolor\s?\{[A-Za-z]{1,20}\}|color\s?\{[A-Za-z]{1,20}\}|mathord|mathop|large|Large|huge)\s?"
    r"\{([^{}]*(?:\{[^{}]*\}[^{}]*){0,8})\}"
)
_TABLE = re.compile(r"\\begin\s?\{(array|matrix|smallmatrix)\}(?:\s?\{[lcr| ]{1,40}\})?")
_FUNCTION = re.compile(rf"(?<![\\A-Za-z])({FUNCTIONS})(?![A-Za-z])")
_ATOM = re.compile(r"\d|[A-Za-z]|\\[A-Za-z]+")
_DOTS = re.compile(
    r"\\(?:c?dots|dots[cbmio]|hdots|mathellipsis|textellipsis)(?![A-Za-z])|\.\s?\.\s?\.|(?:\\cdot\s?){3}"
)
_ABOUT = re.compile(
    r"(?:approximately|approx(?![a-z])\.?|about|roughly|around|nearly|\\(?:approx(?:eq)?|thickapprox|simeq|doteq)(?![A-Za-z]))"
)
_LEADS_TO_ROUNDING = re.compile(r"(?:[\s,(]|\\text\s?\{|\b(?:or|which is|that is|i\.e\.)){1,12}$")
_DECIMAL_AT_END = re.compile(
    r"[\s:]{0,3}\}?\s?(-?[\d,]{0,30}\.?\d{1,20}(?:\s?\\?%|\s?(?:\\times|\\cdot|\*)\s?10\s?\^\s?\{?-?\d{1,4}\}?|[eE]-?\d{1,4})?"
    r"(?:\\ldots)?(?:\s?\\text\s?\{[^{}]{1,40}\}(?:\s?\^\s?\{?\d\}?)?)?)[\s)}.]{0,5}$"
)
_UNITS = re.compile(r"(?:[A-Za-z]{1,12}|[\s/.]|\\[,; ]|~|\\cdot|\^\s?(?:\{\s?-?\d\s?\}|\d))+")


def units_apart(match: re.Match[str]) -> str:
    r"""`\mathrm{m\,s^{-1}}` as `\text{m} \text{s}^{-1}`; a text without a power as it is."""
    inside = match[1]
    if "^" not in inside or not _UNITS.fullmatch(inside):
        return match[0]
    return re.sub(r"(?<!\\)\b([A-Za-z]{1,12})\b", r"\\text{\1}", re.sub(r"\\[,; ]|~", " ", inside))


def rows_marked(text: str) -> str:
    r"""A table of cells with `ROW` for each `\\` that ends a row."""
    return text.replace("\\\\", ROW) if "matrix" in text or "array" in text else text


def unwrapped(text: str) -> str:
    r"""Without `\underline{...}`, `\color{red}{...}` and the like round a part, up to three deep."""
    for _ in range(3):
        text, count = _WRAPPER.subn(r"\1", text)
        if not count:
            break
    return text


def as_pmatrix(text: str) -> str:
    """A table of cells within brackets, and nothing else, as `pmatrix`."""
    match = _TABLE.search(text)
    if match is None:
        return text
    ending = re.search(rf"\\end\s?\{{{match[1]}\}}", text)
    before, after = text[: match.start()].rstrip(), text[ending.end() :].lstrip() if ending else ""
    if ending is None or (before, after) not in (("(", ")"), ("[", "]")):
        return text
    return rf"\begin{{pmatrix}}{text[match.end() : ending.start()]}\end{{pmatrix}}"


def ungrouped(match: re.Match[str]) -> str:
    """A number without the marks between its groups of three, if one of the marks cannot be a comma of a list."""
    plain = re.sub(r"\{,\}|,?\\!|\\,|,", "", match[0])
    return plain if "{" in match[0] or "\\" in match[0] else match[0]


def named_functions(text: str) -> str:
    r"""`sin x` and `2pi` with commands for names; a text that holds other words is prose and stays as it is."""
    if WORD.search(_FUNCTION.sub("", COMMAND.sub("", text))):
        return text
    return _FUNCTION.sub(r"\\\1 ", text)


def braced_call(before: str) -> Callable[[str], str]:
    """A step that gives `before(...)` braces for its parentheses: `sqrt(2)`, `x^(n+1)`. The first 20 are read."""

    def rewrite(text: str) -> str:
        at = 0
        for _ in range(20):
            at = text.find(before, at)
            if at < 0:
                break
            at += len(before)
            start = _behind_blanks(text, at)
            end = closing(text, start, "(", ")")
            if end is not None:
                text = text[:at] + "{" + text[start + 1 : end] + "}" + text[end + 1 :]
        return text

    return rewrite


def braced_pairs(command: str) -> Callable[[str], str]:
    r"""A step that braces both arguments of `command`: `\frac12`, `\frac{\sqrt{6}}2`, `\binom52`. The first 30 are read."""

    def rewrite(text: str) -> str:
        at = 0
        for _ in range(30):
            at = text.find(command, at)
            if at < 0:
                break
            at = end = at + len(command)
            arguments = []
            for _ in range(2):
                start = _behind_blanks(text, end)
                match = _ATOM.match(text, start)
                end = _group_end(text, start) if match is None else match.end()
                if match is not None and match[0] == "\\sqrt":
                    end = _group_end(text, end)
                if end <= start:
                    return text
                arguments.append(text[start:end] if match is None else f"{{{text[start:end]}}}")
            text = text[:at] + "".join(arguments) + text[end:]
        return text

    return rewrite


def _behind_blanks(text: str, at: int) -> int:
    while text.startswith(" ", at):
        at += 1
    return at


def _group_end(text: str, start: int) -> int:
    """The place behind the group that opens at `start`; `start` itself if none opens there or it does not close."""
    end = closing(text, start)
    return start if end is None else end + 1


def unpunctuated(text: str) -> str:
    """Without the punctuation of a sentence at its end; an ellipsis stays, since it says that more follows."""
    while text and text[-1] in ".,;" and not text.endswith(("...", "\\,")):
        text = text[:-1].rstrip()
    return text


def time_of_day(match: re.Match[str]) -> str:
    r"""`p.m.` in any spelling as `\text{pm}`."""
    return rf" \text{{{match[2].lower()}m}}"


def time_in_text(match: re.Match[str]) -> str:
    r"""`\text{1:03 PM}` as `1:03 \text{pm}`; any other text as it is."""
    inside = (match[1] or match[2]).strip()
    return re.sub(TIME_OF_DAY, time_of_day, inside) if re.search(TIME_OF_DAY, inside) else match[0]


def dots(text: str) -> str:
    r"""Three dots in every spelling as `\ldots`."""
    if not ("dots" in text or ".." in text or ". ." in text or "ellipsis" in text or text.count("\\cdot") > 2):
        return text
    return _DOTS.sub(r"\\ldots ", text)


def rounding(text: str) -> str:
    r"""`\sqrt{2} (approximately 1.41)` as `\sqrt{2} \approx 1.41`: a decimal in words at the end, behind a value."""
    if not (
        "pprox" in text
        or "about" in text
        or "roughly" in text
        or "round" in text
        or "nearly" in text
        or "simeq" in text
        or "doteq" in text
    ):
        return text
    words = max(_ABOUT.finditer(text), key=re.Match.start, default=None)
    decimal = _DECIMAL_AT_END.match(text, words.end()) if words else None
    if words is None or decimal is None:
        return text
    value = _LEADS_TO_ROUNDING.sub("", text[max(0, words.start() - 60) : words.start()])
    value = text[: max(0, words.start() - 60)] + value
    value += "}" * (value.count("{") - value.count("}") == 1)  # \text{ cm (about 1.4)}
    return rf"{value} \approx {decimal[1]}" if value.strip() else text


def scaled(match: re.Match[str]) -> str:
    """`million` as a power of ten, and the unit behind it, if any, as text."""
    unit = rf" \text{{ {match[2]}}}" if match[2] else ""
    return rf" \times 10^{{{POWERS_OF_TEN[match[1] or match[3]]}}}{unit}"


def at_an_end(match: re.Match[str]) -> str:
    """Nothing for a match at an end of the text; any other match as it is."""
    return "" if match.start() == 0 or match.end() == len(match.string) else match[0]


def french(match: re.Match[str]) -> str:
    """`]0, 1[` as `(0, 1)`; `[0, 1]` as it is."""
    if match[1] == "[" and match[3] == "]":
        return match[0]
    return f"{'(' if match[1] == ']' else '['}{match[2]}{')' if match[3] == '[' else ']'}"
