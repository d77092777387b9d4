"""The tree MDP of the SimKO paper (arXiv 2510.14807 v3, figure 5): three letters, six rewarded paths among 64.

Level 1 is the paper's tree and has one problem. A policy learns its modes, and there is nothing to hold out: both splits
have that problem, and `size` is 1. Levels 2 and 3 rename the letters and say so in the problem; level 3 also puts one
letter before the path. Their splits share no problem. The task comes first in this file, then its checker.
"""

from __future__ import annotations

import json
import re
from typing import ClassVar

import numpy as np

from simko.envs.puzzles.procedural import Draft, ProceduralSource
from simko.envs.verifiers.answer.extract import final_answer
from simko.types import Task, Verdict

LETTERS = "ABCD"
REWARDED = ("ACD", "ACB", "BDC", "BDA", "CAB", "DBA")
"""The paths with reward 1. All others have reward 0."""


class TreeMDP(ProceduralSource):
    """The task is to write one of the rewarded paths. The gold answer is the JSON list of them; the verifier is `tree_mdp`.

    `level=None` is level 1.
    """

    name = "tree_mdp"
    levels: ClassVar = {
        1: "the paper's tree: horizon 3, one problem in both splits",
        2: "the same tree with the letters renamed, as the problem says",
        3: "letters renamed and a given letter first: horizon 4",
    }
    single: ClassVar = frozenset({1})

    def __init__(self, split: str = "train", level: int | None = None, data: str | None = None) -> None:
        super().__init__(split, 1 if level is None else level, data)

    def generate(self, rng: np.random.Generator, level: int) -> Draft:
        """The paper's tree (level 1), or one with renamed letters."""
        problem = "Write a path of 3 letters, each of them A, B, C or D. Some paths are rewarded."
        if level == 1:
            return Draft(problem, json.dumps(REWARDED))
        renamed = "".join(LETTERS[int(i)] for i in rng.permutation(4))
        table = str.maketrans(LETTERS, renamed)
        leaves = [leaf.translate(table) for leaf in REWARDED]
        shown = ", ".join(f"{old} is written {new}" for old, new in zip(LETTERS, renamed, strict=True))
        problem = f"{problem} Here {shown}."
        if level == 3:
            first = LETTERS[int(rng.integers(4))]
            leaves = [first + leaf for leaf in leaves]
            problem += f" Put one more letter, {first}, before the path."
        return Draft(problem, json.dumps(leaves))

    def answer(self, task: Task) -> str:
        """The first rewarded path."""
        leaves: list[str] = json.loads(task.gold)
        return leaves[0]


_PATH = re.compile(r"[A-Z](?:[ ,>→-]{0,4}[A-Z]){0,9}")


def read_path(text: str) -> str | None:
    """The letters of a path written as `ACD`, `A, C, D` or `A -> C -> D`. None for anything else."""
    text = text.strip(" \t\n$*`\"'.")
    return "".join(re.findall("[A-Z]", text)) if _PATH.fullmatch(text) else None


def tree_mdp(response: str, gold: str) -> Verdict:
    """Grade a path. `gold` is the JSON list of the rewarded paths; `extracted` is the path, so that modes can be counted."""
    rewarded = json.loads(gold)
    answer = final_answer(
        response, same=lambda a, b: read_path(a) == read_path(b), whole=lambda text: read_path(text[:80]) is not None
    )
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    path = read_path(answer.text[:80])
    correct = path in rewarded
    return Verdict("correct" if correct else "incorrect", float(correct), path)
