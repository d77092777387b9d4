"""Packed rows: the rows of a batch in one row of tokens, each distinct prompt once, then the answers.

    ids           p p p p | q q | a a | b b b b | c c c c c         two prompts; a and c answer the first, b the second
    position_ids  0 1 2 3 | 0 1 | 4 5 | 2 3 4 5 | 4 5 6 7 8         an answer goes on where its prompt ended

An answer attends to its own prompt and to itself, to nothing else. `simko.agents.packed` computes attention by these lengths:
there is no padding and no N x N mask. The gradient flows back through a prompt once for all its answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from simko.types import Completion


@dataclass(frozen=True)
class PackedRows:
    """N tokens: first the prompts, then the answers, both from short to long."""

    ids: NDArray[np.int64]  # (N,)
    position_ids: NDArray[np.int64]  # (N,)
    prompts: tuple[int, ...]  # their lengths
    answers: tuple[tuple[int, int], ...]  # (index of the prompt, length >= 1)


@runtime_checkable
class Packer(Protocol):
    """A policy that computes packed rows."""

    @property
    def packs(self) -> bool:
        """Whether packed rows give the same hidden states as single rows. Checked once, by computing both."""

    def hidden_packed(self, rows: PackedRows) -> Any:
        """Last hidden states `[N, D]`, with a gradient to the adapter."""


def needed(completion: Completion) -> NDArray[np.int64]:
    """The answer's tokens up to the last sampled one. Later tokens have no part in the loss."""
    last = int(np.flatnonzero(completion.sampled)[-1]) + 1 if completion.sampled.any() else 0
    return completion.ids[:last]


def pack(completions: Sequence[Completion]) -> tuple[PackedRows, list[NDArray[np.int64]]]:
    """Pack rows; return them, and for each completion the places in N whose states predict the tokens of `needed`.

    The last token of an answer predicts nothing and is left out. Prompts with equal ids are one prompt.
    """
    prompts = {c.prompt_ids.tobytes(): c.prompt_ids for c in completions}
    keys = sorted(prompts, key=lambda key: (len(key), key))
    number = {key: i for i, key in enumerate(keys)}
    inputs = [needed(c)[:-1] for c in completions]
    owner = [number[c.prompt_ids.tobytes()] for c in completions]
    # answers of about equal length stand side by side: attention pads them to blocks
    order = sorted(range(len(completions)), key=lambda i: (len(inputs[i]), i))
    lengths = [len(prompts[key]) for key in keys]
    ends = np.cumsum([0, *lengths])[1:]

    places: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * len(completions)
    ids = [prompts[key] for key in keys]
    positions = [np.arange(length) for length in lengths]
    start = int(ends[-1])
    for i in order:
        t, p = len(inputs[i]), lengths[owner[i]]
        places[i] = np.concatenate([[ends[owner[i]] - 1], np.arange(start, start + t)])
        ids.append(inputs[i])
        positions.append(np.arange(p, p + t))
        start += t
    answers = tuple((owner[i], len(inputs[i])) for i in order if len(inputs[i]))
    return PackedRows(np.concatenate(ids), np.concatenate(positions), tuple(lengths), answers), places
