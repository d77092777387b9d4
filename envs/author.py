"""The author's decorators: `@task` makes an environment from one function, `@verifier` makes a verifier from one.

@simko.envs.task("my/Double-v0", verifier="numeric")
def double(rng, level):
    n = int(rng.integers(100))
    return f"What is twice {n}?", str(2 * n)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np

from simko.envs import registry, verifiers
from simko.envs.episode import Reply
from simko.envs.puzzles.procedural import Draft, ProceduralSource
from simko.errors import UserError
from simko.types import Task

F = TypeVar("F", bound=Callable[..., Any])


class FunctionTasks(ProceduralSource):
    """Tasks made by `function(rng, level) -> (problem, gold)` or `(problem, gold, response that grades correct)`.

    One problem in five, chosen by its text, is held out for evaluation (`simko.envs.split`). Raises `UserError` if the
    function returns anything else, or no problem for the split.
    """

    def __init__(
        self,
        function: Callable[[np.random.Generator, int], Sequence[Any]],
        levels: Mapping[int, str],
        split: str = "train",
        level: int | None = None,
        data: str | None = None,
    ) -> None:
        self.function = function
        self.name = function.__name__
        self.levels = dict(levels)  # type: ignore[misc]  # set on the instance: each function has its own levels
        super().__init__(split, level, data)

    def generate(self, rng: np.random.Generator, level: int) -> Draft:
        """Call the function once."""
        result = self.function(rng, level)
        if (
            not isinstance(result, tuple)
            or len(result) not in (2, 3)
            or not isinstance(result[0], str)
            or not result[0]
        ):
            raise UserError(f"task '{self.name}' returned {result!r:.80}; return (problem, gold), the problem a text")
        problem, gold, *answer = result
        return Draft(problem, str(gold), extra={"answer": str(answer[0])} if answer else {})

    def answer(self, task: Task) -> str:
        """A response that grades correct: the function's third value, or the gold answer itself."""
        return str(task.extra.get("answer", task.gold))


def task(
    id: str,
    *,
    verifier: str = "math",
    title: str = "",
    instruction: str = "",
    levels: Mapping[int, str] | Iterable[int] = (1,),
    max_prompt_tokens: int = 512,
    max_new_tokens: int = 256,
    stop: Iterable[str] = (),
    reply: str | Reply | None = None,
) -> Callable[[F], F]:
    """Register `function(rng, level) -> (problem, gold)` as the environment `id`, and return the function unchanged.

    `verifier` is the name of the verifier: one of `simko.envs.verifier_names()`, or your own from
    `@simko.envs.verifier`. `instruction` is appended to every problem as it is. `levels` are the difficulties; if the
    user names no level, each task draws its own. With `reply(task, turns)` the environment answers back;
    `simko.envs.tool_reply(...)` makes a reply that offers tools.

    The function must draw from `rng` alone. It and `reply` must be defined at the top level of a module, so that other
    processes can import them; `reply` may also be `"module:name"`. Raises `UserError` otherwise.
    """
    meanings = dict(levels) if isinstance(levels, Mapping) else {level: "" for level in levels}

    def register(function: F) -> F:
        at = _entry_point(function)
        function.tasks = partial(FunctionTasks, function, meanings)  # type: ignore[attr-defined]
        doc = (function.__doc__ or "").strip().splitlines()
        registry.register(
            registry.EnvInfo(
                id=id,
                title=title or (doc[0] if doc else function.__name__),
                tasks=f"{at}.tasks",
                verifier=verifier,
                source=f"procedural ({at})",
                instruction=instruction,
                max_prompt_tokens=max_prompt_tokens,
                max_new_tokens=max_new_tokens,
                stop=tuple(stop),
                levels=tuple(meanings),
                turns=getattr(reply, "turns", 2) if reply else 1,
                reply=_entry_point(reply, function) if reply else None,
            )
        )
        return function

    return register


def verifier(name: str) -> Callable[[F], F]:
    """Register `check(response, gold)` as the verifier `name`, and return the function unchanged.

    `check` may return a bool, a reward as a float, None (no answer found) or a whole `Verdict`, which may name the parts
    of its reward: `Verdict("correct", 1.2, parts={"correct": 1.0, "format": 0.2})`.
    """

    def register(check: F) -> F:
        verifiers.register_verifier(name, check)
        return check

    return register


def _entry_point(function: str | Callable[..., Any], beside: Callable[..., Any] | None = None) -> str:
    """`"module:name"` of a function. An object without a name is looked up in the module that defines `beside`."""
    if isinstance(function, str):
        return function
    name, module = getattr(function, "__qualname__", None), function.__module__
    if name is None and beside is not None:
        names = getattr(beside, "__globals__", {})
        name, module = next((n for n, value in names.items() if value is function), None), beside.__module__
    name = name or repr(function)
    if not name.isidentifier():
        raise UserError(
            f"'{name}' is not at the top level of a module; other processes could not find it: move it there"
        )
    return f"{module}:{name}"
