"""A taskset for the real verifiers and for its stand-in: sums, and answers that ask for trouble."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf  # type: ignore[import-not-found,unused-ignore]

IS_REAL = hasattr(vf, "Env")


class Data(vf.TaskData):  # type: ignore[misc,unused-ignore]
    answer: str = ""


class Task(vf.Task[Data] if IS_REAL else vf.Task):  # type: ignore[misc,unused-ignore]
    @vf.reward(weight=1.0)
    async def right(self, trace: Any) -> float:
        said = trace.last_reply
        print("noise")
        if said == "hang":
            time.sleep(600)
        if said == "die":
            os._exit(3)
        if said == "exit":
            sys.exit(3)
        if said == "raise":
            raise RuntimeError("a\nb")
        return {"nan": float("nan"), "huge": 1e300}.get(said, float(said == self.data.answer))

    @vf.reward(weight=0.5)
    async def short(self, trace: Any) -> float:
        return float(len(trace.last_reply) < 5)


class Config(vf.TasksetConfig):  # type: ignore[misc,unused-ignore]
    most: int = 20
    kind: str = ""


class Sums(vf.Taskset[Task, Config] if IS_REAL else vf.Taskset):  # type: ignore[misc,unused-ignore]
    config_type = Config

    def load(self) -> Iterator[Any]:
        kind = getattr(self.config, "kind", "")
        for i in range(getattr(self.config, "most", 20)):
            prompt: Any = f"What is {i} + {i}?"
            if kind == "chat":
                prompt = [vf.SystemMessage(content="Be brief."), vf.UserMessage(content=prompt)] if IS_REAL else [
                    {"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}
                ]  # fmt: skip
            if kind == "same":
                prompt = "Guess my number."
            if kind == "none":
                prompt = None
            yield Task(Data(prompt=prompt, answer=str(2 * i)), self.config.task)


__all__ = ["Sums"]
