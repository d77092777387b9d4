r"""Does a gold answer of a maths verifier read as a value? Words do (`even`, `\text{Evelyn}`, `Monday`); these do not:

what stands for a missing value (`nan`, `None`, `N/A`, `-`, `see solution`), a container of Python or JSON (`["4"]`,
`{"answer": 12}`), markup (`<p>4</p>`), a worked solution or a sentence (`#### 2`, `So she has 2.`), and what is cut off.
A text equals itself, so each of them would load, and no answer of a policy would ever be right.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from simko.envs.verifiers.answer.extract import final_answer
from simko.envs.verifiers.math.equal import bare_gold, math
from simko.envs.verifiers.math.readings import cleaned, quick_equal
from simko.envs.verifiers.reading.brackets import deepest
from simko.envs.verifiers.reading.text import MAX_ANSWER

_ALONE = "keep the answer alone"
_EMPTY = "give the answer, or leave the row out"

_ITEM = r"(?:(?<=[\[(,:])\s*|^)"
_MISSING = re.compile(
    rf"(?<![A-Za-z\\])(?:nan|NaN|NAN|Nan|NaT)(?![A-Za-z])|{_ITEM}(?:None|NONE|null|NULL|Null|nil|NIL)\s*(?=[,\])}}]|$)"
)
_MISSING_WHOLE = re.compile(
    r"N/?A|n/?a|N\.A|n\.a|<NA>|\\[nN]|\$?\{+(?:answer|solution)\}+|#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|ERROR!)|(?i:todo|tbd|tba|xxx+|unknown|missing"
    r"|placeholder|blank|omitted|pending|error|no answer(?: given)?"
    r"|(?:answer )?(?:not|none) (?:given|available|provided|applicable))"
)
_INFINITE = re.compile(r"[+-]?(?:inf|Inf|INF|Infinity)")
_ELSEWHERE = re.compile(
    r"(?i)(?:please )?(?:see(?=\s)|refer to|cf|same as|as (?:above|below|shown)|proof|prove|q\.?e\.?d|traceback)\b|error:"
)
_QUOTED_ITEM = re.compile(r"""[\[({,:]\s*(["'])[^"']*\1\s*[\]),:}]""")
_ONE_IN_LIST = re.compile(r"(?:\[\s*)+[+-]?(?:\d+(?:\.\d*)?|\.\d+|\d+/\d+)\s*(?:\]\s*)+|[(\[].*,\s*[)\]]")
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\t(?:ext|imes|heta|au|o\b|an|frac|ilde)|\r(?:ight|ho|angle|ceil|floor|m\b)"
)
"""What JSON makes of LaTeX with single backslashes: `\\frac` becomes a form feed and `rac`."""
_CALL = re.compile(
    r"(?<![A-Za-z\\])(?:n?array|tensor|Decimal|Fraction|Timestamp|datetime|frozenset|dict|OrderedDict"
    r"|(?:np|numpy|torch)\.(?:n?array|tensor|float|int|u?int\d+|float\d+|bool_|str_))(?:\.\w+)?\s*\("
    r"|(?<![A-Za-z])set\(\)|\bdtype\s*=|<\S+ object at 0x"
)
_TAGS = "p|br|hr|div|span|em|strong|sup|sub|td|tr|th|table|tbody|li|ul|ol|img|image|h[1-6]|code|pre|font"
_TAGS += "|answer|think|math|m[inor]|mrow|html|body"
_MARKUP = re.compile(
    rf"(?i)</?(?:{_TAGS})(?:\s[^<>]*)?/?>|</[a-z]\w*>"
    r"|&(?:nbsp|lt|gt|le|ge|amp|quot|apos|times|minus|deg|pi|frac\d+|#x?[0-9a-f]+);"
    r"|!\[[^\]]*\]|https?://|\\includegraphics|\[asy\]|\[/?(?:img|tex|math|answer)\]|\\n(?![A-Za-z])"
)
_LABEL = re.compile(
    r"(?i)(?:the |final |correct )*(?:ans|answer|solution|result|output|response|assistant)\s*(?:[:=]|is\b|\.\s|\d)"
)
_NEARLY = re.compile(r"(?i)(?:(?:approximately|approx\.?|about|around|roughly|nearly|almost)\s|[~≈≃])\s*[$\\]*\d")
_SUM = re.compile(r"[\d\s().]*\d[\d\s().]*(?:[-+*/×÷]|\\times|\\div|\\cdot)[-+*/×÷\d\s().]*=\s*[-+]?\d[\d.,/]*")
_ASIDE = re.compile(r"(?i)\((?:see|cf)\b")
_VERB = re.compile(
    r"(?i)(?:^|\s)(?:is|are|was|were|has|have|had|will|would|because|since|therefore|thus|hence|equals?|gives?|gets?|needs?|costs?"
    r"|makes?|earns?|pays?|sells?|sold|spends?|spent|bought|buys|takes|took|gave|got|remains?|receives?|becomes?)(?=[\s,.:;]|$)"
)
_CONCLUDES = re.compile(r"(?i)(?:so|therefore|thus|hence|then|because|since)[, ]\s*\S")
_SPEAKS = re.compile(r"(?:He|She|We|I|You|Let|he|she|we|you|let)\s+[a-z]")
_FOR_ALL = re.compile(r"(?i)\b(?:where|such that|if|when|arbitrary|except|for (?:all|every|any|each))\b")
_STATED = re.compile(r"(?i)\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|hundred|half)\b")
_EMPTY_ARGUMENT = re.compile(r"\\(?:[dtc]?frac\s*(?:\{[^{}]*\}\s*)?|sqrt\s*(?:\[[^\]]*\]\s*)?|f?boxed\s*)\{\s*\}")
_UNFINISHED = re.compile(r".+(?:[=^_]|\\frac|\\sqrt)\s*", re.DOTALL)
_ONE_SIDED = re.compile(r"\\(?:left|right)\s*\.|\\begin")
_CONTENT = re.compile(r"[^\W_]|[<>=≤≥≠+×÷∞∅√%°]")


def unpack(gold: str) -> dict[str, Any]:
    """The parts of a gold answer of `math_row`: `answer`, and if it has them `accepted` (texts) and `tolerance` (a text)."""
    if gold.startswith("{"):
        try:
            parts = json.loads(gold)
        except (ValueError, RecursionError):
            return {"answer": gold}
        if isinstance(parts, dict) and isinstance(parts.get("answer"), str):
            return parts
    return {"answer": gold}


def main_answer(gold: str) -> str:
    """The answer inside a gold answer of `math_row`."""
    return str(unpack(gold)["answer"])


@lru_cache(maxsize=1 << 16)
def no_value(gold: str) -> str | None:
    """Why no answer can equal this gold answer of `math`, and the mend; None if it reads as a value."""
    if len(gold) > MAX_ANSWER:
        return None  # the verifier itself refuses it
    if "####" in gold:
        return f"is a worked solution; {_ALONE}, which stands behind '####'"
    if _CONTROL.search(gold):
        return "has a control character, which JSON makes of single backslashes; write LaTeX with two, as \\\\frac"
    text = bare_gold(gold).strip().strip("$").strip()
    words = text.strip("\"'`“”‘’*. ")
    if _MISSING.search(text) or _MISSING.search(words) or _MISSING_WHOLE.fullmatch(words) or _ELSEWHERE.match(words):
        return f"stands for a missing value; {_EMPTY}"
    if _INFINITE.fullmatch(words):
        return "is a float's infinity; write it as \\infty"
    if (text != "=" and not _CONTENT.search(cleaned(text))) or _EMPTY_ARGUMENT.search(text):
        return f"is empty; {_EMPTY}"
    if "?" in text:
        return f"asks; {_EMPTY}"
    if _UNFINISHED.fullmatch(text) or not _is_closed(text):
        return f"is cut off; {_EMPTY}"
    if _QUOTED_ITEM.search(text) or _ONE_IN_LIST.fullmatch(text) or _CALL.search(text):
        return f"is a value in a container of Python or JSON; {_ALONE}, as text"
    if _MARKUP.search(text):
        return f"has markup; {_ALONE}, in LaTeX or plain text"
    if _LABEL.match(words) or _NEARLY.match(words) or _ASIDE.search(text) or _is_sentence(text):
        return f"is a sentence; {_ALONE}"
    if _SUM.fullmatch(text):
        return f"is a sum with its result; {_ALONE}"
    final = final_answer(text, same=quick_equal).text
    if final is not None and not quick_equal(text, final) and not math(f"\\boxed{{{final}}}", text).correct:
        return f"states the answer {final[:40]!r} in other text; {_ALONE}"
    return None


def _is_closed(text: str) -> bool:
    """Whether the brackets close: braces in pairs; the others may be mixed, as in `[1, 2)` and `]1, 2]`."""
    if _ONE_SIDED.search(text):
        return True
    return deepest(text) is not None and sum(text.count(mark) for mark in "()[]") % 2 == 0


def _is_sentence(text: str) -> bool:
    """Whether words outside of formulas state a value: `So she has 2.`, `4 because 2 + 2 = 4`, `Therefore $x = 4$`."""
    plain = re.sub(r"\$[^$]*\$", " 0 ", text)
    plain = re.sub(r"\\[A-Za-z]+", " 0 ", re.sub(r"\\(?:text|mbox|mathrm)\s*\{[^{}]*\}", " ", plain)).strip()
    if _SPEAKS.match(plain) or (_CONCLUDES.match(plain) and _STATED.search(plain)):
        return True
    return bool(_VERB.search(plain) and _STATED.search(plain)) and not _FOR_ALL.search(plain)
