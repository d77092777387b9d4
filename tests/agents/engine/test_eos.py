"""Models with several EOS ids: engine, environment and `solve` end an answer at any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from random_models import EOS, character_tokenizer
from test_quantize import load

import simko.envs
from simko.build import make_env
from simko.rollout import rollout
from simko.settings import train_config
from simko.types import Sampling

OTHER = 7
Folder = Callable[..., Path]


@pytest.fixture
def two_ends(model_folder: Folder) -> Path:
    """A model whose generation config ends an answer at two ids. Its tokenizer knows one of them."""
    return model_folder(eos_token_id=[EOS, OTHER], initializer_range=0.05)


def test_a_rollout_ends_at_any_eos_of_the_model(two_ends: Path) -> None:
    policy = load(two_ends, "none")
    assert policy.eos_ids == {EOS, OTHER}
    env = make_env(train_config({"model": str(two_ends), "env": "simko/Arithmetic-v0"}), policy, "train")
    assert env.stop_ids == {EOS, OTHER}
    groups = rollout(policy.engine, env, env.source.tasks(4, 0), 24, seed=0)
    completions = [c for group in groups for c in group.completions]
    ended = [c for c in completions if c.finish == "stop"]
    assert {int(c.ids[-1]) for c in ended} == {EOS, OTHER}
    for c in completions:
        assert not {EOS, OTHER} & set(c.ids[:-1].tolist())
        assert "<eos>" not in c.text

    # the environment, token by token, ends where the engine did
    other = next(c for c in ended if c.ids[-1] == OTHER)
    env.reset(seed=0)
    flags = [env.step(int(token))[2:4] for token in other.ids]
    assert flags == [(False, False)] * (len(other.ids) - 1) + [(True, False)]


def test_two_turns_each_end_at_any_eos(two_ends: Path) -> None:
    policy = load(two_ends, "none")
    env = make_env(train_config({"env": "simko/GuessNumber-v0"}), policy, "train")
    groups = rollout(policy.engine, env, env.source.tasks(4, 0), 12, seed=0)
    ends = set()
    for c in (c for group in groups for c in group.completions):
        assert not {EOS, OTHER} & set(c.ids[~c.sampled].tolist()[1:])
        ends |= {EOS, OTHER} & set(c.ids[c.sampled].tolist())
    assert ends == {EOS, OTHER}
    assert any((~c.sampled).any() for group in groups for c in group.completions)


def test_a_model_with_one_eos_asks_nothing_of_the_environment(model_folder: Folder) -> None:
    policy = load(model_folder(), "none")
    env = make_env(train_config({"env": "simko/Arithmetic-v0"}), policy, "train")
    assert (policy.eos_ids, env.stop_ids) == ({EOS}, {EOS})


def test_the_engine_takes_the_callers_stop_ids_before_its_own(two_ends: Path) -> None:
    engine = load(two_ends, "none").engine
    free = engine.generate([[5, 6]], 8, Sampling(max_new_tokens=30, stop_ids=(10_000,)), list(range(8)))[0]
    mark = int(free[0].ids[4])
    cut = engine.generate([[5, 6]], 8, Sampling(max_new_tokens=30, stop_ids=(mark,)), list(range(8)))[0]
    for whole, part in zip(free, cut, strict=True):
        ids = whole.ids.tolist()
        assert part.ids.tolist() == (ids[: ids.index(mark) + 1] if mark in ids else ids)


def test_solve_ends_at_any_eos(two_ends: Path) -> None:
    policy = load(two_ends, "none")
    answers = policy.solve("What is 1 + 1?", "simko/Arithmetic-v0", n=24)
    assert sum(count for _, count in answers) == 24
    assert not any(character_tokenizer().decode([OTHER]) == text[-1:] for text, _ in answers if len(text) < 32)


def test_stop_ids_survive_a_spec() -> None:
    env = simko.envs.make("simko/Arithmetic-v0", stop_ids=[65])
    assert env.stop_ids == {65, 256}


def test_answers_end_with_the_models_context(model_folder: Folder) -> None:
    """Generated prompts of several lengths, and a budget that does not fit beside the longest."""
    policy = load(model_folder(max_position_embeddings=64), "none")
    policy.engine.eos_ids = frozenset()
    env = make_env(train_config({"env": "simko/Arithmetic-v0", "level": 1, "max_new_tokens": 40}), policy, "train")
    assert (policy.context, env.context, env.max_length) == (64, 64, 64)
    completions = [
        c for group in rollout(policy.engine, env, env.source.tasks(4, 0), 2, seed=0) for c in group.completions
    ]
    cut = [c for c in completions if c.finish == "length"]
    assert cut
    assert {len(c.prompt_ids) + len(c.ids) for c in cut} == {64}
    assert policy.solve("What is 1 + 1?", env, n=2)
    assert policy.solve("What is 1 + 1?", "simko/Arithmetic-v0", n=2)
