"""Samples of one arm and one seed, counted: what every comparison is made of, whoever measured it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal["simko", "counts", "completions", "lm-eval", "inspect", "verifiers"]

MUST_AGREE = ("env", "level", "data_sha256", "verifier", "max_new_tokens", "attempts")
"""Facts that two arms must share to be drawn together; None stands for a fact that nobody wrote down."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The counts of one arm at one training seed.

    Attributes:
        arm: name of the arm; `base` is the model before training.
        seed: training seed. It is None if the arm was not trained, or if the file does not name it.
        counts: for each problem id its samples with a verdict, and how many of these are correct.
        answers: for each problem id, and each answer, `[samples that gave it, how many were correct]`; empty where unknown.
        facts: what decides the numbers: `MUST_AGREE`, and temperature, top_p, template, model, n, problems, truncated, ...
        source: who counted. All but `simko` and `completions` are counts that our verifiers have not seen.
        place: the file that it was read from.
    """

    arm: str
    seed: int | None
    counts: Mapping[str, tuple[int, int]]
    answers: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    source: Source = "simko"
    place: str = ""

    @property
    def foreign(self) -> bool:
        """Whether another program's verdicts were counted."""
        return self.source not in ("simko", "completions")
