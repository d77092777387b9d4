"""A stand-in for verifiers.v1: what the bridge calls, on plain classes."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any


class Record:
    """Keywords as attributes."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class UserMessage(Record):
    role = "user"


class SystemMessage(Record):
    role = "system"


class AssistantMessage(Record):
    role = "assistant"


class MessageNode(Record): ...


class TraceTask(Record): ...


class AgentInfo(Record): ...


class AgentConfig(Record): ...


class TaskData(Record):
    prompt: Any = None
    system_prompt: str | None = None
    answer: Any = None

    def model_dump(self, mode: str) -> dict[str, Any]:
        return dict(self.__dict__)


class Trace(Record):
    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.rewards: dict[str, Any] = {}

    @property
    def reward(self) -> float:
        return sum(reward.value for reward in self.rewards.values() if reward is not None)

    @property
    def last_reply(self) -> str:
        return str([node for node in self.nodes if node.sampled][-1].message.content)


def reward(weight: float = 1.0) -> Callable[[Any], Any]:
    def mark(function: Any) -> Any:
        function.weight = weight
        return function

    return mark


class Task:
    NEEDS_CONTAINER = False
    key = hash = "-"

    def __init__(self, data: TaskData, config: Any = None) -> None:
        self.data, self.config = data, config

    async def setup(self, trace: Any, runtime: Any) -> None: ...

    async def finalize(self, trace: Any, runtime: Any) -> None: ...

    @classmethod
    def toolsets(cls, config: Any) -> list[Any]:
        return []

    def plugged_judges(self) -> list[Any]:
        return []

    def hooks(self, kind: str) -> list[Any]:
        return [getattr(self, name) for name in dir(type(self)) if hasattr(getattr(type(self), name), "weight")]

    async def score(self, trace: Trace, runtime: Any = None) -> None:
        for hook in self.hooks("reward"):
            if "runtime" not in inspect.signature(hook).parameters:
                value = await hook(trace)
                trace.rewards[hook.__name__] = Record(value=value * hook.weight)


class TasksetConfig(Record):
    task = None

    @classmethod
    def model_validate(cls, values: Mapping[str, Any]) -> TasksetConfig:
        unknown = set(values) - {"id", *cls.__annotations__}
        if unknown:
            raise ValueError(f"extra inputs are not permitted: {sorted(unknown)}")
        return cls(**values)


class Taskset:
    config_type: type[TasksetConfig] = TasksetConfig

    def __init__(self, config: TasksetConfig) -> None:
        self.config = config

    @classmethod
    def toolsets(cls, config: Any) -> list[Any]:
        return []

    def take(self, count: int) -> Any:
        return islice(self.load(), count)  # type: ignore[attr-defined]


def _taskset(module: str) -> type[Taskset]:
    plugin = importlib.import_module(module)
    made: type[Taskset] = getattr(plugin, plugin.__all__[0])
    return made


def taskset_config_type(module: str) -> type[TasksetConfig]:
    return _taskset(module).config_type


def load_taskset(config: TasksetConfig) -> Taskset:
    return _taskset(config.id)(config)  # type: ignore[attr-defined]
