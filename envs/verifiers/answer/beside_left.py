r"""What stands left of a stated value: a sign, something else that binds it, or nothing that does."""

from __future__ import annotations

import re
from typing import NamedTuple

from simko.envs.verifiers.reading.brackets import unclosed
from simko.envs.verifiers.reading.text import words

REACH = 240  # characters in which a brace may have opened
NEAR = 80  # characters in which a sign or factor may stand

_PIECE = re.compile(r"\\m?kern\s?-?[\d.]+\s?[a-z]{2}|\\[A-Za-z]+|\\.|\d+|[A-Za-z]+|\s+|.", re.DOTALL)
_SPACES = words(
    "\\, \\; \\: \\! \\> ~ \\thinspace \\medspace \\thickspace \\enspace \\space \\displaystyle \\textstyle \\left \\right \\big "
    "\\Big \\bigg \\Bigg \\bigl \\Bigl \\biggl \\Biggl \\large \\Large \\huge \\Huge \\bf \\boldmath &"
)
_WIDE = words("\\quad \\qquad \\hfill")  # a factor does not stand beyond it, a sign may
_EMPTY = words("\\phantom \\hphantom \\vphantom \\hspace \\color \\textcolor \\colorbox")  # with their argument
_WORDS = words("\\text \\textbf \\textit \\textrm \\mbox \\hbox \\mathrm \\operatorname \\emph \\mathbf \\mathit")
_DRESS = _WORDS - {"\\operatorname"} | words(
    "\\bold "
    "\\mathsf \\mathtt \\boldsymbol \\bm \\mathop \\underline \\color \\textcolor \\colorbox \\fcolorbox \\large \\Large \\huge "
    "\\Huge \\LARGE \\normalsize \\small \\boxed \\fbox \\framebox \\ensuremath \\center \\centerline \\multicolumn \\Rightarrow "
    "\\implies \\rightarrow \\Longrightarrow \\to \\therefore"
)
_NO_VALUE = words(
    "\\begin \\end \\tag \\label \\pmod \\pod \\ref \\eqref \\vspace \\textcolor "
    "\\multicolumn \\item \\boxed \\fbox \\framebox \\renewcommand \\setlength"
)
_MINUS = words("- − –")
_RELATION = words(
    "= ≈ ≡ → ⇒ ∴ : , ; \\\\ \\approx \\equiv \\to \\rightarrow \\Rightarrow \\longrightarrow \\Longrightarrow \\implies \\iff "
    "\\colon \\sim \\simeq \\cong \\therefore \\mapsto \\because \\quad \\qquad \\Leftrightarrow \\ne \\neq"
)
_OPERATORS = words(
    "+ * / ^ _ × · ∙ ⋅ ÷ √ ± ∓ < > \\times \\cdot \\div \\pm \\mp \\ast \\sqrt \\neg \\lt \\gt \\bmod \\mod \\frac \\dfrac "
    "\\tfrac \\log \\ln \\lg \\exp \\sin \\cos \\tan \\cot \\sec \\csc \\arcsin \\arccos \\arctan \\sinh \\cosh \\tanh "
    "\\max \\min \\lim \\det \\gcd \\lcm \\Re \\Im \\arg \\sum \\prod \\int \\binom \\minus \\plus \\setminus \\not"
)
_FACTORS = words(
    "π ∞ ² ³ \\pi \\alpha \\beta \\gamma \\delta \\epsilon \\varepsilon \\zeta \\eta \\theta \\kappa \\lambda \\mu \\nu "
    "\\xi \\rho \\sigma \\tau \\phi \\varphi \\chi \\psi \\omega \\Gamma \\Delta \\Theta \\Lambda \\Sigma \\Phi \\Psi "
    "\\Omega \\infty \\hbar \\ell \\imath ) ] | \\} \\rfloor \\rceil ! '"
)
_FUNCTIONS = (
    "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|abs|floor|ceil|gcd|lcm|max|min"
)
SCALES = (
    r"hundreds?|thousands?|millions?|billions?|trillions?|quadrillions?|dozens?|lakhs?|lacs?|crores?|thousandths?|hundredths?"
    r"|millionths?|tenths?|bn|mn|mln"
)
SCALE_SIGNS = r"[万萬億亿兆만억]|千(?![米克瓦卡])|百(?!分)|천|백"
_SIGN_WORD = re.compile(r"\b(?:minus|negative)$", re.IGNORECASE)
_FACTOR_WORD = re.compile(
    r"\b(?:not|plus|times|twice|thrice|double|triple|half|divided\sby|multiplied\sby|(?<=\d\s)over|squared|cubed|(?:half|third|quarter"
    r"|(?:square|cube|fourth)\sroot|square|cube|log|logarithm|sine|cosine|tangent|reciprocal|opposite|negative|inverse|factorial|double|percent)"
    rf"\sof|{SCALES})$|(?:{SCALE_SIGNS})$|(?<![A-Za-z\\])(?:{_FUNCTIONS})\s?\(?$|[\d$)}}]\s(?:minus|plus)$|%\sof$",
    re.IGNORECASE,
)
_PLAIN_WORDS = words("is are get give gives the a that have obtain therefore thus so hence be and answer value")
_LIST_MARK = re.compile(  # 1. \boxed{42}; - \boxed{42}; (a) - \boxed{42}
    r"[\s>|]*(?:[-−–*+•]\s+)?(?:\(?(?:\d{1,2}|[A-Za-z])[.)]\s+(?:[-–]\s+)?)?[*_`]{0,3}|[\s>|]*(?:\d{1,2}\s+|[1-9]\d?[.)])"
)
_LABELLED = re.compile(
    r"\b(?:step|case|part|problem|question|exercise|method|example|option|equation|answer)\s?\(?(?:\d{1,3}|[A-Za-z])\)?$",
    re.IGNORECASE,
)
_STATES = re.compile(  # So we get - \boxed{42} has a sign; Answer - \boxed{42} has a dash
    r"[=≈≡→⇒]$|(?<![A-Za-z])(?:is|are|be|was|get|gets|got|have|has|find|obtain|equals?|equal\sto|gives?|giving|yields?|becomes?|of|as"
    r"|by|thus|so|hence|therefore|exactly|simply|just|only|that|to)$",
    re.IGNORECASE,
)
_BLANKS = re.compile(r"(?:[ \t~]|\\[,;:! ]){1,20}$")
_SIGN_ABOVE = re.compile(r"=[ \t]?[-−][ \t]?\n[ \t]*$")
_EMPHASIS = re.compile(r"(?<![\w)$}*_`])(?<![\d)$]\s)[*_`]{1,3}$")
_NEIGHBOUR = re.compile(  # a formula that is nothing but a factor: $\pi$ \boxed{42}
    r"\s*[-−+±]?\s?(?:\d[\d.,]*|(?:\d[\d.,]*\s?)?(?:\\(?:pi|sqrt|[cdt]?frac|log|ln|sin|cos|tan|exp|alpha|beta|theta|binom)(?![A-Za-z])"
    r"|[a-zπ](?![A-Za-z])|√)[^=<>,;]{0,40})\s*"
)


class Formula(NamedTuple):
    """The formula that is open at a place: where its delimiter and its inside begin, and whether it is displayed."""

    start: int
    inside: int
    displayed: bool


class Left(NamedTuple):
    """`sign`: a minus sign stands there. `brackets`: those that have opened between it and the value."""

    sign: bool = False
    brackets: int = 0


_FREE = Left()


def bound_left(text: str, start: int, formula: Formula | None) -> Left | None:
    """What binds the value at `start`, in `formula` or in prose, from the left; None if it is more than a sign."""
    if _is_argument(text[max(0, start - REACH) : start].rpartition("\n\n")[2]):
        return None
    if formula is None:
        return _in_prose(text, start)
    near = max(formula.inside, start - NEAR)
    if text[near:start].rstrip().endswith("="):
        return _FREE
    found = _in_formula(_PIECE.findall(text, near, start), near == formula.inside)
    if isinstance(found, int):  # the formula begins with the value, but for that many brackets
        return _in_prose(text, formula.start, formula.displayed)
    return found


def _without_blanks(line: str) -> str:
    bare = line.rstrip(" \t~")
    return _BLANKS.sub("", line) if "\\" in bare[-2:] else bare


def _is_argument(before: str) -> bool:
    """Whether the value is an argument: of a root, a fraction, an exponent."""
    if "{" not in before:
        return False
    for brace in unclosed(before, escapes=True):
        outside = before[:brace].rstrip()
        command = _COMMAND.search(outside)
        if outside[-1:] in ("^", "_") or (command is not None and "\\" + command[1] not in _DRESS):
            return True
    return False


_COMMAND = re.compile(r"\\([A-Za-z]+)\s?(?:\[[^\[\]]{0,20}\]|\{[^{}]{0,80}\})?\s?$")  # \frac{1} before {\boxed{42}}


def _in_formula(pieces: list[str], complete: bool) -> Left | int | None:
    """What the pieces of a formula left of a value bind; the number of open brackets if there is nothing else.

    `complete`: whether the pieces begin where the formula does.
    """
    at, brackets, wide, spaced = len(pieces) - 1, 0, False, False
    while at >= 0:
        piece = pieces[at]
        if piece.isspace() or piece in _SPACES or piece in _WIDE or piece[:2] == "\\ " or "kern" in piece:
            wide, spaced, at = wide or piece in _WIDE, True, at - 1
        elif piece in ("(", "[", "{", "\\{", "|") and not (piece == "|" and spaced):
            at -= 1
            brackets += 1
            if piece == "{" and at >= 0 and pieces[at] in _DRESS - _RELATION:
                at -= 1
        elif piece == "}":
            group, command, opening = _group(pieces, at)
            if command in _EMPTY or (not group and command is None):
                spaced, at = True, opening - 1 - (command is not None)
                continue
            return _behind_group(pieces, opening, group, command, brackets, wide)
        else:
            break
    if at < 0:
        return brackets if complete else _FREE
    return _by_piece(pieces, at, brackets, wide, spaced)


def _by_piece(pieces: list[str], at: int, brackets: int, wide: bool, spaced: bool) -> Left | None:
    piece = pieces[at]
    before = "".join(pieces[:at]).rstrip()
    if piece in _MINUS:
        return _signed(pieces[:at], brackets)
    if piece == "+" and (not before or before[-1] in "=&(" or before.endswith(("approx", "equiv"))):
        return _FREE
    if piece in _OPERATORS:
        return _FREE if piece in "<>" and not before else None
    if piece in _FACTORS and (piece[1:].isalpha() or piece == "π"):
        return None
    if wide or piece in _RELATION:
        if piece == ":" and not spaced and before[-1:].isdigit():  # the ratio 3:\boxed{42}
            return None
        return None if piece == "," and brackets == 0 and _in_tuple(before) else _FREE
    if piece == "." and not spaced and before[-1:].isdigit():  # 0.\boxed{42}
        return None
    if piece == ")" and re.search(r"\(\s?[A-Z]$", before):  # option (D)
        return _FREE
    if piece in _FACTORS or piece.isdigit():
        return None
    if piece.isascii() and piece.isalpha():
        if len(piece) == 1:
            return _FREE if spaced and piece in "aAI" else None
        if _SIGN_WORD.search(piece):
            return Left(True, brackets)
        return None if _FACTOR_WORD.search(piece) else _FREE
    return _FREE


def _signed(pieces: list[str], brackets: int) -> Left | None:
    """A minus sign, if it is the sign of the value and not of a difference."""
    while pieces and (pieces[-1].isspace() or pieces[-1] in _SPACES or pieces[-1] == "{"):
        pieces = pieces[:-1]
    opens = pieces and pieces[-1] in ("(", "[", "\\{")
    return Left(True, brackets) if not pieces or pieces[-1] in _RELATION or opens else None


def _in_tuple(before: str) -> bool:
    return bool(unclosed(before, "([", ")]"))


def _group(pieces: list[str], at: int) -> tuple[str, str | None, int]:
    """The inside of the group that closes at `at`, the command, `^` or `_` that it belongs to, and where it opens."""
    depth, opening = 0, at
    while opening >= 0:
        depth += (pieces[opening] == "}") - (pieces[opening] == "{")
        if depth == 0:
            break
        opening -= 1
    group = "".join(pieces[opening + 1 : at]).strip(" ~")
    before = opening - 1
    if before >= 0 and pieces[before] == "]":  # \sqrt[3]{2}
        while before >= 0 and pieces[before] != "[":
            before -= 1
        before -= 1
    command = pieces[before] if before >= 0 and (pieces[before][0] == "\\" or pieces[before] in "^_}") else None
    return group, command, max(opening, 0)


def _behind_group(
    pieces: list[str], opening: int, group: str, command: str | None, brackets: int, wide: bool
) -> Left | None:
    """What a group left of a value binds: `{-}`, `\\text{minus}`, `\\frac{1}{2}`, `\\text{so }`."""
    if group in _MINUS or (command in _WORDS and _SIGN_WORD.search(group)):
        return _signed(pieces[: opening - (command in _WORDS)], brackets)
    if group in _RELATION:  # \stackrel{(1)}{=}
        return _FREE
    if command in _WORDS:
        number = re.fullmatch(r"[\d.]{1,12}|[ieπ]|pi", group) or _FACTOR_WORD.search(group)
        return None if number else _FREE
    if wide or command in _NO_VALUE:
        return _FREE
    if command == "}":  # the second argument, of \frac{1}{2} or \textcolor{red}{42}
        _, first, _ = _group(pieces, opening - 1)
        return _FREE if first in _NO_VALUE | _DRESS else None
    if command is None:
        return None if re.fullmatch(r"[\d.]{1,12}|[a-z]|\\[a-z]{1,8}", group) else _FREE
    return _FREE if command in _RELATION else None


def _in_prose(text: str, at: int, displayed: bool = False) -> Left | None:
    """What prose that ends at `at` binds to the value behind it."""
    low = max(0, at - NEAR)
    line = text[low:at]
    begins = low == 0 or "\n" in line
    line = line.rpartition("\n")[2]
    bare = _without_blanks(line)
    if not bare:
        return Left(_SIGN_ABOVE.search(text[low:at]) is not None)
    if bare.endswith("$") or bare.endswith("\\)"):
        return _behind_formula(bare, displayed)
    if displayed or (begins and _LIST_MARK.fullmatch(line)):
        return _FREE
    emphasis = _EMPHASIS.search(line) if line[-1] in "*_`" else None
    if emphasis:
        line = line[: emphasis.start()]
        bare = _without_blanks(line)
        if not bare or (begins and _LIST_MARK.fullmatch(line)):
            return _FREE
    spaced = bare != line
    last = bare[-1]
    if spaced and (last in ":,;.!?)" or bare.rpartition(" ")[2] in _PLAIN_WORDS):  # most sentences
        return _FREE
    if last in "-−–":
        return _dash(bare[:-1], last, spaced)
    if _FACTOR_WORD.search(bare[-40:]):
        return None
    if _SIGN_WORD.search(bare):
        return Left(True)
    if last == "}" or re.search(r"\\[A-Za-z]+$", bare):
        found = _in_formula(_PIECE.findall(bare), False)
        return _FREE if isinstance(found, int) else found
    return None if _binds(bare, last, spaced) else _FREE


def _binds(bare: str, last: str, spaced: bool) -> bool:
    """Whether the last character of a line of prose binds."""
    operand = re.search(r"(?:[\d)$}]|(?<![A-Za-z])[b-zB-HJ-Z])\s?.$", bare) is not None
    if last in "π√×·∙⋅÷±∓²³½⅓¼¾⅔":
        return True
    if last in "+*/":
        return operand or not spaced
    if last in "^_":
        return not spaced
    if last in "<>":
        return re.search(r"\S\s.$", bare) is not None
    if last == "(":
        return re.search(r"(?<![A-Za-z\\])[A-Za-z\d]\($|[-−√]\($", bare) is not None
    if last == ".":
        return not spaced and re.search(r"(?<!\d)\d\.$", bare) is not None
    if spaced:
        return False
    return (
        last.isdigit()
        or re.search(r"\([-+]\d{1,6}\)$", bare) is not None
        or re.search(r"(?<![A-Za-z\\])[a-z]$", bare) is not None
    )


def _dash(before: str, dash: str, spaced: bool) -> Left | None:
    """A dash in prose: a sign, that of a difference, or a mark of the sentence."""
    bare = before.rstrip()
    if not bare:
        return Left(not spaced)
    if bare[-1] in "-−–—|>*" or (spaced and (dash == "–" or _LABELLED.search(bare))):
        return _FREE
    if bare[-1] in "$)}\\" or bare[-1].isdigit():
        return None
    if spaced:
        return Left(_STATES.search(bare) is not None)
    if bare == before and bare[-1].isalpha():  # x-\boxed{42}, but not between words: result–\boxed{42}
        return _FREE if dash == "–" else None
    return Left(True)


def _behind_formula(bare: str, displayed: bool) -> Left | None:
    r"""What a formula that has closed binds to the value behind it: `$x = -$ \boxed{42}`, `$\pi$ \boxed{42}`."""
    sign = "$$" if bare.endswith("$$") else "$" if bare.endswith("$") else "\\)"
    inside = bare[: -len(sign)].rpartition("\\(" if sign == "\\)" else sign)[2]
    pieces = _PIECE.findall(inside)
    while pieces and (pieces[-1].isspace() or pieces[-1] in _SPACES):
        pieces.pop()
    if not pieces:
        return _FREE
    if pieces[-1] in _MINUS:
        return _signed(pieces[:-1], 0)
    if pieces[-1] in _OPERATORS - {"<", ">"}:
        return None
    return None if sign != "$$" and not displayed and _NEIGHBOUR.fullmatch(inside) else _FREE
