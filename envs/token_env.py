"""`TokenEnv`: a verifiable task as a token-level Gymnasium environment. An action is one token id."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from simko.envs import verifiers
from simko.envs.episode import Episode, Reply
from simko.envs.prompts import PromptFormat
from simko.envs.tokenizers import TokenizerLike, load_tokenizer
from simko.envs.turns import TryAgain, with_attempts
from simko.errors import UserError, nearest
from simko.types import Task, TaskSource, Verdict

Observation = dict[str, Any]  # {"tokens": int64 (max_length,), "length": int64}
SPLITS = ("train", "eval", "all")  # all: where the source has it


class TokenEnv(gymnasium.Env[Observation, Any]):
    """One problem an episode; the policy's tokens are the actions, the verifier's verdict the reward.

    Observation: `tokens` (max_length,) int64, the prompt and all that followed, padded with 0, and `length`, how many
    of them count. Reward: 0.0 until the episode ends, then the verdict's. `terminated`: the policy ended its answer (EOS
    or a stop string). `truncated`: `max_new_tokens` cut it; its text is graded like any other. `info`: `task` (id) and
    `text` (the prompt) after `reset`; `verdict` and `gold` at the end, and not before. `reset(options={"task": id})`
    asks for one task. A step before `reset` or after the end raises `gymnasium.error.ResetNeeded`.

    `source` is a `TaskSource`, or what makes one from `(split, level, data)`: a class, a function, or `"module:name"`
    of one; `source_options` are further keywords of it, such as `keep_good_rows` of sources that read files.
    `stop_ids` end a turn beside the tokenizer's EOS (a model may have more).
    `reply(task, turns)` lets the environment answer back (`simko.envs.turns`). `attempts` above 1 lets the policy
    try again after a wrong answer: it hears that it was wrong, and the reward is that of its last answer. Everything else
    may be None for its default. Raises `UserError` for what cannot be built.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 30}  # noqa: RUF012 - Gymnasium's own annotation

    def __init__(
        self,
        source: str | TaskSource | Callable[..., TaskSource],
        verifier: str | None = None,
        *,
        tokenizer: str | Path | TokenizerLike | None = None,
        data: str | Path | None = None,
        split: str | None = None,
        level: Any = None,
        template: str | None = None,
        instruction: str | None = None,
        max_prompt_tokens: int | None = None,
        max_new_tokens: int | None = None,
        stop: tuple[str, ...] | list[str] | None = None,
        stop_ids: Iterable[int] | None = None,
        reply: str | Reply | None = None,
        attempts: int | None = None,
        source_options: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.split = split or "train"
        if self.split not in SPLITS:
            raise UserError(f"split is '{split}'{nearest(self.split, SPLITS)}; use 'train' or 'eval'")
        if render_mode not in (None, "ansi"):
            raise UserError(f"render_mode is '{render_mode}'; use 'ansi' or leave it out")
        self.render_mode = render_mode
        self.max_prompt_tokens = _positive("max_prompt_tokens", max_prompt_tokens, 512)
        self.max_new_tokens = _positive("max_new_tokens", max_new_tokens, 256)
        self.stop = (stop,) if isinstance(stop, str) else tuple(stop or ())
        if not all(isinstance(s, str) and s for s in self.stop):
            raise UserError(f"stop is {self.stop!r}; give texts of at least one character")

        made = load_object(source) if isinstance(source, str) else source
        if not isinstance(made, TaskSource) or isinstance(made, type):
            place = str(data) if isinstance(data, Path) else data
            made = made(split=self.split, level=level, data=place, **_options(made, source_options))
        elif source_options:
            raise UserError("source_options is for a source that is made here; give them where yours is made")
        if not isinstance(made, TaskSource):
            raise UserError(
                f"source {source!r} makes a {type(made).__name__}; it must have name, size, draw, get, tasks"
            )
        self.source: TaskSource = made
        self.verifier_name = verifier or "math"
        own_grade = verifiers.get_verifier(
            self.verifier_name
        )  # an unknown name is an error now, not at the first grade
        if check_golds := getattr(self.source, "check_golds", None):
            check_golds(self.verifier_name, own_grade)
        self.reply: Reply | None = load_object(reply) if isinstance(reply, str) else reply
        self.attempts = _positive("attempts", attempts, 1)
        if self.attempts > 1:
            if self.reply is not None:
                raise UserError(
                    f"attempts is {attempts}, but this environment answers back already; leave attempts out"
                )
            self.reply = TryAgain(self.grade, self.attempts)
        own_stop: tuple[str, ...] = getattr(self.reply, "stop", ())
        self.stop += tuple(s for s in own_stop if s not in self.stop)
        self.last_turn_only = bool(getattr(self.reply, "last_turn_only", False))
        self.tokenizer = load_tokenizer(tokenizer)
        self.format = PromptFormat(self.tokenizer, template or "chat", instruction or "", stop_ids or ())
        self.single_turn = self.reply is None
        self.stop_ids: frozenset[int] = self.format.stop_ids
        if check_prompts := getattr(self.source, "check_prompts", None):
            check_prompts(lambda task: len(self.prompt_ids(task)), self.max_prompt_tokens)

        self.max_length = self.max_prompt_tokens + self.max_new_tokens
        vocabulary = len(self.tokenizer)
        self.action_space = Discrete(vocabulary)
        tokens = Box(0, vocabulary - 1, (self.max_length,), np.int64)
        self.observation_space = Dict({"tokens": tokens, "length": Discrete(self.max_length + 1)})
        self.episode: Episode | None = None

    # The fast path: what `reset` and `step` are made of. The trainer calls these.

    def prompt_ids(self, task: Task) -> list[int]:
        """The prompt of `task` as token ids."""
        return self.format.prompt_ids(task.problem)

    def begin(self, task: Task) -> Episode:
        """A fresh answer to `task`. Raises `UserError` where its prompt is empty or over `max_prompt_tokens`."""
        ids = self.prompt_ids(task)
        if not 0 < len(ids) <= self.max_prompt_tokens:
            raise UserError(
                f"the prompt of task '{task.id}' has {len(ids)} tokens, not 1 to {self.max_prompt_tokens}; "
                "raise max_prompt_tokens or leave the task out"
            )
        return Episode(task, ids, self.format, self.max_new_tokens, self.stop, self.reply, self.last_turn_only)

    def grade(self, text: str, task: Task) -> Verdict:
        """The verdict on an answer's text (`Episode.text`), cut by the budget or not."""
        return verifiers.get_verifier(self.verifier_name)(text, task.gold)

    def conclude(self, episode: Episode) -> tuple[float, dict[str, Any]]:
        """The reward and the final `info` of an episode that is over.

        The verdict's `seconds` stay out: `info` is the same for the same tokens.
        """
        verdict = self.grade(episode.text, episode.task)
        said = {"outcome": verdict.outcome, "reward": float(verdict.reward), "extracted": verdict.extracted}
        return float(verdict.reward), {"verdict": said, "gold": episode.task.gold}

    def pick_task(self, rng: np.random.Generator, task_id: str | None = None) -> Task:
        """The task of that id, or one drawn from `rng`."""
        return self.source.draw(rng) if task_id is None else self.source.get(task_id)

    # Gymnasium

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict]:
        """Start an episode, with the task of `options["task"]` or one drawn from `self.np_random`."""
        super().reset(seed=seed)
        check_options(options, ("task",))
        task = self.pick_task(self.np_random, (options or {}).get("task"))
        self.episode = self.begin(task)
        return self._observe(self.episode), self.describe(task)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict]:
        """Append one token. Raises `InvalidAction` for an id outside the vocabulary, `ResetNeeded` after the end."""
        if self.episode is None or self.episode.done:
            raise ResetNeeded("call reset(): " + ("no episode was begun" if self.episode is None else "it is over"))
        if not self.action_space.contains(action):
            raise InvalidAction(f"action {action!r} is not a token id in 0..{len(self.tokenizer) - 1}")
        self.episode.push(int(action))
        nothing_yet: tuple[float, dict[str, Any]] = (0.0, {})
        reward, info = self.conclude(self.episode) if self.episode.done else nothing_yet
        return self._observe(self.episode), reward, self.episode.terminated, self.episode.truncated, info

    def describe(self, task: Task) -> dict[str, Any]:
        """The `info` at the start of an episode."""
        return {"task": task.id, "text": self.format.prompt_text(task.problem)}

    def render(self) -> str | None:  # type: ignore[override]
        """With `render_mode="ansi"`: the prompt and the text so far, the environment's replies included."""
        if self.render_mode is None:
            return None
        if self.episode is None:
            raise ResetNeeded("call reset() before render()")
        return transcript(self.episode, self.format)

    def _observe(self, episode: Episode) -> Observation:
        tokens = np.zeros(self.max_length, np.int64)
        length = fill(tokens, episode)
        return {"tokens": tokens, "length": np.int64(length)}


def fill(row: NDArray[np.int64], episode: Episode) -> int:
    """Write the episode's tokens to the start of `row` (max_length,); returns how many."""
    prompt, end = len(episode.prompt_ids), len(episode.prompt_ids) + len(episode.ids)
    row[:prompt] = episode.prompt_ids
    row[prompt:end] = episode.ids
    return end


def transcript(episode: Episode, format: PromptFormat) -> str:
    """The prompt and the text so far, to read."""
    said = format.tokenizer.decode(episode.ids, skip_special_tokens=True)
    return format.prompt_text(episode.task.problem) + said


def check_options(options: dict[str, Any] | None, known: tuple[str, ...]) -> None:
    """Raise `UserError` for a reset option that is not known: a slip would silently draw another task."""
    for key in options or {}:
        if key not in known:
            raise UserError(f"reset: no option '{key}'{nearest(key, known)}; known: {', '.join(known)}")


def load_object(path: str) -> Any:
    """What `"module:name"` (or `"module:name.attribute"`) names. Raises `UserError` where there is no such thing."""
    module, _, names = path.partition(":")
    try:
        found = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"'{path}' cannot be imported ({error}); give 'module:name' of something at top level"
        ) from error
    return found


def make_env(env: Mapping[str, Any], **overrides: Any) -> TokenEnv:
    """The Gymnasium entry point: `env` holds the registered environment's own settings, a None override keeps them.

    `attempts` without a `max_new_tokens` beside it raises the environment's own budget with it. Raises `UserError` for an
    unknown keyword.
    """
    known = list(inspect.signature(TokenEnv).parameters)
    for key in overrides:
        if key not in known:
            raise UserError(f"environments take no '{key}'{nearest(key, known)}; known: {', '.join(known)}")
    given = {key: value for key, value in overrides.items() if value is not None}
    settings = {**env, **given}
    if "max_new_tokens" in env and "max_new_tokens" not in given:
        settings["max_new_tokens"] = with_attempts(
            env["max_new_tokens"], _positive("attempts", given.get("attempts"), 1)
        )
    return TokenEnv(**settings)


def _options(source: Callable[..., TaskSource], options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options, each a keyword that `source` takes; raises `UserError` for another."""
    if not options:
        return {}
    if not isinstance(options, Mapping):
        raise UserError(f"source_options is {options!r}; give a mapping, as in {{'keep_good_rows': True}}")
    taken = [name for name in inspect.signature(source).parameters if name not in ("split", "level", "data")]
    for key in options:
        if key not in taken:
            known = f"known: {', '.join(taken)}" if taken else "it has none"
            raise UserError(
                f"the source of this environment takes no option '{key}'{nearest(str(key), taken)}; {known}"
            )
    return dict(options)


def _positive(name: str, value: int | None, default: int) -> int:
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} is {value!r}; give a whole number of at least 1")
    return value
