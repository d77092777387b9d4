"""A policy whose logits are a table, so that a method's whole update can be held against a reference on logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from reference_methods.steps import Step
from torch import Tensor

from simko.head import LmHead
from simko.types import Batch, Completion, Group, Task, Verdict


class TablePolicy:
    """Row i answers the prompt `[V + i]`; its hidden states are its logits, and beside them what the head does not read."""

    packs = False
    device = "cpu"
    tokenizer: Any = None
    engine: Any = None

    def __init__(self, step: Step) -> None:
        self.step = step
        self.vocabulary = step.logits.shape[-1]
        self.table = step.old_logits.clone().requires_grad_()
        self.is_base = False
        eye = torch.eye(self.vocabulary, dtype=torch.float64)
        self.head = LmHead(torch.cat([eye, torch.zeros(self.vocabulary, step.hidden.shape[-1]).double()], 1))

    def trainable_parameters(self) -> list[tuple[str, Tensor]]:
        return [("table", self.table)]

    def lm_head(self) -> LmHead:
        return self.head

    @contextmanager
    def base(self) -> Iterator[None]:
        self.is_base = True
        yield
        self.is_base = False

    def hidden(self, ids: Tensor) -> Tensor:
        rows = ids[:, 0] - self.vocabulary
        logits = (self.step.base_logits if self.is_base else self.table)[rows, : ids.shape[1]]
        return torch.cat([logits, self.step.hidden[rows, : ids.shape[1]]], -1)

    def states(self) -> Tensor:
        """The whole hidden states under the old policy, as THR reads them."""
        return torch.cat([self.step.old_logits, self.step.hidden], -1)


def groups_of(step: Step) -> list[Group]:
    """The step as graded groups, each row with a prompt of its own."""
    answers: dict[int, list[Completion]] = {}
    for row, group in enumerate(step.groups.tolist()):
        length = int(step.mask[row].sum())
        right = bool(step.correct[row])
        answers.setdefault(group, []).append(
            Completion(
                prompt_ids=np.array([step.logits.shape[-1] + row]),
                ids=step.token_ids[row, :length].numpy(),
                logprobs=step.old_logp[row, :length].numpy().astype(np.float32),
                sampled=np.ones(length, dtype=np.bool_),
                text="",
                finish="stop",
                verdict=Verdict("correct" if right else "incorrect", float(step.rewards[row])),
            )
        )
    return [Group(Task(str(group), "", ""), tuple(rows)) for group, rows in answers.items()]


def rows_of(batch: Batch, vocabulary: int) -> list[int]:
    """Which rows of the step a batch holds."""
    return [int(completion.prompt_ids[0]) - vocabulary for completion in batch.completions]


def kept(values: Any) -> Any:
    """A value that is not None."""
    assert values is not None
    return values
