"""Threads that load models at once do not see each other's switches."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from simko.agents import LoraPolicy
from simko.agents.quiet import quiet


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of `work` in threads that start together; errors are results."""
    results: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def run(i: int) -> None:
        barrier.wait()
        try:
            results[i] = work(i)
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_tied_models_load_whole_and_adapters_from_their_seeds(model_folder: Callable[..., Path]) -> None:
    folder = model_folder("llama-tied")
    dtypes = ("float32", "bfloat16", "float32")

    def load(i: int) -> LoraPolicy:
        return LoraPolicy.from_pretrained(folder, "none", device="cpu", seed=i, dtype=dtypes[i])

    alone = [load(i) for i in range(3)]
    for _ in range(2):
        before, state = torch.get_default_dtype(), torch.random.get_rng_state()
        for policy, other in zip(at_once(3, load), alone, strict=True):
            assert isinstance(policy, LoraPolicy), policy
            assert policy.dtype == other.dtype
            pairs = zip(policy.trainable_parameters(), other.trainable_parameters(), strict=True)
            assert all(a == b and torch.equal(p, q) for (a, p), (b, q) in pairs)
        assert torch.get_default_dtype() == before
        assert torch.equal(torch.random.get_rng_state(), state)


def test_one_thread_at_a_time_and_everything_is_as_before() -> None:
    level, filters = transformers.utils.logging.get_verbosity(), list(warnings.filters)
    inside: list[int] = []

    def work(i: int) -> int:
        with quiet(), quiet():
            inside.append(i)
            threading.Event().wait(0.01)
            most = len(inside)
            inside.remove(i)
        return most

    assert at_once(4, work) == [1] * 4
    assert (transformers.utils.logging.get_verbosity(), list(warnings.filters)) == (level, filters)
