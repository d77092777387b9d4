"""Prompts: how a problem, or an environment's reply, becomes token ids.

Problems and replies are untrusted text: whatever they say, they never become special tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from simko.envs.templates import NAMED
from simko.envs.tokenizers import TokenizerLike
from simko.errors import UserError, nearest

_MARKS = (
    "SIMKO7c1eUSER",
    "SIMKO7c1eASSISTANT",
    "SIMKO7c1eREPLY",
)  # stand for the texts while a chat template is rendered


class PromptFormat:
    """Turns texts into token ids by one prompt template.

    `template` is one of:
      - `"chat"`: the tokenizer's own chat template; the same as `"plain"` if it has none;
      - `"plain"`: the problem, the instruction and a line break;
      - the name of one of SimKO's templates (`simko.envs.templates`): `"qwen"`, `"simple"`, `"llama"`,
        `"qwen3_no_thinking"`;
      - a text with `{problem}` in it once.
    Raises `UserError` for any other template.

    `instruction` is appended to every problem as it is. SimKO's templates have their own, so there it is left out.

    A token of `stop_ids` ends the policy's turn. The attribute holds the tokenizer's EOS, the token that closes the
    assistant's turn (for chat), and the ids of the argument: a model may have more EOS ids than its tokenizer.
    """

    def __init__(
        self, tokenizer: TokenizerLike, template: str = "chat", instruction: str = "", stop_ids: Iterable[int] = ()
    ) -> None:
        self.tokenizer = tokenizer
        self.instruction = instruction
        self._turn: tuple[str, str] | None = None  # what stands around a reply; None: line breaks
        self._chat = template == "chat" and bool(getattr(tokenizer, "chat_template", None))
        self._prompt: tuple[str, ...]
        self._system_prompt: tuple[str, ...] | None = None  # what stands around a system message and a problem
        if self._chat:
            self._prompt, self._turn = _chat_frames(tokenizer)
        elif template in ("chat", "plain"):
            self._prompt = ("", "\n")
        elif template in NAMED:
            self.instruction = ""
            before, after, self._turn = NAMED[template]
            self._prompt = (before, after)
        elif template.count("{problem}") == 1:
            start, end = template.split("{problem}")
            self._prompt = (start, end)
        else:
            names = ("chat", "plain", *NAMED)
            raise UserError(
                f"template is '{template[:80]}'{nearest(template, names)}; use {', '.join(map(repr, names))}, "
                "or a text with {problem} in it once"
            )

        frames = [*self._prompt, *(self._turn or ())]
        self._special_ids = _special_ids(tokenizer, [i for frame in frames for i in self._encode(frame)])
        texts = [tokenizer.decode([i], skip_special_tokens=False) for i in self._special_ids]
        longest_first = sorted((text for text in texts if len(text) > 1), key=len, reverse=True)
        self._special_text = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

        self._end_of_turn: int | None = None
        if self._turn is not None:
            first = self._encode(self._turn[0])[:1]
            self._end_of_turn = first[0] if first and first[0] in self._special_ids else None
        ends = {tokenizer.eos_token_id, self._end_of_turn, *stop_ids}
        self.stop_ids: frozenset[int] = frozenset(i for i in ends if i is not None)
        self._bos = [] if self._chat else _bos(tokenizer)

    def prompt_text(self, problem: str, system: str | None = None) -> str:
        """The prompt as text, for people to read."""
        frame, texts = self._parts(problem, system)
        return frame[0] + "".join(text + after for text, after in zip(texts, frame[1:], strict=True))

    def prompt_ids(self, problem: str, system: str | None = None) -> list[int]:
        """The prompt as ids. They begin with BOS if the tokenizer adds one.

        `system` is a system message of the task. A chat template puts it where it belongs. In any other template it stands
        before the problem, with an empty line between them. None leaves it to the chat template what stands there.

        Raises `UserError` if the chat template has no place for a system message, and if the tokenizer turns part of a
        text into a special token and cutting does not help.
        """
        frame, texts = self._parts(problem, system)
        ids = self._framed(frame, *texts)
        return ids if ids[: len(self._bos)] == self._bos else self._bos + ids

    def reply_ids(self, text: str, closed: bool = True) -> list[int]:
        """The ids of the environment's turn, to append before the policy speaks again.

        `closed` says that the policy ended its turn with a token of `stop_ids`. If a stop string ended it, the chat
        template's own end of turn is put first. In plain and custom templates the text stands between two line breaks.
        """
        if self._turn is None:
            return self._framed(("\n", "\n"), text)
        ids = self._framed(self._turn, text)
        return ids[1:] if closed and ids[:1] == [self._end_of_turn] else ids

    def _parts(self, problem: str, system: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The frame of a prompt, and the texts that stand in it."""
        asked = problem + self.instruction
        if system is None:
            return self._prompt, (asked,)
        if not self._chat:
            return self._prompt, (f"{system}\n\n{asked}" if system else asked,)
        if self._system_prompt is None:
            self._system_prompt = _system_frame(self.tokenizer)
        return self._system_prompt, (system, asked)

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def _count_special(self, ids: list[int]) -> int:
        return sum(i in self._special_ids for i in ids)

    def _framed(self, frame: tuple[str, ...], *texts: str) -> list[int]:
        """The ids of the texts between the parts of `frame`. Special tokens come from the frame alone."""
        parts = [self._encode(part) for part in frame]
        whole = frame[0] + "".join(text + part for text, part in zip(texts, frame[1:], strict=True))
        ids = self._encode(whole)  # merges over the seams as the chat template would
        if self._count_special(ids) == sum(map(self._count_special, parts)):
            return ids
        ids = parts[0]
        for text, part in zip(texts, parts[1:], strict=True):
            ids = ids + self._without_special(text) + part
        return ids

    def _without_special(self, text: str) -> list[int]:
        """The ids of a text, with each special string in it cut after its first character."""
        inner: list[int] = []
        start = 0
        while match := self._special_text.search(text, start):
            inner += self._encode(text[start : match.start() + 1])
            start = match.start() + 1
        inner += self._encode(text[start:])
        if self._count_special(inner):
            names = {self.tokenizer.decode([i], skip_special_tokens=False) for i in inner if i in self._special_ids}
            raise UserError(
                f"problem '{text[:60]}': the tokenizer turns its text into the special tokens {sorted(names)}; "
                "remove the problem or these strings"
            )
        return inner


def _chat_frames(tokenizer: Any) -> tuple[tuple[str, str], tuple[str, str] | None]:
    """The texts that the chat template puts around a first user message, and around a later one."""
    user, assistant, reply = _MARKS
    first = _render(tokenizer, [user])
    before, mark, after = first.partition(user)
    if not mark:
        raise UserError("the tokenizer's chat template drops the user's message; use template='plain'")
    try:
        talk = _render(tokenizer, [user, assistant, reply])
    except UserError:
        return (before, after), None
    _, mark, rest = talk.partition(assistant)
    turn, reply_mark, end = rest.partition(reply)
    return (before, after), ((turn, end) if mark and reply_mark else None)


def _system_frame(tokenizer: Any) -> tuple[str, ...]:
    """The texts that the chat template puts before a system message, between it and the user's, and after that."""
    user, system, _ = _MARKS
    whole = _render(tokenizer, [user], system)
    before, mark, rest = whole.partition(system)
    between, user_mark, after = rest.partition(user)
    if not mark or not user_mark or system in rest or user in after:
        raise UserError("the tokenizer's chat template has no place for a system message; use template='plain'")
    return before, between, after


def _render(tokenizer: Any, texts: list[str], system: str | None = None) -> str:
    messages = [] if system is None else [{"role": "system", "content": system}]
    messages += [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # a template is a program of the model's author: jinja raises what it likes
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the tokenizer's chat template fails ({reason}); use template='plain'") from error


def _special_ids(tokenizer: Any, frame_ids: list[int]) -> frozenset[int]:
    """The ids that mean more than their text: those marked special, and the added tokens in the frames."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    ids = {i for i, token in added.items() if getattr(token, "special", False)} | (set(frame_ids) & set(added))
    ids |= set(getattr(tokenizer, "all_special_ids", ()))
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    return frozenset(ids)


def _bos(tokenizer: TokenizerLike) -> list[int]:
    """The ids that the tokenizer puts before any text."""
    bare, full = (list(tokenizer.encode("x", add_special_tokens=special)) for special in (False, True))
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start]
    return []
