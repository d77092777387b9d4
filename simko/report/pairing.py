"""Which seeds of two arms belong together: those with one number started from one adapter and saw the same prompts."""

from __future__ import annotations

from collections.abc import Sequence

from simko.report.arm_names import BASE
from simko.report.measured import Measured


def pair(left: Sequence[Measured], right: Sequence[Measured]) -> tuple[list[int], list[int], str]:
    """Places in `left` and in `right` that are subtracted from one another, and in words how they were paired.

    Seeds that both have are paired. An arm that was measured once and has no training seed of its own, as a base model, stands
    against every seed of the other. Without a shared seed they are paired in order: then their seeds are independent, and a
    band over such pairs is right, only wider.
    """
    seeds = [entry.seed for entry in left], [entry.seed for entry in right]
    shared = [seed for seed in seeds[0] if seed in seeds[1]]
    for side, other, flipped in ((right, left, False), (left, right, True)):
        if len(side) == 1 and len(other) > 1 and (side[0].seed is None or is_untrained(side[0])):
            every, once = list(range(len(other))), [0] * len(other)
            return (
                (once, every, "one measurement against all")
                if flipped
                else (every, once, "all against one measurement")
            )
    if shared:
        return [seeds[0].index(seed) for seed in shared], [seeds[1].index(seed) for seed in shared], "by seed"
    count = min(len(left), len(right))
    return list(range(count)), list(range(count)), "in order: no seed is shared"


def is_untrained(entry: Measured) -> bool:
    """Whether this is a model before training: at the training prompt, at its strongest one, or at another temperature."""
    return entry.facts.get("trained") is False or entry.arm == BASE
