"""A stand-in for reasoning-gym: the same calls, and tasks that are right, loose, broken or hostile."""

from __future__ import annotations

import os
from typing import Any

from reasoning_gym.factory import DATASETS


class Config:
    def __init__(self, seed: int = 0, size: int = 500, most: int = 500) -> None:
        self.seed, self.size, self.most = seed, size, most


class Sums:
    """`a + b`; the scorer gives part credit to an answer that contains the right one."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __getitem__(self, index: int) -> dict[str, Any]:
        n = (self.config.seed * 1000 + index) % self.config.most
        return {"question": f"What is {n} + 1?", "answer": str(n + 1), "metadata": {"n": n}}

    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        if answer is None:
            return 0.0
        return 1.0 if answer == entry["answer"] else 0.5 if entry["answer"] in answer else 0.01


class Evaluated(Sums):
    """Its scorer runs the answer."""

    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        try:
            return float(eval(str(answer)) == entry["metadata"]["n"] + 1)
        except Exception:
            return 0.0


class Raising(Sums):
    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        return float(int(str(answer)) == entry["metadata"]["n"] + 1)


class Wild(Sums):
    """Its scorer does what the answer says."""

    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> Any:
        if answer == "open":
            return len(open(__file__).read())
        if answer == "import":
            import antigravity  # noqa: F401
        if answer == "compile":
            compile("1", "", "eval")
        while answer == "hang":
            pass
        if answer == "die":
            os._exit(3)
        if answer == "eat":
            return len([0] * 10**10)
        return {"nan": float("nan"), "two": 2.0, "text": "1.0", "true": True, "minus": -1}.get(str(answer), 0.0)


class NoAnswer(Sums):
    def __getitem__(self, index: int) -> dict[str, Any]:
        return super().__getitem__(index) | {"answer": None}


class BadItems(Sums):
    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == 3:
            raise RuntimeError("no item\n3")
        return super().__getitem__(index)


class NoText(Sums):
    def __getitem__(self, index: int) -> dict[str, Any]:
        return super().__getitem__(index) | {"question": ["a", index]}


TASKS = (Sums, Evaluated, Raising, Wild, NoAnswer, BadItems, NoText)
DATASETS.update({task.__name__.lower(): task for task in TASKS} | {"puzzle24": Sums})


def create_dataset(name: str, **config: Any) -> Any:
    return DATASETS[name](Config(**config))
