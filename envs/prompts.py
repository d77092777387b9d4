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
        chat = template == "chat" and bool(getattr(tokenizer, "chat_template", None))
        if chat:
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
        self._bos = [] if chat else _bos(tokenizer)

    def prompt_text(self, problem: str) -> str:
        """The prompt as text, for people to read."""
        before, after = self._prompt
        return before + problem + self.instruction + after

    def prompt_ids(self, problem: str) -> list[int]:
        """The prompt as ids. They begin with BOS if the tokenizer adds one.

        Raises `UserError` if the tokenizer turns part of the problem into a special token and cutting does not help.
        """
        ids = self._framed(self._prompt, problem + self.instruction)
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

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def _count_special(self, ids: list[int]) -> int:
        return sum(i in self._special_ids for i in ids)

    def _framed(self, frame: tuple[str, str], text: str) -> list[int]:
        """The ids of `text` inside `frame`. Special tokens come from the frame alone."""
        before, after = map(self._encode, frame)
        allowed = self._count_special(before) + self._count_special(after)
        ids = self._encode(frame[0] + text + frame[1])  # merges over the seams as the chat template would
        if self._count_special(ids) == allowed:
            return ids
        inner: list[int] = []
        start = 0
        while match := self._special_text.search(text, start):  # cut each special string after its first character
            inner += self._encode(text[start : match.start() + 1])
            start = match.start() + 1
        inner += self._encode(text[start:])
        if self._count_special(inner):
            names = {self.tokenizer.decode([i], skip_special_tokens=False) for i in inner if i in self._special_ids}
            raise UserError(
                f"problem '{text[:60]}': the tokenizer turns its text into the special tokens {sorted(names)}; "
                "remove the problem or these strings"
            )
        return before + inner + after


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


def _render(tokenizer: Any, texts: list[str]) -> str:
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
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
