r"""What stands right of a stated value: factors that are read with it, something else that binds it, or nothing that does."""

from __future__ import annotations

import re

from simko.envs.verifiers.answer.beside_left import SCALE_SIGNS, SCALES
from simko.envs.verifiers.reading.numbers import parse_number

REACH = 240  # characters that are looked at

_SPACING = (
    r"(?:[\s~&]|\\[,;:!> ]|\{\s?\}|\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|thinspace|enspace)(?![A-Za-z])\.?"
    r"|\\(?:[hv]?phantom|hspace|color)\s?\{[^{}]{0,40}\})"
)
_COMMANDS = (
    r"(?:pi|alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi|chi|psi|omega|infty|hbar|ell"
    r"|sqrt|[cdt]?frac|[dt]?binom|log|ln|lg|exp|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|sum|prod|int|lim"
    r"|times|cdot|div|pm|mp|ast|over|choose|bmod|neq?|vec|hat|overline)(?![A-Za-z])"
)
_OPERAND = rf"(?:[\d√π]|\((?=[-\d\\])|\$\s?[\w\\(-]|\\{_COMMANDS}|\\boxed|[b-zB-HJ-Z](?![A-Za-z]))"
_FUNCTIONS = r"(?:log|ln|sin|cos|tan|exp|sqrt|pi)(?![A-Za-z])"
_GAP = re.compile(
    r"(?:(?<=\})[*_`]{1,3}(?=\s))?(?:[ \t~]|\\[,;:!> )]|\{\s?\}|\\q?quad(?![A-Za-z])|\*\*|\$(?!\s?[A-Za-z\d\\(-])"
    r"|[)}\]](?=[\s^$*/\\_²]|\\)){0,12}(?:(?P<opens>\$|\\\()[ \t]{0,2})?"
)
_TIED = re.compile(  # right behind a value in prose: \boxed{4}2, \boxed{42}^2, \boxed{42}/7, \boxed{42}'s half
    r"[\d+/^×·÷½⅓¼¾⅔²³¹⁰-⁹₀-₉⁻]|[*_!](?=[^\W_]|[\\{(])|!(?=[/^*])|[.,]\d|['’]s\b|[-−–](?=\d|[\\$(]\s?[\w\\(])|\\,\d{3}"
    r"|\(\s?[-+]?[\w\\]{1,8}\s?[-+*/^]\s?[\w\\{}^]{1,8}\s?\)|[eE][-+]?\d|[A-Za-z](?![A-Za-z])"
)
_NEAR = re.compile(  # behind a value, and blanks or dollar signs, in prose
    rf"\\{_COMMANDS}|\\(?:mathrm|operatorname|text)\s?\{{\s?(?:[iek]|pi|π)\s?\}}|[*·∙×÷/]\s?{_OPERAND}|[+−±-]\s?{_OPERAND}"
    r"|[π√²±×÷≠^]|_(?=[\d{])|[iknxyz](?![A-Za-z'’-]|\.\S|\s[a-z])|000(?!\d)|x\s10|\d{1,2}/\d"
    r"|=\s?(?P<side>-?\d[\d.,]*)(?=\s*(?:[$;)\n]|$))"
    rf"|{_FUNCTIONS}|(?P<scale>-?\s?[*(\[]{{0,2}}(?i:(?:\\(?:text|mathrm)\s?\{{\s?)?(?:{SCALES})(?![A-Za-z])|k(?![A-Za-z'’-])|(?:\\text\s?\{{\s?)?(?:{SCALE_SIGNS})))"
    r"|(?i:(?:squared|cubed|factorial|and\s(?:a|one)\s(?:half|third|quarter)|raised\sto|to\sthe\s(?:power|\w{3,8}\spower)"
    rf"|(?:divided|multiplied|increased|decreased|reduced)\sby)\b|(?:plus|minus|over|choose|mod)\s{_OPERAND})"
)
_ON_THE_NEXT_LINE = re.compile(rf"\\{_COMMANDS}|[*·∙×÷/^_+±√π]\s?\S|[-−]\s?[\w\\({{]|\([-+]?\w{{1,3}}\s?[-+*/^]")
_DEGREES = re.compile(  # a unit, and the ending of a number in order, though they look like powers
    rf"{_SPACING}{{0,4}}\^\s?(?:\\circ(?![A-Za-z])|°|\{{\s?(?:\\circ|°|\\(?:text|mathrm)\s?\{{\s?(?:st|nd|rd|th)\s?\}})\s?\}})"
    r"(?:\s?[CF](?![A-Za-z]))?"
)
_NEIGHBOUR = re.compile(r"[^$=<>\n]{1,60}?(?:\$|\\\))(?!['’-]|\s[a-z]+-)")  # a formula that states no relation
_POWER_OF_TEN = re.compile(
    r"[-\s*]{0,3}(?:\\(?:text|mathrm)\s?\{\s?)?(thousand|million|billion|trillion|lakh|crore)s?", re.IGNORECASE
)
_PERCENT = re.compile(r"(?:[\s$~]|\\[,;: ]){0,3}(?:percent(?![A-Za-z])|\\?%(?P<more>\$?\sof\s\$?\d|\s?\d)?)")
_UNIT = (
    r"(?:\\(?:text|mathrm|textrm|mathsf|mbox|rm|operatorname)\s?\{|\{\s?[\s~]?(?=[A-Za-z\s]))(?P<unit>[^{}]{0,60})"  # \text{ cm}
    r"|\\(?:AA|mu|Omega|degree)(?![A-Za-z])|\\frac\s?\{\s?\\(?:text|mathrm)"
    r"|(?<=\s)(?P<symbol>(?:[munckM]?(?:m|s|g|eV|V|Hz|J|N|W|A|L|Pa|mol)|amu|ft|in|lb|mi|hr|min|deg|rad|[a-z]{5,20})"  # nm, m/s
    r"(?:\s?\^\s?\{?-?\d\}?)?(?:\s?/\s?[a-z]{1,3})?)(?=[\s.,;]{0,3}(?:\$|\\[\])]|$|\n|\\\\))"
)
_FREE_IN_FORMULA = re.compile(
    rf"(?P<gap>(?:{_SPACING}|[.,;:}})\]]){{0,12}})(?:"
    r"$|(?P<close>\$\$?|\\[\])])|\\\\|\\end(?![A-Za-z])"  # the formula ends, or its line
    rf"|(?P<percent>\\?%)|°|\^\s?\{{?\s?(?:\\prime|°)|[/\[(]?{_SPACING}{{0,4}}(?:{_UNIT})|/{_SPACING}{{0,4}}\$"  # a unit
    r"|\\[a-z]*mod(?![A-Za-z])|&(?!\s?=)|\\(?:tag|equiv|Rightarrow|Longrightarrow|implies|iff|because|therefore|renewcommand|checkmark"
    r"|blacksquare|square|hfill|qed|label|notag|nonumber)(?![A-Za-z])"
    rf"|\\q?quad(?![A-Za-z])(?!{_SPACING}{{0,4}}(?:\\{_COMMANDS}|[-+*/^]))"
    r"|(?:\\approx|\\simeq|≈)(?![A-Za-z])|=(?P<side>(?:[^=<>$\\&,;\n]|\\(?!end)[A-Za-z]){0,40}))"  # another side of an equation
)
_TAIL = re.compile(  # factors that end the formula: \pi, \sqrt{2}, x^3, i; a base or a power
    rf"((?:{_SPACING}{{0,4}}(?:\\(?:pi|theta|alpha|beta|phi)(?![A-Za-z])|π|\\sqrt\s?(?:\[\s?\d\s?\])?\s?(?:\{{[^{{}}]{{1,30}}\}}|\d)"
    r"|\\(?:times|cdot)\s?10\s?\^\s?(?:\{\s?-?\d{1,3}\s?\}|\d)(?=[\s.,;]{0,4}(?:\$|\\[\])]|$))"
    r"|[a-z](?![A-Za-z])|[\^_]\s?(?:\{[^{}]{1,20}\}|[\dA-Za-z])|!)){1,6})(?=[\s.,;]{0,4}(?:\$|\\[\])]|\\end(?![A-Za-z])|\\\\|$))"
)
_FACTOR = re.compile(r"\d[\d.]*|[A-Za-z]|\\[dt]?frac\s?\{[^{}]*\}\s?\{[^{}]*\}")
_OTHER_VALUE = re.compile(
    rf"^\s*(?:or|and)\b|\bnot\b|\b(?i:{SCALES})\b|{SCALE_SIGNS}|^\s?(?:[eik]|pi|π)\s?$|\b(?:squared|cubed)\b|^\s?\d"
)
_OR_ANOTHER = re.compile(  # $\boxed{42}$ or $43$; \boxed{42}, or possibly 43; \boxed{42} (or 43)
    r"(?:[\s$)\]}\\*,;(~—–]|\\text\s?\{){0,8}(?:or|maybe|perhaps|possibly)\b,?[\s}]"
    r"(?:(?:possibly|maybe|perhaps|else|also|even|alternatively|equivalently|just),?\s){0,2}[\s$*}(]{0,4}(?:[A-Za-z]\s?=\s?)?(?P<other>[-−]?\s?[\d\\(][^\s$;)*]{0,40})"
    r"|[\s$*]{1,4}and\s\$?(?P<second>[-−]?\d{1,12}(?:\.\d{1,12})?)(?=[\s$.*]{0,6}(?:\n|\Z))"  # $\boxed{42}$ and $43$
)


def bound_right(text: str, end: int, content: str, in_formula: bool, alone: bool) -> str | None:
    """`content` with what binds it from the right of `end`; None if that cannot be read with it.

    `alone`: no bracket has opened between the value and what binds it from the left.
    """
    if degrees := _DEGREES.match(text, end):
        end = degrees.end()
        if "\\pi" in content or re.match(r" ?\d", text[end : end + 2]):  # 60 degrees, 30 minutes
            return None
    another = _OR_ANOTHER.match(text, end)
    if another and not _same_number(another["other"] or another["second"], content):
        return None
    if not in_formula:
        return _in_prose(text, end, content)
    after = text[end : end + REACH]
    match = _FREE_IN_FORMULA.match(after)
    if match is None:
        tail = _TAIL.match(after) if alone else None
        if tail is not None:
            return _times(content, tail[1])
        gap = _SPACED.match(after)
        on_another_line = gap is not None and "\n" in gap[0]
        return content if on_another_line and not _ON_THE_NEXT_LINE.match(after, gap.end() if gap else 0) else None
    if match["percent"]:
        return _with_percent(text, end, content)
    if unit := match["unit"] or match["symbol"]:
        return content if not _OTHER_VALUE.search(unit) else _scaled(content, unit)
    if (side := match["side"]) is not None:
        return content if _same_number(side, content) else None
    if match["close"] and not re.search(r"[.,;:]\Z", match["gap"].rstrip()):
        return _behind_formula(text, end, end + match.end(), content, match["close"])
    return content


_SPACED = re.compile(rf"{_SPACING}{{0,12}}")


def closes(text: str, end: int, brackets: int) -> bool:
    """Whether that many brackets close right behind `end`."""
    return re.match(rf"(?:(?:{_SPACING}){{0,4}}[)\]}}|]){{{brackets}}}", text[end : end + REACH]) is not None


def _behind_formula(text: str, end: int, at: int, content: str, delimiter: str) -> str | None:
    """The value where its formula ends before `at`."""
    if delimiter in ("$$", "\\]") and re.match(r"[ \t]*(?:\$|\\[\[(]|[-+*]\s)", text[at : at + 20]):
        return content  # displayed formulas stand on lines of their own
    tied = _TIED.match(text, at)
    if tied and (tied[0][0] in "MB" or not tied[0][0].isalpha()):
        return None
    return _nearby(text, at, content)


def _in_prose(text: str, end: int, content: str) -> str | None:
    return None if _TIED.match(text, end) else _nearby(text, end, content)


def _nearby(text: str, at: int, content: str) -> str | None:
    """The value with what stands behind it and blanks or dollar signs, in prose."""
    if percent := _PERCENT.match(text, at):
        return None if percent["more"] else _with_percent(text, at, content)
    gap = _GAP.match(text, at)
    match = _NEAR.match(text, gap.end() if gap else at)
    if match is None or (gap and gap["opens"] and not _NEIGHBOUR.match(text, gap.end())):
        return content
    if match["scale"]:
        return _scaled(content, match["scale"])
    return content if match["side"] and _same_number(match["side"], content) else None


def _same_number(side: str, content: str) -> bool:
    """Whether a text and the content are not two numbers that differ."""
    other, value = parse_number(_DEGREES.split(side)[0].strip(" .,?!")), parse_number(content)
    if other is None or value is None or other.value == value.value:
        return True
    return other.percent and other.value == 100 * value.value


def _with_percent(text: str, end: int, content: str) -> str | None:
    match = _PERCENT.match(text, end)
    if match and match["more"]:
        return None
    number = parse_number(content)
    return content + "\\%" if number is not None and not number.percent else content


def _scaled(content: str, word: str) -> str | None:
    """The content in thousands, millions and so on; None for other words that scale."""
    match = _POWER_OF_TEN.match(word)
    return f"{content} {match[1].lower()}" if match and parse_number(content) is not None else None


def _times(content: str, tail: str) -> str | None:
    """The content with factors, a power or a base behind it."""
    tail = tail.strip()
    if tail[0] == "_":
        return content + tail if content.isalnum() else None
    if _FACTOR.fullmatch(content) and not (tail[0] in "^!" and content[0] == "\\"):
        return content + tail
    if re.search(r"[=,;<>]|\\(?:text|pm|le|ge|in|cup|begin)(?![A-Za-z])", content):
        return None
    return f"({content}){tail}"
