"""The tree MDP of the SimKO paper (arXiv 2510.14807 v3, figure 5): three letters, six rewarded paths among 64.

Level 1 is the paper's tree and has one problem only: a policy learns its modes, there is nothing to hold out, so both
splits hold that one problem and `size` is 1. Levels 2 and 3 rename the letters (and put one letter before the path) and
say so in the problem; their problems are disjoint between the splits as everywhere else.
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
"""The leaves with reward 1; all others have 0."""


class TreeMDP(ProceduralSource):
    """Write one of the rewarded paths. The gold answer is the JSON list of them; the verifier is `tree_mdp`.

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
        """One relabelled tree (level 2 and up), or the paper's."""
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
    """The letters of a path, `ACD` or `A, C, D` or `A -> C -> D`; None for anything else."""
    text = text.strip(" \t\n$*`\"'.")
    return "".join(re.findall("[A-Z]", text)) if _PATH.fullmatch(text) else None


def tree_mdp(response: str, gold: str) -> Verdict:
    """`gold` is the JSON list of the rewarded paths; `extracted` is the path taken, so modes can be counted."""
    rewarded = json.loads(gold)
    found = final_answer(
        response, same=lambda a, b: read_path(a) == read_path(b), whole=lambda text: read_path(text[:80]) is not None
    )
    if found.text is None:
        return Verdict("incorrect" if found.conflict else "no_answer", 0.0, found.shown)
    path = read_path(found.text[:80])
    correct = path in rewarded
    return Verdict("correct" if correct else "incorrect", float(correct), path)
