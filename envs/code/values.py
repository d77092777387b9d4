"""Values that came out of a sandbox: the tagged JSON of `runner.Encoder` as plain Python data, and nothing else.

The text is a stranger's. It is bounded before it is read, no class is looked up by name, and members of sets and dicts are
counted: equal hashes of many whole numbers can be made on purpose, and then a set takes quadratic time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 64
MAX_NODES = 250_000
MAX_MEMBERS = 10_000
"""Members of all sets and dicts of a value together."""
MAX_OF_A_HASH = 50
_FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


class BadValueError(ValueError):
    """The text is no tagged value, or it is over a bound."""


def decode(tagged: Any) -> Any:
    """The value of a tagged form that was read from JSON. Raises `BadValueError`."""
    try:
        return _Decoder().decode(tagged, 0)
    except BadValueError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, MemoryError, OverflowError) as error:
        raise BadValueError(str(error)[:80]) from error


def parse(line: bytes) -> Any:
    """A line of JSON. Raises `BadValueError`; a number of too many digits is none of ours."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadValueError(str(error)[:80]) from error


def check_hashes(members: Iterable[Any]) -> None:
    """Raise `BadValueError` if over `MAX_OF_A_HASH` members that differ have one hash."""
    of_a_hash: dict[int, list[Any]] = {}
    for member in members:
        others = of_a_hash.setdefault(hash(member), [])
        if member not in others:
            others.append(member)
        if len(others) > MAX_OF_A_HASH:
            raise BadValueError("too many members of one hash")


class _Decoder:
    def __init__(self) -> None:
        self.nodes = self.members = 0

    def decode(self, tagged: Any, depth: int) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise BadValueError("too large")
        if tagged is None or isinstance(tagged, bool | int | float | str):
            return tagged
        if isinstance(tagged, list):
            return [self.decode(item, depth + 1) for item in tagged]
        ((tag, content),) = tagged.items()
        if tag == "t":
            return tuple(self.decode(item, depth + 1) for item in content)
        if tag in ("s", "z"):
            members = [self.decode(item, depth + 1) for item in self._counted(content)]
            check_hashes(members)
            return set(members) if tag == "s" else frozenset(members)
        if tag == "d":
            pairs = [[self.decode(part, depth + 1) for part in pair] for pair in self._counted(content)]
            check_hashes(key for key, _ in pairs)
            return dict(pairs)
        if tag == "i":
            return int(content, 16)
        if tag == "f":
            return _FLOATS[content]
        if tag == "b":
            return bytes.fromhex(content)
        if tag == "c":
            real, imaginary = (float(self.decode(part, depth + 1)) for part in content)
            return complex(real, imaginary)
        raise BadValueError(f"tag {tag!r:.20}")

    def _counted(self, content: Any) -> list[Any]:
        if not isinstance(content, list):
            raise BadValueError("members are a list")
        self.members += len(content)
        if self.members > MAX_MEMBERS:
            raise BadValueError("too many members")
        return content
