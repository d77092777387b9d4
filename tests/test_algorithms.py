"""GRPO and SimKO against published vectors, a slow reference, and finite differences of the surrogate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simko import algorithms
from simko.algorithms.base import LossPart
from simko.algorithms.gates import row_quantile
from simko.algorithms.simko import SimKOLoss
from simko.algorithms.stats import TokenStats
from simko.errors import UserError
from simko.head import token_statistics

Z = [1.0, 0.6, 0.2, -0.5, -1.0]
Z_OLD = [0.8, 0.9, 0.1, -0.4, -1.1]
VECTOR = [  # y, A, correct, gate, loss, d loss / d z: alpha 0.3, K 3, penalty 1.1, clip 0.2
    (3, 1, True, True, -0.912533, [0.276984, 0.155583, 0.074206, -0.556608, 0.049835]),
    (0, 1, True, True, -1.200000, [0.0, 0.0, 0.0, 0.0, 0.0]),
    (0, -1, False, True, 1.354970, [0.808195, -0.366514, -0.245682, -0.122002, -0.073998]),
    (0, -1, False, False, 1.231791, [0.734723, -0.333195, -0.223347, -0.110911, -0.067271]),
    (2, -1, False, True, 1.114571, [-0.449766, -0.301487, 0.912478, -0.100356, -0.060869]),
]


def stats_of(
    logits: Tensor, ids: Tensor, old_logits: Tensor, advantage: Tensor, correct: Tensor, mask: Tensor, k: int
) -> TokenStats:
    """`[B, T, V]` logits to the bundle a method gets; identity weight, so that the head sees the logits themselves."""
    shape, vocabulary = ids.shape, logits.shape[-1]
    eye = torch.eye(vocabulary, dtype=logits.dtype)
    head = token_statistics(logits.reshape(-1, vocabulary), eye, ids.reshape(-1), k)
    old = torch.log_softmax(old_logits, -1).gather(-1, ids[..., None])[..., 0]
    return TokenStats(
        mask=mask,
        logp=head.logp.view(shape),
        old_logp=old,
        advantage=advantage[:, None].expand(shape),
        correct=correct,
        entropy=head.entropy.view(shape),
        is_top1=head.is_top1.view(shape),
        topk_logp=head.topk_logp.view(*shape, k),
        topk_ids=head.topk_ids.view(*shape, k),
    )


def random_case(seed: int, b: int = 4, t: int = 7, v: int = 9, k: int = 3) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, t + 1, (b,), generator=rng)
    logits = torch.randn(b, t, v, generator=rng, dtype=torch.float64) * 2
    return {
        "logits": logits,
        "old_logits": logits + 0.2 * torch.randn(b, t, v, generator=rng, dtype=torch.float64),
        "ids": torch.randint(v, (b, t), generator=rng),
        "advantage": torch.randn(b, generator=rng, dtype=torch.float64),
        "correct": torch.rand(b, generator=rng) < 0.5,
        "mask": torch.arange(t)[None] < lengths[:, None],
    }


def total(method: LossPart, case: dict[str, Tensor], logits: Tensor, k: int = 3) -> Tensor:
    stats = stats_of(logits, case["ids"], case["old_logits"], case["advantage"], case["correct"], case["mask"], k)
    return (method.loss(stats).matrix * stats.mask).sum() / stats.mask.sum()


def slow_reference(method: SimKOLoss, case: dict[str, Tensor], ids_of: Tensor | None = None) -> Tensor:
    """Token by token in Python, the gradient written out by hand: d total / d logits, float64."""
    logits, mask = case["logits"], case["mask"]
    grad = torch.zeros_like(logits)
    for i in range(len(logits)):
        n = int(mask[i].sum())
        logp = [torch.log_softmax(logits[i, t], -1) for t in range(n)]
        entropies = [float(-(lp.exp() * lp).sum()) for lp in logp]
        ordered = sorted(entropies)
        place = method.entropy_quantile * (n - 1)
        low, high = math.floor(place), min(math.floor(place) + 1, n - 1)
        threshold = ordered[low] + (ordered[high] - ordered[low]) * (place - low)
        for t in range(n):
            y, a = int(case["ids"][i, t]), float(case["advantage"][i])
            old = float(torch.log_softmax(case["old_logits"][i, t], -1)[y])
            ratio = math.exp(float(logp[t][y]) - old)
            gate = entropies[t] > max(threshold, method.entropy_floor)
            ranked = sorted(range(logits.shape[-1]), key=lambda v, lp=logp[t]: -float(lp[v]))
            target = torch.zeros(logits.shape[-1], dtype=torch.float64)
            weight = 1.0
            if gate and bool(case["correct"][i]) and a > 0:
                target[y] += 1 - method.alpha
                for v in ranked[: method.top_k]:
                    target[v] += method.alpha / method.top_k
            else:
                target[y] = 1.0
            if gate and a < 0 and ranked[0] == y:
                weight = method.top1_penalty
            clip_ratio = ratio * (weight if method.top1_penalty_on == "ratio" else 1.0)
            clipped = (a > 0 and clip_ratio > 1 + method.clip_high) or (a < 0 and clip_ratio < 1 - method.clip_low)
            if not clipped:
                grad[i, t] = -a * weight * ratio * (target - logp[t].exp())
    return grad / mask.sum()


@pytest.mark.parametrize(("y", "advantage", "correct", "gated", "loss", "gradient"), VECTOR)
def test_published_vector(
    y: int, advantage: float, correct: bool, gated: bool, loss: float, gradient: list[float]
) -> None:
    # a second, certain token opens the gate on the first; without it a single token is never above its own quantile
    logits = torch.tensor([[Z, [30.0, 0, 0, 0, 0]]], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([[Z_OLD, [30.0, 0, 0, 0, 0]]], dtype=torch.float64)
    method = SimKOLoss(alpha=0.3, top_k=3, top1_penalty=1.1, entropy_quantile=0.5 if gated else 1.0)
    stats = stats_of(
        logits, torch.tensor([[y, 0]]), old, torch.tensor([float(advantage)], dtype=torch.float64),
        torch.tensor([correct]), torch.ones(1, 2, dtype=torch.bool), 3,
    )  # fmt: skip
    value = method.loss(stats).matrix[0, 0]
    assert value.item() == pytest.approx(loss, abs=2e-6)
    (grad,) = torch.autograd.grad(value, logits)
    torch.testing.assert_close(grad[0, 0], torch.tensor(gradient, dtype=torch.float64), atol=2e-6, rtol=0)


@given(seed=st.integers(0, 10**6), alpha=st.sampled_from([0.0, 0.05, 0.5, 1.0]), penalty=st.sampled_from([1.0, 1.1, 2.0]),
       on=st.sampled_from(["advantage", "ratio"]), quantile=st.sampled_from([0.0, 0.5, 0.8, 1.0]))  # fmt: skip
def test_gradient_equals_the_slow_reference(seed: int, alpha: float, penalty: float, on: str, quantile: float) -> None:
    method = SimKOLoss(alpha=alpha, top1_penalty=penalty, top1_penalty_on=on, entropy_quantile=quantile)  # type: ignore[arg-type]
    case = random_case(seed)
    logits = case["logits"].clone().requires_grad_()
    (grad,) = torch.autograd.grad(total(method, case, logits), logits)
    torch.testing.assert_close(grad, slow_reference(method, case), atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("on", ["advantage", "ratio"])
def test_gradient_equals_finite_differences_of_the_surrogate(seed: int, on: str) -> None:
    """The surrogate freezes stop-gradient terms, candidate ids and gates at the point, as the method's formula says."""
    method = SimKOLoss(alpha=0.4, top1_penalty=1.5, top1_penalty_on=on, entropy_quantile=0.5)  # type: ignore[arg-type]
    case = random_case(seed, b=3, t=5, v=6)
    point = stats_of(*(case[key] for key in ("logits", "ids", "old_logits", "advantage", "correct", "mask")), 3)
    threshold = torch.stack([torch.quantile(point.entropy[i][point.mask[i]], 0.5) for i in range(3)]).clamp(
        min=method.entropy_floor
    )
    gate = (point.entropy > threshold[:, None]) & point.mask
    r_point = torch.exp(point.logp - point.old_logp)

    def surrogate(logits: Tensor) -> float:
        logp = torch.log_softmax(logits, -1)
        r = torch.exp(logp.gather(-1, case["ids"][..., None])[..., 0] - point.old_logp)
        r_k = torch.exp(logp.gather(-1, point.topk_ids))  # pi(v_k); pi_old(v_k) cancels in sg(r / r_k) r_k
        shared = (r_point[..., None] / point.topk_logp.exp() * r_k).mean(-1)
        positive = gate & case["correct"][:, None] & (point.advantage > 0)
        mixed = torch.where(positive, (1 - method.alpha) * r + method.alpha * shared, r)
        negative = gate & point.is_top1 & (point.advantage < 0)
        a = torch.where(negative & (on == "advantage"), method.top1_penalty * point.advantage, point.advantage)
        mixed = torch.where(negative & (on == "ratio"), method.top1_penalty * mixed, mixed)
        loss = torch.maximum(-a * mixed, -a * mixed.clamp(0.8, 1.2))
        return float((loss * point.mask).sum() / point.mask.sum())

    logits = case["logits"].clone().requires_grad_()
    (grad,) = torch.autograd.grad(total(method, case, logits), logits)
    numeric, step = torch.zeros_like(grad), 1e-6
    for index in torch.cartesian_prod(*(torch.arange(s) for s in grad.shape)):
        bump = torch.zeros_like(grad)
        bump[tuple(index)] = step
        numeric[tuple(index)] = (surrogate(case["logits"] + bump) - surrogate(case["logits"] - bump)) / (2 * step)
    torch.testing.assert_close(grad, numeric, atol=1e-7, rtol=1e-5)
    assert float(gate.sum()) > 0


@pytest.mark.parametrize("neutral", [{"alpha": 0.0, "top1_penalty": 1.0}, {"entropy_quantile": 1.0}])
@pytest.mark.parametrize("seed", range(5))
def test_neutral_settings_are_grpo_bit_for_bit(seed: int, neutral: dict) -> None:
    case = random_case(seed)
    simko_logits, grpo_logits = (case["logits"].clone().float().requires_grad_() for _ in range(2))
    case = {key: value.float() if value.is_floating_point() else value for key, value in case.items()}
    simko_loss = total(algorithms.get("simko", **neutral).loss_part, case, simko_logits)
    grpo_loss = total(algorithms.get("grpo").loss_part, case, grpo_logits)
    assert torch.equal(simko_loss, grpo_loss)
    assert torch.equal(
        *(torch.autograd.grad(a, b)[0] for a, b in ((simko_loss, simko_logits), (grpo_loss, grpo_logits)))
    )


@given(seed=st.integers(0, 10**6))
def test_the_value_does_not_depend_on_alpha_but_the_gradient_does(seed: int) -> None:
    case = random_case(seed)
    case["correct"][:], case["mask"][:], case["advantage"] = True, True, case["advantage"].abs()
    case["old_logits"] = case["logits"]
    logits = case["logits"].clone().requires_grad_()
    plain, mixed = (total(SimKOLoss(alpha=a, top1_penalty=1.0), case, logits) for a in (0.0, 0.6))
    torch.testing.assert_close(plain, mixed, atol=1e-12, rtol=0)
    plain_grad, mixed_grad = (torch.autograd.grad(loss, logits)[0] for loss in (plain, mixed))
    assert (plain_grad - mixed_grad).abs().max() > 1e-3


@given(seed=st.integers(0, 10**6))
def test_a_right_answer_with_a_falling_advantage_shares_nothing(seed: int) -> None:
    """With shaped rewards a right answer can be the worst of its group: its candidates must not be pushed down."""
    case = random_case(seed)
    case["correct"][:], case["advantage"] = True, -case["advantage"].abs()
    logits = case["logits"].clone().requires_grad_()
    shared, plain = (
        torch.autograd.grad(total(SimKOLoss(alpha=a, top1_penalty=1.0), case, logits), logits)[0] for a in (0.6, 0.0)
    )
    assert torch.equal(shared, plain)


def test_one_candidate_that_is_the_sampled_token_is_the_plain_ratio() -> None:
    case = random_case(0)
    case["ids"] = case["logits"].argmax(-1)
    logits = case["logits"].clone().requires_grad_()
    grads = [
        torch.autograd.grad(total(SimKOLoss(alpha=a, top_k=1, top1_penalty=1.0), case, logits, k=1), logits)[0]
        for a in (0.0, 0.7)
    ]
    torch.testing.assert_close(*grads)


def test_correctness_comes_from_the_verdict_not_from_the_sign_of_the_reward() -> None:
    case = random_case(3)
    case["advantage"] = case["advantage"].abs()
    logits = case["logits"].clone().requires_grad_()
    case["correct"] = torch.zeros(4, dtype=torch.bool)
    wrong = torch.autograd.grad(total(SimKOLoss(alpha=0.5), case, logits), logits)[0]
    grpo = torch.autograd.grad(total(algorithms.get("grpo").loss_part, case, logits), logits)[0]
    assert torch.equal(wrong, grpo)


@given(seed=st.integers(0, 10**6), q=st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]))
def test_row_quantile_is_that_of_torch(seed: int, q: float) -> None:
    case = random_case(seed)
    entropy, mask = case["logits"][..., 0].abs(), case["mask"]
    expected = torch.stack([torch.quantile(row[keep], q) for row, keep in zip(entropy, mask, strict=True)])
    torch.testing.assert_close(row_quantile(entropy, mask, q), expected)
    assert float(row_quantile(entropy, torch.zeros_like(mask), q).abs().max()) == 0


def test_entropy_floor_keeps_certain_tokens_out() -> None:
    case = random_case(1, t=10)
    case["mask"][:] = True
    case["logits"][:, :, 0] += 40.0  # every token certain
    logits = case["logits"].clone().requires_grad_()
    stats = stats_of(logits, case["ids"], case["old_logits"], case["advantage"], case["correct"], case["mask"], 3)
    assert not SimKOLoss().loss(stats).shares["gate_fraction"].any()
    assert SimKOLoss(entropy_floor=0.0).loss(stats).shares["gate_fraction"].any()


def test_kl_term_is_k3() -> None:
    case = random_case(2)
    stats = stats_of(*(case[key] for key in ("logits", "ids", "old_logits", "advantage", "correct", "mask")), 3)
    stats = replace(stats, ref_logp=stats.logp - 0.3)
    with_kl, without = (algorithms.get("grpo", kl_coefficient=c).loss(stats).matrix for c in (0.5, 0.0))
    torch.testing.assert_close(with_kl - without, torch.full_like(with_kl, 0.5 * (math.exp(-0.3) + 0.3 - 1)))
    assert "reference" in algorithms.get("simko", kl_coefficient=0.1).needs_new


def test_what_is_inert_says_so() -> None:
    assert "clip_low" in algorithms.get("grpo").inert(1)
    assert algorithms.get("grpo").inert(2) == ()
    assert "alpha" in algorithms.get("simko", entropy_quantile=1.0).inert(2)
    assert "alpha" not in algorithms.get("simko").inert(1)


@pytest.mark.parametrize("penalty", [1.1, 1.0, 0.9, 0.8, 0.5, 0.0])
@pytest.mark.parametrize("on", ["advantage", "ratio"])
@pytest.mark.parametrize("more", [{}, {"alpha": 0.0}, {"entropy_quantile": 1.0}, {"alpha": 0.0, "clip_low": 0.6}])
def test_what_is_inert_changes_no_gradient_and_the_rest_does(penalty: float, on: str, more: dict[str, float]) -> None:
    """In a first update after a rollout, over many tokens: other values of the inert settings, and of the place of the factor."""
    case = random_case(3, b=16, t=24)
    case["old_logits"] = case["logits"]

    def gradient(**settings: Any) -> Tensor:
        settings = {"top1_penalty": penalty, "top1_penalty_on": on, "alpha": 0.3, **more, **settings}
        part = algorithms.get("simko", **settings).loss_part
        logits = case["logits"].clone().requires_grad_()
        total(part, case, logits, part.k).backward()
        assert logits.grad is not None
        return logits.grad

    inert = algorithms.get("simko", top1_penalty=penalty, top1_penalty_on=on, **more).inert(1)
    other = {"clip_low": 0.35, "clip_high": 0.35, "top_k": 2, "entropy_floor": 0.3}
    other |= {"top1_penalty_on": "ratio" if on == "advantage" else "advantage"}
    plain = gradient()
    for name, value in other.items():
        if name in inert:
            torch.testing.assert_close(gradient(**{name: value}), plain, rtol=1e-9, atol=1e-12)
    moves = not torch.allclose(gradient(top1_penalty_on=other["top1_penalty_on"]), plain, rtol=1e-9, atol=1e-12)
    assert moves == ("top1_penalty_on" not in inert) or penalty == 0.0  # a factor of 0 leaves nothing either way


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("simkoo", {}, "did you mean 'simko'"),
        ("simko", {"alhpa": 0.1}, "did you mean 'alpha'"),
        ("simko", {"alpha": 1.5}, "alpha is 1.5"),
        ("simko", {"top_k": "x"}, "whole number"),
        ("simko", {"top1_penalty_on": "loss"}, "one of advantage, ratio"),
        ("grpo", {"alpha": 0.1}, "unknown setting 'alpha'"),
    ],
)
def test_settings_are_checked(name: str, settings: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        algorithms.get(name, **settings)


def test_defaults_are_the_papers() -> None:
    defaults = {entry["name"]: entry["settings"] for entry in algorithms.describe()}["simko"]
    assert (defaults["alpha"], defaults["top_k"], defaults["entropy_quantile"], defaults["top1_penalty"]) == (
        0.01,
        3,
        0.8,
        1.1,
    )
    assert (defaults["clip_low"], defaults["clip_high"], defaults["kl_coefficient"]) == (0.2, 0.2, 0.0)
