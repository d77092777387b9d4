"""Micro-batches: their plan, and what becomes of rows that run out of memory or are not finite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakePolicy, gradient, old_stats, random_groups, sampled_logp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from simko import algorithms
from simko.advantages import make_batch
from simko.errors import UserError
from simko.micro_batch import PACKED, PADDED, Layout, MicroBatch, TokenBudget, all_finite, out_of_memory
from simko.packing import PackedRows, pack
from simko.types import Batch, Completion, Group
from simko.update import accumulate_gradients

SHAPE = {"temperature": 0.9, "max_new_tokens": 8}
METHOD = algorithms.get("simko")


def batch_of(seed: int, groups: int = 4, shared: bool = True, turns: bool = False) -> Batch:
    """Random groups; `shared`: whose completions answer one prompt, as in training."""
    made = random_groups(seed, groups, turns=turns)
    if shared:
        made = [
            Group(g.task, tuple(replace(c, prompt_ids=g.completions[0].prompt_ids) for c in g.completions))
            for g in made
        ]
    return make_batch(made, METHOD)


def update(policy: FakePolicy, batch: Batch, budget: int | TokenBudget = 10**6) -> tuple[Tensor, dict[str, float]]:
    metrics = accumulate_gradients(policy, METHOD, batch, micro_batch_tokens=budget, **SHAPE)  # type: ignore[arg-type]
    return gradient(policy), metrics


@settings(max_examples=50)
@given(
    seed=st.integers(0, 10**6),
    tokens=st.integers(1, 60),
    layout=st.sampled_from([PACKED, PADDED]),
    shared=st.booleans(),
)
def test_a_plan_covers_every_row_once_within_the_budget(seed: int, tokens: int, layout: Layout, shared: bool) -> None:
    batch = batch_of(seed, shared=shared, turns=True)
    plan = layout.plan(batch, range(len(batch)), tokens)
    assert sorted(row for rows in plan for row in rows) == list(range(len(batch)))
    for rows in plan:
        micro = MicroBatch.of(batch, rows, "cpu", layout)
        size = len(micro.inputs.ids) if isinstance(micro.inputs, PackedRows) else micro.inputs.numel()
        assert size == layout.tokens([batch.completions[row] for row in rows])
        assert len(rows) == 1 or size <= tokens


def test_packing_computes_a_prompt_once_and_no_padding() -> None:
    batch = batch_of(1, groups=6)
    rows, places = pack(batch.completions)
    distinct = {c.prompt_ids.tobytes() for c in batch.completions}
    assert len(rows.prompts) == len(distinct) < len(batch)
    assert len(rows.ids) == PACKED.tokens(batch.completions)
    for c, at in zip(batch.completions, places, strict=True):
        p = len(c.prompt_ids)
        assert rows.position_ids[at].tolist() == list(range(p - 1, p + len(c.ids) - 1))
        assert rows.ids[at].tolist() == [*c.prompt_ids[-1:], *c.ids[:-1]]


def test_lognormal_lengths_are_hardly_padded() -> None:
    rng = np.random.default_rng(0)
    (group,) = random_groups(0, 1, 1)
    lengths = np.minimum(rng.lognormal(4, 0.8, 512).astype(int) + 1, 512)
    rows = [
        replace(
            group.completions[0], ids=np.ones(n, np.int64), logprobs=np.zeros(n, np.float32), sampled=np.ones(n, bool)
        )
        for n in lengths
    ]
    batch = Batch(tuple(rows), np.zeros(512, np.int64), np.ones(512), np.ones(512, bool), 1, 1)

    def computed(layout: Layout) -> int:
        plan = layout.plan(batch, range(512), 4096)
        return sum(layout.tokens([batch.completions[row] for row in rows]) for rows in plan)

    real = sum(PADDED.tokens([c]) for c in batch.completions)
    assert computed(PADDED) <= 1.03 * real
    assert computed(PACKED) < real


class SmallDevice(FakePolicy):
    """A policy with memory for so many tokens. It fails in the forward, or halfway through the backward."""

    def __init__(
        self, tokens: int, backward: bool = False, error: Exception | None = None, packs: bool = False
    ) -> None:
        super().__init__(packs=packs)
        self.tokens, self.in_backward = tokens, backward
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def hidden(self, ids: Tensor) -> Tensor:
        if ids.numel() <= self.tokens:
            return super().hidden(ids)
        if not self.in_backward:
            raise self.error
        first, rest = ids[:, :1], ids
        # a part of the gradient has reached the adapter by the time that this one fails
        return super().hidden(rest) + 0 * _fail(super().hidden(first), self.error)

    def hidden_packed(self, rows: PackedRows) -> Tensor:
        if len(rows.ids) > self.tokens:
            raise self.error
        return super().hidden_packed(rows)


def _fail(x: Tensor, error: Exception) -> Tensor:
    def hook(_: Tensor) -> None:
        raise error

    y = x.clone()
    if y.requires_grad:
        y.register_hook(hook)
    return y


def test_a_budget_halves_what_was_tried_and_counts_it() -> None:
    budget = TokenBudget(200)
    for failed, left in ((500, 100), (60, 30), (1, 1), (1, 1)):
        budget.halve(failed)
        assert budget.tokens == left
    assert budget.halvings == 4


@pytest.mark.parametrize("how", ["forward", "backward", "packed", "cpu"])
def test_running_out_of_memory_halves_the_budget_and_not_the_update(how: str) -> None:
    batch = batch_of(3)
    expected, metrics = update(FakePolicy(), batch)
    error = RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to")
    policy = SmallDevice(10, how == "backward", error if how == "cpu" else None, packs=how == "packed")
    budget = TokenBudget(200)
    gradient, more = update(policy, batch, budget)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-12)
    assert budget.tokens <= 10 < 200
    assert more.pop("oom_halvings") == budget.halvings >= 1
    assert metrics.pop("oom_halvings") == 0
    assert more == pytest.approx(metrics)
    again, more = update(policy, batch, budget)  # remembered
    torch.testing.assert_close(again, expected, rtol=1e-6, atol=1e-12)
    assert more["oom_halvings"] == 0
    logp = sampled_logp(old_stats(policy, batch, budget=TokenBudget(200)))
    torch.testing.assert_close(logp, sampled_logp(old_stats(FakePolicy(), batch, budget=200)))


def test_one_row_that_does_not_fit_alone_is_said() -> None:
    policy, batch = SmallDevice(2), batch_of(3)
    with pytest.raises(
        UserError, match=r"one sequence of \d+ tokens alone; set gradient_checkpointing to true"
    ) as caught:
        update(policy, batch)
    assert "\n" not in str(caught.value)


def test_other_errors_come_through() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        update(SmallDevice(2, error=RuntimeError("shapes do not fit")), batch_of(3))
    assert out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert not out_of_memory(ValueError("no"))


class Spoiling(FakePolicy):
    """A policy that gives NaN for rows with a certain prompt; with `late` only in the backward."""

    def __init__(self, prompt: Tensor, late: bool, packs: bool) -> None:
        super().__init__(packs=packs)
        self.prompt, self.late = prompt, late

    def hidden(self, ids: Tensor) -> Tensor:
        states = super().hidden(ids)
        width = len(self.prompt)
        hit = (
            (ids[:, :width] == self.prompt).all(-1)
            if ids.shape[1] >= width
            else torch.zeros(len(ids), dtype=torch.bool)
        )
        if self.late and hit.any():
            spoilt = torch.where(hit[:, None, None], torch.nan, 0.0)
            states = states.clone()
            states.register_hook(lambda grad: grad + spoilt)
            return states
        return torch.where(hit[:, None, None], torch.nan, states)


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_rows_that_are_not_finite_add_nothing_and_are_counted(late: bool, packs: bool) -> None:
    batch = batch_of(7, groups=5)
    bad = [
        i
        for i, c in enumerate(batch.completions)
        if c.prompt_ids.tobytes() == batch.completions[-1].prompt_ids.tobytes()
    ]
    good = [i for i in range(len(batch)) if i not in bad]
    rest = Batch(
        tuple(batch.completions[i] for i in good), batch.group[good], batch.advantage[good], batch.correct[good],
        batch.step_tokens, batch.step_sequences,
    )  # fmt: skip
    expected, metrics = update(FakePolicy(), rest)
    gradient, more = update(Spoiling(torch.from_numpy(batch.completions[-1].prompt_ids), late, packs), batch)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-12)
    assert more.pop("nonfinite_rows") == len(bad) > 0
    assert metrics.pop("nonfinite_rows") == 0
    assert more == pytest.approx(metrics)


class Spoilt(FakePolicy):
    """The hidden states of one answer are NaN."""

    def __init__(self, answer: Completion) -> None:
        super().__init__()
        self.answer = torch.from_numpy(np.concatenate([answer.prompt_ids, answer.ids[:-1]]))

    def hidden(self, ids: Tensor) -> Tensor:
        out = super().hidden(ids)
        width = len(self.answer)
        same = ids.shape[1] >= width and (ids[:, :width] == self.answer).all(-1)
        return out.masked_fill(torch.as_tensor(same)[..., None, None], torch.nan)


@pytest.mark.parametrize("where", ["advantage", "sampler", "old"])
def test_given_numbers_that_are_not_finite_mask_their_row(where: str) -> None:
    batch, policy = batch_of(2), FakePolicy()
    if where == "advantage":
        batch.advantage[1] = np.nan
    elif where == "sampler":
        batch.completions[1].logprobs[0] = -np.inf
    else:
        policy = Spoilt(batch.completions[1])
    old = old_stats(policy, batch, budget=100)
    assert not old.mask[1].any()
    policy = FakePolicy()
    metrics = accumulate_gradients(policy, METHOD, batch, micro_batch_tokens=100, step=old, **SHAPE)
    assert metrics["nonfinite_rows"] == 1
    assert all(np.isfinite(value) for value in metrics.values())
    assert all_finite([gradient(policy)])


def test_a_step_whose_rows_are_all_spoilt_has_no_gradient() -> None:
    policy, batch = FakePolicy(), batch_of(2)
    policy.embedding.fill_(torch.nan)
    metrics = accumulate_gradients(policy, METHOD, batch, micro_batch_tokens=100, **SHAPE)
    assert metrics["nonfinite_rows"] == len(batch)
    assert policy.adapter.grad is None
    assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_all_finite(value: float) -> None:
    fine = [
        torch.ones(3),
        None,
        torch.empty(0),
        torch.full((2,), 3e38),
        torch.ones(2, dtype=torch.float64),
        torch.ones(1, dtype=torch.int64),
    ]
    assert all_finite(fine)
    assert not all_finite([*fine, torch.tensor([1.0, value, 2.0])])
    assert all_finite([])


def test_truncated_importance_sampling_weights_each_token() -> None:
    batch, policy = batch_of(5), FakePolicy()
    stats = old_stats(policy, batch, budget=100)
    logp = [row.numpy() for row in sampled_logp(stats).split(stats.mask.sum(-1).tolist())]
    same = Batch(
        tuple(replace(c, logprobs=x.astype(np.float32)) for c, x in zip(batch.completions, logp, strict=True)),
        batch.group, batch.advantage, batch.correct, batch.step_tokens, batch.step_sequences,
    )  # fmt: skip

    def grad(of: Batch, clip: float) -> tuple[Tensor, dict[str, float]]:
        metrics = accumulate_gradients(policy, METHOD, of, micro_batch_tokens=40, tis_clip=clip, **SHAPE)
        return gradient(policy), metrics

    plain, metrics = grad(same, 0.0)
    assert "tis_weight" not in metrics
    on, metrics = grad(same, 2.0)
    torch.testing.assert_close(on, plain, rtol=1e-5, atol=1e-9)
    assert metrics["tis_weight"] == pytest.approx(1.0, abs=1e-5)
    lower = replace(
        same, completions=tuple(replace(c, logprobs=c.logprobs - np.float32(0.5)) for c in same.completions)
    )
    torch.testing.assert_close(grad(lower, 2.0)[0], plain * np.exp(0.5), rtol=1e-5, atol=1e-9)
    clipped, metrics = grad(lower, 1.2)
    torch.testing.assert_close(clipped, plain * 1.2, rtol=1e-5, atol=1e-9)
    assert metrics["tis_clipped"] == 1.0
    torch.testing.assert_close(grad(lower, 0.0)[0], plain, rtol=1e-5, atol=1e-9)
