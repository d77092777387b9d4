"""The probe's verdicts, and that its log-probs are those of the policy's own engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from simko.agents import LoraPolicy
from simko.agents.engine.vllm_probe import Gap, are_raw, measure, verdict
from simko.errors import UserError
from simko.types import Sampling


def test_our_own_answers_have_no_gap(model_folder: Callable[..., Path]) -> None:
    policy = LoraPolicy.from_pretrained(model_folder(), "none", lora_rank=4, device="cpu", decode_weights="live")
    with torch.no_grad():
        for i, (_, p) in enumerate(policy.trainable_parameters()):
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(i)), alpha=0.5)
    [[answer]] = policy.engine.generate([[5, 6, 7]], 1, Sampling(max_new_tokens=8, stop_ids=(10**6,)), [3])
    sampled = [([5, 6, 7], answer.ids.tolist(), answer.logprobs.tolist())]
    gap = measure(policy, sampled)
    assert gap.tokens == 8
    assert gap.trainer < 1e-4
    assert gap.base is not None
    assert gap.base > 1e-2
    with policy.base():
        assert measure(policy, sampled).base is None
        assert measure(policy, sampled).trainer == pytest.approx(gap.base)
    off = [(prompt, ids, [value - 0.25 for value in logprobs]) for prompt, ids, logprobs in sampled]
    assert measure(policy, off).trainer == pytest.approx(0.25, abs=1e-3)


def test_verdicts() -> None:
    assert verdict(Gap(64, 0.02, 0.001), "") == "sampler and trainer differ by 0.02 nats a token over 64 tokens"
    assert "more than 0.1" in verdict(Gap(64, 0.3, 0.29), "")
    assert "more than 0.1" in verdict(Gap(64, 0.9, None), "")
    with pytest.raises(UserError, match=r"as the base model, without the adapter .* start it with: vllm serve"):
        verdict(Gap(64, 0.3, 0.01), "vllm serve")
    for gap in (1.1, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"not the trainer's .*start it with: vllm serve"):
            verdict(Gap(64, gap, None), "vllm serve")


def test_one_candidate_has_a_log_prob_of_0_unless_it_is_raw() -> None:
    assert not are_raw([0.0] * 15 + [-0.69])
    assert not are_raw([0.0])
    assert are_raw([-0.5, -0.01, -2.0])
