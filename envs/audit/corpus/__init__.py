"""Corpora for the audit of verifiers. Code makes them from a seed, so that there can be any number of cases.

Hostile texts (`injections`, `bombs`, `gaming`) must never be correct, never execute and never hang. Metamorphic texts are
made from a gold answer: another spelling that is still right (`same`), or a small change that makes it wrong (`changed`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """A response whose verdict is known. `family` is injection, bomb, gaming, same or changed; `kind` is a finer name."""

    family: str
    kind: str
    response: str
    gold: str
    correct: bool
