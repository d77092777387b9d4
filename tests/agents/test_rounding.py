"""A merged weight is rounded once, and what rounding takes from a delta is told."""

from __future__ import annotations

import math

import pytest
import torch

from simko.agents.rounding import Lost, merged_weight


def weights(scale: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    base = torch.randn(96, 128, generator=rng) * 0.02
    return base.bfloat16().float(), torch.randn(96, 128, generator=rng) * scale


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_is_rounded_once(dtype: torch.dtype) -> None:
    base, delta = weights(1e-3)
    expected = (base.double() + delta.double()).float().to(dtype)
    merged, _ = merged_weight(base.to(dtype), delta, dtype)
    assert merged.dtype == dtype
    assert torch.equal(merged, (base.to(dtype).double() + delta.double()).float().to(dtype))
    assert float((merged.float() - expected.float()).abs().max()) < 1e-3
    # the delta itself is never rounded to the dtype first
    assert not torch.equal(merged, base.to(dtype) + delta.to(dtype))


def test_a_small_delta_is_lost_and_a_large_one_is_not() -> None:
    base, young = weights(1e-6)
    _, lost = merged_weight(base, young, torch.bfloat16)
    assert lost.share_vanished > 0.9
    assert lost.cosine < 0.3
    base, grown = weights(1e-3)
    _, lost = merged_weight(base, grown, torch.bfloat16)
    assert lost.share_vanished < 0.1
    assert lost.cosine > 0.99


def test_the_numbers_are_those_of_the_change_that_is_left() -> None:
    base, delta = weights(3e-5)
    delta[0] = 0
    merged, lost = merged_weight(base.bfloat16(), delta, torch.bfloat16)
    change = (merged.double() - base.double()).flatten()
    cosine = torch.nn.functional.cosine_similarity(change, delta.double().flatten(), dim=0)
    assert math.isclose(lost.cosine, float(cosine), rel_tol=1e-6)
    assert lost.entries == 95 * 128
    moved = int(((change.view(96, 128) == 0) & (delta != 0)).sum())
    assert lost.vanished == moved
    assert f"{moved / lost.entries:.1%}" in str(lost)


def test_what_layers_lose_adds_up_to_what_all_of_them_lose() -> None:
    parts = [weights(scale, seed) for seed, scale in enumerate((1e-6, 1e-4, 1e-3))]
    total = sum((merged_weight(*part, torch.bfloat16)[1] for part in parts), Lost())
    base, delta = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    whole = merged_weight(base, delta, torch.bfloat16)[1]
    assert (total.entries, total.vanished) == (whole.entries, whole.vanished)
    assert math.isclose(total.cosine, whole.cosine, rel_tol=1e-9)


def test_float32_loses_nothing_and_an_empty_adapter_has_nothing_to_lose() -> None:
    base, delta = weights(1e-6)
    merged, lost = merged_weight(base, delta, torch.float32)
    assert torch.equal(merged, base + delta)
    assert lost == Lost()
    assert lost.cosine == 1.0
    merged, lost = merged_weight(base, torch.zeros_like(base), torch.bfloat16)
    assert torch.equal(merged, base.bfloat16())
    assert (lost.cosine, lost.share_vanished) == (1.0, 0.0)
    doubled, _ = merged_weight(base.double(), delta.double(), torch.float64)
    assert torch.equal(doubled, base.double() + delta.double())
