r"""Which part of a response is its final answer: the one policy that all bundled verifiers share.

1. The thinking part is dropped: `<think>...</think>` (or thinking, thought, reasoning, scratchpad, `[THINK]`), or everything
   up to a closing tag whose opening stood in the prompt. After an opening that is never closed there is no answer.
2. If there is a `\boxed{...}` (or `\fbox{...}`; braces must balance), the boxes are the answers.
3. Else, if there are final-answer statements, those are: a line `Answer: 42` or `Final answer: 42` (bold or not),
   `#### 42`, `<answer>42</answer>`, a sentence `(So) the (final) answer is 42.`, or the line below a heading `Final answer`.
4. Else the whole response, where it is one short line and nothing but an answer.

`narrowed("boxed" | "final" | "whole")` makes step 2, 3 or 4 the only one, for verifiers called inside it; what the others
would have found does not count then, for or against.

Boxes with nothing between them but a comma, "and" or "or" are one list: `\boxed{1}, \boxed{2}` says `1, 2`. Several answers
count only where they are all the same; two that differ are a **conflict**, which is incorrect: guessing twice must not pay.
A box that is negated, cut off, or bound to something outside it (`not \boxed{42}`, `\ne \boxed{42}`, `-\boxed{42}`,
`\boxed{42}_5`) is a conflict, too, and so is a number on a final-answer line that differs from a boxed one.

The response is cut to its last `MAX_RESPONSE` characters first, and no pattern backtracks beyond its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from simko.envs.verifiers.context import is_disowned
from simko.envs.verifiers.numbers import equal, parse_number

EXTRACTS = ("any", "boxed", "final", "whole")
MAX_RESPONSE = 100_000  # characters
MAX_WHOLE = 200  # characters of a response that may be an answer as a whole
MAX_LINE = 1_000
MAX_BOX = 2_000
MAX_ANSWERS = 20  # that differ as strings: more are a conflict, whatever they say
MAX_SHOWN = 200

_THINKING = re.compile(
    r"<\s?(?P<close>/)?\s?(?:think|thinking|thought|reasoning|scratchpad)\s?>|\[(?P<close2>/)?THINK\]", re.IGNORECASE
)
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])[ ]{0,4}")
_LINE = re.compile(
    r"^[\s>*_#-]*(?:\*\*|__)?(?:the\s)?(?:final\s|correct\s)?answer(?:\s*(?:\*\*|__))?\s?:\s?(?:\*\*|__)?\s?(?P<answer>\S.*)$",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"^(?:(?:so|thus|therefore|hence|then|and|finally|in conclusion|in summary|consequently|we conclude that)\s?,?\s){0,2}"
    r"(?:the|our|my)\s(?:final\s|correct\s)?answer(?:\sto\s(?:the|this)\s(?:problem|question))?\s(?:is|would be)\s?:?\s?"
    r"(?:(?:therefore|thus|then|hence|indeed|simply|just|clearly),?\s)?(?P<answer>\S.*)$",
    re.IGNORECASE,
)
_FINAL = re.compile(r"^final answer(?:\*\*)?\s?:\s?(?:\*\*)?\s?(?P<answer>\S.*)$", re.IGNORECASE)
_HEADING = re.compile(
    r"^[\s>*_#-]{0,12}(?:(?:so|thus|therefore|hence),?\s)?(?:the\s)?(?:final\s|correct\s)?answer(?:\sis)?[\s:*_]{0,8}$",
    re.IGNORECASE,
)
_VALUE_OF = re.compile(
    r"^(?:the|our)\s(?!.{0,80}\b(?:not|never|no)\b)[^.:=<>]{1,80}?\s(?:is|are|equals)\s(?P<answer>[$(\\-]{0,3}\d.*)$",
    re.IGNORECASE,
)
_REASON = re.compile(r",?\s(?:because|since)\s.*$")
_HASHES = re.compile(r"^\s{0,8}####\s?(?P<answer>\S.*)$")
_TAG = re.compile(r"<answer>((?:(?!</?answer>).){0,1000})</answer>", re.DOTALL | re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\[(])")
_CALCULATED = re.compile(r"<<[^<>\n]{1,200}>>")  # GSM8K's marks, as in 2 + 3 = <<2+3=5>>5
_BETWEEN = re.compile(
    r"(?:[\s$&]|\\[,;:! ()\[\]]|\\q?quad(?![A-Za-z])|(?P<join>[,;]|\\text\s?\{\s?,?\s?(?:and|or)\s?\}|and|or)){1,20}"
)
_BLANK = re.compile(r"[\s_?]*(?:\\(?:phantom|hspace|rule)\s?\{[^{}]{0,80}\}|\\q?quad)?[\s_?]*")


@dataclass(frozen=True, slots=True)
class Found:
    """`text`: the final answer, None where there is none or where several `conflict`. `shown`: for the verdict."""

    text: str | None
    shown: str | None = None
    conflict: bool = False


_wanted: ContextVar[str] = ContextVar("extract", default="any")


@contextmanager
def narrowed(extract: str) -> Iterator[None]:
    """Inside, in this thread or task, final answers are looked for in that place alone (`any`: by the whole policy)."""
    token = _wanted.set(extract)
    try:
        yield
    finally:
        _wanted.reset(token)


def wanted() -> str:
    """Where final answers are looked for: for the few scorers that read their answers themselves."""
    return _wanted.get()


def same_text(a: str, b: str) -> bool:
    """Whether two answers are the same but for white space."""
    return a.split() == b.split()


def without_thinking(response: str) -> str:
    """The response without its thinking part. Blocks may be nested; one that was opened in the prompt may be closed here."""
    parts: list[str] = []
    depth = at = 0
    for tag in _THINKING.finditer(response):
        if (tag["close"] or tag["close2"]) is None:
            if depth == 0:
                parts.append(response[at : tag.start()])
            depth += 1
        elif depth == 0:
            parts.clear()
        else:
            depth -= 1
        at = tag.end()
    return "".join(parts if depth else [*parts, response[at:]])


def final_answer(
    response: str, same: Callable[[str, str], bool] = same_text, whole: Callable[[str], bool] | None = None
) -> Found:
    """The one final answer of `response`, by the policy of this module.

    `same(a, b)` tells whether two stated answers agree; `whole(text)` whether a whole response is nothing but an answer
    (default: one short line of few words).
    """
    text = _CALCULATED.sub("", without_thinking(response[-MAX_RESPONSE:]))
    place = _wanted.get()
    boxes = _boxes(text) if place in ("any", "boxed") else []
    if isinstance(boxes, Found):
        return boxes
    statements = _statements(text) if place in ("any", "final") else []
    stated = [*boxes, *_differing_numbers(boxes[-1], statements)] if boxes else statements
    if not stated:
        line = text.strip() if place in ("any", "whole") else ""
        return Found(line, line[:MAX_SHOWN]) if line and (whole or is_bare)(line) else Found(None)
    last = boxes[-1] if boxes else stated[-1]
    if len(stated) <= 2 * MAX_ANSWERS and all(same(other, last) for other in stated):
        return Found(last, last[:MAX_SHOWN])
    return Found(None, " | ".join(other[:60] for other in stated)[:MAX_SHOWN], conflict=True)


def is_bare(text: str) -> bool:
    """Whether a whole response is one short line of at most six plain words."""
    if len(text) > MAX_WHOLE or "\n" in text:
        return False
    return len(re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", text)) <= 6


def boxes(text: str) -> list[str]:
    """What all boxes hold, each content once; none where one of them is cut off, negated or bound."""
    found = _boxes(text)
    return [] if isinstance(found, Found) else found


def _boxes(text: str) -> list[str] | Found:
    """What the boxes hold, each content once; or the conflict, where one is cut off, negated or bound to its outside."""
    contents: dict[str, None] = {}
    run: list[str] = []  # of boxes that are one list
    at = end = 0
    while match := _BOX.search(text, at):
        content, at = _content(text, match.end())
        if content is None:
            return Found(None, text[match.start() :][:MAX_SHOWN], conflict=True)
        if _BLANK.fullmatch(content):  # a box to fill in, quoted from the problem
            continue
        following = _BOX.search(text, at)
        listed = following is not None and _BETWEEN.fullmatch(text, at, following.start()) is not None
        if is_disowned(text, match.start(), at, content, last=following is None, listed=listed):
            return Found(None, text[max(0, match.start() - 10) : at + 10][:MAX_SHOWN], conflict=True)
        between = _BETWEEN.fullmatch(text, end, match.start()) if run and match.start() - end <= 60 else None
        if between is not None and between["join"]:
            contents.pop(_listed(run), None)
        else:
            run = []
        run.append(content)
        end = at
        contents.pop(_listed(run), None)  # the last one stated is to be the last one here
        contents[_listed(run)] = None
        if len(contents) > MAX_ANSWERS or len(run) > MAX_ANSWERS:
            return Found(None, conflict=True)
    return list(contents)


def _listed(run: list[str]) -> str:
    return run[-1] if len(set(run)) == 1 else ", ".join(run)


def _content(text: str, at: int) -> tuple[str | None, int]:
    """What a box at `at` holds, and where it ends; None where its braces do not balance within `MAX_BOX`."""
    content, end = _group(text, at)
    inner = content
    for _ in range(3):  # a box in a box
        nested = _BOX.match(inner) if inner else None
        if inner is None or nested is None:
            break
        inside, closed = _group(inner, nested.end())
        if inside is None or closed != len(inner):
            break
        content = inner = inside
    return content, end


def _group(text: str, at: int) -> tuple[str | None, int]:
    if not text.startswith("{", at):
        token = re.match(r"\d+|[A-Za-z]", text[at : at + 40])
        return (token[0], at + token.end()) if token else (None, at)
    depth, i, stop = 0, at, min(len(text), at + MAX_BOX)
    while i < stop:
        char = text[i]
        if char == "\\":
            i += 2
            continue
        depth += (char == "{") - (char == "}")
        i += 1
        if depth == 0:
            return text[at + 1 : i - 1].strip(), i
    return None, i


def _statements(text: str) -> list[str]:
    """The answers of all final-answer statements, each once, in order of their kind and place."""
    found = [tag[1].strip() for tag in _TAG.finditer(text)]
    if text.rfind("<answer>") > text.rfind("</answer>") and found:
        found.append("<answer>")  # a last one that was cut off
    lines = _TAG.sub(" ", text).splitlines() if "####" in text or "answer" in text.lower() else []
    seen: set[str] = set()
    for number, line in enumerate(lines):
        if len(found) > 4 * MAX_ANSWERS and len(set(found)) > MAX_ANSWERS:
            break
        if line in seen or ("####" not in line and "answer" not in line.lower()):
            continue
        seen.add(line)
        line = line[:MAX_LINE]
        if _HEADING.match(line):
            found.append(_below(lines[number + 1 : number + 8]))
            continue
        sentences = _SENTENCE_END.split(line)
        if match := _HASHES.match(line) or _LINE.match(line):
            found.append(_stated(match["answer"]))
            sentences = sentences[1:]
        for sentence in sentences:
            sentence = sentence.strip(" *_>#-")
            if said := _SENTENCE.match(sentence) or _FINAL.match(sentence):
                found.append(_stated(said["answer"]))
    distinct = list(dict.fromkeys(answer for answer in found if answer))
    return distinct[: MAX_ANSWERS + 1]


def _stated(answer: str) -> str:
    """What is stated by `The final answer is 42.` or `The largest n is 42.` behind `Answer:`, or by the text itself."""
    inner = _SENTENCE.match(answer) or _VALUE_OF.match(answer)
    return _trimmed((inner or {"answer": answer})["answer"])


def _below(lines: list[str]) -> str:
    """The answer below a heading: one short line, or a displayed formula of a few; empty where there is none."""
    lines = [line.strip() for line in lines if line.strip()]
    if lines[:1] in (["\\["], ["$$"]):
        closing = next((i for i, line in enumerate(lines) if i and line in ("\\]", "$$")), None)
        return "" if closing is None else " ".join(lines[1:closing])[:MAX_LINE]
    return _trimmed(lines[0]) if lines and is_bare(lines[0]) and "\\boxed" not in lines[0] else ""


def _trimmed(answer: str) -> str:
    """The first sentence of what follows "the answer is", without closing marks."""
    answer = _REASON.sub("", _SENTENCE_END.split(answer)[0]).strip()
    answer = re.sub(r"^[:*_`\s]+|[*_`\s]+$", "", answer)
    if (answer[-1:] == "." and answer[-2:] != "..") or answer[-2:] in ("$!", "*!"):  # 42! may be a factorial
        answer = answer[:-1]
    return answer.strip().strip('"').strip()


def _differing_numbers(boxed: str, statements: list[str]) -> list[str]:
    """Statements that are numbers, where the box is one and they differ from it."""
    value = parse_number(boxed.strip("$ "))
    if value is None:
        return []
    numbers = ((s, parse_number(s.strip("$ "))) for s in statements)
    return [s for s, number in numbers if number is not None and not equal(number, value)]
