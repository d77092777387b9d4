r"""The part of a response that its reader sees: no thinking, no comments, nothing struck out, no programs.

The words of a tag tell that it is about thinking, in any brackets: `<think>`, `<|begin_of_thought|>`, `◁think▷`, `[THINK]`,
`<seed:cot_budget_reflect>`. `/`, `end` or `stop` close it. Blocks may be nested. A block that was opened in the prompt may be
closed here, and a block that is never closed hides the rest. Where a response has channels (`<|channel|>analysis`), the channel
`final` is the reply. This holds without the special tokens, too: `analysisWe add ...assistantfinal42`.

Each pattern is bounded and anchored at a mark that is looked for first, so the time grows linearly.
"""

from __future__ import annotations

import re

from simko.envs.verifiers.reading.brackets import closing
from simko.envs.verifiers.reading.text import words

MAX_READ = 2_000_000  # characters in which tags are looked for: no model writes more

_TAG = re.compile(
    r"(?:<|&lt;)[|｜]?\s?(?P<close>[/\\])?\s?(?P<name>[A-Za-z][A-Za-z_:▁ -]{1,38})(?:\s[a-z]+=[^<>\n]{0,40})?\s?["
    r"|｜]?(?:>|&gt;)"
    r"|◁\s?(?P<close2>/)?(?P<name2>[A-Za-z_ ]{2,30})▷"
    r"|\[(?P<close3>/)?(?P<name3>[A-Za-z_ ]{3,30})\]"
)
_THOUGHT = words(
    "think thinking thinks thought thoughts reason reasoning scratchpad scratch scratchwork reflect reflection reflecting "
    "monologue cot analysis analyze analyse deliberate deliberation rationale ponder pondering brainstorm brainstorming "
    "plan planning working workings draft introspection contemplation contemplate rumination ruminate musing musings"
)
_CLOSING = words("end stop close finish")
_ABOUT = _CLOSING | words(
    "begin start open of the my an a inner internal process content contents step steps seed budget self chain block mode "
    "private hidden model assistant trace section phase longcat fast slow deep token tokens silent stream text pad out"
)
_ANOTHER = re.compile(r"[<◁]|\[/?[A-Z]|\w:\s*$")
_CHANNEL = re.compile(
    r"<\|channel\|>\s?(?P<name>[A-Za-z]{1,20})[^<\n]{0,60}(?:<\|constrain\|>[^<\n]{0,20})?(?:<\|message\|>)?"
)
_TURN_END = re.compile(r"<\|(?:end|return|call|start)\|>")
_SPECIAL = re.compile(
    r"<[|｜][A-Za-z0-9_▁]{1,40}[|｜]>|</s>|^\s?<s>|<(?:eos|bos|pad|end_of_turn|start_of_turn)>(?:model\n)?|\[/?INST\]"
)
_STRUCK = re.compile(r"(?<![^\s*_(\"'>])~~(?=[^\s~])[^~]{1,2000}(?<=\S)~~(?!~)")
_GONE = re.compile(
    r"\\(?:[xb]?cancel|sout|st|xout|[hv]?phantom|textcolor\s?\{\s?white\s?\}|color\s?\{\s?white\s?\})\s?\{"
)
_TEX_COMMENT = re.compile(
    r"^[ \t]*%[^\n]*|(?:(?<=[.,;:!?}\]][ \t])|(?<=[A-Za-z]{2}[ \t])|(?<=\\\\)[ \t]?|(?<=\\\][ \t]))%(?!\s?\d)[^\n]*",
    re.MULTILINE,
)
_PAIRS = (
    *(("<!--", "-->"), ("\\iffalse", "\\fi"), ("\\begin{comment}", "\\end{comment}")),
    *(("<del>", "</del>"), ("<strike>", "</strike>"), ("[asy]", "[/asy]")),
)
MAX_GROUPS = 50
MAX_GROUP = 2_000  # characters in braces
_FENCE = re.compile(
    r"^[ \t>]{0,8}(?:```+|~~~+)[ \t]*\{?\.?(?P<language>[A-Za-z0-9_+#-]{0,20})[^\n`]{0,80}$", re.MULTILINE
)
_PROGRAMS = words(
    "python py python3 ipython pycon sage sagemath cpp c c++ java javascript js ts typescript bash sh shell sql r julia "
    "matlab octave mathematica wolfram haskell rust go ruby perl lua lean lean4 coq isabelle gap maple html css diff"
)


def without_thinking(response: str) -> str:
    """The response without its thinking part; the docstring of the module says what that is."""
    return _without_thinking(response)[0]


def is_open(response: str) -> bool:
    """Whether a thought is open at the end of the response."""
    if response.startswith("<|channel"):
        return not without_thinking(response).strip()
    return _without_thinking(response)[1] > 0


def _without_thinking(response: str) -> tuple[str, int]:
    """The response without its thinking part, and how many thoughts are open at its end."""
    response = _reply(response[-MAX_READ:])
    if not any(mark in response for mark in ("<", "◁", "[", "&lt;")):
        return response, 0
    parts: list[str] = []
    depth = at = 0
    for tag in _TAG.finditer(response):
        kind = _kind(tag, response)
        if kind is None:
            continue
        if kind == "open":
            if depth == 0:
                parts.append(response[at : tag.start()])
            depth += 1
        elif depth == 0:
            parts.clear()
        else:
            depth -= 1
        at = tag.end()
    return "".join(parts if depth else [*parts, response[at:]]), depth


def opening(prompt_end: str) -> str:
    """What opens a thought at the end of a prompt and is not closed there, to the end of the prompt; empty where nothing does.

    A tag counts where it begins a line or follows a bracket or a colon, or at the very end. Elsewhere it is mentioned, as in
    `write your thoughts in <think> tags`. So it is if a line or another tag for the assistant follows it.
    """
    starts: list[tuple[int, int]] = []
    for tag in _TAG.finditer(prompt_end):
        kind = _kind(tag, prompt_end)
        if kind == "open":
            starts.append(tag.span())
        elif kind == "close" and starts:
            starts.pop()
    channels = [channel.span() for channel in _CHANNEL.finditer(prompt_end)]
    if (
        channels
        and "final" not in prompt_end[slice(*channels[-1])]
        and "<|message|>" in prompt_end[slice(*channels[-1])]
    ):
        starts.append(channels[-1])
    at = prompt_end.rfind("<|channel>")
    if at >= 0 and "<channel|>" not in prompt_end[at:]:
        starts.append((at, at + len("<|channel>")))
    for start, end in starts:
        before, after = prompt_end[:start].rstrip(" \t"), prompt_end[end:]
        if not after.strip() or (before[-1:] in {"", *"\n>]:▷"} and not _ANOTHER.search(after)):
            return prompt_end[start:]
    return ""


def closing_of(opening: str) -> str:
    """A text that closes the thought of an `opening`."""
    if opening.startswith("<|channel|>"):
        return "<|end|><|start|>assistant<|channel|>final<|message|>"
    return "<channel|>" if opening.startswith("<|channel>") else "</think>"


def is_thinking_tag(text: str) -> bool:
    """Whether a token's text opens or closes a thought."""
    tag = _TAG.fullmatch(text)
    return text in ("<|channel>", "<channel|>") or (tag is not None and _kind(tag, text) is not None)


def _kind(tag: re.Match[str], response: str) -> str | None:
    """`open` or `close` for a tag about thinking; None for any other tag."""
    name = tag["name"] or tag["name2"] or tag["name3"]
    parts = re.findall(r"[a-z]+", name.lower())
    if not _THOUGHT.intersection(parts) or not _ABOUT.union(_THOUGHT).issuperset(parts):
        return None
    closes = (tag["close"] or tag["close2"] or tag["close3"]) is not None or not _CLOSING.isdisjoint(parts)
    if tag["name3"] and name != "THINK" and f"[/{name}]" not in response:  # [Reasoning] is a heading
        return None
    return "close" if closes else "open"


def _reply(response: str) -> str:
    """The channel `final` of a response with channels; any other response unchanged."""
    if "<|channel|>" in response:
        parts: list[str] = []
        for channel in _CHANNEL.finditer(response):
            if channel["name"].lower() == "final":
                following = response.find("<|channel|>", channel.end())
                message = response[channel.end() : following if following >= 0 else len(response)]
                ending = _TURN_END.search(message)
                parts.append(message[: ending.start()] if ending else message)
        if parts or "assistantfinal" not in response:  # a thought opened by the prompt, then no special tokens
            return "\n".join(parts)
    if "<|channel>" in response:
        response = _without(response, "<|channel>", "<channel|>")
    if "assistantfinal" in response:
        return response.rpartition("assistantfinal")[2]
    return "" if re.match(r"\s?analysis[A-Z\"'(\\$]", response) else response


def visible(response: str, limit: int) -> str:
    """The text that a reader sees, without thinking and special tokens; the last `limit` characters where it is longer."""
    text = without_thinking(response)[-limit:]
    for start, end in _PAIRS:
        text = _without(text, start, end)
    if "<s>" in text[1:] and "</s>" in text:  # struck out, where it is not the mark of the text's beginning
        text = text[:1] + _without(text[1:], "<s>", "</s>")
    if "```" in text:
        text = _without_programs(text)
    if "<" in text or "[" in text:
        text = _SPECIAL.sub("\n", text) if "|" in text or "s>" in text or "_turn>" in text or "INST]" in text else text
    if "~~" in text:
        text = _STRUCK.sub(" ", text)
    if "%" in text:
        text = _TEX_COMMENT.sub("", text)
    return _without_groups(text)


def _without(text: str, opening: str, closing: str) -> str:
    """`text` without everything from each `opening` to the next `closing`, or to the end where that is missing."""
    if opening not in text:
        return text
    parts = text.split(opening)
    return parts[0] + " ".join(part.partition(closing)[2] for part in parts[1:])


def _without_programs(text: str) -> str:
    """`text` without fenced blocks of a programming language or of thinking."""
    parts: list[str] = []
    at, hidden = 0, None
    opened = False
    for fence in _FENCE.finditer(text):
        if opened:
            opened = False
            if hidden is not None:
                parts.append(text[at:hidden])
                at, hidden = fence.end(), None
        else:
            opened = True
            language = fence["language"].lower()
            hidden = fence.start() if language in _PROGRAMS or language in _THOUGHT else None
    return "".join([*parts, text[at:] if hidden is None else text[at:hidden]])


def _without_groups(text: str) -> str:
    r"""`text` without `\cancel{...}`, `\phantom{...}` and the like that hold a box or the word answer."""
    parts: list[str] = []
    at = 0
    while len(parts) < MAX_GROUPS and (match := _GONE.search(text, at)):
        brace = closing(text, match.end() - 1, escapes=True, reach=MAX_GROUP)
        end = match.end() if brace is None else brace + 1
        inside = text[match.end() : end]
        if "box" not in inside and "answer" not in inside.lower():
            end = match.end()
            parts.append(text[at:end])
        else:
            parts.append(text[at : match.start()] + " ")
        at = end
    return "".join([*parts, text[at:]]) if parts else text
