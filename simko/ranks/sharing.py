"""The two pieces of work that ranks share: the answers of a rollout, and the rows of an update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from simko.errors import UserError
from simko.packing import needed
from simko.ranks.dealing import deal_rollout, deal_rows
from simko.ranks.parcel import Parcel
from simko.ranks.worlds import of_main, world
from simko.types import Batch, Completion, Group, Task, Verdict


class TokenBudget(Protocol):
    """What is read and set of `simko.micro_batch.TokenBudget`."""

    tokens: int


_ARRAYS = ("prompt_ids", "ids", "logprobs", "sampled")


def groups_of(
    tasks: Sequence[Task], n: int, answer: Callable[[Sequence[tuple[Task, int]], int], list[Completion]]
) -> list[Group]:
    """`n` answers to each task. `answer(wanted, copies)` gives those that fall to this rank, in order; all ranks get all.

    `wanted` is (task, number of the answer) for each; `copies` neighbours always have the same task. Equal answers to a task have
    one verdict, as if one process had graded them: that of the lowest rank. Raises what `World.share` raises, and `UserError`
    if the ranks have different tasks.
    """
    here = world()
    if here.alone:
        every = answer([(task, i) for task in tasks for i in range(n)], n)
        return [Group(task, tuple(every[i * n : (i + 1) * n])) for i, task in enumerate(tasks)]
    shares = deal_rollout([here.lengths.expected(task) for task in tasks], n, here.size)
    places = [[(p.task, p.first + i) for p in pieces for i in range(p.count)] for pieces in shares]
    luggage = here.luggage

    def mine() -> Parcel:
        copies = math.gcd(*(piece.count for piece in shares[here.rank]))
        parcel = _packed(answer([(tasks[task], sample) for task, sample in places[here.rank]], copies))
        return replace(parcel, facts=[parcel.facts, luggage.outgoing() if luggage else None, _mark(tasks, n)])

    rows: list[list[Any]] = [[None] * n for _ in tasks]
    verdicts: dict[tuple[str, str], Verdict] = {}
    parts = here.share(mine)
    _check_tasks([part.facts[2] for part in parts])
    for share, part in zip(places, parts, strict=True):
        completions = _unpacked(Parcel(part.facts[0], part.tensors))
        for (task, sample), completion in zip(share, completions, strict=True):
            verdict = verdicts.setdefault((tasks[task].id, completion.text), completion.verdict)
            rows[task][sample] = replace(completion, verdict=verdict)
    if luggage:
        luggage.incoming([part.facts[1] for part in parts])
    groups = [Group(task, tuple(row)) for task, row in zip(tasks, rows, strict=True)]
    here.lengths.learn(groups)
    return groups


def _mark(tasks: Sequence[Task], n: int) -> str:
    """What the tasks of a rollout are known by."""
    told = repr([n, *((task.id, task.problem, task.gold) for task in tasks)])
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _check_tasks(marks: Sequence[str]) -> None:
    """Raise `UserError` if ranks have other tasks than rank 0: their answers would be taken for answers to its tasks."""
    if different := [rank for rank, mark in enumerate(marks) if mark != marks[0]]:
        raise UserError(
            f"rank {different[0]}: its tasks are not those of rank 0; let the environment draw them from its arguments alone "
            "(the order of a set, or random numbers of its own, differ in each process)"
        )


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
        self._before: list[Tensor | None] = []
        if not world().alone:
            self._before = [parameter.grad for parameter in parameters]
            for parameter in parameters:
                parameter.grad = None

    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Add those of a micro-batch; None is zeros."""
        for parameter, grad in zip(self._parameters, gradients, strict=True):
            if grad is not None:
                parameter.grad = grad if parameter.grad is None else parameter.grad + grad

    def share(self, work: Callable[[], Parcel], budget: TokenBudget) -> list[Parcel]:
        """Do `work`, which calls `add`, for this rank's rows; return the parcels of all ranks, and sum the gradient over them.

        Alone, there is nothing to be summed. The token budget of every rank becomes the least of all. Raises what `World.share`
        raises.
        """
        here = world()
        if here.alone:
            return [work()]

        def mine() -> Parcel:
            parcel = work()
            return replace(parcel, facts=[parcel.facts, budget.tokens, self._lay_flat()])

        parts = here.share(mine)
        some = [any(flags) for flags in zip(*(part.facts[2] for part in parts), strict=True)]
        budget.tokens = min(part.facts[1] for part in parts)
        sizes = [parameter.numel() for parameter in self._parameters]
        sums = here.add_up(self._flat).split(sizes)
        for parameter, before, whole, there in zip(self._parameters, self._before, sums, some, strict=True):
            parameter.grad = before
            if there:
                grad = whole.view_as(parameter).to(parameter.dtype)
                parameter.grad = grad if before is None else before + grad
        return [replace(part, facts=part.facts[0]) for part in parts]

    def _lay_flat(self) -> list[bool]:
        """Move what this rank added to `.grad` into one vector, before the others are told that all is well here.

        Returns which parameters have a gradient.
        """
        some = [parameter.grad is not None for parameter in self._parameters]
        parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self._parameters]
        self._flat = torch.cat([part.detach().reshape(-1) for part in parts])
        for parameter in self._parameters:
            parameter.grad = None
        return some


def clip(parameters: Sequence[Tensor], most: float) -> float:
    """Clip the gradient to the norm `most`, and return its norm before. Every rank clips by the norm that rank 0 finds.

    Cards of two kinds may sum to norms that differ in the last bit; then their weights would part.
    """
    total = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    norm = of_main(lambda: float(total))
    torch.nn.utils.clip_grads_with_norm_(parameters, most, total.new_tensor(norm))
    return norm


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
