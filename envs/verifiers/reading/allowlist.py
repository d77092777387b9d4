r"""The allow-list: which text may reach math-verify and sympy, decided on our own tokens.

`admit` reads the text to tokens of five kinds (numbers, single letters, the commands and signs listed here), refuses
everything else, and writes the tokens out again, so that only recognised text is passed on. It also refuses text that is
short to write and slow to compute: deep nesting, long numbers, large exponents and towers of them, large factorials.
"""

from __future__ import annotations

import re
from fractions import Fraction

from simko.envs.verifiers.reading.brackets import closing, deepest
from simko.envs.verifiers.reading.text import words

MAX_CHARS = 400
MAX_TOKENS = 200
MAX_NESTING = 12
MAX_DIGITS = 40
MAX_EXPONENT = 10_000  # product of all numbers in exponents
MAX_TOWER = 2  # exponents in exponents
MAX_FACTORIAL = 200
MAX_BINOMIAL = 1_000

GREEK = words(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi varphi chi psi "
    "omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega"
)
FUNCTIONS = words("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp")
CONSTANTS = frozenset(("pi", "infty"))
STRUCTURE = words("frac sqrt binom cdot times div lfloor rfloor lceil rceil")
RELATIONS = frozenset(("le", "ge"))
COMMANDS = GREEK | FUNCTIONS | CONSTANTS | STRUCTURE | RELATIONS
SIGNS = frozenset("+-*/^_(){}[]|!")
RELATION_SIGNS = frozenset("=<>")

_NOT_IN_BINOMIAL = frozenset(("^", "!", "\\binom", "\\exp", "*", "\\cdot", "\\times"))
_RAISERS = frozenset(("^", "\\exp", "\\sinh", "\\cosh"))

_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4}")  # a word is no product: east is not seat
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?|\.\d+)|\\([A-Za-z]+)|([A-Za-z])|([-+*/^_(){}\[\]|!=<>]))", re.ASCII)
_CLOSERS = {"(": ")", "{": "}", "[": "]", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}


def tokenize(text: str, max_chars: int = MAX_CHARS, max_digits: int = MAX_DIGITS) -> list[str] | None:
    """The tokens of `text`, commands with their backslash; None if one is not on the list, or there are too many."""
    if len(text) > max_chars or _WORD.search(text):
        return None
    tokens: list[str] = []
    at, text = 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or len(tokens) >= MAX_TOKENS:
            return None
        number, command, letter, sign = match.groups()
        if (command and command not in COMMANDS) or (number and len(number) > max_digits):
            return None
        tokens.append(number or (f"\\{command}" if command else letter or sign))
        at = match.end()
    return tokens


def admit(text: str, relation: bool = False) -> str | None:
    """`text` written anew from its tokens, decimals as exact fractions, for math-verify; None if it is refused.

    `=`, `<`, `>`, `\\le` and `\\ge` are allowed with `relation` only.
    """
    tokens = tokenize(text)
    if not tokens or not _nesting_ok(tokens) or not _sizes_ok(tokens):
        return None
    if not relation and any(t in RELATION_SIGNS or t[1:] in RELATIONS for t in tokens):
        return None
    out: list[str] = []
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else ""
        if token[0].isdigit() or token[0] == ".":
            if before[-1:].isdigit() or (before in ("}", ")") and token[0] == "."):
                return None  # two numbers side by side: a product, a mixed number or a slip
            if before == "{" and i > 1 and tokens[i - 2][-1].isdigit():
                return None  # 2{3} is printed as 23
            out.append(token if "." not in token else _as_fraction(token))
        elif token == "_" and (before[-1:].isdigit() or before in (")", "}", "", "^")):
            return None  # a number with a base: 42_5 is not 42
        elif token == "_" and not (before.isalpha() or before == "\\log" or before[1:] in GREEK):
            return None
        elif token == "*":
            out.append("\\cdot ")
        else:
            out.append(token + " " if token[0] == "\\" else token)
    return " ".join(out)


def letters(text: str) -> frozenset[str]:
    """The variables of an admitted text: single letters and Greek ones."""
    return frozenset(t for t in tokenize(text) or () if t.isalpha() or t[1:] in GREEK)


def _as_fraction(token: str) -> str:
    value = Fraction(token)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _nesting_ok(tokens: list[str]) -> bool:
    depth, bars = deepest(tokens, _CLOSERS), tokens.count("|")
    return depth is not None and depth <= MAX_NESTING and bars % 2 == 0 and bars <= 4


def _sizes_ok(tokens: list[str]) -> bool:
    """Whether exponents, factorials and binomials stay small. None is computed; each token takes linear time."""
    budget = 1.0
    heights: dict[int, int] = {}
    for i in reversed(range(len(tokens))):
        token = tokens[i]
        if token in _RAISERS:
            start, end = _argument(tokens, i + 1)
            group = tokens[start:end]
            behind = end + (tokens[start - 1] in ("{", "("))
            if token == "^" and tokens[behind : behind + 1] == ["^"]:  # 9^9^9
                return False
            numbers = [float(t) for t in group if t[0].isdigit() or t[0] == "."]
            height = max((heights.get(j, 0) for j in range(i + 1, end)), default=0)
            heights[i] = height + 1
            if height >= MAX_TOWER or (height and any(n > 3 for n in numbers)):
                return False
            if "!" in group or "\\binom" in group:
                return False
            for n in numbers:
                budget *= max(1.0, n)
        elif token == "!":
            before = tokens[i - 1] if i else ""
            if before == ")" and _is_small_sum(tokens, i):
                continue
            if not (before.isalpha() or (before.isdigit() and int(before) <= MAX_FACTORIAL)):
                return False
        elif token == "\\binom":
            _, above = _argument(tokens, i + 1)
            _, below = _argument(tokens, above + 1)
            group = tokens[i + 1 : below]
            if any(t.isdigit() and int(t) > MAX_BINOMIAL for t in group) or not _NOT_IN_BINOMIAL.isdisjoint(group):
                return False
    return budget <= MAX_EXPONENT


def _is_small_sum(tokens: list[str], end: int) -> bool:
    """Whether the parentheses before `end` hold a sum of letters and small numbers: `(n-1)!`, `(2n)!`."""
    start = end - 2
    while start >= 0 and (tokens[start] in "+-" or tokens[start].isalpha() or tokens[start].isdigit()):
        if tokens[start].isdigit() and int(tokens[start]) > MAX_FACTORIAL // 10:
            return False
        start -= 1
    inside = tokens[start + 1 : end - 1]
    return start >= 0 and tokens[start] == "(" and 0 < len(inside) <= 7 and any(token.isalpha() for token in inside)


def _argument(tokens: list[str], at: int) -> tuple[int, int]:
    """Start and end of the argument of `^` or a function that begins at `at`: a token, or the inside of a group."""
    while at < len(tokens) and tokens[at] in _RAISERS:
        at += 1
    if at >= len(tokens) or tokens[at] not in ("{", "("):
        return at, min(at + 1, len(tokens))
    end = closing(tokens, at, ("{", "("), ("}", ")"))
    return at + 1, len(tokens) if end is None else end
