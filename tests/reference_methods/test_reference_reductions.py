"""What each reference reduces to, and what must leave it unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference_methods import (
    aer,
    aggregates,
    aspo,
    clip_cov,
    dapo,
    difficulty,
    dph_rl,
    dr_grpo,
    ds_grpo,
    eepo,
    entropy_advantage,
    f_grpo,
    grpo,
    high_entropy_tokens,
    kl_cov,
    lp_reg,
    maxrl,
    nsr,
    pass_at_k,
    psr,
    rloo,
    several_rewards,
    simko,
    siren,
    thr,
    ucas,
    ucpo,
    w_reinforce,
    weighted,
)
from reference_methods import self as self_method
from reference_methods.arithmetic import entropy, population_std, token_logp
from reference_methods.steps import Step, gradient, random_step, slope

seeds = st.integers(0, 10**6)
few = settings(max_examples=8)


def close(value: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(value, expected, rtol=0.0, atol=tolerance)


def plain(step: Step, logits: Tensor, clip_low: float = 0.2, clip_high: float = 0.2) -> Tensor:
    return grpo.loss_matrix(
        logits, step.token_ids, step.mask, step.old_logp, base(step), clip_low=clip_low, clip_high=clip_high
    )


def base(step: Step) -> Tensor:
    return grpo.advantages(step.rewards, step.groups)


def same_loss(step: Step, one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor]) -> None:
    """Require equal values and equal gradients, to the last bit."""
    assert torch.equal(one(step.logits), other(step.logits))
    assert torch.equal(gradient(one, step.logits), gradient(other, step.logits))


# Losses


@few
@given(seed=seeds)
def test_simko_without_its_two_parts_is_grpo(seed: int) -> None:
    step = random_step(seed)
    for given_settings in (
        {"alpha": 0.0, "top1_penalty": 1.0},
        {"alpha": 0.0, "top1_penalty": 1.0, "penalty_on": "ratio"},
        {"alpha": 0.3, "top1_penalty": 1.5, "quantile": 1.0},
    ):

        def loss(logits: Tensor, given_settings: dict = given_settings) -> Tensor:
            return simko.loss_matrix(
                logits, step.token_ids, step.mask, step.old_logp, base(step), correct=step.correct, **given_settings
            )

        same_loss(step, loss, lambda logits: plain(step, logits))


@few
@given(seed=seeds, alpha=st.floats(0.0, 1.0), top_k=st.integers(1, 6))
def test_the_value_of_simko_does_not_depend_on_alpha_or_k(seed: int, alpha: float, top_k: int) -> None:
    step = random_step(seed)

    def value(alpha: float, smoothing: str = "uniform") -> Tensor:
        return simko.loss_matrix(
            step.logits,
            step.token_ids,
            step.mask,
            step.old_logp,
            base(step),
            correct=step.correct,
            alpha=alpha,
            top_k=top_k,
            smoothing=smoothing,  # type: ignore[arg-type]
            quantile=0.3,
        )

    close(value(alpha), value(0.0))
    close(value(alpha, "probability"), value(0.0))


@few
@given(seed=seeds)
def test_simko_shares_only_where_the_advantage_is_positive(seed: int) -> None:
    """With shaped rewards a right answer can have A < 0: its top-K must not be pushed down."""
    step = random_step(seed)
    advantages = -base(step).abs()

    def loss(logits: Tensor, alpha: float) -> Tensor:
        return simko.loss_matrix(
            logits,
            step.token_ids,
            step.mask,
            step.old_logp,
            advantages,
            correct=torch.ones_like(step.correct),
            alpha=alpha,
            quantile=0.0,
        )

    same_loss(step, lambda logits: loss(logits, 0.5), lambda logits: loss(logits, 0.0))


@few
@given(seed=seeds)
def test_simko_with_one_candidate_that_was_sampled_is_plain(seed: int) -> None:
    step = random_step(seed)
    top = step.logits.argmax(dim=-1)
    old_logp = token_logp(step.old_logits, top, step.mask)

    def loss(logits: Tensor, alpha: float) -> Tensor:
        return simko.loss_matrix(
            logits,
            top,
            step.mask,
            old_logp,
            base(step),
            correct=step.correct,
            alpha=alpha,
            top_k=1,
            top1_penalty=1.0,
            quantile=0.0,
        )

    close(loss(step.logits, 0.4), loss(step.logits, 0.0))
    close(gradient(lambda z: loss(z, 0.4), step.logits), gradient(lambda z: loss(z, 0.0), step.logits))


@few
@given(seed=seeds)
def test_the_two_places_of_the_penalty_agree_where_nothing_clips(seed: int) -> None:
    step = random_step(seed, distance=0.02)

    def loss(logits: Tensor, penalty_on: str) -> Tensor:
        return simko.loss_matrix(
            logits,
            step.token_ids,
            step.mask,
            step.old_logp,
            base(step),
            correct=step.correct,
            quantile=0.0,
            penalty_on=penalty_on,  # type: ignore[arg-type]
        )

    one, other = (lambda z: loss(z, "advantage")), (lambda z: loss(z, "ratio"))
    close(one(step.logits), other(step.logits))
    close(gradient(one, step.logits), gradient(other, step.logits))


def test_presets_of_simko() -> None:
    logic = simko.PRESETS["logic"]
    assert [simko.settings_at(step, logic) for step in (0, 49, 50)] == [(0.0, 1.0), (0.0, 1.0), (0.005, 1.05)]
    assert simko.settings_at(0, simko.PRESETS["math"]) == (0.01, 1.1)
    assert simko.settings_at(0, simko.PRESETS["code"]) == (0.05, 1.1)


@few
@given(seed=seeds)
def test_dapo_is_grpo_with_another_upper_clip(seed: int) -> None:
    step = random_step(seed)
    inputs = (step.token_ids, step.mask, step.old_logp, base(step))
    same_loss(step, lambda z: dapo.loss_matrix(z, *inputs, clip_high=0.2), lambda z: plain(step, z))
    same_loss(step, lambda z: dapo.loss_matrix(z, *inputs), lambda z: plain(step, z, 0.2, 0.28))


@few
@given(seed=seeds)
def test_losses_without_their_own_part_are_clipped_ratios(seed: int) -> None:
    step = random_step(seed)
    inputs = (step.token_ids, step.mask, step.old_logp, base(step))
    nothing, far = torch.zeros_like(step.mask), float("inf")
    same_loss(
        step,
        lambda z: kl_cov.loss_matrix(z, *inputs, coefficient=0.0),
        lambda z: plain(step, z, far, far),
    )
    same_loss(step, lambda z: clip_cov.loss_matrix(z, *inputs, dropped=nothing), lambda z: plain(step, z, 1.0, 1.0))
    same_loss(
        step,
        lambda z: entropy_advantage.loss_matrix(z, *inputs, alpha=0.0),
        lambda z: plain(step, z, 0.2, 0.28),
    )
    same_loss(
        step,
        lambda z: high_entropy_tokens.loss_matrix(z, *inputs, kept=step.mask),
        lambda z: plain(step, z, 0.2, 0.28),
    )
    same_loss(
        step,
        lambda z: lp_reg.loss_matrix(z, *inputs, proxy=step.old_logp, rho=0.0),
        lambda z: plain(step, z, 1.0, 9.0),
    )


@few
@given(seed=seeds)
def test_regularisers_with_coefficient_zero_leave_the_loss(seed: int) -> None:
    step = random_step(seed)
    inputs = (step.logits, step.token_ids, step.mask, step.old_logp)
    expected = grpo.aggregate(plain(step, step.logits), step.mask)
    weights = aer.row_weights(step.correct, step.groups)
    close(aer.loss(*inputs, base(step), weights=weights, coefficient=0.0), expected)
    centred = dr_grpo.advantages(step.rewards, step.groups)
    matrix = dr_grpo.loss_matrix(*inputs, centred)
    value = siren.loss(*inputs, centred, length=7.0, anchor=0.3, beta=0.0)
    close(value, dr_grpo.aggregate(matrix, step.mask, 7.0))


@few
@given(seed=seeds)
def test_siren_has_no_pull_at_its_anchor(seed: int) -> None:
    step = random_step(seed)
    anchor = float(siren.peak_entropy(step.logits, step.mask, quantile=0.5))

    def pull(logits: Tensor, offset: float) -> Tensor:
        level = siren.peak_entropy(logits, step.mask, quantile=0.5)
        return siren.regulariser(level, anchor + offset)

    assert gradient(lambda z: pull(z, 0.0), step.logits).abs().max() == 0.0
    down, up = gradient(lambda z: pull(z, -0.1), step.logits), gradient(lambda z: pull(z, 0.1), step.logits)
    close(down, -up)


def test_the_anchor_of_siren_is_set_once() -> None:
    first = siren.next_state(siren.State(), 0.7)
    assert first == siren.State(0.7)
    assert siren.next_state(first, 0.1) == first


@few
@given(seed=seeds)
def test_aspo_treats_wrong_answers_as_ppo_does(seed: int) -> None:
    step = random_step(seed, distance=0.2)
    advantages = -base(step).abs()
    inputs = (step.token_ids, step.mask, step.old_logp, advantages)
    same_loss(
        step,
        lambda z: aspo.loss_matrix(z, *inputs, clip_high_entropy=0.2),
        lambda z: grpo.loss_matrix(z, *inputs),
    )


@few
@given(seed=seeds)
def test_high_entropy_tokens_keep_about_a_fifth(seed: int) -> None:
    step = random_step(seed)
    level, tokens = entropy(step.old_logits, step.mask), int(step.mask.sum())
    kept = high_entropy_tokens.kept_tokens(level, step.mask)
    assert int(kept.sum()) == tokens - math.ceil(0.8 * (tokens - 1) - 1e-9)
    assert torch.equal(high_entropy_tokens.kept_tokens(level, step.mask, q=0.0), step.mask)
    assert not high_entropy_tokens.kept_tokens(level, step.mask, q=1.0, scope="row").any()


@few
@given(seed=seeds)
def test_covariance_selects_at_least_one_and_ignores_shifts(seed: int) -> None:
    step = random_step(seed)
    logp = token_logp(step.logits, step.token_ids, step.mask)
    chosen = kl_cov.select(base(step), logp, step.mask)
    assert int(chosen.sum()) == 1
    assert torch.equal(kl_cov.select(base(step) + 2.0, logp - 3.0, step.mask), chosen)
    places = clip_cov.candidates(base(step), logp, step.old_logp, step.mask, low=0.0, high=100.0)
    dropped = clip_cov.picks(places, range(len(places)), step.mask)
    assert int(dropped.sum()) == min(1, len(places))


@few
@given(seed=seeds)
def test_lp_reg_needs_two_tokens_and_never_pulls_a_removed_one(seed: int) -> None:
    step = random_step(seed)
    logp = token_logp(step.logits, step.token_ids, step.mask)
    proxy = lp_reg.proxy_logp(step.old_logits, step.token_ids, step.mask, kappa=0.5)
    assert not lp_reg.select(base(step), logp, proxy, step.mask, rho=1e-9).any()
    pulled = lp_reg.select(base(step), logp, proxy, step.mask, rho=1.0)
    assert not (pulled & (proxy <= lp_reg.REMOVED)).any()
    assert not (pulled & (base(step)[:, None] >= 0)).any()


@few
@given(seed=seeds)
def test_forward_kl_vanishes_at_the_base_model(seed: int) -> None:
    step = random_step(seed)

    def loss(logits: Tensor, kind: str) -> Tensor:
        return dph_rl.auxiliary_loss(logits, step.token_ids, step.mask, step.base_logp, kind=kind)  # type: ignore[arg-type]

    for kind in ("forward", "js", "alpha"):
        close(loss(step.base_logits, kind), torch.zeros((), dtype=torch.float64))
        assert gradient(lambda z, kind=kind: loss(z, kind), step.base_logits).abs().max() < 1e-12
        assert loss(step.logits, kind) > 0
    forward = self_method.auxiliary_loss(step.logits, step.token_ids, step.mask, step.base_logp)
    close(forward, loss(step.logits, "forward"))


# Advantages


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draw verdicts and groups of one step: one to four groups of two to eight answers."""
    sizes = draw(st.lists(st.integers(2, 8), min_size=1, max_size=4))
    correct = [draw(st.booleans()) for size in sizes for _ in range(size)]
    return torch.tensor(correct), torch.tensor([g for g, size in enumerate(sizes) for _ in range(size)])


def zero_sum(correct: Tensor, groups: Tensor) -> dict[str, Tensor]:
    rewards = correct.double()
    return {
        "grpo": grpo.advantages(rewards, groups),
        "dr_grpo": dr_grpo.advantages(rewards, groups),
        "rloo": rloo.advantages(rewards, groups),
        "maxrl": maxrl.advantages(correct, groups),
        "f_grpo": f_grpo.advantages(rewards, correct, groups),
        "pass_at_k": pass_at_k.advantages(correct, groups, k=2),
    }


@given(outcome=outcomes())
def test_advantages_that_are_one_formula(outcome: tuple[Tensor, Tensor]) -> None:
    correct, groups = outcome
    methods = zero_sum(correct, groups)
    for name, weight in {
        "grpo": "grpo",
        "dr_grpo": "mean_baseline",
        "rloo": "rloo",
        "maxrl": "maxrl",
        "f_grpo": "f_grpo",
    }.items():
        close(methods[name], weighted.advantages(correct, groups, weight))
    close(methods["pass_at_k"], weighted.advantages(correct, groups, "pass_at_k", k=2), 1e-9)
    for value in methods.values():
        for g in range(int(groups.max()) + 1):
            assert abs(float(value[groups == g].sum())) < 1e-9
            if bool((correct[groups == g] == correct[groups == g][0]).all()):
                assert not value[groups == g].any()


@given(outcome=outcomes())
def test_advantages_that_are_another_at_a_setting(outcome: tuple[Tensor, Tensor]) -> None:
    correct, groups = outcome
    rewards, logp = correct.double(), -torch.linspace(0.1, 2.0, len(correct), dtype=torch.float64)
    reference = grpo.advantages(rewards, groups)
    close(weighted.advantages(correct, groups, "pkpo", k=1), rloo.advantages(rewards, groups))
    close(f_grpo.advantages(rewards, correct, groups, gamma=0.0), reference)
    close(ucpo.advantages(rewards, correct, groups, logp, tau=0.0), reference)
    close(ucpo.advantages(rewards, correct, groups, torch.full_like(logp, -0.7)), reference)
    close(several_rewards.advantages(rewards[:, None], groups, [1.0]), reference)
    two = several_rewards.advantages(torch.stack([rewards, 3.0 * rewards + 1.0], dim=1), groups, [0.5, 0.5])
    close(two, reference, 1e-5)
    close(self_method.advantages(rewards, groups, dict.fromkeys(range(4), False)), reference)
    assert not self_method.advantages(rewards, groups, dict.fromkeys(range(4), True)).any()
    ones = torch.ones((len(correct), 2), dtype=torch.bool)
    flat = ucas.advantages(
        rewards,
        groups,
        torch.rand(ones.shape, dtype=torch.float64),
        torch.rand(ones.shape, dtype=torch.float64),
        ones,
        positive=0.0,
        negative=0.0,
        token_penalty=0.0,
    )
    close(flat, torch.stack([reference, reference], dim=1))
    k1 = pass_at_k.advantages(correct, groups, k=1, epsilon=0.0) if bool(mixed(correct, groups)) else None
    if k1 is not None:
        for g in range(int(groups.max()) + 1):
            group = rewards[groups == g]
            close(k1[groups == g], (group - group.mean()) / population_std(group.tolist()))


def mixed(correct: Tensor, groups: Tensor) -> bool:
    return all(dapo.informative(correct[groups == g].tolist()) for g in range(int(groups.max()) + 1))


@given(outcome=outcomes())
def test_the_decomposition_of_negative_and_positive(outcome: tuple[Tensor, Tensor]) -> None:
    correct, _ = outcome
    both = psr.advantages(correct) + nsr.advantages(correct)
    close(w_reinforce.advantages(correct, positive_weight=1.0), both)
    close(w_reinforce.advantages(correct, positive_weight=0.0), nsr.advantages(correct))


@given(outcome=outcomes(), seed=seeds)
def test_ucpo_keeps_the_positive_mass_and_favours_the_unlikely(outcome: tuple[Tensor, Tensor], seed: int) -> None:
    correct, groups = outcome
    rewards = correct.double()
    logp = -torch.rand(len(correct), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    value, reference = ucpo.advantages(rewards, correct, groups, logp), grpo.advantages(rewards, groups)
    close(value[~correct], reference[~correct])
    for g in range(int(groups.max()) + 1):
        right = (groups == g) & correct
        close(value[right].sum(), reference[right].sum())
        order = torch.argsort(logp[right])
        assert bool((value[right][order].diff() <= 1e-12).all())


@given(outcome=outcomes(), seed=seeds)
def test_ds_grpo_without_smoothing_divides_by_the_std_over_n(outcome: tuple[Tensor, Tensor], seed: int) -> None:
    correct, groups = outcome
    rewards, logp = correct.double(), torch.zeros(len(correct), dtype=torch.float64) - 1.0
    value = ds_grpo.advantages(rewards, correct, groups, logp, positive=0.0, negative=0.0)
    for g in range(int(groups.max()) + 1):
        group = rewards[groups == g]
        spread = population_std(group.tolist())
        close(value[groups == g], (group - group.mean()) / (spread + 1e-6))
    if not mixed(correct, groups):
        smoothed = ds_grpo.advantages(rewards, correct, groups, logp)
        assert bool((smoothed != ds_grpo.advantages(rewards, correct, groups, logp, equal_groups=False)).any())


@given(
    rewards=st.lists(st.floats(-5, 5), min_size=2, max_size=8),
    order=st.randoms(use_true_random=False),
    shift=st.floats(-2, 2),
)
def test_grpo_ignores_the_order_and_a_shift(rewards: list[float], order: object, shift: float) -> None:
    value = grpo.normalised(rewards)
    places = list(range(len(rewards)))
    order.shuffle(places)  # type: ignore[attr-defined]
    assert grpo.normalised([rewards[i] for i in places]) == pytest.approx([value[i] for i in places], abs=1e-9)
    if population_std(rewards) > 1e-3:
        assert grpo.normalised([reward + shift for reward in rewards]) == pytest.approx(value, abs=1e-6)


@given(reward=st.floats(-5, 5), size=st.integers(1, 9))
def test_equal_rewards_give_exactly_nothing(reward: float, size: int) -> None:
    rewards, groups = torch.full((size,), reward, dtype=torch.float64), torch.zeros(size, dtype=torch.int64)
    for method in (grpo, dr_grpo, rloo):
        assert not method.advantages(rewards, groups).any()
    assert not several_rewards.advantages(rewards[:, None], groups, [2.0]).any()


@few
@given(seed=seeds)
def test_thr_without_a_threshold_and_without_p_is_grpo(seed: int) -> None:
    step = random_step(seed, size=3, T=3)
    inputs = (step.rewards, step.correct, step.groups, step.old_logits, step.hidden, step.token_ids, step.mask)
    expected = torch.where(step.mask, base(step)[:, None], 0.0)
    close(thr.advantages(*inputs, p=0.0, tau=-1.0), expected)
    explored, exploited = thr.advantages(*inputs, p=-0.1, tau=-1.0), thr.advantages(*inputs, p=0.1, tau=-1.0)
    close((explored + exploited) / 2, expected)
    assert not thr.advantages(*inputs, tau=math.inf).any()


@few
@given(seed=seeds)
def test_thr_does_not_depend_on_the_scale_of_the_hidden_states(seed: int) -> None:
    """The scores are linear in both hidden states: twice the states, four times the scores, the same masks."""
    step = random_step(seed, size=3, T=3)
    rest = (step.token_ids, step.mask)
    inputs = (step.rewards, step.correct, step.groups, step.old_logits)
    close(thr.advantages(*inputs, step.hidden, *rest), thr.advantages(*inputs, 2.0 * step.hidden, *rest))


# Sampling and controllers


@few
@given(seed=seeds)
def test_a_step_of_eepo_makes_the_first_half_less_likely(seed: int) -> None:
    step = random_step(seed)

    def unlearning(logits: Tensor) -> Tensor:
        return eepo.unlearning_loss(logits, step.token_ids, step.mask)

    direction = gradient(unlearning, step.logits)
    (after,) = eepo.forget([step.logits], [direction], learning_rate=1e-2)
    before, then = (token_logp(z, step.token_ids, step.mask)[step.mask].mean() for z in (step.logits, after))
    assert then < before
    assert slope(unlearning, step.logits, direction) == pytest.approx(float((direction**2).sum()), rel=1e-6)
    (capped,) = eepo.forget([step.logits], [direction], learning_rate=1.0, max_norm=1e-3)
    assert float((capped - step.logits).norm()) == pytest.approx(1e-3)


def test_a_certain_token_is_clamped() -> None:
    logits, ids, mask = torch.tensor([[[20.0, 0.0]]]).double(), torch.tensor([[0]]), torch.tensor([[True]])
    loss = eepo.unlearning_loss(logits, ids, mask)
    assert float(loss) == pytest.approx(-math.log(1e-3))
    assert not gradient(lambda z: eepo.unlearning_loss(z, ids, mask), logits).any()
    assert eepo.clamped_share(logits, ids, mask) == 1.0


def test_the_gate_of_eepo() -> None:
    state = eepo.State()
    opened = []
    for value in (0.2, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1):
        opened.append(eepo.gate(state))
        state = eepo.next_state(state, value)
    assert opened == [False, False, False, True, False, False, False]
    assert eepo.gate(state)
    entropies = torch.tensor([[0.1, 0.1, 0.1, 0.9]]).double()
    assert eepo.token_gate(entropies, torch.ones(1, 4, dtype=torch.bool)).tolist() == [[False, False, True, False]]
    assert (eepo.halves(8), eepo.halves(7)) == ((4, 4), (4, 3))


def test_the_controller_of_aer() -> None:
    state = aer.next_state(aer.State(), 2.0, rate=1.0, maximum=0.1)
    assert state == aer.State(2.0, 0.0)
    state = aer.next_state(state, 0.1, rate=1.0, maximum=0.1)
    assert state.coefficient == pytest.approx(0.01)
    state = aer.next_state(state, 0.8, rate=1.0, maximum=0.1)
    assert state.coefficient == pytest.approx(0.01)
    for _ in range(20):
        state = aer.next_state(state, 0.0, rate=1.0, maximum=0.1)
    assert state.coefficient == pytest.approx(0.1)
    for _ in range(20):
        state = aer.next_state(state, 5.0, rate=1.0, maximum=0.1)
    assert state.coefficient == 0.0
    assert aer.group_weights([0.5, 0.9]) == [0.0, 0.0]


def test_refill_keeps_the_first_informative_groups() -> None:
    sampled = [[True, True], [True, False], [False, False], [False, True], [True, False]]
    assert dapo.refill(sampled, 2) == ([1, 3], 0)
    assert dapo.refill(sampled, 5) == ([1, 3, 4], 2)
    assert dapo.refill([], 2) == ([], 2)


def test_filters() -> None:
    assert self_method.keep_prompts([True, False, False]) == [1, 2]
    assert difficulty.keep({"a": 0.0, "b": 0.1, "c": 0.5, "d": 0.9, "e": 1.0}) == ["b", "c", "d"]
    assert difficulty.solve_rate([True, False, False, False]) == 0.25
    assert dph_rl.split([[False, True, True], [False, False, True], [False] * 3], 0.5) == ([0], [1], [1, 2])
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert dapo.overlong_filter(mask, [True, False]).tolist() == [[False] * 3, [True] * 3]


@given(seed=seeds)
@few
def test_aggregates_agree_where_all_answers_have_one_length(seed: int) -> None:
    matrix = torch.rand(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mask = torch.ones(3, 4, dtype=torch.bool)
    close(aggregates.token_mean(matrix, mask), aggregates.sequence_mean(matrix, mask))
    close(aggregates.token_mean(matrix, mask), aggregates.constant_length(matrix, mask, 4.0))
