from __future__ import annotations

import json

import numpy as np
import pytest

from simko.envs import grade
from simko.envs.puzzles.tree_mdp import REWARDED, TreeMDP
from simko.errors import UserError

PAPER = {"ACD", "ACB", "BDC", "BDA", "CAB", "DBA"}  # arXiv 2510.14807 v3, figure 5


def test_level_one_is_the_tree_of_the_paper_in_both_splits() -> None:
    for split in ("train", "eval"):
        made = TreeMDP(split)
        assert made.size == 1
        (task,) = made.tasks(None, 0)
        assert task == made.draw(np.random.default_rng(9)) == made.get(f"tree_mdp/{split}/1/0")
        assert set(json.loads(task.gold)) == PAPER == set(REWARDED)
        paths = [a + b + c for a in "ABCD" for b in "ABCD" for c in "ABCD"]
        assert {p for p in paths if grade(p, task.gold, "tree_mdp").correct} == PAPER
        with pytest.raises(UserError, match="no task"):
            made.get(f"tree_mdp/{split}/1/1")
        with pytest.raises(UserError, match="only 1 distinct"):
            made.tasks(2, 0)


@pytest.mark.parametrize("level", [2, 3])
def test_relabelled_trees_follow_their_problem(level: int) -> None:
    made, rng = TreeMDP("train", level), np.random.default_rng(0)
    assert made.size is None
    for _ in range(20):
        task = made.draw(rng)
        words = task.problem.replace(",", "").replace(".", "").split()
        renamed = {words[i - 1]: words[i + 2] for i, w in enumerate(words) if w == "is" and words[i + 1] == "written"}
        first = words[words.index("letter") + 1] if level == 3 else ""
        assert set(json.loads(task.gold)) == {first + "".join(renamed[c] for c in path) for path in PAPER}


@pytest.mark.parametrize(
    ("response", "outcome", "path"),
    [
        ("ACD", "correct", "ACD"),
        (" ACD\n", "correct", "ACD"),
        ("A, C, D", "correct", "ACD"),
        ("A -> C -> D", "correct", "ACD"),
        ("Answer: BDC", "correct", "BDC"),
        ("AAA", "incorrect", "AAA"),
        ("AC", "incorrect", "AC"),
        ("ACDB", "incorrect", "ACDB"),
        ("Answer: ACD or BDC", "incorrect", None),
        ("acd", "no_answer", None),
        ("ACD BDC\nACB", "no_answer", None),
    ],
)
def test_what_the_verifier_says(response: str, outcome: str, path: str | None) -> None:
    verdict = grade(response, '["ACD", "BDC"]', "tree_mdp")
    assert verdict.outcome == outcome
    if path:
        assert verdict.extracted == path
