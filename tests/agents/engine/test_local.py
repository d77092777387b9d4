"""The engine's tokens are those of batch-1 `generate`; its draws and log-probs do not depend on batching."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import EOS, FAMILIES, character_tokenizer, random_model
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from simko.agents.engine import slots
from simko.agents.engine.cache import SlotCache, cache_argument
from simko.agents.engine.local import LocalEngine, cache_bytes_per_token
from simko.agents.engine.stops import StopStrings, cut
from simko.agents.quiet import quiet
from simko.errors import UserError
from simko.head import LmHead, token_statistics
from simko.types import Generation, Sampling

PROMPTS = [[5, 6, 7], [9] * 11, [3, 4], [5, 6, 7], [20, 30, 40, 50, 60, 70, 80, 90]]


def head_of(model: Any) -> LmHead:
    cap = getattr(model.config, "final_logit_softcapping", None)
    return LmHead(model.lm_head.weight.detach(), None, cap, 1.0)


def engine_of(model: Any, eos: Sequence[int] = (EOS,), **settings: Any) -> LocalEngine:
    return LocalEngine(lambda: model, lambda: head_of(model), eos, character_tokenizer(), **settings)


def batch_one_greedy(model: Any, prompt: list[int], tokens: int) -> list[int]:
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False)
    return out[0, len(prompt) :].tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_tokens_equal_batch_one_generate(family: str, dtype: torch.dtype) -> None:
    model = random_model(family).to(dtype)
    engine = engine_of(model)
    engine.check()
    groups = engine.generate(PROMPTS, 2, Sampling(temperature=0, max_new_tokens=40), range(10))
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for answer in group:
            assert answer.ids.tolist() == batch_one_greedy(model, prompt, 40)


def test_eager_attention_gives_the_same_tokens() -> None:
    model = random_model("llama")
    sampling = Sampling(max_new_tokens=20)
    expected = engine_of(model).generate(PROMPTS, 2, sampling, range(10))
    model.set_attn_implementation("eager")
    assert tokens(engine_of(model).generate(PROMPTS, 2, sampling, range(10))) == tokens(expected)


def test_a_model_may_name_its_cache_as_newer_transformers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers 5.24 calls it `cache` and warns of `past_key_values`; an older one knows only the latter."""
    model = random_model("llama")
    sampling = Sampling(max_new_tokens=20)
    expected = engine_of(model).generate(PROMPTS, 2, sampling, range(10))
    forward, argument = model.base_model.forward, cache_argument(model.base_model)

    def newer(input_ids: Any, cache: Any = None, **others: Any) -> Any:
        return forward(input_ids=input_ids, **{argument: cache}, **others)

    def older(input_ids: Any, past_key_values: Any = None, **others: Any) -> Any:
        return forward(input_ids=input_ids, **{argument: past_key_values}, **others)

    for change in (newer, older):
        monkeypatch.setattr(model.base_model, "forward", change)
        assert tokens(engine_of(model).generate(PROMPTS, 2, sampling, range(10))) == tokens(expected)


def tokens(groups: Sequence[Sequence[Generation]]) -> list[list[list[int]]]:
    return [[g.ids.tolist() for g in group] for group in groups]


@pytest.fixture(scope="module")
def double() -> Any:
    return random_model("llama", initializer_range=0.05).double()


@settings(max_examples=12)
@given(st.permutations(range(len(PROMPTS))), st.sampled_from([1, 2, 3, 7, None]), st.sampled_from([1, 2, 4, 7]))
def test_tokens_depend_neither_on_slots_nor_on_order_nor_on_the_hosts_looks(
    double: Any, order: list[int], slots: int | None, sync_every: int
) -> None:
    sampling = Sampling(temperature=1.2, max_new_tokens=15)
    budgets = [15, 4, 9, 15, 1]
    expected = engine_of(double).generate(PROMPTS, 3, sampling, range(100, 115), budgets)
    seeds = [100 + 3 * i + j for i in order for j in range(3)]
    engine = engine_of(double, slots=slots, sync_every=sync_every)
    groups = engine.generate([PROMPTS[i] for i in order], 3, sampling, seeds, [budgets[i] for i in order])
    for i, group in zip(order, groups, strict=True):
        for ours, theirs in zip(group, expected[i], strict=True):
            assert ours.ids.tolist() == theirs.ids.tolist()
            assert ours.finish == theirs.finish
            assert np.allclose(ours.logprobs, theirs.logprobs, atol=1e-6)
    assert len({(i, *g.ids) for i, group in enumerate(groups) for g in group}) == 15
    # prompts 0 and 3 are the same
    assert engine.stats.prefilled_tokens == sum(len(p) for p in {tuple(p) for p in PROMPTS})
    assert engine.stats.generated_tokens == sum(len(g.ids) for group in groups for g in group)


@pytest.mark.parametrize("family", FAMILIES)
def test_refilled_slots_hold_nothing_of_the_sequence_before(family: str) -> None:
    model = random_model(family).double()
    sampling = Sampling(max_new_tokens=25)
    expected = tokens(engine_of(model).generate(PROMPTS, 3, sampling, range(15)))
    assert expected == tokens(engine_of(model, slots=2).generate(PROMPTS, 3, sampling, range(15)))


def test_float32_flips_are_few() -> None:
    """Rounding depends on the batch's shape. A draw near the border of two tokens may flip; then all that follows differs."""
    model = random_model("llama", initializer_range=0.05)
    sampling = Sampling(max_new_tokens=40)
    expected = tokens(engine_of(model, eos=()).generate(PROMPTS, 8, sampling, range(40)))
    got = tokens(engine_of(model, eos=(), slots=3).generate(PROMPTS, 8, sampling, range(40)))
    flips = sum(a != b for old, new in zip(expected, got, strict=True) for a, b in zip(old, new, strict=True))
    assert flips <= 1  # of 40 sequences of 40 tokens; 0 on the machines seen


def test_a_memory_budget_decides_the_slots(double: Any) -> None:
    row = 45 * cache_bytes_per_token(double) + 32 * 110
    for rows in (1, 4):
        engine = engine_of(double, cache_bytes=rows * row + 5)
        engine.generate(PROMPTS, 2, Sampling(max_new_tokens=34), range(10))
        assert engine.stats.slots == rows
    assert engine_of(double, cache_bytes=1, slots=3).generate([[3]], 2, Sampling(max_new_tokens=2), [0, 1])


def test_free_slots_are_refilled_at_once(double: Any) -> None:
    engine = engine_of(double, eos=(), slots=4)
    budgets = [3, 12, 5, 7, 2]
    engine.generate(PROMPTS, 4, Sampling(max_new_tokens=12), range(20), budgets)
    # the first token of a sequence comes with its prompt; only when the queue is empty do slots stay free
    assert engine.stats.slot_steps == 4 * sum(budgets) - 20
    assert engine.stats.steps < 4 * sum(budgets) / 4 + 12


def test_sequences_are_handed_over_as_they_end(double: Any) -> None:
    calls: list[tuple[int, list[int]]] = []
    groups = engine_of(double, eos=(), slots=3).generate(
        PROMPTS,
        2,
        Sampling(max_new_tokens=9),
        range(10),
        [0, 2, 9, 4, 1],
        lambda row, g: calls.append((row, g.ids.tolist())),
    )
    flat = [ids for group in tokens(groups) for ids in group]
    assert sorted(row for row, _ in calls) == list(range(10))
    assert all(flat[row] == ids for row, ids in calls)
    assert [row for row, _ in calls] != list(range(10))


@pytest.mark.parametrize("slots", [20, 6, 1])
def test_each_distinct_prompt_is_prefilled_once(double: Any, slots: int) -> None:
    calls: list[tuple[int, ...]] = []
    handle = double.model.register_forward_pre_hook(
        lambda _, __, kw: calls.append(tuple(kw["input_ids"].shape)), with_kwargs=True
    )
    engine = engine_of(double, slots=slots)
    try:
        engine.generate(PROMPTS, 4, Sampling(max_new_tokens=6), range(20))
    finally:
        handle.remove()
    assert engine.stats.prefilled_tokens == 24  # five prompts, two of them the same
    assert sum(rows for rows, length in calls if length > 1) == 4
    if slots == 20:
        assert calls[:2] == [(4, 11), (20, 1)]


def test_finished_rows_leave_the_batch(double: Any) -> None:
    widths: list[int] = []
    handle = double.model.register_forward_pre_hook(
        lambda _, __, kw: widths.append(len(kw["input_ids"])), with_kwargs=True
    )
    try:
        groups = engine_of(double).generate(
            PROMPTS, 2, Sampling(max_new_tokens=30), range(10), budgets=[1, 30, 2, 5, 9]
        )
    finally:
        handle.remove()
    assert widths[1:] == sorted(widths[1:], reverse=True)
    assert widths[-1] <= 2
    assert [len(g.ids) for group in groups for g in group if g.finish == "length"][:2] == [1, 1]


def test_the_cache_is_gone_with_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    caches: list[weakref.ref[SlotCache]] = []
    start = SlotCache.__init__
    monkeypatch.setattr(SlotCache, "__init__", lambda self, *a: (start(self, *a), caches.append(weakref.ref(self)))[0])
    gc.disable()
    try:
        engine_of(random_model()).generate(PROMPTS, 2, Sampling(max_new_tokens=3), range(10))
        assert len(caches) == 1
        assert caches[0]() is None
    finally:
        gc.enable()


def test_budgets_cap_each_prompt_and_none_is_empty(double: Any) -> None:
    engine = engine_of(double, eos=())
    groups = engine.generate(PROMPTS, 1, Sampling(max_new_tokens=7), range(5), budgets=[0, 3, 100, 7, 1])
    assert [len(group[0].ids) for group in groups] == [0, 3, 7, 7, 1]
    assert {group[0].finish for group in groups} == {"length"}
    assert groups[0][0].logprobs.shape == (0,)
    assert engine.generate([], 4, Sampling(), []) == []


def test_logprobs_are_the_heads_untruncated_ones() -> None:
    model = random_model("gemma2")
    sampling = Sampling(temperature=0.7, top_p=0.8, top_k=20, max_new_tokens=25)
    for prompt, group in zip(PROMPTS, engine_of(model).generate(PROMPTS, 2, sampling, range(10)), strict=True):
        for answer in group:
            ids = torch.tensor([[*prompt, *answer.ids.tolist()]])
            with torch.no_grad():
                hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[0, len(prompt) - 1 : -1]
            head = head_of(model)
            expected = token_statistics(
                hidden, head.weight, ids[0, len(prompt) :], 1, 0.7, soft_cap=head.soft_cap, scale=head.scale
            ).logp
            assert np.allclose(answer.logprobs, expected.numpy(), atol=1e-4)


def test_eos_is_kept_and_any_of_several_stops(double: Any) -> None:
    free = engine_of(double, eos=()).generate([[5, 6]], 1, Sampling(max_new_tokens=30), [3])[0][0]
    ends = {int(free.ids[12]), int(free.ids[20])}
    first = next(i for i, token in enumerate(free.ids) if int(token) in ends)
    stopped = engine_of(double, eos=ends).generate([[5, 6]], 1, Sampling(max_new_tokens=30), [3])[0][0]
    assert stopped.ids.tolist() == free.ids[: first + 1].tolist()
    assert stopped.finish == "stop"
    assert free.finish == "length"


def test_stop_strings_end_a_sequence_with_its_tokens_kept(double: Any) -> None:
    tokenizer = character_tokenizer()
    free = engine_of(double, eos=()).generate([[5, 6]], 1, Sampling(max_new_tokens=30), [3])[0][0]
    text = tokenizer.decode(free.ids.tolist(), skip_special_tokens=True)
    stop = text[9:11]
    at = text.index(stop)
    out = engine_of(double, eos=()).generate([[5, 6]], 1, Sampling(max_new_tokens=30, stop=("@@@@", stop)), [3])[0][0]
    decoded = tokenizer.decode(out.ids.tolist(), skip_special_tokens=True)
    assert out.finish == "stop"
    assert decoded == text[: at + 2]
    assert cut(decoded, [stop]) == text[: at + len(stop)]
    assert out.ids.tolist() == free.ids[: len(out.ids)].tolist()


def test_stop_string_spread_over_special_tokens_and_tokens_without_text() -> None:
    tokenizer = character_tokenizer()
    a, b = tokenizer.convert_tokens_to_ids(["a", "b"])
    assert StopStrings(tokenizer, ["ab"]).ended([a, EOS, EOS, b])
    assert not StopStrings(tokenizer, ["ab"]).ended([b, a])
    assert not StopStrings(tokenizer, []).ended([a, b])


def test_training_works_after_generating() -> None:
    model = random_model("llama")
    engine_of(model).generate(PROMPTS, 1, Sampling(max_new_tokens=4), range(5))
    model(input_ids=torch.tensor([[3, 4, 5]]), use_cache=False).logits.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_global_random_state_neither_read_nor_moved(double: Any) -> None:
    sampling = Sampling(max_new_tokens=5)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = tokens(engine_of(double).generate(PROMPTS, 1, sampling, range(5)))
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert tokens(engine_of(double).generate(PROMPTS, 1, sampling, range(5))) == first


def test_nan_weights_are_named_and_not_sampled() -> None:
    model = random_model("llama")
    model.model.norm.weight.data[3] = float("nan")
    with pytest.raises(FloatingPointError, match="logits are not finite"):
        engine_of(model).generate([[3]], 1, Sampling(max_new_tokens=3), [0])


@pytest.mark.parametrize(
    ("prompts", "sampling", "message"),
    [
        ([[3], []], Sampling(), "prompt 1 has no tokens"),
        ([[3], [110]], Sampling(), "prompt 1 holds an id outside 0..109"),
        ([[-1], [2]], Sampling(), "prompt 0 holds an id outside"),
        ([[3], [4] * 400], Sampling(max_new_tokens=200), "prompt 1 .400 tokens. and 200 new .* context of 512"),
        ([[3], [4]], Sampling(temperature=-1), "temperature"),
    ],
)
def test_what_a_user_can_mend_is_said(double: Any, prompts: list[list[int]], sampling: Sampling, message: str) -> None:
    with pytest.raises(UserError, match=message):
        engine_of(double).generate(prompts, 1, sampling, [0, 1])


def test_seeds_must_be_one_a_sequence(double: Any) -> None:
    with pytest.raises(ValueError, match="need as many seeds"):
        engine_of(double).generate([[3]], 2, Sampling(), [0])


def test_check_refuses_a_head_that_is_not_the_models() -> None:
    model = random_model("gemma2")
    wrong = LocalEngine(lambda: model, lambda: LmHead(model.lm_head.weight.detach()), [EOS])
    with pytest.raises(UserError, match="not supported"):
        wrong.check()


def test_cache_bytes_of_a_token() -> None:
    # 2 (keys, values) x 2 layers x 2 heads x 12 x 4 bytes
    assert cache_bytes_per_token(random_model("llama")) == 2 * 2 * 2 * 12 * 4


def test_check_refuses_what_fails_in_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("llama")
    engine = engine_of(model)

    def odd(*_: Any, **__: Any) -> None:
        raise RuntimeError("shapes\ndo not fit")

    monkeypatch.setattr(SlotCache, "decode", odd)
    with pytest.raises(UserError, match=r"LlamaForCausalLM\) fails in the decode engine \(shapes do not fit\)"):
        engine.check()


def test_check_refuses_a_mask_that_is_not_each_rows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    real = slots.decode_mask
    monkeypatch.setattr(slots, "decode_mask", lambda at, *rest: real(at.amax().expand_as(at), *rest))
    with pytest.raises(UserError, match="logits differ from the model's"):
        engine_of(random_model("llama")).check()


def test_check_refuses_local_attention_that_no_mask_tells_of() -> None:
    sizes = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 200, "max_position_embeddings": 300}
    with torch.random.fork_rng(devices=[]), quiet():
        config = GPTNeoConfig(vocab_size=110, attention_types=[[["global", "local"], 1]], **sizes)
        model = GPTNeoForCausalLM(config).eval()
    with pytest.raises(UserError, match=r"layers of kind \['local'\], which are not supported"):
        engine_of(model).check()


def test_longrope_ends_where_its_short_positions_do() -> None:
    """Beyond that, one long row would change the positions of all rows of its batch."""
    rope = {"rope_type": "longrope", "short_factor": [1.0] * 6, "long_factor": [9.0] * 6, "rope_theta": 1e4}
    model = random_model("llama", rope_parameters={**rope, "original_max_position_embeddings": 40}).double()
    engine = engine_of(model, eos=(), sync_every=4)
    engine.check()
    sampling, prompts, budgets = Sampling(max_new_tokens=33), [[3] * 10, [4]], [30, 33]  # the host looks after 32
    groups = engine.generate(prompts, 1, sampling, [0, 1], budgets)
    alone = [engine.generate([prompts[i]], 1, sampling, [i], [budgets[i]])[0] for i in range(2)]
    assert tokens(groups) == tokens(alone)
    assert all(np.allclose(a.logprobs, b.logprobs, atol=1e-6) for (a,), (b,) in zip(groups, alone, strict=True))
    with pytest.raises(UserError, match="exceed the model's context of 40"):
        engine.generate([[3] * 8], 1, sampling, [0])
