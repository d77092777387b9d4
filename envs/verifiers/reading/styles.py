r"""What only dresses an answer, taken off; and what has a plainer spelling: `{a \over b}`, `5 million`, set builders."""

from __future__ import annotations

import re

_AROUND = re.compile(
    r"\\(?:underline|ensuremath|textcolor\s?\{[A-Za-z]{1,20}\}|color\s?\{[A-Za-z]{1,20}\}|mathord|mathop|large|Large|huge)\s?"
    r"\{([^{}]*(?:\{[^{}]*\}[^{}]*){0,8})\}"
)
_BARE = re.compile(
    r"\\(?:tiny|small|normalsize|large|Large|LARGE|huge|Huge|checkmark|color\s?\{[A-Za-z]{1,20}\})(?![A-Za-z])"
)
_HALF_BRACKET = re.compile(r"\\(?:left|right)\s?\.")
_QUOTED = re.compile(r"(?P<quote>[\"'`])([^\"'`]{1,200})(?P=quote)")
_SAYS = re.compile(r"\\text\s?\{\s?(?:the |final |correct )*answer(?: is)?\s?:?\s?\}\s*(?=\S)", re.IGNORECASE)
_OVER = re.compile(
    r"\{([^{}]{1,60})\\over(?![A-Za-z])([^{}]{1,60})\}|^([^{}\\]{1,60})\\over(?![A-Za-z])([^{}\\]{1,60})$"
)
_ROOT = re.compile(r"\\sqrt\s?(\[\s?\d{1,3}\s?\])\s?(\d|[A-Za-z])")
_VECTOR = re.compile(r"\\(?:mathbf|boldsymbol|bm|vec|hat)\s?\{\s?([ijk])\s?\}")
_POWER_IN_TEXT = re.compile(r"\\(?:text|mathrm)\s?\{([A-Za-z/. ~]{1,20})\^\s?\{?(-?[1-4])\}?\s?\}")
_SYMBOLS = (
    (re.compile(r"(?<=[\d}])(?:\\[,; ]|\s)*\\Omega$"), r" \\text{ohm}"),
    (re.compile(r"\\mu\s?\\(?:text|mathrm)\s?\{\s?"), r"\\text{micro"),
)
_TENS = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALED = re.compile(
    rf"(?<=[\d}}])(?:\\[,; ]|[\s~])*(?:\\(?:text|mathrm|mbox)\s?\{{\s?({'|'.join(_TENS)})\s?(?:\s([^{{}}]{{1,40}}))?\}}"
    rf"|({'|'.join(_TENS)})(?![A-Za-z]))"
)
_BUILDER = re.compile(
    r"\\\{\s?([a-z])\s?(?:\\in\s?\\mathbb\s?\{?R\}?)?\s?(?:\\mid|\\vert|\\colon|\||:)\s?([^{}]*(?:\{[^{}]*\}[^{}]*){0,8})\\\}"
)
_WITHOUT = re.compile(
    r"(?:[a-z]\s?\\in\s?)?\\mathbb\s?\{?R\}?\s?(?:\\setminus|\\backslash|\\smallsetminus|-)\s?\\\{\s?([^{},]{1,40})\\\}"
)
_CHOICES = re.compile(r"\\text\s?\{\s?(\([A-H]\)(?:[,; ]|and|or|\([A-H]\)){1,30})\}")
_LABEL = re.compile(r"(?:\\text\s?\{\s?\(?([A-E])\)\s?\}|\(([A-E])\))(?:\\[,; ]|[\s:.~])*([^\s,;)\]].*)")
_ANOTHER = re.compile(
    r"^(?:\\text\s?\{\s?)?(?:or|and|nor|unless|except|but|is|was|not|maybe)\b|\([A-H]\)|\?|\\text\s?\{\(?[A-H]\)?\}"
    r"|^[=<>+*/^_&|!]|^\\(?:to|ne|le|ge|approx|sim|equiv|\w*arrow|implies|in|notin|pm|mp|times|cdot|cup|cap|div)(?![A-Za-z])"
)


def undressed(text: str) -> str:
    """`text`, not cleaned yet, without colours, sizes, quotes and the like around it or parts of it."""
    for _ in range(3):
        text, count = _AROUND.subn(r"\1", text)
        if not count:
            break
    text = _HALF_BRACKET.sub("", _BARE.sub("", text)).strip()
    if match := _QUOTED.fullmatch(text):
        text = match[2]
    text = _VECTOR.sub(r" \1 ", text).replace("\\sfrac", "\\frac").replace("\\nicefrac", "\\frac")
    text = _POWER_IN_TEXT.sub(r"\\text{\1}^{\2}", _ROOT.sub(r"\\sqrt\1{\2}", text))
    text = _OVER.sub(lambda m: rf"\frac{{{m[1] or m[3]}}}{{{m[2] or m[4]}}}", text)
    for pattern, plain in _SYMBOLS:
        text = pattern.sub(plain, text)
    return _SCALED.sub(_scaled, text)


def _scaled(match: re.Match[str]) -> str:
    unit = rf" \text{{ {match[2]}}}" if match[2] else ""
    return rf" \times 10^{{{_TENS[match[1] or match[3]]}}}{unit}"


def plainer(cleaned: str) -> str:
    """A cleaned text whose whole is a set builder, the reals but for a point, or choices in `\\text{}`, as what it says."""
    text = _SAYS.sub("", cleaned)
    if match := _BUILDER.fullmatch(text):
        return match[2].strip()
    if match := _WITHOUT.fullmatch(text):
        return rf"(-\infty, {match[1].strip()}) \cup ({match[1].strip()}, \infty)"
    if match := _CHOICES.fullmatch(text):
        return match[1].strip()
    return text


def unlabelled(gold: str, answer: str) -> str:
    r"""The answer without the letter of its option, `\text{(B)} 12`; the letter itself where the gold answer is one."""
    match = _LABEL.fullmatch(answer)
    if match is None or _LABEL.fullmatch(gold) or _ANOTHER.search(match[3]):
        return answer
    return (match[1] or match[2]) if re.fullmatch(r"(?:\\text\s?\{)?\s?\(?[A-E]\)?\s?\}?", gold) else match[3]
