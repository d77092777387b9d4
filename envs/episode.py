"""One answer, token by token. `TokenEnv`, `TokenVectorEnv` and the trainer's fast path all use this state machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from simko.envs.prompts import PromptFormat
from simko.envs.verifiers.answer.visible import closing_of, is_open
from simko.types import Finish, Task

Reply = Callable[[Task, Sequence[str]], str | None]
"""`(task, the policy's turns so far) -> the environment's next text`, or None if it has nothing to add."""

_SPARE = 4  # tokens decoded beyond the longest stop string: some tokenizers drop the blank at the head of a text


class Episode:
    """The state of one answer to `task`.

    The policy's turn ends with a token of `format.stop_ids`, or as soon as a stop string appears in the turn's text. A stop
    string that was sampled is part of that text, so that `</answer>` may be one. Then `reply` is called. If it returns a
    text, the text is appended as ids (`sampled` False) and the policy speaks again. If it returns None, or there is no
    `reply`, the answer is over (`terminated`).

    `thought` is what opens a thought at the end of the prompt (`PromptFormat.thought`). The turn's text begins with it, so
    whoever reads the text, now or in a record, sees that the policy spoke inside a thought.

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
        thought: str = "",
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
        self.thought = thought
        """What opens the thought in which the policy's current turn begins; empty if nothing does."""
        self._goes_on = False  # whether that thought was opened in an earlier turn
        self._ended_turns: list[str] = []
        self._text = ""  # of the ended turns
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
        """The text of each of the policy's turns, the unfinished one last.

        A turn ends with the stop string that ended it. Special tokens are left out, but for those that open or close a thought.
        """
        unfinished = self.ids[self._turn_start :]
        return [*self._ended_turns, self._turn_text(unfinished)] if unfinished else list(self._ended_turns)

    @property
    def text(self) -> str:
        """The text that the verifier sees: the policy's turns joined by line breaks, or only the last one (`last_turn_only`)."""
        turns = self.turns
        if self._last_turn_only:
            return turns[-1] if turns else ""
        return self._text if len(turns) == len(self._ended_turns) else self._joined(turns[-1])

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

    def _turn_text(self, ids: list[int]) -> str:
        if ids and ids[-1] in self._format.stop_ids:  # some end-of-turn tokens are not marked special
            ids = ids[:-1]
        text = self._format.answer_text(ids)
        ends = [(at, -len(stop)) for stop in self._stop if (at := text.find(stop)) >= 0]
        if ends:
            at, length = min(ends)
            text = text[: at - length]
        opened = self.thought.strip()
        return text if opened and text.lstrip().startswith(opened) else self.thought + text  # some models open it again

    def _joined(self, turn: str) -> str:
        """The text of the ended turns and of `turn`. A thought that goes on is opened once, one that was left is closed."""
        if not self._ended_turns:
            return turn
        if self._goes_on:
            return f"{self._text}\n{turn.removeprefix(self.thought)}"
        left = f"\n{closing_of(self.thought)}" if self.thought and is_open(self._text) else ""
        return f"{self._text}{left}\n{turn}"

    def _at_stop_string(self) -> bool:
        if not self._stop:
            return False
        ids = self.ids[max(self._turn_start, len(self.ids) - self._tail) :]
        tail = self._format.tokenizer.decode(ids, skip_special_tokens=True)
        return any(s in tail for s in self._stop)

    def _end_turn(self, closed: bool) -> None:
        turn = self._turn_text(self.ids[self._turn_start :])
        self._text = self._joined(turn)
        self._ended_turns.append(turn)
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
        self._goes_on = self._format.reply_thought is None and bool(self.thought) and is_open(turn)
        if not self._goes_on:
            self.thought = self._format.reply_thought or ""
