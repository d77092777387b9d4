r"""What stands around a final answer: whether a `\boxed{}` is bound to it, negated, or taken back by it.

`2\boxed{42}`, `\frac{\boxed{42}}{2}`, `\boxed{42}!`, `x < \boxed{42}`, `\boxed{42} or 43` and `minus \boxed{42}` do not say
42. What may stand behind a box within its formula is the end of that, punctuation, spacing, a unit, and an equality or
approximation whose next side, where it is a number, is the same one. What ends in `Wait, that's wrong` or `Actually, it is
43` has been taken back. Every pattern here is anchored at the box and looks at a bounded piece of text.
"""

from __future__ import annotations

import re

from simko.envs.verifiers.reading.numbers import parse_number
from simko.envs.verifiers.reading.text import words

REACH = 240  # characters on either side that are looked at

_NEGATION = re.compile(
    r"(?:\bnot|n't|\bcannot|\bnever|\bneither|\bnor|\bthan|\b(?:any|every)(?:thing)?\s(?:but|except)"
    r"|\blet|\brul(?:e|es|ed|ing) out|\\neq?|\\not\s?=?|≠|\s!=)"
    r"(?:\s(?:equal\sto|equal|simply|just|be|the|answer|exactly))*[\s:$({\[\\,]*$"
    r"|\b(?:should|must|may|shall|do|does|will|would|can)(?:\snot|n['’]t)\s(?:\w+\s){0,3}[:$({\[\\]*$"
    r"|\b(?:mistake|wrong|false|incorrect|error|tempted|tempting)\s(?:to|that)\b[^.,;\n]{0,40}$"
    r"|\b(?:wrong|incorrect|false)\s(?:final\s)?(?:answer|result|solution|value)\b[^.\n]{0,30}$"
    r"|\b(?:minus|negative|twice"
    r"|(?:half|double|thrice|(?:square|cube)(?:\sroot)?)(?:\sof)?|opposite of|reciprocal of)[\s$(]{1,4}$",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"[\s$.)\]\\]{0,8}(?:(?:is|was|are|would be|seems|looks)(?:\s(?:clearly|certainly|definitely|surely|simply))?\s?"
    r"(?:wrong|incorrect|impossible|false\b|(?:n't|not)\s(?:(?:the|our|my|a|an)\s)?(?:correct|right|final|true"
    r"|answer|solution))"
    r"|(?:cannot|can't|can not) be (?:right|correct|it|the|true))\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"^(?:(?:but|and|so|now|or|then|also|first|wait|hmm|even|only),?\s){0,2}(?:if|suppose|supposing|assume|assuming"
    r"|imagine|pretend|what if|unless|in case"
    r"|say|let us (?:say|suppose|assume|pretend)|let['’]?s (?:say|suppose|assume|pretend|guess|imagine)|were|had"
    r"|should|whether|provided)\b"
    r"(?![^\n]*(?:[,;:]|\b(?:then|get|gets|obtain|have|find|see|arrive|conclude|gives?|yields?|results?|leaves"
    r"|leads?|becomes?)\b))",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"(?:\bfor (?:example|instance)|\be\.\s?g\.|\bsuch as|(?<!looks )(?<!look )(?<!looked )(?<!seems )\blike"
    r"|\b(?:example|sample|template|dummy|placeholder|format|style)"
    r"(?:\s(?:answer|output|box|response))?(?:\s(?:is|would be|looks like|being))?|\bas in|\bsimilar to|\binstead of"
    r"|\brather than|\bof the form|\bformat(?:ted)? as)"
    r"[\s:,$`\"'“‘({\[\\]*$",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"\b(?:said|says?|claim(?:s|ed)|think(?:s)?|thought|believe[sd]|guess(?:es|ed)|wrote|writes|told|heard|insists?"
    r"|insisted|suggest(?:s|ed)|argues?|argued|states?|stated)\b"
    r"(?<!\bI say)(?<!\bI think)(?<!\bwe say)(?<!\bwe think)[^.;\n]{0,20}\b(?:answer|it|this|result|value"
    r"|solution)\s(?:is|was|were|would be|should be|must be|equals)[\s:$\"'“(\\\[]*$"
    r"|\b(?:said|says?|claims?|claimed|wrote|writes|told me|reads|insists|insisted|shouted?"
    r"|asked)\b(?<!\bI say)(?<!\bwe say)[\s:,]*[\"'“‘]\s?\$?$",
    re.IGNORECASE,
)
_ONLY = re.compile(
    r"[\s$.)\]\\}\"'”’*]{0,8}(?:(?:would|could|might|may) (?:be|have been|serve as|count as) (?:an? |the |just "
    r"|only |merely |one )*(?:format|form|example|style|template|guess|candidate|possib\w+|case|answer if|answer in"
    r"|wrong|way)"
    r"|(?:is|was) (?:just |only |merely |simply )?(?:an?|the|one) (?:\w+ )?(?:example|format|template|guess|sample"
    r"|placeholder|dummy|candidate|possibility|bound|typical mistake|common mistake|distractor|trap)\b"
    r"|(?:is|was|would be) (?:what|the \w+ (?:that )?)\s?(?:someone|somebody|a student|one|you|people|others|many"
    r"|they|he|she)\b"
    r"|(?:would|could|might|may) (?:be|have been|only be|hold|work|do|look)[^.\n]{0,40}\b(?:if|unless)\b)"
    r"|[\s$)\]\\}\"'”’*]{0,8},?\s(?:if(?!\sand only)|unless|provided|assuming"
    r"|depending)\b[^.\n]{0,120}\b(?:otherwise|else|but|if"
    r"|depend\w*)\b"
    r"|[\s$)\]\\}*]{0,8}[,;]?\s(?:otherwise|or else)\b",
    re.IGNORECASE,
)
_ASKED = re.compile(r"[\s$)\]\\}*\"'”’]{0,8}\?")
_ASKS = re.compile(
    r"^(?:(?:so|but|and|or|hmm|wait|well|now),?\s){0,2}(?:is|are|was|could|can|might|may|would|should|does|did|do"
    r"|what|why|how|isn't|maybe|perhaps)\b[^.!\n]*$",
    re.IGNORECASE,
)
_WOULD = re.compile(
    r"^(?:but |and |so |or |then )?(?:if|were|had|should"
    r"|suppose)\b[^\n]{0,160}\bwould\b[^,;\n]{0,40}$",
    re.IGNORECASE,
)
_WERE = re.compile(r"[\s$)\]\\}*]{0,8},?\s(?:if|unless)\b[^.\n]{0,60}\bwere\b", re.IGNORECASE)
_POSSIBLY = re.compile(
    r"\b(?:(?:it|this|that|the (?:\w+ )?answer) (?:could|might|may) (?:also |well |then )?be)[\s:$({\[\\]*$",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<!e\.g)(?<!i\.e)[.!?]\s|\n")
_MINUS = re.compile(r"(?:\S\s*|\$|^)[-−]\$?$")
_BULLET = re.compile(r"(?:^|\n)\s*[-−]\s+\$?$")
_SPACING = r"(?:[\s~&]|\\[,;:! ]|\\\$|\\(?:left|right|displaystyle|textstyle)(?![A-Za-z])\.?)"
_FACTOR = re.compile(
    r"(?:[\d+*/^_√±×]|(?<=\S\s)[<>]|\\(?:pm|mp|times|cdot|div|sqrt|pi|log|ln|sin|cos|tan|exp|not|neg|lnot|lt"
    r"|gt)(?![A-Za-z]))"
    rf"{_SPACING}{{0,6}}\$?{_SPACING}{{0,2}}$"
)
_PLUS = re.compile(rf"(?<=[=&]){_SPACING}{{0,4}}\+{_SPACING}{{0,4}}$")  # `= +\\boxed{10}`
_COUNTED = re.compile(r"(?:^|\n)\s*\d{1,2}[.)]?\s*\$?\s?$|\d\s+\$?$|(?:^|\n)\s*[*+]\s*\$?$")
_COMMAND = re.compile(r"\\([A-Za-z]+)\s?(?:\[[^\[\]]{0,20}\]|\{[^{}]{0,80}\})?\s?$")
_HARMLESS = words(
    "text textbf textit mathbf mathrm boldsymbol bm underline color textcolor colorbox fcolorbox displaystyle large "
    "Large huge Huge LARGE boxed fbox framebox ensuremath mbox hbox emph mathit Rightarrow center multicolumn"
)
_BEHIND = re.compile(
    rf"(?:{_SPACING}"
    rf"|[.,;:}})\]]|\\\\){{0,12}}(?:\$|$|\n|\\[\])]|\\end(?![A-Za-z])|\\q?quad(?![A-Za-z])|\\[A-Za-z]*mod(?![A-Za-z])"
    r"|\\(?:tag|equiv|Rightarrow|Longrightarrow|implies|iff|because|therefore|renewcommand|checkmark|blacksquare"
    r"|square|hfill)"
    r"|\^\s?\{?\s?\\(?:circ|prime)|\^\s?\{?\s?°|°|\\degree|\\?%|\\(?:math|text)?(?:rm|text|mathrm|mbox|textrm"
    r"|frac\s?\{\s?\\text)\s?\{(?P<words>[^{}]{0,60})"
    r"|=\s?\\text\s?\{[A-Za-z ]{3,40}\}|(?P<sign>=|\\approx|\\simeq|\\doteq|≈)(?P<side>[^=<>$\\&,;\n]{0,40}(?!\\[a-z])))"
)
_SYMBOL = (
    r"(?:(?:[kcmnpdMG]|\\mu\s?|µ|μ)?(?:m|s|g|l|L|J|V|A|N|W|F|T|eV|Pa|Hz|cal|mol|bar)|K|C|H|h|u|amu|atm|min|hr|lb|ft|in|yd|mi"
    r"|rad|deg|[A-Za-z]{4,20})(?![A-Za-z])"
)
_UNIT = (
    rf"(?:\\(?:mathrm|text|textrm|mathsf|mbox|operatorname)\s?\{{[^{{}}]{{0,40}}\}}|\{{\s?~?\s?{_SYMBOL}\s?\}}|(?<![A-Za-z}}]){_SYMBOL}"
    r"|\\(?:AA|mu|Omega|degree)(?![A-Za-z])|(?:\{\s?\})?\^\s?\{?\s?\\circ\s?\}?)(?:\s?\^\s?\{?\s?-?\s?[1-4]\s?\}?)?"
)
_UNITS_BEHIND = re.compile(
    rf"(?:(?:{_SPACING}{{0,4}}(?:[\[/]{_SPACING}{{0,4}})?{_UNIT}){{1,6}}|{_SPACING}{{0,4}}/(?={_SPACING}{{0,4}}\$))"
    rf"(?:{_SPACING}|[.,;)\]}}]|\\\\){{0,12}}(?:\$|$|\n|\\[\])]|\\end(?![A-Za-z]))"
)
_PLAIN_BEHIND = re.compile(r"['’]s\b|[\dA-Za-z+*/^_!]|\.\d|\s?(?:\\times|\\cdot|\\neq?(?![A-Za-z])|≠|_|\^)")
_SCALED = re.compile(
    r"[\s$]{0,3}(?:(?:hundred|thousand|million|billion|trillion|dozen)s?\b|squared\b|cubed\b|factorial\b|times two\b"
    r"|(?:plus|minus) (?:one|two|three|\$?\d)"
    r"|(?:and|or) (?:more|less|fewer|so)\b|or \$?-?\d|(?:divided|multiplied) by\b|in base\b)",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(r"(?<!\S)\$?-?\d+\$?\sor\s\$?$|\beither\s\$?$", re.IGNORECASE)
_OTHER = re.compile(r"^\s*(?:or|and)\b|\b(?:not|thousand|million|billion|hundred|dozen)s?\b")
_WITH_ANOTHER = re.compile(r"[\s$]{0,3},\s?-?\d+\s?(?:[$,})\]]|\\\})")
_COMMENT = re.compile(r"(?:^|\n)[ \t]*%[^\n]*$")


def is_supposed(text: str, start: int, end: int) -> bool:
    """Whether the box at `text[start:end]` is only supposed, asked about, quoted from others, conditional or an example."""
    before, sentence = _before(text, start)
    plain = sentence.strip(" \t\n$*_>#-\"'“(\\[")
    if (
        _SUPPOSED.match(plain)
        or _EXAMPLE.search(before[-80:])
        or _QUOTED.search(sentence)
        or _POSSIBLY.search(sentence)
    ):
        return True
    if _ASKED.match(text, end) and _ASKS.match(plain):
        return True
    if _WOULD.match(plain) or _WERE.match(text[end : end + REACH]):
        return True
    return _ONLY.match(text[end : end + REACH]) is not None


def is_denied(text: str, start: int) -> bool:
    """Whether the box at `start` is negated: `not \boxed{42}`, `anything but \boxed{42}`."""
    return _NEGATION.search(_before(text, start)[1][-80:]) is not None


def _before(text: str, start: int) -> tuple[str, str]:
    """What stands before a box, and its sentence of that."""
    before = text[max(0, start - REACH) : start]
    return before, _SENTENCE.split(before)[-1]


def is_disowned(text: str, start: int, end: int, content: str, listed: bool = False) -> bool:
    """Whether the box at `text[start:end]`, with that content, is bound to what is around it, or called wrong right behind.

    `listed`: another box follows and is in a list with this one.
    """
    before = text[max(0, start - REACH) : start]
    if before.rstrip().endswith("~~") or _ALTERNATIVE.search(before[-12:]):
        return True
    if _MINUS.search(before) and not _BULLET.search(before) and not before.endswith("--"):
        return True
    if (
        _TAKEN_BACK.match(text, end)
        or _SCALED.match(text, end)
        or _WITH_ANOTHER.match(text, end)
        or _COMMENT.search(before)
    ):
        return True
    return _is_part(before) or (not listed and _goes_on(text, end, content, _in_formula(text, start)))


def _in_formula(text: str, start: int) -> bool:
    """Whether a formula is open at `start`."""
    paragraph = text[max(0, start - 2000) : start].rpartition("\n\n")[2].replace("\\$", "")
    if paragraph.count("$") % 2:
        return True
    pairs = (("\\[", "\\]"), ("\\(", "\\)"), ("\\begin{", "\\end{"))
    return any(paragraph.rfind(opening) > paragraph.rfind(closing) for opening, closing in pairs)


def _is_part(before: str) -> bool:
    """Whether the box is an argument (of a root, a fraction, an exponent), or a sign or factor stands left of it."""
    before = _PLUS.sub("", before.rpartition("\n\n")[2])
    if _FACTOR.search(before) and not _COUNTED.search(before) and not before.rstrip(" $").endswith("**"):
        return True
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        if before[at] not in "{}" or before[at - 1 : at] == "\\":
            continue
        depth += 1 if before[at] == "}" else -1
        if depth < 0:
            outside = before[:at].rstrip()
            command = _COMMAND.search(outside)
            if outside[-1:] in ("^", "_") or (command is not None and command[1] not in _HARMLESS):
                return True
            depth = 0
    return False


def _goes_on(text: str, end: int, content: str, formula: bool) -> bool:
    """Whether the formula goes on behind the box with anything that makes another value of it."""
    if not formula:
        return _PLAIN_BEHIND.match(text, end) is not None and not re.match(
            r"!(?:\s|$)|\*|[A-Za-z]{2}|_(?:\s|$)", text[end : end + 4]
        )
    units = _UNITS_BEHIND.match(text, end, end + REACH)
    if units is not None and parse_number(content) is not None:
        return _OTHER.search(units[0]) is not None
    match = _BEHIND.match(text[end : end + REACH])
    if match is None:
        return True
    if match["words"] is not None:
        return _OTHER.search(match["words"]) is not None
    side, value = parse_number((match["side"] or "").strip(" .")), parse_number(content)
    if match["sign"] is None or side is None or value is None:
        return False
    apart = abs(side.value - value.value)
    return apart != 0 if match["sign"] == "=" else apart * 100 > abs(value.value)
