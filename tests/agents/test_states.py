"""Packed rows on unmodified models, in float64 against one row at a time; and models that cannot be packed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_models import FAMILIES, random_model
from test_quantize import load, train_a_little
from torch import Tensor
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    JetMoeConfig,
    JetMoeForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from simko import algorithms
from simko.agents import LoraPolicy, packed, states
from simko.agents.quiet import quiet
from simko.agents.states import HiddenStates
from simko.errors import UserError
from simko.packing import PackedRows, pack
from simko.types import Batch, Completion, Verdict
from simko.update import accumulate_gradients

VOCABULARY = 110


def completions(
    seed: int, prompts: tuple[int, ...] = (1, 4, 23), count: int = 9, longest: int = 30
) -> list[Completion]:
    """Answers of lengths 1 to `longest` to prompts of given lengths. In every third, the environment speaks in the middle."""
    rng = np.random.default_rng(seed)
    questions = [rng.integers(2, VOCABULARY, n) for n in prompts]
    rows = []
    for i in range(count):
        ids = rng.integers(2, VOCABULARY, int(rng.integers(1, longest)))
        sampled = np.ones(len(ids), dtype=np.bool_)
        if i % 3 == 0 and len(ids) > 4:
            sampled[2:4] = sampled[-1] = False
        logprobs = np.full(len(ids), -1, np.float32)
        rows.append(
            Completion(
                questions[i % len(questions)], ids, logprobs, sampled, "", "stop", Verdict("correct", float(i % 2))
            )
        )
    return rows


def batch_of(rows: list[Completion]) -> Batch:
    advantage = np.where(np.arange(len(rows)) % 2, 1.0, -0.7)
    tokens = sum(int(c.sampled.sum()) for c in rows)
    return Batch(tuple(rows), np.zeros(len(rows), np.int64), advantage, advantage > 0, tokens, len(rows))


def gradients(parameters: list[Tensor]) -> Tensor:
    grads = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
    for p in parameters:
        p.grad = None
    return grads


def waves(states: Tensor) -> Tensor:
    """A loss with another weight for each state."""
    return (states * torch.sin(torch.arange(states.numel(), dtype=states.dtype)).view_as(states)).sum()


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_states_and_gradients_are_those_of_rows_alone(family: str, checkpointing: bool) -> None:
    model = random_model(family).double()
    hidden, parameters = HiddenStates(model, checkpointing), list(model.parameters())
    assert hidden.packs
    rows = completions(1)
    packed_rows, places = pack(rows)
    together = hidden.packed(packed_rows)
    assert model.config._attn_implementation in ("sdpa", "eager")
    alone, losses = [], []
    for c in rows:
        ids = torch.from_numpy(np.concatenate([c.prompt_ids, c.ids]))[None]
        alone.append(hidden.padded(ids)[0, len(c.prompt_ids) - 1 :])
    for c, one, at in zip(rows, alone, places, strict=True):
        assert len(at) == np.flatnonzero(c.sampled)[-1] + 1
        torch.testing.assert_close(together[at], one[: len(at)], rtol=1e-6, atol=1e-6)
        losses.append((waves(together[at]), waves(one[: len(at)])))
    torch.stack([a for a, _ in losses]).sum().backward()
    ours = gradients(parameters)
    torch.stack([b for _, b in losses]).sum().backward()
    reference = gradients(parameters)
    assert float((ours - reference).norm() / reference.norm()) < 1e-6


def one_row_at_a_time(policy: LoraPolicy, method: Any, batch: Batch) -> Tensor:
    """The slow reference: each row alone, unpadded, whole logits; GRPO's loss at a ratio of 1 is -A log p in its gradient."""
    total = torch.zeros((), dtype=torch.float64)
    for c, advantage in zip(batch.completions, batch.advantage, strict=True):
        ids = torch.from_numpy(np.concatenate([c.prompt_ids, c.ids]))[None]
        logits = policy.model.get_base_model()(input_ids=ids, use_cache=False).logits[0] / 0.9
        logp = torch.log_softmax(logits, -1)[len(c.prompt_ids) - 1 : -1].gather(-1, torch.from_numpy(c.ids)[:, None])[
            :, 0
        ]
        total = total - float(advantage) * logp[torch.from_numpy(c.sampled)].sum() / batch.step_tokens
    total.backward()
    return gradients([p for _, p in policy.trainable_parameters()])


@pytest.mark.parametrize("tokens", [1, 60, 10**6])
@pytest.mark.parametrize("how", ["packed", "padded", "checkpointed"])
@pytest.mark.parametrize("family", ["llama", "qwen2-window", "gemma2"])
def test_the_update_is_the_slow_references(
    model_folder: Callable[..., Path], family: str, how: str, tokens: int
) -> None:
    policy = LoraPolicy.from_pretrained(model_folder(family), "none", lora_rank=4, device="cpu", dtype="float64")
    policy.model.double()
    train_a_little(policy)
    batch, method = batch_of(completions(2)), algorithms.get("grpo")
    expected = one_row_at_a_time(policy, method, batch)
    policy.gradient_checkpointing = how == "checkpointed"
    policy._states._packs = None if how != "padded" else False
    accumulate_gradients(policy, method, batch, temperature=0.9, micro_batch_tokens=tokens, max_new_tokens=40)
    assert policy.packs is (how != "padded")
    gradient = gradients([p for _, p in policy.trainable_parameters()])
    assert float((gradient - expected).norm() / expected.norm()) < 1e-6


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_quantised_policies_pack(model_folder: Callable[..., Path], quantization: str) -> None:
    policy = load(model_folder("qwen2"), quantization)
    assert policy.packs
    rows = completions(3)
    packed_rows, places = pack(rows)
    together = policy.hidden_packed(packed_rows)
    for c, at in zip(rows, places, strict=True):
        alone = policy.hidden(torch.from_numpy(np.concatenate([c.prompt_ids, c.ids]))[None])[0]
        torch.testing.assert_close(together[at], alone[len(c.prompt_ids) - 1 :][: len(at)], rtol=1e-3, atol=1e-3)
    with policy.base():
        off = policy.hidden_packed(packed_rows)
    assert not torch.allclose(off, together, atol=1e-2)
    policy.generate([[3, 4, 5]], 2, max_new_tokens=3)  # decoding is as before


def test_an_answer_sees_its_own_prompt_and_itself_alone() -> None:
    hidden = HiddenStates(random_model("llama").double())
    rows = completions(4)
    packed_rows, places = pack(rows)
    before = hidden.packed(packed_rows)
    other = replace(rows[4], ids=(rows[4].ids + 1) % VOCABULARY)
    after = hidden.packed(pack([*rows[:4], other, *rows[5:]])[0])
    for i, at in enumerate(places):
        assert torch.equal(before[at], after[at]) is (i != 4)


def models_that_do_not_pack() -> dict[str, Any]:
    small = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2}
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        return {
            "recurrent": MambaForCausalLM(MambaConfig(**small, state_size=4)),
            "convolution": Lfm2ForCausalLM(
                Lfm2Config(**small, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2,
                           layer_types=["conv", "full_attention"])
            ),
            "positions inside attention": BloomForCausalLM(BloomConfig(**{**small, "n_layer": 2}, n_head=4)),
        }  # fmt: skip


def test_models_that_would_leak_are_found_out() -> None:
    for name, model in models_that_do_not_pack().items():
        model = model.double().eval()
        hidden = HiddenStates(model)
        assert not hidden.packs, name
        assert hidden.padded(torch.arange(3, 9)[None]).shape[:2] == (1, 6)
    with torch.random.fork_rng(devices=[]), quiet():
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": VOCABULARY}
        learned = GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.3)).eval()
    assert HiddenStates(learned).packs  # learned positions are looked up token by token


def test_a_window_that_packed_attention_is_not_told_of_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = packed.attention

    def deaf(*arguments: Any, sliding_window: int | None = None, **other: Any) -> Any:
        return real(*arguments, **other)

    monkeypatch.setattr(packed, "attention", deaf)
    packed.register()
    try:
        model = random_model("mistral-window", sliding_window=400)
        assert not HiddenStates(model).packs
        assert HiddenStates(random_model("llama")).packs
    finally:
        monkeypatch.undo()
        packed.register()


def test_a_leak_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = packed.Block.mask

    def all_seen(block: packed.Block, window: int | None, like: Tensor) -> Tensor | None:
        mask = real(block, window, like)
        return None if mask is None else torch.zeros_like(mask)

    monkeypatch.setattr(packed.Block, "mask", all_seen)
    assert not HiddenStates(random_model("llama")).packs


def test_running_out_of_memory_in_the_check_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    hidden = HiddenStates(random_model("llama"))
    monkeypatch.setattr(states.HiddenStates, "_of_blocks", full)
    with pytest.raises(torch.OutOfMemoryError):
        _ = hidden.packs
    monkeypatch.undo()
    assert hidden.packs


@pytest.mark.parametrize("lengths", [[1], [5, 5, 5], [1, 2, 3, 50, 60, 61], list(range(1, 200))])
def test_blocks_cover_every_token_once_and_waste_little(lengths: list[int]) -> None:
    prompts = (2, 2, 7)
    answers = tuple((i % 3, n) for i, n in enumerate(lengths))
    rows = PackedRows(np.zeros(11 + sum(lengths), np.int64), np.zeros(11 + sum(lengths), np.int64), prompts, answers)
    blocks = packed.blocks(rows, torch.device("cpu"))
    tokens = torch.cat([block.queries[block.real] for block in blocks])
    assert tokens.tolist() == list(range(11 + sum(lengths)))
    for block in blocks:
        assert len(block.queries) <= 1.25 * len(block.real)


def test_a_row_that_spoils_spoils_no_other() -> None:
    model = random_model("qwen2").double()
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = torch.nan
    rows = [replace(c, ids=np.where(c.ids == 7, 8, c.ids), prompt_ids=c.prompt_ids % 7 + 10) for c in completions(5)]
    rows[4].ids[0] = 7
    packed_rows, places = pack(rows)
    states = HiddenStates(model).packed(packed_rows)
    finite = [bool(torch.isfinite(states[at]).all()) for at in places]
    assert finite == [i != 4 or len(rows[4].ids) == 1 for i in range(len(rows))]


def test_a_layer_that_drops_out_by_its_own_flag_does_not_while_it_is_recomputed() -> None:
    with torch.random.fork_rng(devices=[]), quiet():
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "ffn_dim": 48, "num_attention_heads": 4}
        model = OPTForCausalLM(OPTConfig(vocab_size=VOCABULARY, dropout=0.5, **sizes, word_embed_proj_dim=32)).double()
    hidden, ids = HiddenStates(model.eval()), torch.arange(3, 20)[None]
    grads = []
    for checkpointing in (False, True):
        hidden.checkpointing = checkpointing
        (hidden.padded(ids) ** 2).sum().backward()
        grads.append(gradients(list(model.model.parameters())))
    assert torch.allclose(*grads, atol=1e-9)


def test_a_model_that_cannot_recompute_says_so() -> None:
    with torch.random.fork_rng(devices=[]), quiet():
        sizes = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32, "num_key_value_heads": 2}
        model = JetMoeForCausalLM(JetMoeConfig(vocab_size=VOCABULARY, kv_channels=8, num_local_experts=2, **sizes))
    with pytest.raises(UserError, match="JetMoeForCausalLM cannot recompute activations; set gradient_checkpointing"):
        HiddenStates(model, checkpointing=True)
