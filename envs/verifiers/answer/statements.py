r"""Final-answer statements: where a response says in words what its answer is, and which text that is.

Read are a line `Answer: 42`, `**Final answer** = 42` or `Answer $42$`; `#### 42`, also below the hashes; `<answer>42</answer>`
and `<solution>42</solution>`; JSON with a key `answer`
at the end; `So the final answer is 42.`; `42 is the answer.`; and the line below a heading `Final answer`.

"The answer is" counts at the beginning of a sentence (after `So,`, `Therefore` and the like), behind a comma or colon, and behind
`we see that` or `this means that`. It does not count anywhere else: `He claims that the answer is 42` and `If x were 3, the
answer is 42` state nothing.
Each pattern is bounded or anchored, and is read on one line of bounded length.
"""

from __future__ import annotations

import json
import re
from typing import Any

from simko.envs.verifiers.answer.beside import whole_value

MAX_STATEMENTS = 80
MAX_LINE = 1_000  # characters, here and below
MAX_JSON = 4_000
MAX_VALUE = 80
MAX_BARE = 200

_ADJECTIVES = (
    r"(?:(?:final|correct|right|best|required|desired|requested|overall|numerical|simplified|exact|actual|true|complete|richtige"
    r"|endgültige|最终|最后|正确|的)[\s-]{0,2}){0,3}"
)
_NOUN = (
    r"(?:answers?|ans|(?<=final )(?:result|solution|value)|(?<=correct )(?:option|choice|solution)|antwort|r[eé]ponse|respuesta"
    r"|risposta|resposta|ответ|答案|答え|解答|정답|답)(?![A-Za-z])"
)
_MAY_STATE = re.compile(rf"####|(?:\\#){{4}}|{_NOUN}", re.IGNORECASE)  # a line without it states nothing
_THE_ANSWER = rf"(?:\b(?:the|our|my|an?|its|die|das|la|le|o|il|el)\s)?(?<![A-Za-z'’]){_ADJECTIVES}{_NOUN}"
_ABOUT = (
    r"(?:\s(?:to|for|of)\s(?:the|this|our)\s(?:original\s)?(?:problem|question|exercise)|\s?\([^()]{1,40}\)"  # (in dollars)
    r"|\s?,\s(?:therefore|then|thus|hence),?|\s(?:final|correcta|correcte|corretta|correta)(?=\s))?"
)
_IS = (
    r"(?:\s?(?:[:：=]|->|→|⇒|\\(?:Long)?[rR]ightarrow)|\s[—–-](?=\s)"
    r"|\s?\b(?:is|are|equals|would be|will be|should be|must be|(?:comes|works|turns) out (?:to be|to)|of|as|ist|lautet|beträgt"
    r"|est|es|é|è)(?![A-Za-z'’])|是|为|は、?|은|는)"
)
_ADVERB = r"(?:\s?(?:equal to|given by|therefore|thus|then|simply|just|clearly|indeed|exactly|probably|definitely|certainly),?)?"
_SAYS = re.compile(rf"{_THE_ANSWER}{_ABOUT}{_IS}{_ADVERB}\s?[:：=]?\s*(?=\S)", re.IGNORECASE)
_CONNECTIVES = re.compile(
    r"(?:(?:so|thus|therefore|hence|then|and|now|finally|here|since|because|in (?:conclusion|summary|short)|conclusion|summary"
    r"|to (?:conclude|sum up)|donc|daher|also|所以|因此|故|综上|итак)\b\s?[,:，]?\s*){0,3}",
    re.IGNORECASE,
)
_LEADS = re.compile(  # what may stand before "the answer is"; "of" and "as" need "gives a final answer of"
    r"[,:;)\]$—–→⇒∴✅，：]$|\b(?:(?:we|i)\s(?:can |now |also )?(?:see|find|get|have|know|conclude|deduce|think|believe|say)"
    r"|it follows|this (?:means|shows|implies)|am (?:sure|confident)|so|thus|hence|therefore|then|and|since|because)(?:\sthat)?$",
    re.IGNORECASE,
)
_CONDITION = re.compile(  # If x were 3, the answer is 42
    r"\b(?:if|unless|suppose|assum\w+|were|for example)\b", re.IGNORECASE
)
_GIVES = re.compile(
    r"\b(?:gives?|giving|get|getting|obtain|yields?|arrive at|for|with)(?:\s(?:us|me))?$", re.IGNORECASE
)
_IS_THE_ANSWER = re.compile(
    r"(?:(?:we|i)\s(?:get|have|obtain)\s)?"
    rf"(?P<answer>\S.{{0,80}}?)\s(?:is|as)\s(?:(?:therefore|thus|indeed|clearly)\s)?(?:the|our|my)\s{_ADJECTIVES}answer[\s.!*_]*$",
    re.IGNORECASE,
)
_IT_IS = re.compile(r"(?:so\s)?(?:it is|it['’]s|this is|i get|we get|we have)\s(?P<answer>\S.*)$", re.IGNORECASE)
_VALUE_OF = re.compile(  # Answer: The largest $n$ is 34
    r"(?:the|our)\s(?!.{0,80}\b(?:not|never|no)\b)[^.:=<>]{1,80}?\s(?:is|are|equals)\s(?P<answer>[$(\\-]{0,3}\d.*)$",
    re.IGNORECASE,
)
_FORMULA_ALONE = re.compile(rf"{_THE_ANSWER}\s?(?P<answer>\$[^$]+\$|\\\([^()]+\\\)|\\\[.+\\\])[\s.]*$", re.IGNORECASE)
_NEGATED = re.compile(r"(?:\S+\s)?(?:not|never|no longer|anything but|neither)\b|n['’]t\b", re.IGNORECASE)
_REASON = re.compile(  # 42, because 6 * 7 is; 42 (rounded); 42, as required
    r"[,;]?\s(?:because|since)\s.*$|\s\((?:because|since|as|by|from|using|rounded)\s[^()]{0,200}\)$"
    r"|,?\s(?:as (?:required|desired|needed|claimed)|and we are done|i (?:think|believe))$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(
    r"(?<![ap]\.m\.)(?<![ap]\. m\.)(?<=[.!?])\s+(?=[A-Za-z\[(\"“*])|(?<=[。！？])\s*"
    r"|(?<=[\d$}\])])(?:\*{1,2}|\$)?(?:;\s|\s?[—–]\s?)(?=[A-Za-z])"  # 42; this can be checked
)

_LABEL = re.compile(r"(?:\(?\d{1,2}[.)、]\s+|\(?[a-z]\)\s+|(?:step|part)\s\(?\w{1,3}\)?\s?[:.)-]\s*)", re.IGNORECASE)
_JUNK = re.compile(r"[^\w<{\"“”«'‘`(\[$\\#.-]{1,12}|#{1,6}(?=[\s*_A-Za-z])\s*|[-*+•]\s+")
_HASHES = re.compile(r"[\s>*_`]{0,8}(?:\\?#){4}(?!\\?#)[\s:=*_`]{0,8}(?P<answer>\S?.*)$")
_STEP = re.compile(r"(?:\d{1,2}[.):]\s+[A-Za-z*]|(?:step|part|case)\b)", re.IGNORECASE)
_TAG_NAMES = r"(?:answer|final[_ -]?answer|finalanswer|ans|final|final[_ -]?result|result)"
_OR_SOLUTION = rf"(?:{_TAG_NAMES}|solution)"
_ATTRIBUTES = r"(?:\s[^<>]{0,80})?"
_TAG = re.compile(
    rf"(?P<opens>(?:<|&lt;)[|｜]?\s?(?:(?:begin|start)_of_)?{_OR_SOLUTION}{_ATTRIBUTES}[|｜]?(?:>|&gt;)"
    rf"|\[{_OR_SOLUTION}\]|\\begin\{{answer\}})"
    rf"|(?:<|&lt;)\s?/\s?{_OR_SOLUTION}\s?(?:>|&gt;)|<[|｜](?:/|end_of_){_OR_SOLUTION}[|｜]>|\[/{_OR_SOLUTION}\]|\\end\{{answer\}}",
    re.IGNORECASE,
)
_CLOSES = ("</", "< /", "<|", "<｜", "[/", "&lt;", "\\end{")  # without one of them no tag closes
MAX_TAGGED = 1_200  # characters between two tags
_OPEN_TAG = re.compile(rf"<{_TAG_NAMES}{_ATTRIBUTES}>[^<]{{0,400}}$", re.IGNORECASE)
_JSON_KEY = re.compile(r"(?:final|correct)?[_ -]?answer", re.IGNORECASE)
_HEADING = re.compile(rf"{_THE_ANSWER}(?:\s(?:is|are|equals))?(?:\s(?:therefore|thus))?[\s:：=]{{0,4}}$", re.IGNORECASE)
_IN_COMMAND = re.compile(  # \textbf{Answer: 42}
    r"\\(?:textbf|text|emph|underline|textit|mathbf|mathrm|bf|(?:sub)*section\*?|paragraph\*?)\s?"
    r"\{(?=[^{}]{0,60}(?:answer|result))((?:[^{}]|\{[^{}]{0,80}\}){0,160})\}",
    re.IGNORECASE,
)
_BOLD_END = re.compile(r"(?<=[\w$)}])\*\*(?=\s+[A-Z])")
_MARKUP = re.compile(
    r"(?<![\w)}\]])(?:\*\*|__)|(?:\*\*|__)(?![\w({\[\\])"  # not the power of 2**3
    r"|</?(?:b|strong|em|i|u|p|h[1-6]|span|div|center|mark|li|font)(?:\s[^<>]{0,60})?>|<br\s?/?>|`"
    r"|\\(?:noindent|bigskip|medskip|smallskip|newline)(?![A-Za-z])",
    re.IGNORECASE,
)
_OPENING = re.compile(r"(?:\$\$?|\\[\[(]|[\[({]){1,2}\s*(?=[A-Za-z]{3})")  # $\text{Answer: } 42$
_FENCED = re.compile(
    r"(?:[^`]{0,4000}\n)?(?:```|~~~)(?:text|txt|plain|plaintext|markdown|md|math|latex|tex|answer)?[ \t]*"
    r"\n\s*([^\n`]{1,200}?)\s*\n(?:```|~~~)"
)
_DISPLAYED = re.compile(r"\\\[|\$\$|```[a-z]{0,10}|\\begin\{(?:equation|align|center)\*?\}")
_MARKS = " \t\n*_>#\"'“”‘’`$.,:;|~-—–…"
_WORD = re.compile(r"[A-Za-z]{2,}")
_REMARKS = frozenset(("right", "correct", "fine", "clear", "done", "sure"))  # The answer is clear
_COUNTED = re.compile(r"-?\d[\d,.]*\s[A-Za-z]{2,15}")  # 43 apples


def statements(text: str) -> list[str]:
    """The answers of all final-answer statements, each once, in order of their kind and place; negated ones only if alone."""
    if (of_json := _of_json(text)) is not None:
        return of_json
    answers: list[str] = []
    tagged = _tagged(text)
    for start, end in tagged[:MAX_STATEMENTS]:
        answers += _beside(text, start, end, _of_tag(text[start:end]))
    if answers:
        if _OPEN_TAG.search(text[-500:]):
            answers.append("<answer>")  # a last one that was cut off
        text = _blanked(text, tagged)
    answers += _of_lines(text)
    plain = [answer for answer in answers if not _NEGATED.match(answer) and not answer.endswith("?")]
    return list(dict.fromkeys(answer for answer in reversed(plain or answers) if answer))[::-1]


def _tagged(text: str) -> list[tuple[int, int]]:
    """Start and end of each pair of tags: a closing one, and the first one before it that opens within reach."""
    if not any(mark in text for mark in _CLOSES):
        return []
    spans: list[tuple[int, int]] = []
    opened: list[re.Match[str]] = []
    for tag in _TAG.finditer(text):
        if tag["opens"]:
            opened.append(tag)
            continue
        near = [other for other in opened[-MAX_STATEMENTS:] if tag.start() - other.end() <= MAX_TAGGED]
        if len(near) > 1 and "solution" in near[0][0].lower():
            near = near[1:]  # a worked solution round the answer
        if near:
            spans.append((near[0].start(), tag.end()))
        opened = []
    return spans


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], " " * (end - start)]
        at = end
    return "".join([*parts, text[at:]])


def _of_tag(text: str) -> list[str]:
    """The answers in a pair of tags; none where it shows another opening tag, or works a solution out without stating it."""
    opening, *_, closing = _TAG.finditer(text)
    content = text[opening.end() : closing.start()]
    is_worked = "solution" in opening[0].lower() and not is_bare(content.strip())
    if "<answer" in content.lower():
        return []
    return _of_lines(content) or ([] if is_worked else [inner_answer(content)])


def _beside(text: str, start: int, end: int, answers: list[str]) -> list[str]:
    """The answers of a pair of tags; with what stands beside it on its line where that makes other values of them."""
    if not answers:
        return []
    value = whole_value(text, start, end, answers[-1])
    if value is not None:
        return [*answers[:-1], value]
    before = text[max(0, start - MAX_VALUE) : start].rpartition("\n")[2]
    return [f"{before}{answers[-1]}{text[end:][:MAX_VALUE].partition(chr(10))[0]}".strip()]


def _of_json(text: str) -> list[str] | None:
    """The answers of a JSON object at the end of a response, fenced or not. None if it does not end in one."""
    ending = text.rstrip().removesuffix("```").rstrip()
    if not ending.endswith("}") or "nswer" not in ending[-MAX_JSON:]:
        return None
    start = ending.rfind("\n{") + 1
    if (not start and not ending.startswith("{")) or len(ending) - start > MAX_JSON:
        return None
    escaped = re.sub(r"(?<!\\)\\(?=[^\"\\/bfnrtu]|[a-zA-Z]{2})", r"\\\\", ending[start:])  # LaTeX in JSON
    try:
        pairs: Any = json.loads(escaped, object_pairs_hook=list, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, list):
        return None
    values = [value for key, value in pairs if isinstance(key, str) and _JSON_KEY.fullmatch(key)]
    return [inner_answer(", ".join(map(str, v)) if isinstance(v, list) else str(v)) for v in values] or None


def _of_lines(text: str) -> list[str]:
    """The answers that the lines of a text state; a long line that comes again is read once."""
    answers: list[str] = []
    lines = text.splitlines()
    seen: set[str] = set()
    for number, line in enumerate(lines):
        if line in seen or _MAY_STATE.search(line) is None:
            continue
        if len(line) > 40:  # a short line may be a heading, which is read with the line below
            seen.add(line)
        answers += _of_line(line[:MAX_LINE], lines[number + 1 : number + 9])
        if len(answers) > MAX_STATEMENTS:
            break
    return answers


def _of_line(line: str, below: list[str]) -> list[str]:
    """The answers that a line states; `below` are the lines below it."""
    if match := _HASHES.match(line):
        answer = match["answer"].strip().rstrip("# ")
        if not answer:
            return _below_hashes(below)
        if not _MAY_STATE.search(answer):
            last = not any(other.strip() and not _HASHES.match(other) for other in below)
            return [inner_answer(first_sentence(answer)[0])] if last or _is_result(answer) else []
    line = plain_line(line)
    if _HEADING.match(line):
        return [_below(below)]
    answers: list[str] = []
    while line:
        sentence, line = first_sentence(line)
        answer = sentence_answer(sentence.lstrip(" *_>#"))
        if answer is not None:
            answers.append(inner_answer(answer))
    return answers


def _below_hashes(lines: list[str]) -> list[str]:
    """The answer below a line of nothing but `####`: a result that is a value, or the last line, which is no step."""
    answer = _below(lines)
    if sum(bool(line.strip()) for line in lines) == 1:
        return [answer] if answer and not _STEP.match(answer) else []
    return [answer] if answer and _is_result(answer) and is_value(answer.strip(_MARKS)) else []


def _is_result(text: str) -> bool:
    """Whether the text behind `####` is a result; a heading is not."""
    if _STEP.match(plain_line(text)):
        return False
    return re.match(r"[-+\d$\\(.£€\[]", text) is not None or is_value(text.strip(_MARKS))


def plain_line(line: str) -> str:
    """A line without list marks, numbers, emphasis and the commands around its words."""
    line = _MARKUP.sub("", _BOLD_END.sub(".", _IN_COMMAND.sub(r"\1", line))).strip()
    for _ in range(4):
        before = line
        line = line[len((_LABEL.match(line) or _JUNK.match(line) or [""])[0]) :]
        if line == before:
            break
    return _OPENING.sub("", line.rstrip(" #"), count=1) if _OPENING.match(line) else line.rstrip(" #")


def _below(lines: list[str]) -> str:
    """The answer below a heading: one short line, or a displayed formula of a few. Empty if neither follows."""
    lines = [line.strip() for line in lines if line.strip()]
    if lines and _DISPLAYED.fullmatch(lines[0]):
        for number, line in enumerate(lines[1:], 1):
            if line in ("\\]", "$$", "```") or line.startswith("\\end{"):
                return " ".join(lines[1:number])[:MAX_LINE]
        return ""
    first = plain_line(lines[0]) if lines else ""
    return inner_answer(first) if first and is_bare(first) and "\\boxed" not in first else ""


def first_sentence(line: str) -> tuple[str, str]:
    """The first sentence of a line, and what follows it."""
    end = _SENTENCE_END.search(line)
    return (line, "") if end is None else (line[: end.start()], line[end.end() :])


def sentence_answer(sentence: str) -> str | None:
    """The answer that a sentence states. None if it states none or is a question."""
    if sentence.endswith("?") and re.match(
        r"(?:is|are|was|would|could|can|does|might|what|how|why)\b", sentence, re.IGNORECASE
    ):
        return None
    for match in _SAYS.finditer(sentence):
        verb = match[0].rstrip().lower().split()[-1]
        if _may_lead(sentence[: match.start()].rstrip(), verb in ("of", "as")):
            return sentence[match.end() :]
    connectives = _CONNECTIVES.match(sentence)
    rest = sentence[connectives.end() if connectives else 0 :]
    if alone := _FORMULA_ALONE.match(rest):
        return alone["answer"]
    turned = _IS_THE_ANSWER.match(rest)
    return turned["answer"] if turned is not None and is_value(turned["answer"].strip(_MARKS)) else None


def _may_lead(lead: str, gives: bool) -> bool:
    """Whether "the answer is" may follow this part of the sentence; `gives`: whether it is "an answer of" or "the answer as"."""
    if gives:
        return _GIVES.search(lead) is not None
    match = _CONNECTIVES.match(lead)
    rest = lead[match.end() if match else 0 :].strip(" *_")
    return not rest or (_LEADS.search(lead) is not None and _CONDITION.search(lead) is None)


def inner_answer(answer: str) -> str:
    """The answer within `The final answer is 42.` or `The largest n is 42.` behind `Answer:`, or the text itself."""
    for _ in range(2):
        answer = answer.strip()
        inner = sentence_answer(answer)
        if not inner:
            match = _VALUE_OF.match(answer) or _IT_IS.match(answer)
            inner = match["answer"] if match else None
        if not inner:
            break
        answer = inner
    return without_reason(answer)


def without_reason(answer: str) -> str:
    """What follows "the answer is", without a reason behind it and without closing marks."""
    answer = re.sub(r"\s*[\u2600-\u27bf\U0001f300-\U0001faff]+$", "", answer.strip())  # ✅
    answer = re.sub(r"(?<![.\\])[.。]$", "", answer)
    answer = re.sub(r"^[:=*_`\s]+|[*_`\s]+$", "", _REASON.sub("", answer))
    if (answer[-1:] in (".", "。") and answer[-2:] != "..") or answer[-2:] in ("$!", "*!"):  # 42! may be a factorial
        answer = answer[:-1]
    return answer.strip("*_` \t\n").strip('"').strip()


def whole_answer(text: str) -> str:
    """A response that is nothing but an answer, without a fence around it or `It is` before it."""
    text = text.strip()
    if match := _FENCED.fullmatch(text):
        return match[1]
    if text[:1] == "=" and is_value(text[1:].strip()):
        return text[1:].strip()
    if len(text) <= MAX_BARE and (match := _IT_IS.match(text)):
        return without_reason(match["answer"])
    return text


def is_bare(text: str) -> bool:
    """Whether a whole response is one short line of at most six plain words."""
    return len(text) <= MAX_BARE and "\n" not in text and len(re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", text)) <= 6


def is_value(text: str, like: str = "") -> bool:
    """Whether `text` is one short value without prose; or a number with a unit, a word or words, where `like` is such."""
    if not text or len(text) > MAX_VALUE + len(like):
        return False
    plain = re.sub(r"\\[A-Za-z]+", " ", text)
    words = [word.lower() for word in _WORD.findall(plain)]
    others = [word.lower() for word in _WORD.findall(re.sub(r"\\[A-Za-z]+", " ", like))]
    if not words:
        return re.search(r"[A-Za-z\d]|\\[a-z]", text) is not None
    if re.search(r"\d", like) and _COUNTED.fullmatch(plain.strip()):
        return True
    if len(words) == len(others) == 1:
        return words[0] not in _REMARKS and not re.search(r"\d", plain)
    return len(words) > 1 and len(others) > 1 and 10 * sum(word in others for word in words) >= 6 * len(words)
