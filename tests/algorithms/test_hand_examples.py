"""At least one number for each method that was worked out by hand, or that its paper's readers print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from simko import algorithms
from simko.algorithms.aer import AERLoss, group_difficulty
from simko.algorithms.base_answers import divergence
from simko.algorithms.covariance import covariance
from simko.algorithms.dapo import overlong
from simko.algorithms.siren import peak_entropy
from simko.algorithms.stats import Prepared, StepStats, TokenStats
from simko.algorithms.ucpo import uniform_weights
from simko.group_view import GroupView
from simko.head import LmHead, token_statistics


def real(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def view(right: int, n: int = 8, logp: Sequence[float] = (), length: int = 10, budget: int = 100) -> GroupView:
    correct = [i < right for i in range(n)]
    return GroupView([float(x) for x in correct], correct, logp or [-0.4] * n, [length] * n, budget)


def token(logp: Any, old: Any, advantage: float, entropy: Any = None, **constants: Tensor) -> TokenStats:
    """One row of tokens with these log-probs now and before."""
    logp = logp if isinstance(logp, Tensor) else real([logp])
    t = logp.shape[1]
    ones = torch.ones(1, t, dtype=torch.bool)
    return TokenStats(
        mask=ones, logp=logp, old_logp=real([old]), advantage=torch.full((1, t), advantage, dtype=torch.float64),
        correct=torch.tensor([advantage > 0]), entropy=real([entropy or [1.0] * t]), is_top1=ones,
        topk_logp=logp.detach()[..., None], topk_ids=torch.zeros(1, t, 1, dtype=torch.long), constants=constants,
    )  # fmt: skip


def step(mask: Any, advantage: Any, group: Any, correct: Any, **columns: Any) -> StepStats:
    mask = torch.tensor(mask)
    return StepStats(
        mask=mask, sampler_logp=torch.zeros(mask.shape, dtype=torch.float64), advantage=real(advantage),
        reward=torch.tensor(correct).double(), correct=torch.tensor(correct), group=torch.tensor(group), step=1,
        rng=np.random.default_rng(0), step_tokens=int(mask.sum()), step_sequences=len(mask), **columns,
    )  # fmt: skip


def loss(name: str, stats: TokenStats, **values: Any) -> list[float]:
    matrix = algorithms.get(name, **values).loss(stats).matrix[0].detach()
    return [float(x) for x in matrix]


def weight(name: str, logp: float, old: float, advantage: float, **values: Any) -> float:
    """What a token's grad log pi is multiplied with."""
    variable = real([[logp]]).requires_grad_()
    value = algorithms.get(name, **values).loss(token(variable, [old], advantage)).matrix.sum()
    return -float(torch.autograd.grad(value, variable)[0])


# Advantages, 8 answers: w of c right ones, A = w (R - c/n)

TABLE = {
    "grpo": [2.828, 2.160, 1.932, 1.871, 1.932, 2.160, 2.828],
    "dr_grpo": [1.0] * 7,
    "maxrl": [8.0, 4.0, 2.667, 2.0, 1.6, 1.333, 1.143],
    "f_grpo": [2.646, 1.871, 1.528, 1.323, 1.183, 1.080, 1.0],
    "pkpo": [1.143, 0.653, 0.327, 0.131, 0.033, 0.0, 0.0],
    "pass_at_k": [1.143, 0.696, 0.444, 0.241, 0.0, 0.0, 0.0],
    "rloo": [1.143] * 7,
    "one_sided": [2.828, 2.0, 1.633, 1.414, 1.265, 1.155, 1.069],
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("c", range(9))
def test_the_table_of_weights(name: str, c: int) -> None:
    values = algorithms.get("grpo", advantage=name).advantages(view(c))
    w = TABLE[name][c - 1] if 0 < c < 8 else 0.0
    assert values[:c] == pytest.approx([w * (1 - c / 8)] * c, abs=6e-4)
    assert values[c:] == pytest.approx([-w * c / 8] * (8 - c), abs=6e-4)


def test_rloo_of_shaped_rewards() -> None:
    rewards = GroupView([3.0, 1.0, 2.0], [True, False, True], [-1.0] * 3, [1] * 3)
    assert algorithms.get("rloo").advantages(rewards) == pytest.approx([1.5, -1.5, 0.0])


def test_pass_at_4_of_two_among_eight() -> None:
    assert algorithms.get("pass_at_k").advantages(view(2)) == pytest.approx([0.522233] * 2 + [-0.174078] * 6, abs=3e-6)
    same = algorithms.get("simko_pass_at_k")
    assert same.advantages(view(2)) == algorithms.get("pass_at_k").advantages(view(2))
    assert same.loss_part == algorithms.get("simko").loss_part == algorithms.get("casp").loss_part


@pytest.mark.parametrize(
    ("name", "right", "wrong"), [("psr", 1.0, 0.0), ("nsr", 0.0, -1.0), ("w_reinforce", 0.1, -1.0)]
)
def test_one_signed_advantages(name: str, right: float, wrong: float) -> None:
    for c in (0, 2, 8):
        assert algorithms.get(name).advantages(view(c)) == [right] * c + [wrong] * (8 - c)
    assert algorithms.get(name).min_valid == 1


def test_ds_grpo() -> None:
    logp = [-0.2, -0.6] + [-0.4] * 6
    method = algorithms.get("ds_grpo")
    assert method.advantages(view(2, logp=logp)) == pytest.approx([1.742, 1.762] + [-0.597] * 6, abs=6e-4)
    assert method.advantages(view(0, 2, [-0.4, -2.0])) == pytest.approx([-0.02, -0.1])
    assert method.advantages(view(2, 2, [-0.4, -2.0])) == pytest.approx([0.02, 0.1])
    assert algorithms.get("ds_grpo", mixed_groups_only=True).advantages(view(2, 2, [-0.4, -2.0])) == [0.0, 0.0]


def test_ucpo() -> None:
    shares = [math.log(0.5), math.log(0.3), math.log(0.2)]
    assert uniform_weights(shares, 0.2) == pytest.approx([0.916, 0.994, 1.090], abs=6e-4)
    assert uniform_weights([-0.2, -0.3, -0.4], 0.2) == pytest.approx([0.980, 0.999, 1.020], abs=6e-4)
    plain, own = (algorithms.get(name).advantages(view(3, 8, [*shares, *[-1.0] * 5])) for name in ("grpo", "ucpo"))
    assert [a / b for a, b in zip(own[:3], plain[:3], strict=True)] == pytest.approx([0.916, 0.994, 1.090], abs=6e-4)
    assert own[3:] == plain[3:]
    summed = algorithms.get("ucpo", length_norm=False)
    far = summed.advantages(view(3, 8, [-0.2, -0.3, -0.4, *[-1.0] * 5], length=500))
    assert [a / b for a, b in zip(far[:3], plain[:3], strict=True)] == pytest.approx([0.8, 1.1, 1.1], abs=6e-4)


def test_dapos_penalty() -> None:
    """Budget 20,480 and buffer 4,096."""
    assert [overlong(length, 20_480, 4096) for length in (16_384, 18_432, 20_480)] == [0.0, -0.5, -1.0]
    # rewards 1 and 0 become .5 and 0 when the right answer of 90 of 100 tokens is in the middle of a buffer of 20
    group = GroupView([1.0, 0.0, 0.0], [True, False, False], [-1.0] * 3, [90, 10, 10], 100)
    values = algorithms.get("dapo").advantages(group)
    assert values == pytest.approx([1.1547, -0.57735, -0.57735], abs=1e-4)
    longer = GroupView([1.0, 0.0, 0.0], [True, False, False], [-1.0] * 3, [100, 100, 10], 100)
    # 0, -1 and 0: mean -1/3, std .57735
    assert algorithms.get("dapo").advantages(longer) == pytest.approx([0.57735, -1.1547, 0.57735], abs=1e-4)


# Advantages by token


@pytest.mark.parametrize(("tau", "factors"), [(0.1, [0.9, 0.9, 1.1]), (0.2, [0.9, 0.9, 0.0])])
def test_thr(tau: float, factors: list[float]) -> None:
    """One right answer of token a, wrong ones of b and a; pi = (.6, .4), h = 1, .5, .5: scores .32, .24, -.16."""
    stats = step(
        [[True]] * 3, [1.0, -1.0, -1.0], [0, 0, 0], [True, False, False], ids=torch.tensor([[0], [1], [0]]),
        logp=torch.log(real([[0.6], [0.4], [0.6]])), hidden=[real([[1.0]]), real([[0.5]]), real([[0.5]])],
        head=LmHead(torch.zeros(2, 1, dtype=torch.float64), torch.log(real([0.6, 0.4]))),
    )  # fmt: skip
    method = algorithms.get("thr", thr_beta=tau / 0.32)  # the threshold is .32: the one right answer's own mean
    advantage = method.advantage.tokens(stats)
    assert advantage is not None
    assert advantage[:, 0].tolist() == pytest.approx([factors[0], -factors[1], -factors[2]], abs=1e-9)


def test_ucas() -> None:
    """Confidence 0 and 1: z = -+.7071. Raw logits 4 and 2: u = 1 and 0."""
    root = math.sqrt(0.5)
    stats = step(
        [[True], [True]],
        [root, -root],
        [0, 0],
        [True, False],
        certainty=real([[0.0], [1.0]]),
        raw_logit=real([[4.0], [2.0]]),
    )
    advantage = algorithms.get("ucas").advantage.tokens(stats)
    assert advantage is not None
    expected = [root * math.exp(0.25 * root) - 0.05, -root * math.exp(0.35 * root)]
    assert advantage[:, 0].tolist() == pytest.approx(expected, abs=5e-6)
    equal = step(
        [[True], [True]],
        [0.02, -1.0],
        [0, 1],
        [True, False],
        certainty=real([[9.0], [9.0]]),
        raw_logit=real([[3.0], [3.0]]),
    )
    advantage = algorithms.get("ucas").advantage.tokens(equal)  # alone in their groups: z = 0; u = .5
    assert advantage is not None
    assert advantage[:, 0].tolist() == pytest.approx([0.0, -1.025])


# Losses. pi = 1/2 now, and the ratios are 10 and 2

TEN = ([math.log(0.5), math.log(0.5)], [math.log(0.05), math.log(0.25)])


def test_clips() -> None:
    right, wrong = token(*TEN, 1.0), token(*TEN, -1.0)
    assert loss("grpo", right) == pytest.approx([-1.2, -1.2])
    assert loss("grpo", wrong) == pytest.approx([10.0, 2.0])
    for name in ("dapo", "dph_rl"):
        assert loss(name, right) == pytest.approx([-1.28, -1.28])
    for name in ("self", "eepo", "thr", "rloo", "psr", "maxrl", "ucpo"):
        assert loss(name, right) == pytest.approx([-1.2, -1.2])


def test_cispo() -> None:
    assert loss("cispo", token(*TEN, 1.0)) == pytest.approx([5 * math.log(2), 2 * math.log(2)])
    assert weight("cispo", math.log(0.5), math.log(0.05), 1.0) == pytest.approx(5.0)


def test_gspo() -> None:
    """Log-ratios .2 and 0: both tokens have the ratio e^.1."""
    stats = token([math.log(0.5)] * 2, [math.log(0.5) - 0.2, math.log(0.5)], 1.0)
    assert loss("gspo", stats, clip_low=0.2, clip_high=0.2) == pytest.approx([-math.exp(0.1)] * 2)
    assert loss("gspo", stats) == pytest.approx([-1.0004] * 2)


def test_aspo() -> None:
    """pi_old = .20 and pi = .22: GRPO weighs the token with 1.10, ASPO with .909."""
    assert weight("grpo", math.log(0.22), math.log(0.20), 1.0) == pytest.approx(1.10)
    assert weight("aspo", math.log(0.22), math.log(0.20), 1.0, kl_coefficient=0.0) == pytest.approx(0.909, abs=6e-4)
    assert weight("aspo", math.log(0.30), math.log(0.20), 1.0, kl_coefficient=0.0) == 0.0  # above the clip
    assert weight("aspo", math.log(0.05), math.log(0.50), 1.0, kl_coefficient=0.0) == pytest.approx(3.0)  # 10, capped
    assert loss("aspo", token(*TEN, -1.0), kl_coefficient=0.0) == pytest.approx([3 * math.log(0.5), 2.0])


def test_entropy_advantage() -> None:
    for a, h, expected in ((-1.0, 2.0, -0.5), (1.0, 2.0, 1.5), (1.0, 0.1, 1.04)):
        stats = token([-1.0], [-1.0], a, [h])
        assert loss("entropy_advantage", stats) == pytest.approx([-expected])


def test_entropy_bonus() -> None:
    stats = token([-1.0], [-1.0], 1.0, [math.log(2)])
    assert loss("entropy_bonus", stats, entropy_coefficient=0.1) == pytest.approx([-1 - 0.1 * math.log(2)])


def test_high_entropy_tokens() -> None:
    """Entropies 1 to 5 over two answers: the quantile .8 is 4.2, so one token is trained."""
    stats = step(
        [[True, True, True], [True, True, False]],
        [1.0, -1.0],
        [0, 0],
        [True, False],
        entropy=real([[1, 5, 2], [3, 4, 9]]),
    )
    method = algorithms.get("high_entropy_tokens")
    chosen = method.prepare(stats, {}).constants["chosen"]
    assert chosen.tolist() == [[False, True, False], [False, False, False]]
    assert loss("high_entropy_tokens", token(*TEN, 1.0, chosen=chosen[:1, :2])) == pytest.approx([0.0, -1.28])


def covariances() -> StepStats:
    """A = (1, 1, -1) and l = (-1, -3, -2): means 1/3 and -2."""
    return step([[True]] * 3, [1.0, 1.0, -1.0], [0, 0, 0], [True, True, False], logp=real([[-1.0], [-3.0], [-2.0]]))


def test_kl_cov() -> None:
    stats = covariances()
    assert covariance(stats, stats.advantage[:, None]).tolist() == pytest.approx([2 / 3, -2 / 3, 0.0])
    chosen = algorithms.get("kl_cov").prepare(stats, {}).constants["chosen"]
    assert chosen.tolist() == [[True], [False], [False]]
    pulled = token(*TEN, 1.0, chosen=torch.tensor([[True, False]]))
    assert loss("kl_cov", pulled, kl_cov_coefficient=0.5) == pytest.approx([-10 + 0.5 * math.log(10), -2.0])


def test_clip_cov() -> None:
    chosen = algorithms.get("clip_cov", clip_cov_low=0.5).prepare(covariances(), {}).constants["chosen"]
    assert chosen.tolist() == [[True], [False], [False]]
    assert not algorithms.get("clip_cov").prepare(covariances(), {}).constants["chosen"].any()
    assert loss("clip_cov", token(*TEN, 1.0, chosen=torch.tensor([[True, False]]))) == pytest.approx([0.0, -2.0])


def test_lp_reg() -> None:
    """Old p (.90 .06 .03 .01), the third sampled, now .02: proxy .0303, k3 .0996, its slope -.515."""
    logits = torch.log(real([[0.90, 0.06, 0.03, 0.01]] * 2))
    ids = torch.tensor([2, 3])
    got = token_statistics(logits, torch.eye(4, dtype=torch.float64), ids, 2, extra=frozenset(("proxy",)), min_p=0.02)
    assert got.proxy_logp is not None
    assert float(got.proxy_logp[0].exp()) == pytest.approx(0.0303, abs=6e-5)
    assert float(got.proxy_logp[1]) == -1e4  # removed
    variable = real([[math.log(0.02)]]).requires_grad_()
    constants = {"chosen": torch.tensor([[True]]), "proxy": got.proxy_logp[:1, None]}
    matrix = algorithms.get("lp_reg").loss(token(variable, [math.log(0.02)], -1e-12, **constants)).matrix
    assert float(matrix.detach()) == pytest.approx(0.0996, abs=6e-5)
    assert float(torch.autograd.grad(matrix.sum(), variable)[0]) == pytest.approx(-0.515, abs=6e-4)
    # of four tokens with A < 0 and share .5, the two least likely are looked at, and one is the proxy's own log-prob
    stats = step(
        [[True, True], [True, True], [True, True]], [1.0, -1.0, -1.0], [0, 0, 0], [True, False, False],
        logp=real([[-9.0, -9.0], [-4.0, -1.0], [-5.0, -2.0]]), proxy_logp=real([[-1.0, -1.0], [-4.0, -0.5], [-3.0, -1.0]]),
    )  # fmt: skip
    chosen = algorithms.get("lp_reg", lp_rho=0.5).prepare(stats, {}).constants["chosen"]
    assert chosen.tolist() == [[False, False], [False, False], [True, False]]


@pytest.mark.parametrize(
    ("kind", "half", "two"), [("forward", 0.193, 0.307), ("js", 0.085, 0.170), ("alpha", 0.160, 0.368)]
)
def test_divergences(kind: str, half: float, two: float) -> None:
    """Of u = 1/2, 2 and 1."""
    gap = torch.log(real([[0.5, 2.0, 1.0]]))
    assert divergence(gap, kind)[0].tolist() == pytest.approx([half, two, 0.0], abs=6e-4)


# Controllers


def test_aer() -> None:
    """Accuracies 0, .25 and .75 with rho .5: raw weights 1, .5, 0; with mean 1, they are 2, 1, 0."""
    correct = torch.tensor([False] * 4 + [True] + [False] * 3 + [True] * 3 + [False])
    weights = group_difficulty(correct, torch.arange(12) // 4, 0.5)
    assert weights.tolist() == pytest.approx([2.0] * 4 + [1.0] * 4 + [0.0] * 4)
    stats = step([[True]] * 12, [0.0] * 12, (torch.arange(12) // 4).tolist(), correct.tolist())
    prepared = AERLoss().prepare(stats, stats.advantage[:, None], {"weight": 0.02})
    assert prepared.constants["bonus"].tolist() == pytest.approx([0.04] * 4 + [0.02] * 4 + [0.0] * 4)
    assert loss("aer", token([-1.0], [-1.0], 1.0, [2.0], bonus=real([0.04]))) == pytest.approx([-1.08])
    part, state = AERLoss(aer_eta=1.0), {"weight": 0.01}
    state = part.end_step(state, {"entropy": 2.0})  # the target is .8, and the entropy lies above it
    assert state == {"first_entropy": 2.0, "weight": pytest.approx(0.005)}  # at most a tenth of .05
    assert part.end_step(state, {"entropy": 0.799})["weight"] == pytest.approx(0.006)
    assert part.end_step(state, {"entropy": 0.1})["weight"] == pytest.approx(0.010)


def test_siren() -> None:
    """Hn of (.4 .3 .2 .1), (.3 .3 .3 .1) and (.85 .1 .04 .01) are .683, ln 2 and 0; above the quantile 0 are two."""
    laws = real([[0.4, 0.3, 0.2, 0.1], [0.3, 0.3, 0.3, 0.1], [0.85, 0.1, 0.04, 0.01]])
    names: Any = frozenset(("nucleus_entropy",))
    got = token_statistics(
        laws.log(), torch.eye(4, dtype=torch.float64), torch.zeros(3, dtype=torch.long), 3, extra=names
    )
    assert got.nucleus_entropy is not None
    assert got.nucleus_entropy.tolist() == pytest.approx([0.683, math.log(2), 0.0], abs=6e-4)
    entropy, mask = got.nucleus_entropy[None].repeat(2, 1), torch.tensor([[True] * 3, [False, False, True]])
    mean = (float(got.nucleus_entropy[0]) + math.log(2)) / 2
    assert peak_entropy(entropy, mask, 0.0).tolist() == pytest.approx([mean, 0.0])
    stats = step(mask.tolist(), [0.0, 0.0], [0, 0], [True, False], nucleus_entropy=entropy)
    method = algorithms.get("siren", siren_quantile=0.0)
    prepared = method.prepare(stats, {"loss": {"anchor": 0.5}})
    gap = mean / 2 - 0.5
    assert prepared.metrics["siren_entropy"] == pytest.approx(mean / 2)
    assert prepared.metrics["siren_penalty"] == pytest.approx(0.005 * gap**2)
    assert float(prepared.constants["slope"]) == pytest.approx(2 * 0.005 * gap / 2)
    assert method.prepare(stats, {}).metrics["siren_penalty"] == 0.0
    assert isinstance(prepared, Prepared)
