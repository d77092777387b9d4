r"""Whether the text behind an answer takes it back: `Wait, that is wrong.`, `Actually no.`, `It should be 43.`

The text is read sentence by sentence; what opens one (`But`, `Hmm,`, `Wait,`, `Actually,`) is taken off first. Then a
sentence takes the answer back where it *begins* with a retraction (`that is wrong`, `I made a mistake`, `scratch that`), or
says nothing but no, or gives another value in its stead. `This is because ...`, `I checked it, and nothing is wrong.`,
`Wait, let me check. 6 * 7 = 42.` and `It is not possible to do better.` do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from simko.envs.verifiers.reading.numbers import evaluate
from simko.envs.verifiers.reading.shapes import sides
from simko.envs.verifiers.reading.text import clean, words

REACH = 1_500  # characters behind an answer that are read
MAX_SENTENCES = 24
Same = Callable[[str, str], bool]

_BREAK = re.compile(
    r"(?P<mark>[.!?…。！？])+(?=[\s\"'”’)\]}*_$\\]|$)[\s\"'”’)\]}*_$]*|\n+|;(?=\s|$)|[—–]|\s-+\s|(?<=\S)\s?,\s(?=(?:but|wait|no"
    r"|hmm|oops|sorry|actually|which|although|though)\b)"
)
_LEAD = re.compile(r"(?:[\s*_>#\"'“”‘’`$.,:;)\]}|~—–…]|\\[\[\](),;! ]|-\s|\((?=[A-Za-z]{2}|[^(),]{1,20}\s[a-z]{2}))+")
_MARKS = " \t\n*_>#\"'“”‘’`$.,:;|~-—–…"
_OPENING = re.compile(
    r"(?:(?:but|or|and|so|oh|hm+|uh+|um+|oops|whoops|ah+|argh|sorry|wait|no|nope|nah|actually|hold on|hang on"
    r"|however|well|yes"
    r"|ok(?:ay)?|alas|unfortunately|in fact|on reflection|come to think of it|oh no|i mean|rather|instead|correction"
    r"|edit|erratum"
    r"|update|p\.?\s?s|note(?: that)?(?=:?\s(?:the|this|my)\b)|yikes|damn|stop|looking again|checking again"
    r"|thinking again|let me (?:correct"
    r"|fix) (?:that"
    r"|this|it|myself)"
    r"|i(?: now| just)? (?:realize|realise|notice|see|think|believe|fear|am afraid|should say|must say|am sorry"
    r"|admit)(?: now)?(?: that)?"
    r"|i'm (?:sorry|afraid)(?: that)?|now i see(?: that)?|although|though|maybe|perhaps|possibly|alternatively"
    r"|otherwise|then again"
    r"|(?:up)?on (?:a )?(?:second (?:look|check|reading)|(?:re)?checking|closer look|review)|after (?:all"
    r"|(?:re)?checking|a second look)"
    r"|better|still|nevertheless|apologies|my bad|my mistake|my apologies|to be honest|honestly)\b[\s,.:;!…—–-]*)",
    re.IGNORECASE,
)
_NO_MORE = re.compile(r"no\s+(?!it|that|the|this|wait|i\b|sorry|actually)[a-z]", re.IGNORECASE)
_STRONG = re.compile(
    r"\b(?:no|nope|wait|actually|hm+|oops|whoops|sorry|hold on|hang on|rather|instead|correction|edit|erratum|update"
    r"|or|maybe|perhaps"
    r"|possibly|alternatively|otherwise|i mean|on reflection|i'm sorry|i'm afraid|my mistake|my bad|apologies|better"
    r"|let me (?:correct|fix) \w+|(?:looking|checking|thinking) again|argh|oh no|though)\b",
    re.IGNORECASE,
)
_END = (
    r"(?=\s*(?:$|[,:;(]|(?:because|since|as|either|after all|at all|though|for|and|but|so|it|anymore|any more|now"
    r"|i|we|unless)\b))"
)
_THIS = (
    r"(?:that|this|it|which|(?:the|everything) (?:above|former|previous)|(?:the|my|our|this"
    r"|that) (?:\w+ ){0,2}(?:answer|result|value|solution|calculation|number"
    r"|box|reasoning|guess"
    r"|statement|claim)(?: (?:above|i gave|of mine|i got|given|there))?|\$?-?\d[\d,.]*\$?|what i (?:said|wrote))"
)
_ADVERB = (
    r"(?:(?:clearly|actually|obviously|certainly|definitely|surely|simply|just|only|merely|probably|likely|of course"
    r"|plainly|quite|all|completely|totally|entirely|in fact|indeed|also) ){0,2}"
)
_IS = (
    r"(?:'s|’s| is| was| are| were| must be| has to be| looks| seems(?: to be)?| turns out(?: to be)?| would be"
    r"| appears(?: to be)?| may be| might be| could be) "
)
_ISNT = (
    r"(?: isn['’]t| is not| wasn['’]t| was not|'s not|’s not| cannot be| can['’]?t be| can not be| does(?:n['’]t"
    r"| not) (?:look|seem|sound)| could(?:n['’]t| not) be)"
)
_TAKES_BACK = re.compile(
    r"(?:scratch that|strike that|never ?mind|forget (?:it|that|this|what)|on second thoughts?\b|ignore\b"
    r"|disregard\b|(?:just |only )?kidding"
    r"|i (?:hereby |now |must |have to |will |would like to )?(?:(?:take|took) (?:that|it|this|my answer) back"
    r"|withdraw|retract|revoke|abandon)"
    r"|i (?:was|am|stand|must be|must have been|may be|might be) (?:wrong|mistaken|corrected|incorrect|in error)"
    r"|i(?: have|'ve)?(?: just)?(?: made| see| found| spotted| noticed| find)(?: that i made| there (?:is"
    r"|was))? (?:a|an|my|the|some)(?: \w+){0,2} (?:mistake|error|slip|blunder|typo)s?\b"
    r"(?!.{0,60}\b(?:but|which|and) (?:i )?(?:it |this |that )?(?:has been |have |is |was )?(?:fixed|corrected"
    r"|does not))"
    r"|(?:there (?:is|was)|that(?:'s| is| was)) (?:a|an)(?: \w+)? (?:mistake|error|slip) (?:in|above|here|somewhere)"
    r"|i(?: have|'ve)? (?:mis(?:read|counted|calculated|understood|computed|interpreted|took|placed|copied)"
    r"|forgot(?:ten)?\b|overlooked|double[- ]counted)"
    rf"|(?:if |unless )?{_THIS}{_IS}{_ADVERB}(?:wrong|incorrect|mistaken|false|untrue|invalid|absurd|nonsense"
    rf"|(?:impossible|not possible)\s*$"
    rf"|not {_ADVERB}(?:right|correct|true|valid|it\s*$|(?:the|my|our) (?:right |correct |final |true "
    rf"|real )?(?:answer|solution|result)|final)"
    rf"|an? (?:\w+ )?(?:mistake|error|lie|trick|joke|contradiction|placeholder|dummy)){_END}"
    rf"|{_THIS}{_ISNT} {_ADVERB}(?:right|correct|true|valid|it|possible\s*$|(?:the|my|our) (?:right |correct |final "
    rf"|true |real )?(?:answer|solution|result)|final){_END}"
    rf"|{_THIS} (?:does(?:n['’]t| not)|did(?:n['’]t| not)|can(?:['’]t|not)|won['’]t|will not) (?:work|hold"
    rf"|make sense|add up|satisfy|fit|check out)\b"
    rf"|{_THIS} (?:contradicts|fails)\b"
    r"|(?:wrong|incorrect|false|not|not really|not quite|no|nope|nah|not so|not true|not it)[.!]*\s*$"
    r"|i (?:do(?:n['’]t| not)) (?:actually |really )?(?:know|think so|think (?:that|this|it)(?:['’]s| is)? (?:right"
    r"|correct|it|the answer)|believe (?:that|this|it)(?:['’]s| is) \w+)\s*$"
    r"|i can(?:['’]t|not| not) (?:answer|solve|say|tell|decide|give)\b|(?:check|test"
    r"|verification)[:,]?\s(?:it\s)?fail(?:s|ed)|fails\b|(?:the|my) answer is (?:unknown|unclear"
    r"|something else|different|not\b(?!\s\$?[-\d\\(]))|(?:the|my) answer (?:is not|isn['’]t) (?P<denied>.+))",
    re.IGNORECASE,
)
_IN_STEAD = re.compile(
    r"(?:(?:it|that|this|(?:the|my) (?:\w+ ){0,2}(?:answer|value|result|number|solution)) (?:should|must|ought to"
    r"|has to|needs to|would|could|might|may|can)"
    r" (?:really |actually |also |just as well |well |rather |in fact |instead )*(?:be|have been|read|say|equal)"
    r"|the (?:correct|right|real|true|actual|new|corrected) (?:answer|value|result|solution) is(?: actually| really"
    r"| in fact)?"
    r"|i (?:really |actually )?(?:meant|mean|should have (?:said|written|put|got)|wanted to (?:say"
    r"|write))(?: to (?:say|write))?(?: that it (?:is|was))?"
    r"|make (?:that|it)|let['’]?s (?:say|go with|make it|take)|(?:please )?(?:use|take|read|replace (?:it"
    r"|that) (?:with|by)))\s(?P<value>.+)",
    re.IGNORECASE,
)
_OF_IT = re.compile(
    r"(?:(?:it['’]?s|that['’]?s|the|it|is|final|correct|real|right|true|actual|new|proper|answer|result|value|number"
    r"|should"
    r"|must|be|that|this|was|have|equals|get|say|try)\b[,:]?\s*)+",
    re.IGNORECASE,
)
_IS_RIGHT = re.compile(
    r"(?P<value>(?:[^:()]|\([^()]{0,60}\)){1,80}?) (?:is|was) (?:(?:actually|really|in fact|of course) )?(?:(?:the"
    r"|my) )?(?:right|correct"
    r"|real|true|actual|final|better|proper|also (?:possible|correct|valid|right))\b",
    re.IGNORECASE,
)
_TRAIL = re.compile(
    r"\s(?:instead|rather|of course|actually|then|after all|not \S{1,20}|i (?:think|believe|guess)|(?:because|since"
    r"|as) .*)$|,.*$",
    re.IGNORECASE,
)
_NOT_WORDS = words(
    "fine right correct ok okay good true "
    "indeed clear done easy over sure yes that this it what checked positive so verified"
)
_AFTER_NUMBER = words("is are was were of times plus minus divided more less fewer and or to in for by as at if")


def is_taken_back(after: str, answer: str, same: Same) -> bool:
    """Whether `after`, the text behind an answer, takes it back. `same(a, b)`: whether two answers agree."""
    question = False
    for number, (sentence, mark) in enumerate(_sentences(after[:REACH])):
        asked, question = question, mark == "?" and sentence != ""
        core, opening = _without_opening(sentence)
        if question:
            if opening.lower().startswith("or") and _says_another(core, answer, same, strong=True):
                return True
            continue
        if not core:
            if not asked and re.search(r"\b(?:no|nope|nah)\b", opening, re.IGNORECASE):
                return True
            continue
        if asked and re.match(r"no\b", sentence, re.IGNORECASE):  # it answers the question
            continue
        found = _TAKES_BACK.match(core)
        if found and found["denied"]:
            if same(trimmed(found["denied"]), answer):
                return True
            continue
        subject = re.match(r"\$?(-?\d[\d,.]*)\$?\s", core)  # 41 is wrong
        if found and not (asked and len(core) < 12) and (subject is None or same(subject[1], answer)):
            return True
        if _says_another(core, answer, same, strong=number < 3 and _STRONG.search(opening) is not None):
            return True
    return False


def trimmed(text: str) -> str:
    """`text` without marks and half brackets on either side."""
    lead = _LEAD.match(text)
    text = text[lead.end() if lead else 0 :].rstrip(_MARKS)
    for opening, closing in ("()", "[]", "{}"):
        while text.endswith(closing) and text.count(closing) > text.count(opening):
            text = text[:-1].rstrip(_MARKS)
    return text


def _sentences(text: str) -> list[tuple[str, str]]:
    """The sentences that are not empty, each with the mark it ends with."""
    found: list[tuple[str, str]] = []
    at = 0
    for end in _BREAK.finditer(text):
        if sentence := trimmed(text[at : end.start()]):
            found.append((sentence, end["mark"] or ""))
        elif end["mark"] == "?" and not found:
            found.append(("", "?"))
        at = end.end()
        if len(found) >= MAX_SENTENCES:
            return found
    if sentence := trimmed(text[at:]):
        found.append((sentence, ""))
    return found


def _without_opening(sentence: str) -> tuple[str, str]:
    at = 0
    for _ in range(8):
        match = _OPENING.match(sentence, at)
        if match is None:
            break
        if _NO_MORE.match(sentence, at):  # no further solutions
            break
        at = match.end()
    return trimmed(sentence[at:]), sentence[:at]


def _says_another(core: str, answer: str, same: Same, strong: bool) -> bool:
    for pattern in (_IN_STEAD, _IS_RIGHT):
        if (match := pattern.match(core)) and is_other(match["value"], answer, same):
            return True
    if not strong:
        return False
    stripped = _OF_IT.match(core)
    return is_other(core[stripped.end() :] if stripped else core, answer, same)


def is_other(said: str, answer: str, same: Same) -> bool:
    """Whether `said` is a value, and not that of `answer`. One side of an equation that agrees will do."""
    said = trimmed(_TRAIL.sub("", trimmed(said[:100])))
    if not is_value(said, answer):
        return False
    return not any(agree(side, answer, same) for side in sides(clean(said)) if side)


def agree(a: str, b: str, same: Same) -> bool:
    """Whether two answers agree, by `same` or as exact values."""
    if same(a, b):
        return True
    x, y = evaluate(clean(a)), evaluate(clean(b))
    return x is not None and x == y


def is_value(text: str, like: str = "") -> bool:
    """Whether `text` is one short value without prose; or a number with a unit, a word or words, where `like` is such."""
    if not text or len(text) > 80 + len(like):
        return False
    plain = re.sub(r"\\[A-Za-z]+", " ", text)
    found = [word.lower() for word in re.findall(r"[A-Za-z]{2,}", plain)]
    if not found:
        return re.search(r"[A-Za-z0-9]|\\[a-z]", text) is not None
    others = [word.lower() for word in re.findall(r"[A-Za-z]{2,}", like)]
    if len(found) == 1 and len(others) == 1 and not re.search(r"\d", plain):
        return found[0] not in _NOT_WORDS
    if len(found) > 1:
        return len(others) > 1 and 10 * sum(word in others for word in found) >= 6 * len(found)
    counted = re.fullmatch(r"-?\d[\d,.]*\s[A-Za-z]{2,15}", plain.strip())
    return counted is not None and re.search(r"\d", like) is not None and found[0] not in _AFTER_NUMBER
