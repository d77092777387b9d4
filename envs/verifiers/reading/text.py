r"""Answers as text: one spelling for the many ways to write the same LaTeX, and units told apart from values.

`clean` takes away what only sets type (`\left`, `\,`, `$`, `\displaystyle`), and gives Unicode and plain-text maths its
LaTeX spelling. `key` is for comparing as strings. `split_unit` takes a trailing unit off. All of them are linear passes
over a text that has been cut to `MAX_ANSWER` characters.
"""

from __future__ import annotations

import re
from functools import lru_cache

from simko.envs.verifiers.reading.signs import plain_signs
from simko.envs.verifiers.reading.spellings import early, late
from simko.envs.verifiers.reading.styles import plainer, undressed


def words(text: str) -> frozenset[str]:
    """The set of the words of a text: for the tables of this folder."""
    return frozenset(text.split())


MAX_ANSWER = 1000  # characters of an answer that are looked at: a longer one is no answer

_RENAMED = {
    "dfrac": r"\frac", "tfrac": r"\frac", "cfrac": r"\frac", "leq": r"\le", "geq": r"\ge", "leqslant": r"\le",
    "geqslant": r"\ge", "neq": r"\ne", "lbrace": r"\{", "rbrace": r"\}", "varnothing": r"\emptyset", "degree": r"^\circ",
    "lvert": "|", "rvert": "|", "vert": "|", "lt": "<", "gt": ">", "lbrack": "[", "rbrack": "]", "ast": "*",
    "textbf": r"\text", "textit": r"\text", "textrm": r"\text", "textnormal": r"\text", "mbox": r"\text",
    "mathrm": r"\text", "mathbf": r"\text", "mathit": r"\text", "mathsf": r"\text", "bm": r"\text",
    "operatorname": r"\text", "textsf": r"\text", "texttt": r"\text", "hbox": r"\text", "boldsymbol": r"\text",
}  # fmt: skip
_DROPPED = words(
    "left right big Big bigl bigr Bigl Bigr bigg Bigg biggl biggr displaystyle textstyle limits nolimits mathstrut "
    "middle mleft mright hfill noindent"
)
_SPACES = frozenset(("quad", "qquad", "enspace", "thinspace", "space"))
_WHITE = str.maketrans("\r\n\t", "   ")
_ROW = "\x00"
_LOST_BLANK = re.compile(
    r"\\(q?quad|[lg]eq|neq)(?!q|slant)([a-zA-Z])(?![a-zA-Z])"
)  # \quadx, \leqg(x): as sets have them
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_GROUPED = re.compile(r"(?<![\d,.])\d{1,3}(?:(?:\{,\}|,?\\!|\\,|,)\d{3}(?!\d)){1,20}(?![\d,])")
_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|theta|alpha|beta|phi"
_PLAIN = re.compile(rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])")
_WORDS = re.compile(r"[A-Za-z]{3}")
_ATOM = re.compile(r"\d|[A-Za-z]|\\[A-Za-z]+")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_TEXT_FUNCTION = re.compile(rf"\\text\s*\{{\s*({_FUNCTIONS})\s*\}}")


def _command(match: re.Match[str]) -> str:
    name = match[1]
    if name in _DROPPED:
        return ""
    return " " if name in _SPACES else _RENAMED.get(name, match[0])


def _primes(match: re.Match[str]) -> str:
    return "'" * max(1, match[0].count("prime"))


def clean(text: str) -> str:
    r"""One spelling: delimiters, spacing and styling gone, variants of a command made one, Unicode and words made LaTeX."""
    text = re.sub(r" {2,}", " ", plain_signs(text[: MAX_ANSWER + 1]).translate(_WHITE)).strip()
    text = early(text)
    if "matrix" in text or "array" in text:  # noqa: SIM108
        text = text.replace("\\\\", _ROW)  # the end of a row
    else:
        text = re.sub(r"\\\\(?=[A-Za-z])", r"\\", text)  # a command whose backslash was escaped
    text = undressed(text).replace(r"\$", " \\usd ").replace("$", "")
    text = re.sub(r"^~\s*(?=[\d\\.])", r"\\sim ", text)  # about
    text = re.sub(r"\\[()\[\]]", lambda m: "" if m.start() == 0 or m.end() == len(text) else m[0], text)
    text = re.sub(r"\\phantom\s*\{[^{}]*\}|\\hspace\s*\{[^{}]*\}", " ", text)
    text = _COMMAND.sub(_command, _LOST_BLANK.sub(r"\\\1 \2", text))
    text = _TEXT_FUNCTION.sub(r"\\\1 ", text)
    if _ROW in text or "matrix" in text or "array" in text:
        text = _pmatrix(text)
    text = _GROUPED.sub(_ungrouped, text)
    text = re.sub(r"(?<=\d)(?:\{,\}|,?\\!|\\,)\s*(?=\d{3}(?!\d))", "", text)  # thousands
    text = re.sub(r"\\!|\{,\}", lambda m: "," if m[0] == "{,}" else "", text)
    text = re.sub(r"\\[,;: ](?![A-Za-z]*\{)|(?<!\\)\\(?=\s)|~", " ", text)
    text = text.replace(r"\%", "%").replace("**", "^")
    text = re.sub(r"(?<!\\text)(?<!\\text )\{(and|or)\}", r" \1 ", text)
    text = _spelled(text)
    text = re.sub(r"(?<=,)\s?\{\}", "", text)
    text = re.sub(r"(?<=\d)\{([a-z]{5,20}|cm|mm|km|ft|in)\}", r"\\text{\1}", text)
    text = re.sub(r"(?<![\w\\])(?:np|math)\.(?=[a-z])", "", text)
    text = re.sub(r"(?<=\d)[eE]([+-]?\d{1,4})(?![\w.])", r" \\times 10^{\1}", text)
    text = re.sub(r"\^\s*(?:\{\s*((?:\\prime\s*){1,3})\}|\\prime(?![A-Za-z]))", _primes, text)
    text = late(re.sub(r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ", r"^\\circ", text))
    text = re.sub(r"(?<=[\d}])\s*(?:\\text\s*\{\s*(?:per ?cent|%)\s*\}|per ?cent)(?![A-Za-z])", "%", text)
    text = re.sub(r"(?<![\\A-Za-z])(?:infinity|inf)(?![A-Za-z])", r"\\infty", text)
    if not _WORDS.search(_PLAIN.sub("", _COMMAND.sub("", text))):  # words make it prose: leave it as it is
        text = _PLAIN.sub(r"\\\1 ", text)
    text = _braced_call(_braced_call(text, "\\sqrt"), "^")
    text = re.sub(r"\\sqrt\s*(\d+|[a-zA-Z](?![a-zA-Z]))", r"\\sqrt{\1}", text)
    text = _braced_pairs(_braced_pairs(text, "\\frac"), "\\binom")
    text = re.sub(r"([\^_])\s*(-?\d+|[a-zA-Z](?![a-zA-Z]))", r"\1{\2}", text)
    text = re.sub(r" +", " ", text).replace(_ROW, r"\\").strip()
    return plainer(_unpunctuated(text))


def _unpunctuated(text: str) -> str:
    """Without the punctuation of a sentence at its end; an ellipsis is none, since it says that more follows."""
    while text and text[-1] in ".,;" and not text.endswith(("...", "\\,")):
        text = text[:-1].rstrip()
    return text


def _ungrouped(match: re.Match[str]) -> str:
    """A number whose groups of three are marked in more than one way, one of them unmistakable, without the marks."""
    plain = re.sub(r"\{,\}|,?\\!|\\,|,", "", match[0])
    return plain if "{" in match[0] or "\\" in match[0] else match[0]


_ASCII_RELATIONS = (
    (re.compile(r"<=(?![=>])"), r" \\le "),
    (re.compile(r">=(?!=)"), r" \\ge "),
    (re.compile(r"(?<=\s)!="), r"\\ne "),
)
_UPRIGHT = re.compile(r"\\text\s?\{\s?([ei])\s?\}")
_REPEATED = re.compile(r"(?<=\.)(\d{0,20})\\(?:bar|dot)\s?(?:\{(\d{1,20})\}|(\d))")
_COLON = re.compile(r"\\text\s?\{\s?:\s?\}|\{:\}|\\colon(?![A-Za-z])")
_HALF_OF_DAY = re.compile(r"(?<=\d)\s*(\\text\s?\{\s?)?([ap])\.?\s?m\.?(?(1)\s?\})$", re.IGNORECASE)
_LISTED_WORDS = re.compile(
    r"\\text\s?\{\s?([A-Za-z]{1,20}(?:\s?,\s?[A-Za-z]{1,20}){1,20})\s?\}|\{\s?([A-Za-z]{1,20}(?:\s?,\s?[A-Za-z]{1,20}){1,20})\s?\}"
)
_BASE = re.compile(r"\(\s?([0-9A-Z]{1,40})\s?\)\s?_")
_BASE_WORD = re.compile(r"_\s?\{?\s?\\text\s?\{\s?([a-z]{3,8})\s?\}\s?\}?")
_BASES = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
}
_MODULO = re.compile(
    r"\(\s?(?:\\text\s?\{\s?mod\s?\}|\\[bp]?mod|mod)\s?\{?\s?(\w{1,20})\s?\}?\s?\)|\\[bp]?mod\s?(?:\{\s?(\w{1,20})\s?\}|(\w{1,20}))"
)
_REALS = re.compile(
    r"(?:[a-z]\s?\\in\s?)?\\(?:mathbb|Bbb)\s?\{?\s?R\s?\}?|"
    r"\\text\s?\{\s?(?:all |the |set of )*reals?(?: numbers?)?\s?\}|all real numbers",
    re.IGNORECASE,
)
_TABLE_CELLS = re.compile(r"\\begin\s?\{(array|matrix|smallmatrix)\}(?:\s?\{[lcr| ]{1,40}\})?")
_TEXT_RATIO = re.compile(
    r"\\frac\s?\{\s?\\text\s?\{([A-Za-z. ]{1,20})\}\s?\}\s?\{\s?\\text\s?\{([A-Za-z. ]{1,20})\}\s?\}"
)


def _spelled(text: str) -> str:
    """What has several spellings and a LaTeX one: relations, e and i, repeating digits, bases, moduli, times, the reals."""
    text = text.removesuffix(".") if text.endswith("}.") else text
    for pattern, command in _ASCII_RELATIONS:
        text = pattern.sub(command, text)
    text = _COLON.sub(":", _UPRIGHT.sub(r"\1", text))
    text = _REPEATED.sub(lambda m: f"{m[1]}\\overline{{{m[2] or m[3]}}}", text)
    text = _HALF_OF_DAY.sub(lambda m: rf" \text{{{m[2].lower()}m}}", text)
    text = _BASE_WORD.sub(lambda m: f"_{{{_BASES[m[1]]}}}" if m[1] in _BASES else m[0], _BASE.sub(r"\1_", text))
    text = _MODULO.sub(lambda m: rf"\pmod{{{m[1] or m[2] or m[3]}}}", text)
    text = _TEXT_RATIO.sub(r"\\text{\1/\2}", text)
    if _REALS.fullmatch(text):
        return r"(-\infty, \infty)"
    if match := re.fullmatch(r"\\text\s?\{([^{}]{1,40})\}|\{([^{}]{1,40})\}", text):  # \text{1:03 PM}
        inside = match[1] or match[2]
        if _HALF_OF_DAY.search(inside):
            return _HALF_OF_DAY.sub(lambda m: rf" \text{{{m[2].lower()}m}}", inside)
    if match := _LISTED_WORDS.fullmatch(text):
        return match[1] or match[2]
    if re.fullmatch(r"\\\{\s*\\\}", text):
        return r"\emptyset"
    if re.fullmatch(r"\{[^{}]*[^{}\d\s,][^{}]*,[^{}]*\}|\{\s?-?\d{1,15}(?:\s?,\s?-?\d{1,15}){1,20}\s?\}", text):
        return rf"\{{{text[1:-1]}\}}" if not re.fullmatch(r"\{\d{1,3}(?:,\d{3})+\}", text) else text
    return text


def _pmatrix(text: str) -> str:
    """Tables of cells within brackets as `pmatrix`, without the space between their rows (`_ROW` ends one here)."""
    text = re.sub(_ROW + r"\s?\[\s?[\d.]{1,6}\s?(?:mm|cm|pt|em|ex|in)\s?\]", _ROW, text)
    match = _TABLE_CELLS.search(text)
    if match is None:
        return text
    ending = re.search(rf"\\end\s?\{{{match[1]}\}}", text)
    before, after = text[: match.start()].rstrip(), text[ending.end() :].lstrip() if ending else ""
    if ending is None or (before, after) not in (("(", ")"), ("[", "]")):
        return text
    return rf"\begin{{pmatrix}}{text[match.end() : ending.start()]}\end{{pmatrix}}"


def _braced_call(text: str, before: str) -> str:
    """`before(...)` as `before{...}`, where the parentheses balance: `sqrt(2)`, `x^(n+1)`."""
    at = 0
    for _ in range(20):
        at = text.find(before, at)
        if at < 0:
            break
        at += len(before)
        start = at + len(text[at:]) - len(text[at:].lstrip(" "))
        if not text.startswith("(", start):
            continue
        depth = 0
        for end in range(start, len(text)):
            depth += (text[end] == "(") - (text[end] == ")")
            if depth == 0:
                text = text[:at] + "{" + text[start + 1 : end] + "}" + text[end + 1 :]
                break
    return text


def _braced_pairs(text: str, command: str) -> str:
    r"""`\frac12`, `\frac ab`, `\frac{\sqrt{6}}2`, `\binom52` with braces round both arguments."""
    at = 0
    for _ in range(30):
        at = text.find(command, at)
        if at < 0:
            break
        at = end = at + len(command)
        arguments = []
        for _ in range(2):
            start = end + len(text[end:]) - len(text[end:].lstrip(" "))
            match = _ATOM.match(text, start)
            end = _group_end(text, start) if match is None else match.end()
            if match is not None and match[0] == "\\sqrt":
                end = _group_end(text, end)
            if end <= start:
                return text
            arguments.append(text[start:end] if match is None else f"{{{text[start:end]}}}")
        text = text[:at] + "".join(arguments) + text[end:]
    return text


def _group_end(text: str, start: int) -> int:
    """Where the group that opens at `start` ends; `start` itself where none opens or it does not close."""
    if not text.startswith("{", start):
        return start
    depth = 0
    for end in range(start, len(text)):
        depth += (text[end] == "{") - (text[end] == "}")
        if depth == 0:
            return end + 1
    return start


@lru_cache(maxsize=4096)
def key(cleaned: str) -> str:
    r"""What two answers that say the same share as a string. `cleaned` has been through `clean`.

    White space (but not between digits), `\text{}`, how often a backslash is repeated, and the parentheses of a single
    letter, `(A)`, do not count.
    """
    text = _TEXT.sub(lambda m: m[1], cleaned)
    text = re.sub(r"\\+", r"\\", re.sub(r"\s+(?!(?<=\d\s)\d)", "", re.sub(r"\s+", " ", text))).replace("\\usd", "")
    if letter := re.fullmatch(r"(?:[Oo]ption|[Cc]hoice)?\{?\(?([A-Za-z])\)?,?\}?", text):
        return letter[1]
    while len(text) > 2 and text[0] == "{" and text[-1] == "}" and "{" not in text[1:-1] and "}" not in text[1:-1]:
        text = text[1:-1]
    return _unpunctuated(text)


def same_string(a: str, b: str) -> bool:
    """Whether two cleaned answers, the gold one first, have one key. Case does not count where there are words or choices."""
    x, y = key(a), key(b)
    if len(x) == 1 and x.upper() == y.upper() and x in "ABCDEFGHJ":  # the gold answer is one of several choices
        return True
    return (
        x == y
        or x.lower() == y.lower() == "no"
        or (bool(_WORDS.search(_COMMAND.sub("", a + b))) and x.lower() == y.lower())
    )
