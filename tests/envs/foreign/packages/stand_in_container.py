"""A taskset whose rewards all need a container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import stand_in_sums
import verifiers.v1 as vf  # type: ignore[import-not-found,unused-ignore]


class Task(vf.Task[stand_in_sums.Data] if stand_in_sums.IS_REAL else vf.Task):  # type: ignore[misc,unused-ignore]
    @vf.reward(weight=1.0)
    async def right(self, trace: Any, runtime: Any) -> float:
        return 1.0


class Boxes(vf.Taskset[Task] if stand_in_sums.IS_REAL else vf.Taskset):  # type: ignore[misc,unused-ignore]
    def load(self) -> Iterator[Any]:
        yield Task(stand_in_sums.Data(prompt="?", answer=""), self.config.task)


__all__ = ["Boxes"]
