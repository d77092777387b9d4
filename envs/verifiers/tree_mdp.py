"""The tree MDP: the final answer is one of the rewarded paths, letter by letter."""

from __future__ import annotations

import json
import re

from simko.envs.verifiers.extract import final_answer
from simko.types import Verdict

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
