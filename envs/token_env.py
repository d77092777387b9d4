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
SPLITS = ("train", "eval", "all")  # some sources have no "all"


class TokenEnv(gymnasium.Env[Observation, Any]):
    """Each episode is one problem. The policy's tokens are the actions; the verdict on its answer is the reward.

    - Observation: `tokens` (max_length,) int64, the prompt and everything after it, padded with 0; and `length`, how many
      tokens count.
    - Reward: 0.0 until the episode ends, then the verdict's.
    - `terminated`: the policy ended its answer (EOS or a stop string).
    - `truncated`: `max_new_tokens` cut it; the text is graded all the same.
    - `info`: `task` (id) and `text` (the prompt) after `reset`; `verdict` and `gold` at the end, and not before.

    `reset(options={"task": id})` asks for one task. A step before `reset` or after the end raises
    `gymnasium.error.ResetNeeded`. None for an argument means its default.

    Args:
        source: a `TaskSource`, or a class or function that makes one from `(split, level, data)`, or its
            `"module:name"`.
        verifier: the name of the verifier, `"math"` by default.
        tokenizer: which tokens; a name or a folder, or an object with `encode` and `decode`. By default they are bytes.
        data: which rows: a path, else the folder in `SIMKO_DATA`, else the Hub.
        split: which part of them: `train`, `eval` or `all`.
        level: how hard.
        template: see `PromptFormat`, also for `instruction` and `stop_ids`.
        max_prompt_tokens: 512 by default.
        max_new_tokens: tokens of the answer, replies included; 256 by default.
        context: tokens that the model takes, prompt and answer together. An answer has at most what the prompt leaves of
            them. None sets no limit.
        date: what a chat template reads from the clock; see `PromptFormat`.
        stop: strings that end the policy's turn. The one that was sampled is part of the text that is graded.
        reply: `reply(task, turns)` lets the environment answer back (`simko.envs.turns`).
        attempts: above 1, the policy may try again after a wrong answer, and the last answer counts.
        source_options: more keywords for `source`, such as `keep_good_rows` of sources that read files.

    Raises:
        UserError: a value does not fit.
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
        context: int | None = None,
        date: str | None = None,
        stop: tuple[str, ...] | list[str] | None = None,
        stop_ids: Iterable[int] | None = None,
        reply: str | Reply | None = None,
        attempts: int | None = None,
        source_options: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.split = _checked_split(split)
        self.render_mode = _checked_render_mode(render_mode)
        self.max_prompt_tokens = _positive("max_prompt_tokens", max_prompt_tokens, 512)
        self.max_new_tokens = _positive("max_new_tokens", max_new_tokens, 256)
        self.context = None if context is None else _positive("context", context, context)
        self.stop = _checked_stop(stop)
        self.source: TaskSource = _make_source(source, source_options, split=self.split, level=level, data=data)

        self.verifier_name = verifier or "math"
        grade = verifiers.get_verifier(self.verifier_name)  # an unknown name is an error now, not at the first grade
        if check_golds := getattr(self.source, "check_golds", None):
            check_golds(self.verifier_name, grade)

        self.reply: Reply | None = load_object(reply) if isinstance(reply, str) else reply
        self.attempts = _positive("attempts", attempts, 1)
        if self.attempts > 1:
            self.reply = self._try_again()
        self.single_turn = self.reply is None
        self.stop += tuple(s for s in getattr(self.reply, "stop", ()) if s not in self.stop)
        self.last_turn_only = bool(getattr(self.reply, "last_turn_only", False))

        self.tokenizer = load_tokenizer(tokenizer)
        self.format = PromptFormat(self.tokenizer, template or "chat", instruction or "", stop_ids or (), date)
        self.stop_ids: frozenset[int] = self.format.stop_ids
        self._check_prompts()

        self.max_length = self.max_prompt_tokens + self.max_new_tokens
        if self.context is not None:
            self.max_length = min(self.max_length, self.context)
        vocabulary = len(self.tokenizer)
        self.action_space = Discrete(vocabulary)
        tokens = Box(0, vocabulary - 1, (self.max_length,), np.int64)
        self.observation_space = Dict({"tokens": tokens, "length": Discrete(self.max_length + 1)})
        self.episode: Episode | None = None

    # The fast path. `reset` and `step` are made of these; the trainer calls them directly.

    def prompt_ids(self, task: Task) -> list[int]:
        """The prompt of `task` as token ids."""
        return self.format.prompt_ids(task.problem, task.system)

    def begin(self, task: Task) -> Episode:
        """A fresh answer to `task`, of `max_new_tokens` or what the prompt leaves of the model's context.

        Raises `UserError` if the prompt is empty or longer than `max_prompt_tokens`, or fills the context.
        """
        ids = self.prompt_ids(task)
        if not 0 < len(ids) <= self.max_prompt_tokens:
            raise UserError(
                f"the prompt of task '{task.id}' has {len(ids)} tokens, not 1 to {self.max_prompt_tokens}; "
                "raise max_prompt_tokens or leave the task out"
            )
        budget = self.max_new_tokens if self.context is None else min(self.max_new_tokens, self.context - len(ids))
        if budget < 1:
            raise UserError(
                f"the prompt of task '{task.id}' has {len(ids)} tokens, and the model takes {self.context}, prompt and answer "
                "together; leave the task out, or take a model with a longer context"
            )
        thought = self.format.thought(task.problem, task.system)
        return Episode(task, ids, self.format, budget, self.stop, self.reply, self.last_turn_only, thought)

    def grade(self, text: str, task: Task) -> Verdict:
        """The verdict on an answer's text (`Episode.text`). A text that the budget cut is graded all the same."""
        return verifiers.get_verifier(self.verifier_name)(text, task.gold)

    def conclude(self, episode: Episode) -> tuple[float, dict[str, Any]]:
        """The reward and the final `info` of an episode that is over.

        The verdict's `seconds` are left out, so that the same tokens always give the same `info`.
        """
        verdict = self.grade(episode.text, episode.task)
        parts = {"parts": dict(verdict.parts)} if verdict.parts else {}
        fields = {"outcome": verdict.outcome, "reward": float(verdict.reward), "extracted": verdict.extracted, **parts}
        return float(verdict.reward), {"verdict": fields, "gold": episode.task.gold}

    def pick_task(self, rng: np.random.Generator, task_id: str | None = None) -> Task:
        """The task with that id, or one drawn from `rng`."""
        return self.source.draw(rng) if task_id is None else self.source.get(task_id)

    # Gymnasium

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict]:
        """Start an episode with the task `options["task"]`, or with one drawn from `self.np_random`."""
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
        return {"task": task.id, "text": self.format.prompt_text(task.problem, task.system)}

    def render(self) -> str | None:  # type: ignore[override]
        """With `render_mode="ansi"`, the prompt and the text so far, replies included."""
        if self.render_mode is None:
            return None
        if self.episode is None:
            raise ResetNeeded("call reset() before render()")
        return transcript(self.episode, self.format)

    def close(self) -> None:
        """Let go of what the source holds open, such as connections. It opens them again if the environment is used again."""
        getattr(self.source, "close", lambda: None)()

    def _check_prompts(self) -> None:
        """Let a source of rows look at the prompt of each row: what cannot be asked is found now, not during a run."""
        check_prompts = getattr(self.source, "check_prompts", None)
        if not check_prompts:
            return
        more: dict[str, Any] = {}
        if (
            "context" in inspect.signature(check_prompts).parameters
        ):  # an author's own source may take two arguments only
            more = {"format": self.format, "context": self.context, "budget": self.max_new_tokens}
        check_prompts(lambda task: len(self.prompt_ids(task)), self.max_prompt_tokens, **more)

    def _try_again(self) -> TryAgain:
        if self.reply is not None:
            raise UserError(
                f"attempts is {self.attempts}, but this environment answers back already; leave attempts out"
            )
        return TryAgain(self.grade, self.attempts)

    def _observe(self, episode: Episode) -> Observation:
        tokens = np.zeros(self.max_length, np.int64)
        length = fill(tokens, episode)
        return {"tokens": tokens, "length": np.int64(length)}


def fill(row: NDArray[np.int64], episode: Episode) -> int:
    """Write the episode's tokens to the start of `row` (max_length,), and return how many there are."""
    prompt, end = len(episode.prompt_ids), len(episode.prompt_ids) + len(episode.ids)
    row[:prompt] = episode.prompt_ids
    row[prompt:end] = episode.ids
    return end


def transcript(episode: Episode, format: PromptFormat) -> str:
    """The prompt and the text so far, for people to read."""
    answer = format.tokenizer.decode(episode.ids, skip_special_tokens=True)
    return format.prompt_text(episode.task.problem, episode.task.system) + answer


def check_options(options: dict[str, Any] | None, names: tuple[str, ...]) -> None:
    """Raise `UserError` for an unknown reset option: a misspelt one would silently draw another task."""
    for key in options or {}:
        if key not in names:
            raise UserError(f"reset: no option '{key}'{nearest(key, names)}; known: {', '.join(names)}")


def load_object(path: str) -> Any:
    """Import the object named `"module:name"` or `"module:name.attribute"`. Raises `UserError` if it does not exist."""
    module, _, names = path.partition(":")
    try:
        value = importlib.import_module(module)
        for name in names.split("."):
            value = getattr(value, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"'{path}' cannot be imported ({error}); give 'module:name' of something at top level"
        ) from error
    return value


def make_env(env: Mapping[str, Any], **overrides: Any) -> TokenEnv:
    """The entry point of `gymnasium.make`.

    `env` holds the registered environment's own settings; an override that is None keeps them. If `attempts` is set and
    `max_new_tokens` is not, the environment's token budget grows with the attempts. Raises `UserError` for an unknown
    keyword.
    """
    names = list(inspect.signature(TokenEnv).parameters)
    for key in overrides:
        if key not in names:
            raise UserError(f"environments take no '{key}'{nearest(key, names)}; known: {', '.join(names)}")
    changes = {key: value for key, value in overrides.items() if value is not None}
    settings = {**env, **changes}
    if "max_new_tokens" in env and "max_new_tokens" not in changes:
        settings["max_new_tokens"] = with_attempts(
            env["max_new_tokens"], _positive("attempts", changes.get("attempts"), 1)
        )
    return TokenEnv(**settings)


def _checked_split(split: str | None) -> str:
    split = split or "train"
    if split not in SPLITS:
        raise UserError(f"split is '{split}'{nearest(split, SPLITS)}; use 'train' or 'eval'")
    return split


def _checked_render_mode(render_mode: str | None) -> str | None:
    if render_mode not in (None, "ansi"):
        raise UserError(f"render_mode is '{render_mode}'; use 'ansi' or leave it out")
    return render_mode


def _checked_stop(stop: tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    strings = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if not all(isinstance(s, str) and s for s in strings):
        raise UserError(f"stop is {strings!r}; give texts of at least one character")
    return strings


def _make_source(
    source: str | TaskSource | Callable[..., TaskSource],
    options: Mapping[str, Any] | None,
    *,
    split: str,
    level: Any,
    data: str | Path | None,
) -> TaskSource:
    """The task source itself, or what the class, function or entry point `source` makes."""
    made = load_object(source) if isinstance(source, str) else source
    if not isinstance(made, TaskSource) or isinstance(made, type):
        place = str(data) if isinstance(data, Path) else data
        made = made(split=split, level=level, data=place, **_options(made, options))
    elif options:
        raise UserError("source_options needs a class or function as source; give them where you make your source")
    if not isinstance(made, TaskSource):
        raise UserError(f"source {source!r} makes a {type(made).__name__}; it must have name, size, draw, get, tasks")
    return made


def _options(source: Callable[..., TaskSource], options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options as keywords of `source`. Raises `UserError` for one that it does not take."""
    if not options:
        return {}
    if not isinstance(options, Mapping):
        raise UserError(f"source_options is {options!r}; give a mapping, as in {{'keep_good_rows': True}}")
    parameters = inspect.signature(source).parameters
    names = [name for name in parameters if name not in ("split", "level", "data")]
    open_ended = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    for key in options:
        if key not in names and not open_ended:
            mend = f"known: {', '.join(names)}" if names else "it has none"
            raise UserError(f"the source of this environment takes no option '{key}'{nearest(str(key), names)}; {mend}")
    return dict(options)


def _positive(name: str, value: int | None, default: int) -> int:
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} is {value!r}; give a whole number of at least 1")
    return value
