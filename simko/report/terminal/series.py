"""The history of a metric in a bounded space, and as a line of small bars."""

from __future__ import annotations

from collections.abc import Sequence

BARS, PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
_MOST = 512


class Series:
    """Values by the order of their steps, as means over stretches of equal length. A long series has longer stretches.

    Attributes:
        first, last, low, high: of the values themselves; None before there is one.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most, self._stretch, self._filled = most + most % 2, 1, 0
        self._sums: list[float] = []
        self._counts: list[int] = []
        self.first: float | None = None
        self.last: float | None = None
        self.low: float | None = None
        self.high: float | None = None

    def add(self, value: float | None) -> None:
        """The value of the next step; None for a step without one."""
        if self._filled % self._stretch == 0:
            if len(self._sums) == self._most:
                self._merge()
            self._sums.append(0.0)
            self._counts.append(0)
        self._filled += 1
        if value is None:
            return
        self._sums[-1] += value
        self._counts[-1] += 1
        self.first = value if self.first is None else self.first
        self.last = value
        self.low = value if self.low is None else min(self.low, value)
        self.high = value if self.high is None else max(self.high, value)

    def _merge(self) -> None:
        self._sums = [a + b for a, b in zip(self._sums[::2], self._sums[1::2], strict=True)]
        self._counts = [a + b for a, b in zip(self._counts[::2], self._counts[1::2], strict=True)]
        self._stretch *= 2

    def means(self, width: int) -> list[float | None]:
        """At most `width` means over equal parts of the series; None where no step has a value."""
        size = len(self._sums)
        parts = min(width, size)
        out: list[float | None] = []
        for part in range(parts):
            first, last = part * size // parts, (part + 1) * size // parts
            count = sum(self._counts[first:last])
            out.append(sum(self._sums[first:last]) / count if count else None)
        return out


def bars(values: Sequence[float | None], ramp: str = BARS, low: float | None = None, high: float | None = None) -> str:
    """A character for each value, from `low` (else the lowest) to `high` (else the highest); a space for None.

    Values that are all the same make a low line.
    """
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    bottom = min(known) if low is None else low
    top = max(known) if high is None else high
    reach = top - bottom
    if not reach > 1e-9 * max(abs(top), abs(bottom)):
        return "".join(" " if value is None else ramp[0] for value in values)
    steps = len(ramp) - 1
    places = [None if value is None else round((value - bottom) / reach * steps) for value in values]
    return "".join(" " if place is None else ramp[min(steps, max(0, place))] for place in places)
