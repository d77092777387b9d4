"""Goods exchange: who owns what after the exchanges? The answer is unique: each person with an item, in any order."""

from __future__ import annotations

from typing import Any

from simko.envs.verifiers.synlogic.common import Tree, last_list, parse_list


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last tuple of (person, item) pairs gives every person the right item, once."""
    answer = last_list(text)
    if answer is None:
        return None
    solution = parse_list(game["metadata"]["owns_after"])
    if solution is None:
        raise ValueError(f"owns_after is not a tuple: {game['metadata']['owns_after'][:80]!r}")
    return _owners(answer) is not None and _owners(answer) == _owners(solution[0])


def _owners(pairs: Tree) -> dict[str, str] | None:
    owners: dict[str, str] = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            return None
        name, item = (" ".join(part.split()).casefold() for part in pair)
        if name in owners:
            return None
        owners[name] = item
    return owners
