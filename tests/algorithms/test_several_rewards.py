"""Each part of a reward normalised in its group before the weighted sum, against a slow reference from the formula."""

from __future__ import annotations

import io
import json
import math
import shutil
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeEnv, FakePolicy, completion
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from simko import algorithms
from simko.advantages import make_batch
from simko.config import TrainConfig
from simko.envs.verifiers import register_verifier
from simko.errors import UserError
from simko.group_view import GroupView, view_of
from simko.metrics import describe
from simko.micro_batch import TokenBudget
from simko.preflight import preflight
from simko.run.folder import RunFolder
from simko.sampling import sample_step
from simko.settings import train_config
from simko.train import train
from simko.types import Group, Task, Verdict

NAMES = ("correct", "format", "length")


def several(weights: str = "") -> Any:
    return algorithms.get("gdpo", reward_weights=weights)


def view(*parts: dict[str, float], rewards: list[float] | None = None) -> GroupView:
    rewards = [sum(named.values()) for named in parts] if rewards is None else rewards
    return GroupView(rewards, [False] * len(parts), [0.0] * len(parts), [1] * len(parts), parts=parts)


def group(*parts: dict[str, float], reward: float = 1.0) -> Group:
    rng = np.random.default_rng(0)
    answers = [completion(rng, reward) for _ in parts]
    verdicts = [Verdict("correct", reward, parts=named) for named in parts]
    return Group(Task("a", "", ""), tuple(replace(c, verdict=v) for c, v in zip(answers, verdicts, strict=True)))


def slowly(table: list[list[float]], weights: list[float]) -> list[float]:
    """The formula, a cell at a time: `table` has a row for each answer and a column for each part."""
    total = [0.0] * len(table)
    for m, weight in enumerate(weights):
        values = [row[m] for row in table]
        if len(set(values)) == 1:
            continue
        mean = math.fsum(values) / len(values)
        std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
        for i, value in enumerate(values):
            total[i] += weight * (value - mean) / (std + 1e-6)
    return total


@given(data=st.data(), size=st.integers(2, 6), count=st.integers(1, 3))
def test_it_is_the_formula(data: st.DataObject, size: int, count: int) -> None:
    cells = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0])
    table = data.draw(st.lists(st.lists(cells, min_size=count, max_size=count), min_size=size, max_size=size))
    weights = data.draw(st.lists(st.sampled_from([1.0, 0.2, -0.5]), min_size=count, max_size=count))
    rows = [dict(zip(NAMES, row, strict=False)) for row in table]
    text = ",".join(f"{name}={weight}" for name, weight in zip(NAMES, weights, strict=False))
    assert several(text).advantages(view(*rows)) == pytest.approx(slowly(table, weights), abs=1e-12)
    assert several().advantages(view(*rows)) == pytest.approx(slowly(table, [1.0] * count), abs=1e-12)


def test_by_hand() -> None:
    """Two parts that a sum would join: (1, 0) and (0, 1) are not one reward where the parts have weights."""
    rows = view({"correct": 1.0, "format": 0.0}, {"correct": 0.0, "format": 1.0}, {"correct": 0.0, "format": 0.0})
    std = statistics.stdev([1.0, 0.0, 0.0])
    expected = [(2 / 3 - 0.5 / 3) / std, (-1 / 3 + 0.5 * 2 / 3) / std, (-1 / 3 - 0.5 / 3) / std]
    assert several("correct=1, format=0.5").advantages(rows) == pytest.approx(expected, rel=1e-5)


def test_a_part_that_is_equal_adds_exactly_nothing() -> None:
    rows = [{"correct": float(i == 0), "format": 0.1 + 0.2 if i % 2 else 0.3} for i in range(4)]
    alone = [{"correct": named["correct"]} for named in rows]
    assert several().advantages(view(*rows)) == several().advantages(view(*alone))
    same = view(*({"correct": 1.0, "format": 0.2},) * 4)
    assert several().advantages(same) == [0.0] * 4


def test_the_order_of_the_names_changes_no_bit() -> None:
    rows = [{"a": 0.1 * i, "b": 0.7 - 0.3 * i, "c": float(i % 2)} for i in range(5)]
    turned = [dict(reversed(named.items())) for named in rows]
    assert several().advantages(view(*rows)) == several().advantages(view(*turned))


def test_without_parts_the_reward_is_the_only_part() -> None:
    rewards = [1.0, 0.0, 0.0, 0.3]
    plain = GroupView(rewards, [True, False, False, False], [0.0] * 4, [1] * 4)
    assert several().advantages(plain) == algorithms.get("grpo").advantages(plain)
    mixed = view({"format": 0.2}, {}, {"format": 0.2}, rewards=[0.2, 1.0, 0.2])
    assert several().advantages(mixed) == pytest.approx(slowly([[0.2, 0], [0, 1], [0.2, 0]], [1, 1]), abs=1e-12)


def test_any_loss_takes_it() -> None:
    alone = algorithms.get("simko", advantage="several", reward_weights="correct=2")
    rows = view({"correct": 1.0}, {"correct": 0.0})
    assert alone.advantages(rows) == [2 * value for value in several().advantages(rows)]


def test_one_method_sees_a_difference_where_another_sees_none() -> None:
    differing = group({"correct": 1.0, "format": 0.0}, {"correct": 0.0, "format": 1.0})
    grpo = algorithms.get("grpo")
    assert not differing.informative
    assert (grpo.informative(differing), several().informative(differing)) == (False, True)
    assert (len(make_batch([differing], grpo)), len(make_batch([differing], several("correct=1,format=2")))) == (0, 2)
    assert several("correct=1,format=0").informative(differing)
    only_format = group({"correct": 1.0, "format": 0.0}, {"correct": 1.0, "format": 1.0})
    assert not several("correct=1,format=0").informative(only_format)
    assert describe([differing, only_format], several().informative)["informative"] == 1.0


def test_the_mean_of_each_part_is_logged() -> None:
    shown = describe([group({"correct": 1.0, "format": 0.0}, {"correct": 0.0})])
    assert (shown["reward_correct"], shown["reward_format"]) == (0.5, 0.0)
    assert not any(name.startswith("reward_") for name in describe([group({}, {})]))


class PartsEnv(FakeEnv):
    """Equal rewards whose parts differ."""

    def grade(self, text: str, task: Task) -> Verdict:
        right = float(super().grade(text, task).correct)
        return Verdict("correct", 1.0, text, parts={"correct": right, "format": 1.0 - right})


def test_a_refilled_step_keeps_groups_whose_parts_differ() -> None:
    config = TrainConfig(prompts_per_step=4, group_size=4)
    for advantage in ("several", "grpo"):
        method = algorithms.get("grpo", advantage=advantage, sampling="refill", refill_rounds=2)
        groups = sample_step(FakePolicy(), PartsEnv(), method, config, 1, {}, TokenBudget(10**6)).groups
        assert groups
        assert {method.informative(group) for group in groups} == {advantage == "several"}


def test_the_preflight_sees_parts() -> None:
    out = io.StringIO()
    config = TrainConfig(preflight_prompts=4, method={"advantage": "several"})
    preflight(config, FakePolicy(), PartsEnv(), Console(file=out))
    with pytest.raises(UserError, match="nothing can be learned"):
        preflight(TrainConfig(preflight_prompts=4), FakePolicy(), PartsEnv(), Console(file=out))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("correct", "'correct' is no weight; give name=number"),
        ("correct=", "'correct=' is no weight"),
        ("=1", "'=1' is no weight"),
        ("correct=1,,format=1", "'' is no weight"),
        ("correct=nan", "is no weight"),
        ("correct=inf", "is no weight"),
        ("correct=1,correct=2", "'correct' stands twice"),
        ("correct=0,format=0", "every weight is 0"),
    ],
)
def test_weights_that_are_none_are_one_line(weights: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        several(weights)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("correct=1,formt=1", "no verdict has a part 'formt'; did you mean 'format'.*gives correct, format"),
        ("correct=1", "without the part 'format' of the verdicts; add format=1, or format=0"),
    ],
)
def test_weights_that_do_not_fit_the_verdicts_are_refused_in_the_first_step(weights: str, words: str) -> None:
    groups = [group({"correct": 1.0, "format": 0.0}, {"correct": 0.0})]
    with pytest.raises(UserError, match=words):
        several(weights).check(groups)
    several("").check(groups)
    several("correct=1,format=0.2").check(groups)
    config = TrainConfig(prompts_per_step=2, group_size=4)
    with pytest.raises(UserError, match=words):
        sample_step(FakePolicy(), PartsEnv(), several(weights), config, 1, {}, TokenBudget(10**6))
    sample_step(FakePolicy(), PartsEnv(), several(weights), config, 2, {}, TokenBudget(10**6))


def test_weights_for_a_verifier_without_parts_are_refused_once_it_judged() -> None:
    with pytest.raises(UserError, match=r"no verdict has a part 'correct'.*gives reward"):
        several("correct=1").check([group({}, {})])
    several("correct=1").check([group({}, {}, reward=0.0)])  # no answer was judged yet


def test_a_part_that_is_no_number_masks_the_answer() -> None:
    spoilt = group({"correct": 1.0}, {"correct": 0.0}, {"correct": math.nan})
    assert len(spoilt.valid) == 2
    assert len(view_of(spoilt.valid).parts) == 2
    assert len(make_batch([spoilt], several())) == 2


def even_and_short(response: str, gold: str) -> Verdict:
    """Two parts of which the reward is no sum."""
    if not response:
        return Verdict("no_answer", 0.0)
    even, short = float(len(response) % 2 == 0), -len(response) / 16
    return Verdict("correct" if even else "incorrect", 0.0, parts={"short": short, "even": even})


def test_a_run_records_parts_and_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    register_verifier("even-and-short", even_and_short)
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"problem": f"{i} =", "answer": str(i)}) + "\n" for i in range(20)))
    settings = {
        "env": f"jsonl:{data}", "verifier": "even-and-short", "algorithm": "simko", "advantage": "several",
        "reward_weights": "even=1,short=0.3", "prompts_per_step": 2, "group_size": 4, "max_new_tokens": 8,
        "eval_problems": 0, "preflight_prompts": 2, "logger": "none", "lora_rank": 4, "steps": 2, "checkpoint_every": 1,
    }  # fmt: skip
    whole = train(train_config({**settings, "out": str(tmp_path / "whole")}), console=Console(file=io.StringIO()))
    rows = whole.records.rollouts(1)
    assert {tuple(row["parts"]) for row in rows if "parts" in row} == {("even", "short")}
    assert all(("parts" in row) == (row["outcome"] != "no_answer") for row in rows)
    assert [line["informative"] > 0 for line in whole.metrics()] == [True, True]
    assert "reward_short" in whole.metrics()[0]

    torn = tmp_path / "torn"
    shutil.copytree(whole.path, torn)
    shutil.rmtree(torn / "checkpoints" / "step-000002")
    train(RunFolder.open(torn).config, resume=RunFolder.open(torn), console=Console(file=io.StringIO()))
    for name in (
        "rollouts/000002.jsonl.gz", "verdicts/000002.jsonl", "checkpoints/step-000002/adapter/adapter_model.safetensors"
    ):  # fmt: skip
        if name.startswith("rollouts"):
            first, second = RunFolder.open(torn).records.rollouts(2), whole.records.rollouts(2)
            assert [row | {"seconds": 0} for row in first] == [row | {"seconds": 0} for row in second]
        else:
            assert (torn / name).read_bytes() == (whole.path / name).read_bytes()
