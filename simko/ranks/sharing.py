"""The two pieces of work that ranks share: the answers of a rollout, and the rows of an update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simko.packing import needed
from simko.ranks.dealing import Piece, deal_rollout, deal_rows
from simko.ranks.parcel import Parcel
from simko.ranks.worlds import world
from simko.types import Batch, Completion, Group, Task, Verdict

_ARRAYS = ("prompt_ids", "ids", "logprobs", "sampled")


def groups_of(tasks: Sequence[Task], n: int, answer: Callable[[Sequence[Piece]], list[Completion]]) -> list[Group]:
    """`n` answers to each task. `answer` gives those of the pieces that fall to this rank, in order; all ranks get all.

    Equal answers to a task have one verdict, as if one process had graded them: that of the lowest rank. Raises what
    `World.share` raises.
    """
    here = world()
    if here.alone:
        every = answer([Piece(index, 0, n) for index in range(len(tasks))])
        return [Group(task, tuple(every[i * n : (i + 1) * n])) for i, task in enumerate(tasks)]
    shares = deal_rollout([here.lengths.expected(task) for task in tasks], n, here.size)
    luggage = here.luggage

    def mine() -> Parcel:
        parcel = _packed(answer(shares[here.rank]))
        return replace(parcel, facts=[parcel.facts, luggage.outgoing() if luggage else None])

    rows: list[list[Any]] = [[None] * n for _ in tasks]
    verdicts: dict[tuple[str, str], Verdict] = {}
    parts = here.share(mine)
    for share, part in zip(shares, parts, strict=True):
        completions = iter(_unpacked(Parcel(part.facts[0], part.tensors)))
        for piece in share:
            for sample in range(piece.first, piece.first + piece.count):
                completion = next(completions)
                verdict = verdicts.setdefault((tasks[piece.task].id, completion.text), completion.verdict)
                rows[piece.task][sample] = replace(completion, verdict=verdict)
    if luggage:
        luggage.incoming([part.facts[1] for part in parts])
    groups = [Group(task, tuple(row)) for task, row in zip(tasks, rows, strict=True)]
    here.lengths.learn(groups)
    return groups


def my_rows(batch: Batch, rows: Sequence[int]) -> list[int]:
    """Those of the `rows` of a batch that this rank computes; all of them if it is alone."""
    here = world()
    if here.alone:
        return list(rows)
    costs = [float(len(needed(batch.completions[row]))) for row in rows]
    shares = deal_rows(costs, [int(batch.group[row]) for row in rows], here.size)
    return [rows[place] for place in shares[here.rank]]


class Gradients:
    """The gradient of a piece of work that ranks share. It is summed once, and added to the parameters' `.grad`."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters, self._flat = parameters, torch.empty(0)
        self._before = [parameter.grad for parameter in parameters]
        if not world().alone:
            for parameter in parameters:
                parameter.grad = None

    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Add those of a micro-batch; None is zeros."""
        for parameter, grad in zip(self._parameters, gradients, strict=True):
            if grad is not None:
                parameter.grad = grad if parameter.grad is None else parameter.grad + grad

    def lay_flat(self) -> list[bool]:
        """Copy what this rank added to `.grad` into one vector; return which parameters have some of it."""
        if world().alone:
            return []
        grads = [parameter.grad for parameter in self._parameters]
        self._flat = torch.cat(
            [
                (torch.zeros_like(parameter) if grad is None else grad).reshape(-1)
                for parameter, grad in zip(self._parameters, grads, strict=True)
            ]
        )
        return [grad is not None for grad in grads]

    def add_up(self, some: Sequence[Sequence[bool]]) -> None:
        """Put the sum over all ranks into `.grad`, on top of what was there; `some` is each rank's `lay_flat`."""
        if world().alone:
            return
        for parameter in self._parameters:
            parameter.grad = None
        sizes = [parameter.numel() for parameter in self._parameters]
        parts = world().add_up(self._flat).split(sizes)
        for place, (parameter, before, part) in enumerate(zip(self._parameters, self._before, parts, strict=True)):
            parameter.grad = before
            if any(flags[place] for flags in some):
                grad = part.view_as(parameter).to(parameter.dtype)
                parameter.grad = grad if before is None else before + grad


def _packed(completions: Sequence[Completion]) -> Parcel:
    tensors = {}
    for name in _ARRAYS:
        arrays = [getattr(c, name) for c in completions]
        tensors[name] = torch.from_numpy(np.concatenate(arrays)) if arrays else torch.empty(0)
    return Parcel(list(map(_facts, completions)), tensors)


def _facts(c: Completion) -> list[Any]:
    verdict = [c.verdict.outcome, c.verdict.reward, c.verdict.extracted, c.verdict.seconds, dict(c.verdict.parts)]
    return [c.text, c.finish, len(c.prompt_ids), len(c.ids), verdict]


def _unpacked(parcel: Parcel) -> list[Completion]:
    arrays = {name: parcel.tensors[name].numpy() for name in _ARRAYS}
    completions, p, t = [], 0, 0
    for text, finish, prompt, length, verdict in parcel.facts:
        rows = {name: arrays[name][t : t + length].copy() for name in _ARRAYS[1:]}
        prompt_ids = arrays["prompt_ids"][p : p + prompt].copy()
        p, t = p + prompt, t + length
        completions.append(Completion(prompt_ids, **rows, text=text, finish=finish, verdict=Verdict(*verdict)))
    return completions
