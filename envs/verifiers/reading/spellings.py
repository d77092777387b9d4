r"""LaTeX that has more than one spelling, and what stands for nothing: fonts, empty braces, `\choose`, `\cr`, `\lg`, `90^o`.

`early` is for text as it was written, `late` for text whose commands have their usual names. Each pattern reads a text of
at most `latex.MAX_ANSWER` characters once, and none of its repetitions can be split in two ways.
"""

from __future__ import annotations

import re

_FONTS = "bf|rm|it|sf|tt|sl|sc|em|cal|bfseries|itshape|rmfamily|sffamily|ttfamily|boldmath|upshape|mdseries"
_IN_BRACES = r"([^{}\\]{1,40}|\\[A-Za-z]{1,12}|\d{1,40})"
_EARLY = (
    (re.compile(rf"\{{\s?\\(?:{_FONTS})(?![A-Za-z])\s*([A-Za-z]{{2,20}}\.?)\s?\}}"), r"\\text{\1}"),
    (re.compile(rf"\\(?:{_FONTS})(?![A-Za-z])"), " "),
    (re.compile(r"\\(?:emph|mathtt|mathcal|bold|pmb|textup|textmd|textsl|mathnormal|symbf|symup)(?![A-Za-z])"), r"\\text"),
    (re.compile(r"\\(?:[vh]phantom|vspace\*?|label|tag\*?)\s?\{[^{}]{0,40}\}"), " "),
    (re.compile(r"^\s*\\(?:therefore|implies|Rightarrow|Longrightarrow)(?![A-Za-z])(?=\s*\S)"), " "),
    (re.compile(r"\\(?:math(?:ord|bin|rel|open|close|punct))(?![A-Za-z])"), ""),
    (re.compile(rf"\{{\s?{_IN_BRACES}\s?\\choose(?![A-Za-z])\s?{_IN_BRACES}\s?\}}"), r"\\binom{\1}{\2}"),
    (re.compile(rf"^\s?{_IN_BRACES}\s?\\choose(?![A-Za-z])\s?{_IN_BRACES}\s?$"), r"\\binom{\1}{\2}"),
    (re.compile(r"\\[dt]binom(?![A-Za-z])"), r"\\binom"),
    (re.compile(r"(?<![A-Za-z0-9)}])(?:\{\})?[_^]\s?\{?\s?(\d{1,3})\s?\}?\s?(?:C|\\text\s?\{\s?C\s?\}|\\mathrm\s?\{\s?C\s?\})\s?_\s?\{?\s?(\d{1,3})\s?\}?"),
     r"\\binom{\1}{\2}"),
    (re.compile(r"\\cr(?![A-Za-z])"), r"\\\\"),
    (re.compile(r"\\([pbv]?matrix)\s?\{((?:[^{}]|\{[^{}]*\}){1,400})\}"), r"\\begin{\1}\2\\end{\1}"),
    (re.compile(r"(?<![\\A-Za-z^_}\]])\{\s?\}"), ""),
    (re.compile(r"(?<![\\A-Za-z^_}\]])\{\s?([-+])\s?\}"), r"\1"),
    (re.compile(r"(?<!\\)\\$"), ""),
    (re.compile(r"(?<![A-Za-z])\\textdollar(?![A-Za-z])"), r"\\$"),
    (re.compile(r"\\pounds(?![A-Za-z])"), "£"),
    (re.compile(r"\\euro(?![A-Za-z])"), "€"),
    (re.compile(r"\\cent(?![A-Za-z])"), r"\\text{ cents}"),
    (re.compile(r"\\text\s?\{\s?\\text\s?\{([^{}]{1,40})\}\s?\}"), r"\\text{\1}"),
)  # fmt: skip
_MARKED = re.compile(r"(\*{1,3}|`{1,3}|__)([^*`]+)\1")
_POWER_IN_TEXT = re.compile(r"\\(?:text|mathrm|rm|mbox|operatorname)\s?\{((?:[^{}]|\{[^{}]{1,6}\}){1,60})\}")


def early(text: str) -> str:
    """A text before its commands are renamed: fonts, markup and empty braces gone, plain TeX as LaTeX."""
    if match := _MARKED.fullmatch(text):
        text = match[2].strip()
    if "\\" in text or "{" in text:
        for pattern, plain in _EARLY:
            text = pattern.sub(plain, text)
        text = _POWER_IN_TEXT.sub(_apart, text)
    return text.strip()


def _apart(match: re.Match[str]) -> str:
    r"""`\mathrm{m\,s^{-1}}` as `\text{m} \text{s}^{-1}`; texts without a power stay as they are."""
    inside = match[1]
    if "^" not in inside or not re.fullmatch(
        r"(?:[A-Za-z]{1,12}|[\s/.]|\\[,; ]|~|\\cdot|\^\s?(?:\{\s?-?\d\s?\}|\d))+", inside
    ):
        return match[0]
    return re.sub(r"(?<!\\)\b([A-Za-z]{1,12})\b", r"\\text{\1}", re.sub(r"\\[,; ]|~", " ", inside))


_OF_DEGREE = r"(?:o|\\text\s?\{\s?o\s?\}|\\circ)"
_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
          "ten": "10", "twelve": "12", "sixteen": "16"}  # fmt: skip
_NUMERAL = rf"(\d{{1,2}}|{'|'.join(_BASES)})"
_BASE = re.compile(
    rf"(?<![\w.])([0-9A-F]{{1,40}})\s?\(?\s?(?:\\text\s?\{{\s?\(?\s?(?:in )?base[ -]?\}}|\\text\s?\{{\s?\(?\s?(?:in )?base"
    rf"|(?:in )?base)\s?{_NUMERAL}\s?\)?\s?\}}?\s?\)?$"
)
_LATE = (
    (re.compile(rf"(?<=[\d.}})])\s?\^\s?(?:\{{\s?{_OF_DEGREE}\s?\}}|{_OF_DEGREE})(?![A-Za-z])"), r"^\\circ"),
    (re.compile(r"\\lg(?![A-Za-z])"), r"\\log_{10}"),
    (re.compile(r"\\log\s?_\s?(?:e(?![A-Za-z])|\{\s?e\s?\})"), r"\\ln "),
    (re.compile(r"\\text\s?\{\s?(?:negative|minus)\s?\}\s?(?=\d|\\frac|\\sqrt)|^(?:negative|minus) (?=\d)"), "-"),
    (re.compile(r"(?<![\d}.,])\\text\s?\{\s?(-?[\d,]{0,20}\.?\d{1,20})\s?\}(?![\d{])"), r"\1"),
    (re.compile(r"^\\text\s?\{\s?(-?[\d.,]{1,40}) ([A-Za-z][A-Za-z .]{0,40})\}$"), r"\1 \\text{\2}"),
    (re.compile(r"(^|[=+\-*(\[<>|])(\s?)\\text\s?\{\s?([A-Za-z])\s?\}(?!\s?\))"), r"\1\2\3"),
    (re.compile(r"^(\d{1,12})\s?(?:\\text\s?\{\s?to\s?\}|to)\s?(\d{1,12})$"), r"\1:\2"),
    (re.compile(r"^\\text\s?\{\s?(\d{1,12}) to (\d{1,12})\s?\}$"), r"\1:\2"),
    (re.compile(r"^\\text\s?\{\s?(?:the |final |correct )*answer(?: is)?\s?:?\s?([^{}]{1,200})\}$", re.IGNORECASE), r"\1"),
    (re.compile(r"(?<=\d)\s?[x*]\s?(?=10\s?\^)"), r"\\times "),
    (re.compile(r"(?<![\\A-Za-z])a(?=(?:sin|cos|tan)\s?\()"), "arc"),
    (re.compile(r"\\(?:land|wedge)(?![A-Za-z])"), r"\\text{ and }"),
    (re.compile(r"\\(?:lor|vee)(?![A-Za-z])"), r"\\text{ or }"),
)  # fmt: skip
_NOTHING = re.compile(
    r"(?:\\text\s?\{)?\s*(?:(?:there (?:is|are) )?no (?:real |such |integer |valid |possible |complex )*"
    r"(?:solutions?|roots?|values?|numbers?|integers?)(?: exists?)?|(?:the )?(?:empty|null) set|none)\s*\.?\s*\}?",
    re.IGNORECASE,
)
_FRENCH = re.compile(r"([\[\]])\s?([^\[\]()]{1,40}[,;][^\[\]()]{1,40})([\[\]])")


def late(text: str) -> str:
    """A text whose commands have their usual names: degrees, bases, ratios, words that mean a sign, the empty set."""
    for pattern, plain in _LATE:
        text = pattern.sub(plain, text)
    text = _BASE.sub(lambda m: f"{m[1]}_{{{_BASES.get(m[2], m[2])}}}", text)
    if _NOTHING.fullmatch(text):
        return r"\emptyset"
    if (match := _FRENCH.fullmatch(text)) and (match[1] == "]" or match[3] == "["):
        return f"{'(' if match[1] == ']' else '['}{match[2]}{')' if match[3] == '[' else ']'}"
    return text
