"""Knights and knaves: who tells the truth? Knights always do, knaves never, and each person makes one statement.

Every puzzle has exactly one solution (all 2^n assignments are tried). The level is the number of people. The puzzle's
structure without its names decides the split, so a puzzle cannot return under other names. The task comes first in this
file, then its checker.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import ClassVar

import numpy as np

from simko.envs.puzzles.procedural import Draft, ProceduralSource
from simko.envs.verifiers.answer.extract import final_answer
from simko.types import Task, Verdict

NAMES = (
    "Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Henry", "Iris", "Jack",
    "Kate", "Liam", "Mona", "Nick", "Olive", "Paul", "Quinn", "Rose", "Sam", "Tina",
)  # fmt: skip
KNIGHT, KNAVE = "knight", "knave"
ROLES = (KNAVE, KNIGHT)  # by truthfulness: False, True

# (kind, the people it is about). "same" and "different" compare the speaker with that person; "knaves" holds a count.
Statement = tuple[str, tuple[int, ...]]


def holds(statement: Statement, speaker: int, honest: tuple[bool, ...]) -> bool:
    """Whether the statement is true if `honest[i]` says that person i is a knight."""
    kind, people = statement
    if kind == "is_knight":
        return honest[people[0]]
    if kind == "is_knave":
        return not honest[people[0]]
    if kind == "same":
        return honest[speaker] == honest[people[0]]
    if kind == "different":
        return honest[speaker] != honest[people[0]]
    if kind == "either_knave":
        return not honest[people[0]] or not honest[people[1]]
    if kind == "both_knights":
        return honest[people[0]] and honest[people[1]]
    if kind == "knaves":
        return sum(not h for h in honest) == people[0]
    raise ValueError(kind)


def solutions(statements: list[Statement]) -> list[tuple[bool, ...]]:
    """Every assignment in which exactly the statements of the knights are true."""
    return [
        honest
        for honest in itertools.product((False, True), repeat=len(statements))
        if all(holds(s, i, honest) == honest[i] for i, s in enumerate(statements))
    ]


def say(statement: Statement, speaker: int, names: list[str]) -> str:
    """The statement in the speaker's words."""
    kind, people = statement
    if kind == "is_knight":
        return f"{names[people[0]]} is a knight."
    if kind == "is_knave":
        return f"{names[people[0]]} is a knave."
    if kind == "same":
        return f"{names[people[0]]} and I are of the same kind."
    if kind == "different":
        return f"{names[people[0]]} and I are of different kinds."
    if kind in ("either_knave", "both_knights"):
        with_me = speaker in people
        first, second = (names[i] for i in sorted(people, key=lambda i: i == speaker))
        if kind == "either_knave":
            return f"At least one of {first} and {'me' if with_me else second} is a knave."
        return f"{first} and {'I' if with_me else second} are both knights."
    count = people[0]
    return f"Exactly {count} of all {len(names)} of us {'is a knave' if count == 1 else 'are knaves'}."


class KnightsKnaves(ProceduralSource):
    """Endless knights-and-knaves puzzles. The gold answer is a JSON object from name to role; the verifier is `knights`."""

    name = "knights"
    levels: ClassVar = {n: f"{n} people" for n in (2, 3, 4, 5)}

    def generate(self, rng: np.random.Generator, level: int) -> Draft:
        """One puzzle with a unique solution."""
        while True:
            statements = [self._statement(rng, speaker, level) for speaker in range(level)]
            assignments = solutions(statements)
            if len(assignments) == 1:
                break
        names = [NAMES[int(i)] for i in rng.permutation(len(NAMES))[:level]]
        quotes = " ".join(f'{names[i]} says: "{say(s, i, names)}"' for i, s in enumerate(statements))
        example = ", ".join(f"{name} is a {ROLES[i % 2]}" for i, name in enumerate(names))
        problem = (
            "On an island everyone is either a knight, who always tells the truth, or a knave, who always lies. "
            f"You meet {', '.join(names[:-1])} and {names[-1]}. {quotes} Who is what? "
            f"End with one line of this form (the roles here are only an example): Answer: {example}"
        )
        roles = {name: ROLES[honest] for name, honest in zip(names, assignments[0], strict=True)}
        return Draft(problem, json.dumps(roles), key=f"knights {json.dumps(statements)}")

    def answer(self, task: Task) -> str:
        """The solution in the form that the problem asks for."""
        roles: dict[str, str] = json.loads(task.gold)
        return "Answer: " + ", ".join(f"{name} is a {role}" for name, role in roles.items())

    def _statement(self, rng: np.random.Generator, speaker: int, level: int) -> Statement:
        kinds = ["is_knight", "is_knave", "same", "different", "either_knave", "both_knights", "knaves"]
        kind = kinds[int(rng.integers(len(kinds)))]
        if kind == "knaves":
            return kind, (int(rng.integers(level + 1)),)
        others = [i for i in range(level) if i != speaker]
        other = others[int(rng.integers(len(others)))]
        if kind in ("either_knave", "both_knights"):
            pair = [i for i in range(level) if i != other]
            return kind, tuple(sorted((other, pair[int(rng.integers(len(pair)))])))
        return kind, (other,)


MAX_CHARS = 1_000
_SPLIT = re.compile(r"[,;\n]|\band\b", re.IGNORECASE)
_ROLE = re.compile(r"[\s*_-]*([A-Za-z]{1,20})\s?(?::|=|is(?:\s(?:a|the))?)\s?(knight|knave)[\s.*_]*", re.IGNORECASE)


def read_roles(text: str) -> dict[str, str] | None:
    """Name to role, in lower case. None if any part of `text` says something else, or if a person is named twice."""
    if len(text) > MAX_CHARS:
        return None
    roles: dict[str, str] = {}
    for part in _SPLIT.split(" ".join(text.split(" ")).strip("{}[]()$ .")):
        if not part.strip():
            continue
        match = _ROLE.fullmatch(part)
        if match is None or match[1].lower() in roles:
            return None
        roles[match[1].lower()] = match[2].lower()
    return roles or None


def knights(response: str, gold: str) -> Verdict:
    """Grade everybody's role. `gold` is a JSON object from name to `knight` or `knave`; the order does not matter."""
    roles = {name.lower(): role for name, role in json.loads(gold).items()}

    def same(a: str, b: str) -> bool:
        return read_roles(a) == read_roles(b)

    answer = final_answer(response, same=same, whole=lambda text: read_roles(text) is not None)
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    correct = read_roles(answer.text) == roles
    return Verdict("correct" if correct else "incorrect", float(correct), answer.shown)
