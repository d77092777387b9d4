"""The model to decode with: built once a rollout, again when the weights change, and gone after the rollout."""

from __future__ import annotations

import contextlib
import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from simko.agents import LoraPolicy
from simko.agents.engine.by_name import make_engine
from simko.agents.engine.held import HeldModel
from simko.build import make_env
from simko.config import TrainConfig
from simko.eval_samples import sample_counts
from simko.rollout import rollout
from simko.types import Sampling


class Copy:
    """Stands for a merged copy."""


def test_outside_of_a_rollout_each_call_builds() -> None:
    held = HeldModel(Copy, lambda: 0)
    assert held() is not held()
    assert held.builds == 2


def test_held_until_the_weights_change_or_the_last_holder_ends() -> None:
    version = [0]
    held = HeldModel(Copy, lambda: version[0])
    with held.hold():
        with held.hold():
            first = held()
            assert held() is first
        assert held() is first
        version[0] = 1
        second = held()
        assert second is not first
        gone = weakref.ref(second)
        del second
    gc.collect()
    assert gone() is None
    assert held.builds == 2


def test_an_error_drops_it_too() -> None:
    held = HeldModel(Copy, lambda: 0)
    with contextlib.suppress(ZeroDivisionError), held.hold():
        gone = weakref.ref(held())
        raise ZeroDivisionError
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("engine", ["local", "generate_batch"])
def test_all_turns_of_a_rollout_share_one_merged_copy(engine: Any) -> None:
    policy = LoraPolicy.from_pretrained("tiny", "none", lora_rank=2, device="cpu", decode_weights="merged")
    policy.engine = make_engine(engine, policy)
    env = make_env(TrainConfig(env="simko/GuessNumber-v0", max_new_tokens=24), policy, "train")
    turns = []
    generate = policy.engine.generate
    policy.engine.generate = lambda *arguments, **options: turns.append(1) or generate(*arguments, **options)
    for expected in (1, 2):
        before, builds = len(turns), policy.decoding_model.builds
        rollout(policy.engine, env, env.source.tasks(2, 0), 2, Sampling(), seed=expected)
        assert len(turns) - before > 1, "the policy has to take several turns, or the test shows nothing"
        assert policy.decoding_model.builds - builds == 1
    assert policy.decoding_model._model is None


def test_chunks_of_an_evaluation_share_one_and_a_moved_weight_gives_another() -> None:
    policy = LoraPolicy.from_pretrained("tiny", "none", lora_rank=2, device="cpu", decode_weights="merged")
    env = make_env(TrainConfig(level=1, max_new_tokens=8), policy, "eval")
    before = policy.decoding_model.builds
    sample_counts(policy, env, env.source.tasks(3, 0), 2, Sampling(), 0, chunk=2)
    assert policy.decoding_model.builds - before == 1
    with policy.engine.hold():
        plain = policy.generate(["1+1="], 4, max_new_tokens=4)
        with torch.no_grad():
            for _, parameter in policy.trainable_parameters():
                parameter.add_(0.3)
        moved = policy.generate(["1+1="], 4, max_new_tokens=4)
        with policy.base():
            base = policy.generate(["1+1="], 4, max_new_tokens=4)
    assert policy.decoding_model.builds - before == 4
    ours, theirs, again = ([a.logprobs[0] for a in group] for (group,) in (plain, moved, base))
    assert not np.allclose(ours, theirs)
    assert np.allclose(ours, again)
