"""Replies of environments: tools that the policy may call, and another try after a wrong answer.

A reply is any `reply(task, turns) -> str | None` (`simko.envs.episode.Reply`). The replies made here also have
attributes, and an author's own reply may have them too:
  - `stop`: strings that end the policy's turn; the turn's text ends with the one that did;
  - `turns`: how many turns there may be at most;
  - `last_turn_only`: the verifier sees the policy's last turn, not all of them.
The environment's own text carries no loss.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simko.errors import UserError
from simko.types import Task, Verdict

Tool = Callable[[str], str]
"""`(the text between the tags) -> the text that the policy is told`. `ValueError("why")` becomes the reply "Error: why"."""

MAX_RESULT = 400  # characters of a tool's result that are passed on
NO_CALLS_LEFT = "Error: no calls are left. Give the final answer."
AGAIN = "Incorrect. Try again."
AGAIN_TOKENS = 32  # room for that feedback, with what a chat template puts around it


def tool_reply(tools: Mapping[str, Tool], max_calls: int = 3) -> ToolReply:
    """The reply of an environment with tools: the policy writes `<name>input</name>` and is told `tools[name](input)`.

    The closing tag ends the policy's turn, so one turn holds one call; the text before it is the policy's own reasoning.
    A call left open at the end of a turn counts as a call. After `max_calls` calls, failed ones included, the policy is
    told once that none are left. A turn without a call is the final answer, and the verifier sees that turn alone.

    The tools must be defined at the top level of a module, so that they can be pickled. Raises `UserError` if there
    are no tools, if a name is not a word, or if `max_calls` is below 1.
    """
    for name in tools:
        if not re.fullmatch(r"\w+", name):
            raise UserError(f"tool name {name!r}: use letters, digits and underscores")
    if not tools or isinstance(max_calls, bool) or not isinstance(max_calls, int) or max_calls < 1:
        raise UserError(f"tool_reply: {len(tools)} tools and max_calls {max_calls!r}; give at least one of each")
    return ToolReply(dict(tools), max_calls)


@dataclass(frozen=True)
class ToolReply:
    """A reply that runs the tools that the policy calls: see `tool_reply`."""

    tools: dict[str, Tool]
    max_calls: int
    last_turn_only = True

    @property
    def stop(self) -> tuple[str, ...]:
        """The closing tags."""
        return tuple(f"</{name}>" for name in self.tools)

    @property
    def turns(self) -> int:
        """At most: each call, one call too many, and the answer."""
        return self.max_calls + 2

    def __call__(self, task: Task, turns: Sequence[str]) -> str | None:
        """The result of the call at the end of the last turn, or None if that turn is the final answer."""
        calls = [self._call(turn) for turn in turns]
        if calls[-1] is None:
            return None
        number = sum(call is not None for call in calls)
        if number > self.max_calls:
            return NO_CALLS_LEFT if number == self.max_calls + 1 else None
        name, text = calls[-1]
        try:
            return str(self.tools[name](text))[:MAX_RESULT]
        except ValueError as error:
            return f"Error: {error}"[:MAX_RESULT]
        except Exception as error:  # an author's tool raises whatever it likes
            return f"Error: {name} failed ({type(error).__name__})"

    def _call(self, turn: str) -> tuple[str, str] | None:
        """The tool and its input: the text from the last opening tag to a closing tag, or to the end of the turn."""
        at, name = max((turn.rfind(f"<{name}>"), name) for name in self.tools)
        if at < 0:
            return None
        text = turn[at + len(name) + 2 :]
        ends = [end for tag in self.stop if (end := text.find(tag)) >= 0]
        return name, text[: min(ends, default=len(text))].strip()


@dataclass(frozen=True)
class TryAgain:
    """A reply that gives another try after a wrong answer, `attempts` in all. The last answer counts.

    The policy is told only that it was wrong: the feedback never holds the gold answer. A right answer ends the
    episode. So does a verifier that fails, because then there is nothing to tell.
    """

    grade: Callable[[str, Task], Verdict]
    attempts: int
    last_turn_only = True

    @property
    def turns(self) -> int:
        """At most: one for each attempt."""
        return self.attempts

    def __call__(self, task: Task, turns: Sequence[str]) -> str | None:
        """The feedback on the last turn, or None if that turn ends the answer."""
        if len(turns) >= self.attempts:
            return None
        verdict = self.grade(turns[-1], task)
        return AGAIN if verdict.valid and not verdict.correct else None


def with_attempts(max_new_tokens: int, attempts: int) -> int:
    """The token budget of `attempts` answers of `max_new_tokens` each, feedback included."""
    return max_new_tokens * attempts + AGAIN_TOKENS * (attempts - 1)
