"""The named parts of a reward: a mapping that nobody can change, as a verdict holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Parts(Mapping[str, float]):
    """Parts of a reward by name, in the order of their names. It can be hashed and pickled."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, float] | None = None) -> None:
        self._values = dict(sorted((values or {}).items()))

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


NO_PARTS = Parts()
