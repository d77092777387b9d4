r"""Final-answer statements: where a response says in words what its answer is, and which text that is.

A line `Answer: 42`, `**Final answer** = 42`, `2. **Answer: 42**`, `\textbf{Answer:} 42`; `#### 42`; `<answer>42</answer>`; JSON
with a key `answer` at the end; a sentence that says so (`sayings`); the line below a heading `Final answer`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from simko.envs.verifiers.answer.retraction import is_value, trimmed
from simko.envs.verifiers.answer.sayings import ADJECTIVES, IT_IS, NOUN, bare, first_sentence, said, stated

MAX_LINE = 1_000
MAX_STATEMENTS = 80
MAX_JSON = 4_000
REACH = 1_500  # characters behind a statement that may take it back
_NEGATED = re.compile(
    r"^(?:\S+\s)?(?:not|never|no longer|anything but|neither|nicht|pas|не)\b|^n['’]t\b", re.IGNORECASE
)
_LABEL = re.compile(r"^(?:\(?\d{1,2}[.)、]\s+|\(?[a-z]\)\s+|(?:step|part)\s\(?\w{1,3}\)?\s?[:.)-]\s*)", re.IGNORECASE)
_JUNK = re.compile(r"^[^\w<{\"“”«'‘`(\[$\\#.-]{1,12}|^#{1,6}(?=[\s*_A-Za-z])\s*|^[-*+•]\s+")
_HASHES = re.compile(r"^\s{0,8}####(?!#)\s?(?P<answer>\S.*)$")
_STEP = re.compile(r"^(?:\d{1,2}[.):]\s+[A-Za-z*]|step\b|part\b|case\b)", re.IGNORECASE)
_NAMES = r"(?:answer|final[_ -]?answer|finalanswer|ans|final|final[_ -]?result|result)"
_TAG = re.compile(
    rf"(?:<[|｜]?(?:(?:begin|start)_of_)?{_NAMES}[|｜]?>|\[{_NAMES}\]"
    rf"|\\begin\{{answer\}})(?P<answer>[^\x00]{{0,1200}}?)(?:</{_NAMES}>|<[|｜](?:/|end_of_){_NAMES}[|｜]>"
    rf"|\[/{_NAMES}\]|\\end\{{answer\}})",
    re.IGNORECASE,
)
_HEADING = re.compile(
    rf"^(?:the\s|our\s|my\s)?(?:{ADJECTIVES}\s){{0,3}}(?:answer|ans|(?<=final\s)(?:result|solution)|答案)(?:\s(?:is"
    rf"|are|equals"
    rf"|to\s[^:.]{{1,40}}))?(?:\s(?:therefore|thus|then))?[\s:：=]{{0,4}}$",
    re.IGNORECASE,
)
_IN_COMMAND = re.compile(
    r"\\(?:textbf|text|emph|underline|textit|mathbf|textsc|mathrm|bf|(?:sub)*section\*?|paragraph\*?)\s?"
    r"\{(?=[^{}]{0,60}(?:answer|result))((?:[^{}]|\{[^{}]{0,80}\}){0,160})\}",
    re.IGNORECASE,
)
_BOLD_END = re.compile(r"(?<=[\w$)}])\*\*(?=\s+[A-Z])")
_MARKUP = re.compile(
    r"(?<![\w)}\]])(?:\*\*|__)|(?:\*\*|__)(?![\w({\[\\])|</?(?:b|strong|em|i|u|p|h[1-6]|span|div|center|mark|li"
    r"|font)(?:\s[^<>]{0,60})?>|<br\s?/?>|`|\\(?:noindent|bigskip|medskip|smallskip|newline)(?![A-Za-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """`answer` as stated; `after` the text behind it; `at` where it ends in the response (to the line)."""

    answer: str
    after: str = ""
    at: int = 0


def statements(text: str) -> list[Statement]:
    """The answers of all final-answer statements, each once, in order of their kind and place; denied ones only if alone."""
    if (found_json := _of_json(text)) is not None:
        return found_json
    found: list[Statement] = []
    for tag in _tags(text):
        inner = [s.answer for s in _in_lines(tag["answer"])]
        found += [
            Statement(answer, text[tag.end() : tag.end() + REACH], tag.end())
            for answer in inner or [stated(tag["answer"])]
        ]
    if found:
        if re.search(rf"<{_NAMES}>[^<]{{0,400}}$", text[-500:], re.IGNORECASE):
            found.append(Statement("<answer>"))  # a last one that was cut off
        text = _TAG.sub(lambda m: " " * len(m[0]), text)
    found += _in_lines(text)
    plain = [s for s in found if not _NEGATED.match(s.answer) and not s.answer.endswith("?")]
    last = {s.answer: s for s in plain or found if s.answer}  # of those that say the same the last one counts
    return list(last.values())


def _tags(text: str) -> list[re.Match[str]]:
    lowered = text.lower()
    if "</" not in lowered and "answer" not in lowered and "[/" not in lowered:
        return []
    return [
        tag
        for _, tag in zip(range(MAX_STATEMENTS), _TAG.finditer(text), strict=False)
        if "<answer>" not in tag["answer"].lower()
    ]


def _of_json(text: str) -> list[Statement] | None:
    """The answer of a JSON object at the end of a response, fenced or not; None where there is none."""
    ending = text.rstrip()
    if ending.endswith("```"):
        ending = ending[:-3].rstrip()
    if not ending.endswith("}") or "nswer" not in ending[-MAX_JSON:]:
        return None
    start = ending.rfind("\n{") + 1
    if (not start and not ending.startswith("{")) or len(ending) - start > MAX_JSON:
        return None
    pairs: list[tuple[str, Any]] = []
    escaped = re.sub(r"(?<!\\)\\(?=[^\"\\/bfnrtu]|[a-zA-Z]{2})", r"\\\\", ending[start:])
    try:
        pairs = json.loads(escaped, object_pairs_hook=list, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, list):
        return None
    answers = [
        value
        for key, value in pairs
        if isinstance(key, str) and re.fullmatch(r"(?:final|correct)?[_ -]?answer", key, re.IGNORECASE)
    ]
    return [Statement(stated(", ".join(map(str, a)) if isinstance(a, list) else str(a))) for a in answers] or None


def _in_lines(text: str) -> list[Statement]:
    if "####" not in text and NOUN.search(text) is None:
        return []
    lines = text.splitlines(keepends=True)
    found: list[Statement] = []
    at = 0
    seen: set[str] = set()
    for number, line in enumerate(lines):
        at += len(line)
        if line in seen or ("####" not in line and NOUN.search(line) is None):
            continue
        if number + 1 < len(lines) and len(line) > 40:
            seen.add(line)
        for answer, rest in _of_line(line[:MAX_LINE], lines[number + 1 : number + 9]):
            found.append(Statement(answer, (rest + "\n" + text[at : at + REACH])[:REACH], at))
        if len(found) > MAX_STATEMENTS:
            break
    return found


def _of_line(line: str, below: list[str]) -> list[tuple[str, str]]:
    """The answers that a line states, each with what follows it in the line."""
    if match := _HASHES.match(line):
        answer, end = match["answer"].strip(), not any(other.strip() and not _HASHES.match(other) for other in below)
        if not _HEADING.match(plain_line(answer)) and not NOUN.search(answer):
            first, rest = first_sentence(answer)
            return [(stated(first), rest)] if end or _is_result(answer) else []
    line = plain_line(line)
    if _HEADING.match(line):
        return [(_below(below), "")]
    found: list[tuple[str, str]] = []
    while line:
        sentence, rest = first_sentence(line)
        if (answer := said(sentence.lstrip(" *_>#"))) is not None:
            found.append((stated(answer), rest))
        line = rest
    return found


def _is_result(text: str) -> bool:
    """Whether what stands behind `####` is a result rather than a heading."""
    if _STEP.match(plain_line(text)):
        return False
    return re.match(r"[-+\d$\\(.£€\[]", text) is not None or is_value(trimmed(text))


def plain_line(line: str) -> str:
    """A line without list marks, numbers, emphasis and the commands around its words."""
    line = _MARKUP.sub("", _BOLD_END.sub(".", _IN_COMMAND.sub(r"\1", line))).strip()
    for _ in range(4):
        before = line
        line = _LABEL.sub("", _JUNK.sub("", line))
        if line == before:
            break
    line = line.rstrip(" #") if line.endswith("#") else line
    return re.sub(r"^(?:\$\$?|\\[\[(]|[\[({]){1,2}\s*(?=[A-Za-z]{3})", "", line)


def whole(text: str) -> str:
    """A response that is nothing but an answer, without a fence around it or `It is` before it."""
    text = text.strip()
    if match := re.fullmatch(
        r"(?:[^`]{0,4000}\n)?(?:```|~~~)(?:text|txt|plain|plaintext|markdown|md|math|latex|tex"
        r"|answer)?[ \t]*\n\s*([^\n`]{1,200}?)\s*\n(?:```|~~~)",
        text,
    ):
        return match[1]
    if text[:1] == "=" and is_value(text[1:].strip()):
        return text[1:].strip()
    if len(text) <= 200 and (match := IT_IS.match(text)):
        return bare(match["answer"])
    return text


def _below(lines: list[str]) -> str:
    """The answer below a heading: one short line, or a displayed formula of a few; empty where there is none."""
    lines = [line.strip() for line in lines if line.strip()]
    if lines[:1] in (["\\["], ["$$"]) or (
        lines and re.fullmatch(r"```[a-z]{0,10}|\\begin\{(?:equation|align|center)\*?\}", lines[0])
    ):
        closing = next(
            (i for i, line in enumerate(lines) if i and (line in ("\\]", "$$", "```") or line.startswith("\\end{"))),
            None,
        )
        return "" if closing is None else " ".join(lines[1:closing])[:MAX_LINE]
    first = plain_line(lines[0]) if lines else ""
    return stated(first) if first and is_bare(first) and "\\boxed" not in first else ""


def is_bare(text: str) -> bool:
    """Whether a whole response is one short line of at most six plain words."""
    return len(text) <= 200 and "\n" not in text and len(re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", text)) <= 6
