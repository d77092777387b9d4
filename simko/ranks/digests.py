"""Are the ranks still one? Digests of adapter and optimizer, compared; and what must be equal before a run begins."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import torch

from simko.errors import UserError
from simko.ranks.worlds import of_all, world


def check_equal(policy: Any, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Compare the adapter and the optimizer's state after `step` over all ranks; alone, nothing is done.

    Raises:
        UserError: they differ. Nothing that was trained since they were equal is of use.
    """
    if world().alone:
        return
    digests = of_all(_digest(policy, optimizer))
    if different := [rank for rank, digest in enumerate(digests) if digest != digests[0]]:
        raise UserError(
            f"step {step}: the adapter of rank {different[0]} is not that of rank 0: the processes train different models; go on "
            "with --resume from the last checkpoint, and look at the cards with `simko doctor --gpus`"
        )


def check_same(facts: Mapping[str, Any]) -> None:
    """Compare what a run begins with, by name: weights, data. Raises `UserError` if a rank has another value than rank 0."""
    if world().alone:
        return
    every = of_all(dict(facts))
    for name in facts:
        for rank, other in enumerate(every):
            if other.get(name) != every[0].get(name):
                raise UserError(
                    f"rank {rank}: its {name} is {other.get(name)!s:.40}, that of rank 0 is {every[0].get(name)!s:.40}; give "
                    "each machine the same files"
                )


def _digest(policy: Any, optimizer: torch.optim.Optimizer) -> str:
    whole = blake2b(digest_size=16)
    for name, parameter in policy.trainable_parameters():
        moments = sorted(optimizer.state.get(parameter, {}).items())
        for key, value in [("weight", parameter), *moments]:
            content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            whole.update(f"{name}:{key}:{content.size};".encode())
            whole.update(content)
    return whole.hexdigest()
