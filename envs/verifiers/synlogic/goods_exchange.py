"""Who owns what after the exchanges. It is unique: every person with their item, in any order."""

from __future__ import annotations

from typing import Any

from simko.envs.verifiers.synlogic.common import Tree, last_list, parse_list


def check(text: str, game: dict[str, Any]) -> bool | None:
    """Whether the last tuple of (person, item) gives every person the right item, once."""
    found = last_list(text)
    if found is None:
        return None
    wanted = parse_list(game["metadata"]["owns_after"])
    if wanted is None:
        raise ValueError(f"owns_after is no tuple: {game['metadata']['owns_after'][:80]!r}")
    return _owners(found) is not None and _owners(found) == _owners(wanted[0])


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
