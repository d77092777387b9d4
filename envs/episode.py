"""One answer, token by token. `TokenEnv`, `TokenVectorEnv` and the trainer's fast path all use this state machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from simko.envs.prompts import PromptFormat
from simko.types import Finish, Task

Reply = Callable[[Task, Sequence[str]], str | None]
"""`(task, the policy's turns so far) -> the environment's next text`, or None if it has nothing to add."""

_SPARE = 4  # tokens decoded beyond the longest stop string: some tokenizers drop the blank at the head of a text


class Episode:
    """The state of one answer to `task`.

    The policy's turn ends with a token of `format.stop_ids`, or as soon as a stop string appears in the turn's text.
    Then `reply` is called. If it returns a text, the text is appended as ids (`sampled` False) and the policy speaks
    again. If it returns None, or there is no `reply`, the answer is over (`terminated`).

    `max_new_tokens` counts everything after the prompt, replies included. An answer or a reply that is not over at that
    count is cut there (`truncated`). An answer is never both terminated and truncated.
    """

    def __init__(
        self,
        task: Task,
        prompt_ids: list[int],
        format: PromptFormat,
        max_new_tokens: int,
        stop: tuple[str, ...] = (),
        reply: Reply | None = None,
        last_turn_only: bool = False,
    ) -> None:
        self.task = task
        self.prompt_ids = prompt_ids
        self.ids: list[int] = []
        """Everything after the prompt, T tokens."""
        self.sampled: list[bool] = []
        """(T,) True for a token that the policy sampled, False for a token of the environment's reply."""
        self.terminated = False
        self.truncated = False
        self._format = format
        self._max_new_tokens = max_new_tokens
        self._stop = stop
        self._reply = reply
        self._last_turn_only = last_turn_only
        self._ended_turns: list[str] = []
        self._turn_start = 0  # where in `ids` the policy's current turn begins
        self._tail = max((len(s.encode("utf-8", "replace")) for s in stop), default=0) + _SPARE

    @property
    def done(self) -> bool:
        """Whether the answer is over."""
        return self.terminated or self.truncated

    @property
    def finish(self) -> Finish:
        """Why the answer is over: `"length"` if the budget cut it, else `"stop"`."""
        return "length" if self.truncated else "stop"

    @property
    def budget_left(self) -> int:
        """How many tokens may still follow, replies included."""
        return self._max_new_tokens - len(self.ids)

    @property
    def turns(self) -> list[str]:
        """The text of each of the policy's turns, the unfinished one last. Stop strings and special tokens are left out."""
        unfinished = self.ids[self._turn_start :]
        return [*self._ended_turns, self._turn_text(unfinished)] if unfinished else list(self._ended_turns)

    @property
    def text(self) -> str:
        """The text that the verifier sees: the policy's turns joined by line breaks, or only the last one (`last_turn_only`)."""
        turns = self.turns
        return "\n".join(turns[-1:] if self._last_turn_only else turns)

    def push(self, token: int) -> bool:
        """Take the policy's next token, and return whether it ended the policy's turn.

        Raises `ValueError` if the answer is over.
        """
        if self.done:
            raise ValueError(f"the answer to task '{self.task.id}' is over: it takes no more tokens")
        token = int(token)
        self.ids.append(token)
        self.sampled.append(True)
        closed = token in self._format.stop_ids
        if closed or self._at_stop_string():
            self._end_turn(closed)
            return True
        self.truncated = self.budget_left <= 0
        return self.truncated

    def extend(self, tokens: Iterable[int]) -> int:
        """Take the tokens of **one** turn, and return how many were taken.

        Stops where the turn ends. A decoder sampled any tokens beyond that point without seeing the environment's
        reply, so they are not part of the answer.
        """
        taken = 0
        for token in tokens:
            if self.done:
                break
            taken += 1
            if self.push(token):
                break
        return taken

    def _decode(self, ids: list[int]) -> str:
        return self._format.tokenizer.decode(ids, skip_special_tokens=True)

    def _turn_text(self, ids: list[int]) -> str:
        if ids and ids[-1] in self._format.stop_ids:  # some end-of-turn tokens are not marked special
            ids = ids[:-1]
        text = self._decode(ids)
        ends = [at for at in (text.find(s) for s in self._stop) if at >= 0]
        return text[: min(ends)] if ends else text

    def _at_stop_string(self) -> bool:
        if not self._stop:
            return False
        tail = self._decode(self.ids[max(self._turn_start, len(self.ids) - self._tail) :])
        return any(s in tail for s in self._stop)

    def _end_turn(self, closed: bool) -> None:
        self._ended_turns.append(self._turn_text(self.ids[self._turn_start :]))
        self._turn_start = len(self.ids)
        reply = self._reply(self.task, tuple(self._ended_turns)) if self._reply else None
        if reply is None:
            self.terminated = True
            return
        reply_ids = self._format.reply_ids(reply, closed)[: self.budget_left]
        self.ids += reply_ids
        self.sampled += [False] * len(reply_ids)
        self._turn_start = len(self.ids)
        self.truncated = self.budget_left <= 0
