"""Prompts: how a problem, or an environment's reply, becomes token ids.

Problems and replies are untrusted text: whatever they say, they never become special tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

from simko.envs.chat import DATE, ChatTemplate, Piece
from simko.envs.templates import NAMED
from simko.envs.tokenizers import TokenizerLike
from simko.envs.verifiers.answer.visible import is_thinking_tag, opening
from simko.errors import UserError, nearest


class PromptFormat:
    """Turns texts into token ids by one prompt template.

    `template` is one of:

    - `"chat"`: the tokenizer's own chat template; the same as `"plain"` if it has none;
    - `"plain"`: the problem, the instruction and a line break;
    - the name of one of SimKO's templates (`simko.envs.templates`): `"qwen"`, `"simple"`, `"llama"`,
      `"qwen3_no_thinking"`;
    - a text with `{problem}` in it once.

    Raises `UserError` for any other template, and for a chat template that loses or changes a problem (`simko.envs.chat`).

    `instruction` is appended to every problem as it is. SimKO's templates have their own, so there it is left out.

    A token of `stop_ids` ends the policy's turn. The attribute holds the tokenizer's EOS, the token that closes the
    assistant's turn (for chat), and the ids of the argument: a model may have more EOS ids than its tokenizer.

    `date` (ISO 8601) is what a chat template reads from the clock. None is one fixed day, so that prompts never change by
    themselves. `reads_clock` says whether prompts depend on it.
    """

    def __init__(
        self,
        tokenizer: TokenizerLike,
        template: str = "chat",
        instruction: str = "",
        stop_ids: Iterable[int] = (),
        date: str | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.instruction = instruction
        self.date = date or DATE
        self._chat: ChatTemplate | None = None
        self._last: tuple[tuple[str, str | None], list[Piece]] | None = (
            None  # a group asks for one prompt several times
        )
        self._prompt = ("", "\n")
        self._turn: tuple[str, str] | None = None  # what stands around a reply; None: line breaks
        if template == "chat" and getattr(tokenizer, "chat_template", None):
            self._chat = ChatTemplate(tokenizer, self.date)
        elif template in NAMED:
            self.instruction = ""
            before, after, self._turn = NAMED[template]
            self._prompt = (before, after)
        elif template.count("{problem}") == 1:
            start, end = template.split("{problem}")
            self._prompt = (start, end)
        elif template not in ("chat", "plain"):
            names = ("chat", "plain", *NAMED)
            raise UserError(
                f"template is '{template[:80]}'{nearest(template, names)}; use {', '.join(map(repr, names))}, "
                "or a text with {problem} in it once"
            )
        self.reads_clock = self._chat is not None and self._chat.reads_clock

        example, self._chat_turn = self._pieces("1 + 1"), self._chat.probe_reply() if self._chat else None
        turn = self._chat_turn or (None if self._turn is None else [Piece(text) for text in self._turn])
        with_system: list[Piece] = []
        with suppress(UserError):
            with_system = self._pieces("1 + 1", "Be brief.")
        frames = [piece.text for piece in (*example, *with_system, *(turn or ())) if piece.message is None]
        self._special_ids = _special_ids(tokenizer, [i for frame in frames for i in self._encode(frame)])
        texts = [tokenizer.decode([i], skip_special_tokens=False) for i in self._special_ids]
        longest_first = sorted((text for text in texts if len(text) > 1), key=len, reverse=True)
        self._special_text = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._thinking = {i: text for i in self._special_ids if is_thinking_tag(text := self._shown(i))}

        self._end_of_turn: int | None = None
        if turn is not None:
            first = self._encode(turn[0].text)[:1]
            self._end_of_turn = first[0] if first and first[0] in self._special_ids else None
        ends = {tokenizer.eos_token_id, self._end_of_turn, *stop_ids}
        self.stop_ids: frozenset[int] = frozenset(i for i in ends if i is not None)
        self._bos = [] if self._chat else _bos(tokenizer)
        self.reply_thought: str | None = None if turn is None else opening(_end(turn))
        """What opens a thought at the end of a reply; empty where nothing does, None where a reply opens no turn."""
        texts_of_problem = [piece.text for piece in example if piece.message is not None]
        in_json = self._chat is not None and any("\\n" in piece.text for piece in self._chat.prompt)
        self.tokens_a_byte = max(1, len(texts_of_problem)) * (6 if in_json else 1)
        """The most tokens that a byte of a problem may become: a template may print it twice, or as JSON."""

    def prompt_text(self, problem: str, system: str | None = None) -> str:
        """The prompt as text, for people to read."""
        return "".join(piece.text for piece in self._pieces(problem, system))

    def prompt_ids(self, problem: str, system: str | None = None) -> list[int]:
        """The prompt as ids. They begin with BOS if the tokenizer adds one.

        `system` is a system message. A template without a place for one has it before the problem, and an empty line between.

        Raises `UserError` if the tokenizer turns part of the problem into a special token and cutting does not help, or if
        the chat template changes the problem or takes no system message.
        """
        ids = self._ids(self._pieces(problem, system))
        return ids if ids[: len(self._bos)] == self._bos else self._bos + ids

    def thought(self, problem: str, system: str | None = None) -> str:
        """What opens a thought at the end of the prompt, as `<think>` and a line break; empty where nothing does.

        The policy's answer begins inside that thought.
        """
        end = _end(self._pieces(problem, system))
        if thought := opening(self.instruction + end):
            return thought
        thought = "" if self._chat or end.strip() else opening(problem + self.instruction + end)
        return thought if is_thinking_tag(thought.strip()) else ""  # rows of TinyZero end with `<think>` themselves

    def check(self, problem: str, system: str | None = None) -> None:
        """Raise `UserError` if `prompt_ids` would. Texts that are plain are not encoded."""
        pieces = self._pieces(problem, system)
        if self._special_text.search(problem) or (system and self._special_text.search(system)):
            self._ids(pieces)

    def reply_ids(self, text: str, closed: bool = True) -> list[int]:
        """The ids of the environment's turn, to append before the policy speaks again.

        `closed` says that the policy ended its turn with a token of `stop_ids`. If a stop string ended it, the chat
        template's own end of turn is put first. In plain and custom templates the text stands between two line breaks.
        """
        if self._chat is not None and self._chat_turn is not None:
            pieces = self._chat.reply(text)
            if pieces is None:
                raise UserError(f"the chat template does not keep the reply {text[:60]!r}; use template='plain'")
        else:
            before, after = self._turn or ("\n", "\n")
            pieces = [Piece(before), Piece(text, 0), Piece(after)]
        ids = self._ids(pieces)
        return ids[1:] if closed and self._end_of_turn is not None and ids[:1] == [self._end_of_turn] else ids

    def answer_text(self, ids: Sequence[int]) -> str:
        """The text of sampled ids without special tokens, but with those that open or close a thought."""
        if not self._thinking or self._thinking.keys().isdisjoint(ids):
            return self._decode(ids)
        parts = [(tag, list(part)) for tag, part in groupby(ids, self._thinking.get)]
        return "".join(self._decode(part) if tag is None else tag * len(part) for tag, part in parts)

    def _pieces(self, problem: str, system: str | None = None) -> list[Piece]:
        asked = problem + self.instruction
        if self._chat is not None:
            last = self._last
            if last is None or last[0] != (problem, system):
                system_message = [] if system is None else [{"role": "system", "content": system}]
                pieces = self._chat.render([*system_message, {"role": "user", "content": asked}])
                self._last = last = (problem, system), pieces
            return last[1]
        before, after = self._prompt
        return [Piece(before), Piece(f"{system}\n\n{asked}" if system else asked, 0), Piece(after)]

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def _decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def _shown(self, token: int) -> str:
        """A special token's text if `_decode` leaves it out; else empty."""
        return "" if self._decode([token]) else self.tokenizer.decode([token], skip_special_tokens=False)

    def _special(self, ids: list[int]) -> list[int]:
        return [i for i in ids if i in self._special_ids]

    def _ids(self, pieces: Sequence[Piece]) -> list[int]:
        """The ids of a text. Special tokens come from the template's own pieces alone, whatever the others say."""
        frames = [i for piece in pieces if piece.message is None for i in self._special(self._encode(piece.text))]
        ids = self._encode("".join(piece.text for piece in pieces))  # merges over the seams as the chat template would
        if self._special(ids) == frames:
            return ids
        apart = [self._encode(piece.text) if piece.message is None else self._harmless(piece.text) for piece in pieces]
        return [i for part in apart for i in part]

    def _harmless(self, text: str) -> list[int]:
        """The ids of an untrusted text, each special string in it cut after its first character."""
        inner: list[int] = []
        start = 0
        while match := self._special_text.search(text, start):
            inner += self._encode(text[start : match.start() + 1])
            start = match.start() + 1
        inner += self._encode(text[start:])
        if special := self._special(inner):
            names = {self.tokenizer.decode([i], skip_special_tokens=False) for i in special}
            raise UserError(
                f"problem '{text[:60]}': the tokenizer turns its text into the special tokens {sorted(names)}; "
                "leave out the problem or these strings"
            )
        return inner


def _end(pieces: Sequence[Piece]) -> str:
    """The template's own text after the last message."""
    return pieces[-1].text if pieces[-1].message is None else ""


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
