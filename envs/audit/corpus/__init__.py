"""Corpora for the audit of verifiers: made by code from a seed, so that there are as many cases as wanted.

`hostile` (`injections`, `bombs`, `gaming`): texts that must never be correct, never execute, never hang. `metamorphic`
(`same`, `changed`): a gold answer, in another spelling that is still right, or with a small change that makes it wrong.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """A response whose verdict is known. `family` is injection, bomb, gaming, same or changed; `kind` says more."""

    family: str
    kind: str
    response: str
    gold: str
    correct: bool
