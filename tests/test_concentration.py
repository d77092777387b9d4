"""Concentration against brute force over all logits, for any split; and the update is untouched by it."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakePolicy, completion, gradient, random_groups

from simko import algorithms
from simko.advantages import make_batch
from simko.concentration import EDGES, POPULATIONS, pick
from simko.metrics import of_updates
from simko.types import Batch, Group, Task
from simko.update import accumulate_gradients

SHAPE = {"temperature": 0.9, "max_new_tokens": 8}
G = 6
NAMES = ("entropy", "top1_fraction", "logp_sampled", *(f"logp_rank{i}" for i in range(1, 6)))
NAMES += ("candidates_95", "distinct_tokens")


def measured(policy: FakePolicy, batch: Batch, tokens: int = 10**6, name: str = "simko") -> dict[str, float]:
    method = algorithms.get(name)
    return accumulate_gradients(policy, method, batch, micro_batch_tokens=tokens, group_size=G, **SHAPE)  # type: ignore[arg-type]


def by_hand(policy: FakePolicy, batch: Batch) -> dict[str, float]:
    """Token by token, from whole distributions."""
    tokens: list[tuple[bool, bool, list[float]]] = []
    for row, c in enumerate(batch.completions):
        ids = torch.tensor([[*c.prompt_ids, *c.ids]])
        p = torch.softmax(policy.hidden(ids)[0].detach() @ policy.weight.t() / SHAPE["temperature"], -1).numpy()
        answer = []
        for t in np.flatnonzero(c.sampled):
            here = p[len(c.prompt_ids) + t - 1]
            ordered = sorted(here, reverse=True)
            held = next(n for n in range(1, 12) if sum(ordered[:n]) >= 0.95)
            distinct = sum(1 - (1 - x) ** G for x in here)
            entropy = -sum(x * math.log(x) for x in here)
            ranks = [math.log(x) for x in ordered[:5]]
            top1 = float(here.argmax() == c.ids[t])
            answer.append([entropy, top1, math.log(here[c.ids[t]]), *ranks, float(held), distinct])
        limit = max(np.quantile([values[0] for values in answer], 0.8), 1e-4)
        tokens += [(values[0] > limit, bool(batch.correct[row]), values) for values in answer]
    out: dict[str, float] = {"concentration_tokens": len(tokens), "whole_tokens": len(tokens)}
    for population in POPULATIONS:
        inside = [
            values for gated, right, values in tokens
            if (gated or "gated" not in population) and (right or "right" not in population)
            and (not right or "wrong" not in population)
        ]  # fmt: skip
        if inside:
            out |= {f"{population}{name}": mean for name, mean in zip(NAMES, np.mean(inside, 0), strict=True)}
    bounds = [-1.0, *EDGES, math.inf]
    for i, (low, high) in enumerate(itertools.pairwise(bounds)):
        out[f"entropy_hist_{i:02}"] = sum(low <= values[0] < high for *_, values in tokens) / len(tokens)
    return out | {f"logp_gap_{i}_{i + 1}": out[f"logp_rank{i}"] - out[f"logp_rank{i + 1}"] for i in range(1, 5)}


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize("name", ["grpo", "simko"])
def test_it_equals_brute_force(name: str, turns: bool) -> None:
    policy, batch = FakePolicy(), make_batch(random_groups(5, groups=8, turns=turns), algorithms.get(name))
    out, expected = measured(policy, batch, name=name), by_hand(policy, batch)
    assert {name: out[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert {name for name in out if name.startswith(POPULATIONS[1:])} <= set(expected)
    assert "gated_right_candidates_95" in out
    assert "gated_wrong_logp_rank5" in out


@pytest.mark.parametrize("packs", [False, True])
def test_it_is_the_same_for_any_split(packs: bool) -> None:
    policy = FakePolicy(packs=packs)
    batch = make_batch(random_groups(2, groups=6, turns=True), algorithms.get("simko"))
    whole, split = measured(policy, batch), measured(policy, batch, 12)
    assert split == pytest.approx(whole, rel=1e-5, abs=1e-9)


def test_it_leaves_the_update_as_it_is_bit_for_bit() -> None:
    policy, batch = FakePolicy(dtype=torch.float32), make_batch(random_groups(3), algorithms.get("simko"))
    with_it = measured(policy, batch, 40)
    ours = gradient(policy)
    without = accumulate_gradients(policy, algorithms.get("simko"), batch, micro_batch_tokens=40, **SHAPE)
    assert torch.equal(ours, gradient(policy))
    assert {name: with_it[name] for name in without} == without
    assert "entropy_hist_00" not in without


def test_a_row_that_is_left_out_is_not_counted() -> None:
    policy, batch = FakePolicy(), make_batch(random_groups(4, groups=6), algorithms.get("grpo"))
    advantage = batch.advantage.copy()
    advantage[1] = np.nan
    rows = [row for row in range(len(batch)) if row != 1]
    rest = Batch(
        tuple(batch.completions[row] for row in rows), batch.group[rows], batch.advantage[rows], batch.correct[rows],
        batch.step_tokens, batch.step_sequences,
    )  # fmt: skip
    spoilt = measured(policy, replace(batch, advantage=advantage), 30, "grpo")
    assert spoilt["nonfinite_rows"] == 1
    assert spoilt["concentration_tokens"] == sum(int(c.sampled.sum()) for c in rest.completions)
    assert spoilt["candidates_95"] == pytest.approx(measured(policy, rest, 30, "grpo")["candidates_95"])


def test_a_population_without_a_token_has_no_number() -> None:
    rng = np.random.default_rng(0)
    group = Group(Task("a", "", ""), (completion(rng, 0.2, "incorrect"), completion(rng, 0.0)))
    out = measured(FakePolicy(), make_batch([group], algorithms.get("grpo")), name="grpo")
    assert "wrong_entropy" in out
    assert not [name for name in out if "right" in name]
    with_right = {**out, "right_entropy": 0.5}
    assert of_updates([(out, True), (with_right, True)])["right_entropy"] == 0.5


@pytest.mark.parametrize(
    ("tokens", "vocabulary", "number"),
    [
        (0, 512, 0),
        (9, 151_936, 9),
        (900, 151_936, 16),
        (20_000, 151_936, 312),
        (10**6, 151_936, 1024),
        (4600, 512, 512),
    ],
)
def test_how_many_tokens_are_looked_at_whole(tokens: int, vocabulary: int, number: int) -> None:
    places = pick(tokens, vocabulary, step=3)
    assert len(places) == number
    assert (np.diff(places) > 0).all()
    assert all(0 <= place < tokens for place in places)
    assert (pick(tokens, vocabulary, step=3) == places).all()


def test_each_token_is_as_likely_to_be_looked_at() -> None:
    counts = np.zeros(70)
    for step in range(2000):
        counts[pick(70, 10**6, step)] += 1
    assert counts.sum() == 2000 * 16
    assert counts.min() > 0.7 * counts.mean()  # stretches of 4 and of 5 tokens
    assert counts.max() < 1.4 * counts.mean()
