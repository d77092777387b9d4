"""Each test vector and each hand-computed example of the two reference pages, as data.

`VECTORS` holds them. `function` is "module.name" of this package. `inputs` are its keyword arguments, tensors where it
takes tensors. `expected` is a number, nested lists, or a truth value. `gradient_of` names the input by which the result
(summed) is differentiated; without it the result itself is compared. `tolerance` is absolute: half a unit of the last
digit that a page prints, a little more where the pages leave out an epsilon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Vector:
    name: str
    function: str
    inputs: dict[str, Any]
    expected: Any
    tolerance: float
    source: str
    gradient_of: str | None = None


def real(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def flags(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.bool)


def ids(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def solved(c: int, n: int = 8) -> dict[str, Tensor]:
    """Return one group of n answers, the first c right."""
    return {"correct": flags([True] * c + [False] * (n - c)), "groups": ids([0] * n)}


def rewarded(c: int, n: int = 8) -> dict[str, Tensor]:
    """Return one group of n answers, the first c with reward 1."""
    return {"rewards": real([1.0] * c + [0.0] * (n - c)), "groups": ids([0] * n)}


def single_token(logits: list[float], token: int) -> dict[str, Tensor]:
    """Return a step of one sequence with one token."""
    return {"logits": real([[logits]]), "token_ids": ids([[token]]), "mask": flags([[True]])}


VECTORS: list[Vector] = []


def add(
    name: str,
    function: str,
    inputs: dict[str, Any],
    expected: Any,
    tolerance: float,
    source: str,
    gradient_of: str | None = None,
) -> None:
    VECTORS.append(Vector(name, function, inputs, expected, tolerance, source, gradient_of))


# SimKO: reference page, section 2.5

Z, Z_OLD = [1.0, 0.6, 0.2, -0.5, -1.0], [0.8, 0.9, 0.1, -0.4, -1.1]
OLD_LOGP = [z - math.log(sum(math.exp(v) for v in Z_OLD)) for z in Z_OLD]
SIMKO_ROWS: list[tuple[int, float, bool, bool, float, float, list[float]]] = [
    # sampled token, A, correct, gate, ratio, loss, gradient in the logits
    (3, 1.0, True, True, 0.912533, -0.912533, [0.276984, 0.155583, 0.074206, -0.556608, 0.049835]),
    (0, 1.0, True, True, 1.231791, -1.2, [0.0, 0.0, 0.0, 0.0, 0.0]),
    (0, -1.0, False, True, 1.231791, 1.354970, [0.808195, -0.366514, -0.245682, -0.122002, -0.073998]),
    (0, -1.0, False, False, 1.231791, 1.231791, [0.734723, -0.333195, -0.223347, -0.110911, -0.067271]),
    (2, -1.0, False, True, 1.114571, 1.114571, [-0.449766, -0.301487, 0.912478, -0.100356, -0.060869]),
]
for _index, (_y, _a, _right, _gate, _ratio, _loss, _gradient) in enumerate(SIMKO_ROWS):
    _inputs = {
        **single_token(Z, _y),
        "old_logp": real([[OLD_LOGP[_y]]]),
        "advantages": real([_a]),
        "correct": flags([_right]),
        "gate": flags([[_gate]]),
        "alpha": 0.3,
        "top_k": 3,
        "top1_penalty": 1.1,
    }
    add(f"simko row {_index} loss", "simko.loss_matrix", _inputs, [[_loss]], 1e-6, "reference page 2.5")
    add(
        f"simko row {_index} gradient",
        "simko.loss_matrix",
        _inputs,
        [[_gradient]],
        1e-6,
        "reference page 2.5",
        "logits",
    )
    add(
        f"simko row {_index} ratio",
        "simko.mixed_ratio",
        {
            "row": real(Z),
            "frozen_row": real(Z),
            "token": _y,
            "old_logp": real(OLD_LOGP[_y]),
            "alpha": 0.3 if _right and _gate else 0.0,
            "top_k": 3,
        },
        _ratio,
        1e-6,
        "reference page 2.5",
    )
add(
    "simko pi",
    "vectors.softmax",
    {"logits": real(Z)},
    [0.403533, 0.270496, 0.181319, 0.090040, 0.054612],
    1e-6,
    "reference page 2.5",
)
# With the penalty on the ratio, A < 0 clips below r = 0.8 / 1.1 = 0.727 instead of 0.8: no gradient is left there.
for _ratio, _open in ((0.726, False), (0.728, True)):
    add(
        f"simko penalty on the ratio, r = {_ratio}",
        "vectors.simko_has_gradient",
        {"ratio": _ratio, "penalty_on": "ratio"},
        _open,
        0.0,
        "reference page 2.4, no. 3",
    )
for _ratio, _open in ((0.799, False), (0.801, True)):
    add(
        f"simko penalty on the advantage, r = {_ratio}",
        "vectors.simko_has_gradient",
        {"ratio": _ratio, "penalty_on": "advantage"},
        _open,
        0.0,
        "reference page 2.4, no. 3",
    )


# One advantage, eight weights: addendum, section 1.0, n = 8, k = 4, gamma = 0.5

WEIGHT_COLUMNS = ("grpo", "mean_baseline", "maxrl", "f_grpo", "pkpo", "pass_at_k")
WEIGHT_ROWS = {
    1: (2.828, 1.0, 8.000, 2.646, 1.143, 1.143),
    2: (2.160, 1.0, 4.000, 1.871, 0.653, 0.696),
    3: (1.932, 1.0, 2.667, 1.528, 0.327, 0.444),
    4: (1.871, 1.0, 2.000, 1.323, 0.131, 0.241),
    5: (1.932, 1.0, 1.600, 1.183, 0.033, 0.0),
    6: (2.160, 1.0, 1.333, 1.080, 0.0, 0.0),
    7: (2.828, 1.0, 1.143, 1.000, 0.0, 0.0),
}
for _c, _weights in WEIGHT_ROWS.items():
    for _column, _value in zip(WEIGHT_COLUMNS, _weights, strict=True):
        # MaxRL at c = 1: 1 / (1/8 + 1e-6) = 7.999936.
        add(f"weight {_column} c={_c}", f"weighted.{_column}", {"c": _c, "n": 8}, _value, 6e-4, "addendum 1.0")
for _name, _plus, _minus in (
    ("grpo", 1.620, -0.540),
    ("maxrl", 3.0, -1.0),
    ("f_grpo", 1.403, -0.468),
    ("pkpo", 0.490, -0.163),
):
    add(
        f"weighted advantages {_name}, c=2",
        "weighted.advantages",
        {**solved(2), "name": _name},
        [_plus] * 2 + [_minus] * 6,
        6e-4,
        "addendum 1.0",
    )
for _c in (0, 8):
    for _column in (*WEIGHT_COLUMNS, "rloo", "one_sided"):
        add(
            f"weighted advantages {_column}, c={_c}",
            "weighted.advantages",
            {**solved(_c), "name": _column},
            [0.0] * 8,
            0.0,
            "addendum 1.0",
        )
add("grpo, c=2", "grpo.advantages", rewarded(2), [1.620] * 2 + [-0.540] * 6, 6e-4, "addendum 1.0")
add("maxrl, c=2", "maxrl.advantages", solved(2), [3.0] * 2 + [-1.0] * 6, 2e-5, "addendum 1.0, 3.1")
add(
    "f_grpo, c=2",
    "f_grpo.advantages",
    {**rewarded(2), "correct": solved(2)["correct"]},
    [1.403] * 2 + [-0.468] * 6,
    6e-4,
    "addendum 1.0",
)
add("dr_grpo, c=2", "dr_grpo.advantages", rewarded(2), [0.75] * 2 + [-0.25] * 6, 1e-12, "addendum 1.0")
add("rloo, c=2", "rloo.advantages", rewarded(2), [6 / 7] * 2 + [-2 / 7] * 6, 1e-12, "addendum 1.0")
add("rloo by hand, rewards 3 1 2", "rloo.advantages", {"rewards": real([3.0, 1.0, 2.0]), "groups": ids([0, 0, 0])},
    [1.5, -1.5, 0.0], 1e-12, "by hand")  # fmt: skip
add("psr, c=2", "psr.advantages", {"correct": solved(2)["correct"]}, [1.0] * 2 + [0.0] * 6, 0.0, "addendum 1.8")
add("nsr, c=2", "nsr.advantages", {"correct": solved(2)["correct"]}, [0.0] * 2 + [-1.0] * 6, 0.0, "addendum 1.8")
add(
    "w_reinforce, c=2",
    "w_reinforce.advantages",
    {"correct": solved(2)["correct"]},
    [0.1] * 2 + [-1.0] * 6,
    0.0,
    "addendum 1.8",
)
add("grpo, six rewards of 0.2", "grpo.advantages", {"rewards": real([0.2] * 6), "groups": ids([0] * 6)}, [0.0] * 6, 0.0,
    "the issue")  # fmt: skip


# Pass@k: addendum, section 1.8

add(
    "pass_at_k, c=2, without epsilon",
    "pass_at_k.advantages",
    {**solved(2), "k": 4, "epsilon": 0.0},
    [0.522233] * 2 + [-0.174078] * 6,
    6e-7,
    "addendum 1.8",
)
add("pass_at_k, c=2", "pass_at_k.advantages", solved(2), [0.522233] * 2 + [-0.174078] * 6, 2e-6, "addendum 1.8")
add("pass@4 of 2 among 8", "pass_at_k.estimate", {"n": 8, "c": 2, "k": 4}, 0.785714, 6e-7, "addendum 1.8 (R)")
add("pass@k by hand", "pass_at_k.estimate", {"n": 4, "c": 1, "k": 2}, 0.5, 1e-12, "reference page 1, by hand")
add("pass@k, too few wrong", "pass_at_k.estimate", {"n": 4, "c": 3, "k": 2}, 1.0, 0.0, "reference page 1")


# THR: addendum, section 1.1. Logits are such that p(a), p(b) = 0.6, 0.4.

_AB = [math.log(0.6), math.log(0.4)]
_THR = {
    "old_logits": real([[_AB], [_AB], [_AB]]),
    "hidden": real([[[1.0]], [[0.5]], [[0.5]]]),
    "token_ids": ids([[0], [1], [0]]),
    "mask": flags([[True], [True], [True]]),
    "correct": flags([True, False, False]),
}
add("thr scores", "thr.scores", _THR, [[0.32], [0.24], [-0.16]], 1e-12, "addendum 1.1")
for _tau, _factors in ((0.1, [0.9, 0.9, 1.1]), (0.2, [0.9, 0.9, 0.0])):
    for _score, _factor in zip([0.32, 0.24, -0.16], _factors, strict=True):
        add(
            f"thr factor of {_score} at tau {_tau}",
            "thr.shape",
            {"score": _score, "advantage": 1.0, "tau": _tau, "p": -0.1},
            _factor,
            1e-12,
            "addendum 1.1",
        )


# EEPO: addendum, section 1.2. z = (2, 0), the first token sampled.

_EEPO = single_token([2.0, 0.0], 0)
add("eepo loss", "eepo.unlearning_loss", _EEPO, 2.127, 6e-4, "addendum 1.2")
add("eepo gradient", "eepo.unlearning_loss", _EEPO, [[[0.881, -0.881]]], 6e-4, "addendum 1.2", "logits")
add("eepo p", "vectors.softmax", {"logits": real([2.0, 0.0])}, [0.881, 0.119], 6e-4, "addendum 1.2")
for _rate, _after in ((0.1, 0.861), (-0.1, 0.898)):
    add(
        f"eepo p after a step of {_rate}",
        "vectors.probability_after_forgetting",
        {"logits": [2.0, 0.0], "learning_rate": _rate},
        _after,
        6e-4,
        "addendum 1.2",
    )


# UCAS: addendum, section 1.3

for _a, _expected in ((1.0, 0.754), (-1.0, -1.444), (0.02, 0.0)):
    add(f"ucas A={_a}", "ucas.shape", {"advantage": _a, "z_score": 1.0, "u": 0.5}, _expected, 6e-4, "addendum 1.3")
add(
    "ucas, equal raw logits",
    "ucas.scaled_logits",
    {"raw_logit": real([[3.0, 3.0]]), "mask": flags([[True, True]])},
    [[0.5, 0.5]],
    0.0,
    "addendum 1.3",
)


# SIREN: addendum, section 1.4

for _law, _kept, _hn in (
    ([0.85, 0.10, 0.05], 0, 0.0),
    ([0.50, 0.40, 0.10], 1, 0.0),
    ([0.40, 0.30, 0.20, 0.10], 2, 0.683),
    ([0.30, 0.30, 0.30, 0.10], 2, math.log(2)),
):
    _row = [math.log(p) for p in _law]
    add(f"siren kept of {_law}", "vectors.nucleus_size", {"row": real(_row)}, _kept, 0.0, "addendum 1.4")
    add(
        f"siren entropy of {_law}",
        "siren.nucleus_entropy",
        {"logits": real([[_row]]), "mask": flags([[True]])},
        [[_hn]],
        6e-4,
        "addendum 1.4",
    )


# ASPO: addendum, section 1.5. The weight on grad log pi, with pi_old = 0.20 and pi = 0.22.

for _method, _weight in (("grpo", 1.10), ("aspo", 0.909)):
    add(
        f"gradient weight of {_method}",
        "vectors.gradient_weight",
        {"method": _method, "probability": 0.22, "old_probability": 0.20},
        _weight,
        6e-4,
        "addendum 1.5",
    )


# AER-style: addendum, section 2

add(
    "aer weights",
    "aer.group_weights",
    {"accuracies": [0.0, 0.25, 0.75], "rho": 0.5},
    [2.0, 1.0, 0.0],
    1e-12,
    "addendum 2",
)


# Entropy advantage: addendum, section 1.8

for _a, _h, _expected in ((-1.0, 2.0, -0.5), (1.0, 2.0, 1.5), (1.0, 0.1, 1.04)):
    add(
        f"entropy advantage A={_a}, H={_h}",
        "entropy_advantage.shape",
        {"advantage": _a, "entropy": _h},
        _expected,
        1e-12,
        "addendum 1.8",
    )


# DAPO's overlong penalty, by hand from longest 20,480 and buffer 4,096

for _length, _expected in ((16384, 0.0), (18432, -0.5), (20480, -1.0)):
    add(
        f"overlong {_length}",
        "dapo.overlong_penalty",
        {"length": _length},
        _expected,
        0.0,
        "reference page 4.1, by hand",
    )


# F-GRPO, DS-GRPO, UCPO, DPH-RL, Lp-Reg: addendum, section 3

add("tail miss", "extras.tail_miss", {"mass": 0.5, "tail": 0.05, "n": 8}, 0.6578, 6e-5, "addendum 3.2")
_DS = {**rewarded(2), "correct": solved(2)["correct"], "mean_old_logp": real([-0.2, -0.6] + [-0.4] * 6)}
add("ds_grpo", "ds_grpo.advantages", _DS, [1.742, 1.762] + [-0.597] * 6, 6e-4, "addendum 3.3")
add(
    "ds_grpo, unsmoothed",
    "ds_grpo.advantages",
    {**_DS, "positive": 0.0, "negative": 0.0},
    [1.732] * 2 + [-0.577] * 6,
    6e-4,
    "addendum 3.3",
)
add(
    "ds_grpo, all wrong",
    "ds_grpo.advantages",
    {**rewarded(0, 2), "correct": flags([False, False]), "mean_old_logp": real([-0.4, -2.0])},
    [-0.02, -0.1],
    1e-12,
    "addendum 3.3",
)
add(
    "ds_grpo, all right",
    "ds_grpo.advantages",
    {**rewarded(2, 2), "correct": flags([True, True]), "mean_old_logp": real([-0.4, -2.0])},
    [0.02, 0.1],
    1e-12,
    "addendum 3.3",
)
add(
    "ucpo shares",
    "ucpo.weights_of_shares",
    {"shares": [0.5, 0.3, 0.2], "tau": 0.2},
    [0.916, 0.994, 1.090],
    6e-4,
    "addendum 3.4",
)
add(
    "ucpo, length-normalised",
    "ucpo.weights",
    {"logp": [-0.2, -0.3, -0.4], "tau": 0.2},
    [0.980, 0.999, 1.020],
    6e-4,
    "addendum 3.4",
)
add(
    "ucpo, summed over 500 tokens",
    "ucpo.weights",
    {"logp": [-100.0, -150.0, -200.0], "tau": 0.2},
    [0.8, 1.1, 1.1],
    6e-4,
    "addendum 3.4",
)
for _kind, _half, _two in (("forward", 0.193, 0.307), ("js", 0.085, 0.170), ("alpha", 0.160, 0.368)):
    for _u, _expected in ((0.5, _half), (2.0, _two), (1.0, 0.0)):
        add(
            f"dph_rl {_kind} u={_u}",
            "dph_rl.divergence",
            {"log_u": real(math.log(_u)), "kind": _kind},
            _expected,
            6e-4 if _expected else 1e-12,
            "addendum 3.5",
        )
for _u in (0.5, 2.0):
    add(
        f"dph_rl forward gradient u={_u}",
        "dph_rl.divergence",
        {"log_u": real(math.log(_u)), "kind": "forward"},
        _u - 1.0,
        1e-12,
        "addendum 3.5",
        "log_u",
    )
add(
    "lp_reg proxy",
    "lp_reg.proxy_probabilities",
    {"probabilities": [0.90, 0.06, 0.03, 0.01], "kappa": 0.02},
    [0.9091, 0.0606, 0.0303, 0.0],
    6e-5,
    "addendum 3.6",
)
_K3 = {"logp": real(math.log(0.02)), "target_logp": real(math.log(0.03 / 0.99))}
add("lp_reg k3", "arithmetic.k3", _K3, 0.0996, 6e-5, "addendum 3.6")
add("lp_reg k3 gradient", "arithmetic.k3", _K3, -0.515, 6e-4, "addendum 3.6", "logp")


# By hand, from the formulas: what the pages' numbers do not reach

# A right answer of two tokens has the factor 1/2: g = (.4, -.4) at both, h = 1 and 3. M+ = (1 + 3) / 2 * (.4, -.4).
_TWO = {
    "old_logits": real([[_AB, _AB], [_AB, _AB]]),
    "hidden": real([[[1.0], [3.0]], [[0.5], [0.0]]]),
    "token_ids": ids([[0, 0], [1, 0]]),
    "mask": flags([[True, True], [True, False]]),
    "correct": flags([True, False]),
}
add("thr scores, two tokens", "thr.scores", _TWO, [[0.64, 1.92], [0.48, 0.0]], 1e-12, "addendum 1.1, by hand")
add("thr threshold, one right answer", "thr.threshold", _TWO, 1.28, 1e-12, "addendum 1.1, by hand")
# Two right answers, tokens a and b: g = (.4, -.4), (-.6, .6), g g' = -.48, h h' = 2, own terms .32 and .72 * 4.
_PAIR = {
    **{key: value[:2] for key, value in _THR.items()},
    "hidden": real([[[1.0]], [[2.0]]]),
    "token_ids": ids([[0], [1]]),
    "correct": flags([True, True]),
}
add("thr threshold, two right answers", "thr.threshold", _PAIR, -0.96, 1e-12, "addendum 1.1, by hand")
add(
    "thr threshold, with the own tokens",
    "thr.threshold",
    {**_PAIR, "others_only": False},
    -0.96 + 0.32,
    1e-12,
    "reference page 3.1, by hand",
)
# pi = 1/2 at each token; log-ratios .2 and 0, so s = exp(.1) at both tokens. The gradient in the first logit is s / 2 * -A.
_HALVES = {
    "logits": real([[[0.0, 0.0], [0.0, 0.0]]]),
    "token_ids": ids([[0, 0]]),
    "mask": flags([[True, True]]),
    "old_logp": real([[math.log(0.5) - 0.2, math.log(0.5)]]),
    "advantages": real([1.0]),
}
_GSPO = {**_HALVES, "clip_low": 0.2, "clip_high": 0.2}
add("gspo", "gspo.loss_matrix", _GSPO, [[-math.exp(0.1)] * 2], 1e-12, "reference page 4.7, by hand")
add("gspo, clipped", "gspo.loss_matrix", _HALVES, [[-1.0004] * 2], 1e-12, "reference page 4.7, by hand")
add(
    "gspo gradient",
    "gspo.loss_matrix",
    _GSPO,
    [[[-0.5 * math.exp(0.1), 0.5 * math.exp(0.1)]] * 2],
    1e-12,
    "reference page 4.7, by hand",
    "logits",
)
# The ratio is 10 at the first token, 2 at the second: the weights are 5 and 2.
_TEN = {**_HALVES, "old_logp": real([[math.log(0.05), math.log(0.25)]])}
add(
    "cispo",
    "cispo.loss_matrix",
    _TEN,
    [[5.0 * math.log(2.0), 2.0 * math.log(2.0)]],
    1e-12,
    "reference page 4.8, by hand",
)
# Laws (.4 .3 .2 .1), (.3 .3 .3 .1), (.85 .1 .05 0): Hn = .683, ln 2, 0. Strictly above the quantile 0: the first two.
_PEAKS = {
    "logits": real(
        [
            [[math.log(p) for p in law] for law in ([0.4, 0.3, 0.2, 0.1], [0.3, 0.3, 0.3, 0.1])]
            + [[math.log(p) for p in (0.85, 0.1, 0.04, 0.01)]]
        ]
    ),
    "mask": flags([[True, True, True]]),
}
_HN = -(4 * math.log(4 / 7) + 3 * math.log(3 / 7)) / 7
add(
    "siren E over two peaks",
    "siren.peak_entropy",
    {**_PEAKS, "quantile": 0.0},
    (_HN + math.log(2)) / 2,
    1e-11,
    "reference page 3.4, by hand",
)
add("siren E over the highest", "siren.peak_entropy", _PEAKS, math.log(2), 1e-11, "reference page 3.4, by hand")
add(
    "siren E with a row without peaks",
    "siren.peak_entropy",
    {
        "logits": _PEAKS["logits"].repeat(2, 1, 1),
        "mask": flags([[True, True, True], [False, False, True]]),
    },
    math.log(2) / 2,
    1e-11,
    "addendum 1.4, by hand",
)
add("siren penalty", "siren.regulariser", {"peak_entropy": real(0.7), "anchor": 0.5}, 0.0002, 1e-12,
    "reference page 3.4, by hand")  # fmt: skip
# A = (1, 1, -1), l = (-1, -3, -2): means 1/3 and -2, so cov = (2/3, -2/3, 0).
_COV = {"advantages": real([1.0, 1.0, -1.0]), "logp": real([[-1.0], [-3.0], [-2.0]]), "mask": flags([[True]] * 3)}
add("covariance", "covariance.covariances", _COV, [[2 / 3], [-2 / 3], [0.0]], 1e-12, "reference page 4.3, by hand")
add("kl_cov selection", "kl_cov.select", _COV, [[True], [False], [False]], 0.0, "reference page 4.3, by hand")
add(
    "kl_cov loss",
    "kl_cov.loss_matrix",
    {**_TEN, "selected": flags([[True, False]]), "coefficient": 0.5},
    [[-10.0 + 0.5 * math.log(10.0), -2.0]],
    1e-12,
    "reference page 4.3, by hand",
)
add(
    "clip_cov candidates",
    "clip_cov.candidates",
    {**_COV, "old_logp": real([[-1.0], [-3.0], [-2.0]]), "low": 0.5},
    [[0, 0]],
    0.0,
    "reference page 4.3, by hand",
)
add(
    "clip_cov candidates, clipped ones are out",
    "clip_cov.candidates",
    {**_COV, "old_logp": real([[-2.0], [-3.0], [-2.0]]), "low": 0.5},
    [],
    0.0,
    "reference page 4.3, by hand",
)
# Both ratios clip at 1.2 with A = 1; with A = -1 nothing clips from above.
add("grpo clipped above", "grpo.loss_matrix", _TEN, [[-1.2, -1.2]], 1e-12, "reference page 1, by hand")
add("dapo clipped above", "dapo.loss_matrix", _TEN, [[-1.28, -1.28]], 1e-12, "reference page 4.1, by hand")
_WRONG = {**_TEN, "advantages": real([-1.0])}
add("grpo, wrong answer", "grpo.loss_matrix", _WRONG, [[10.0, 2.0]], 1e-12, "reference page 1, by hand")
add(
    "grpo, dual clip",
    "grpo.loss_matrix",
    {**_WRONG, "dual_clip": 3.0},
    [[3.0, 2.0]],
    1e-12,
    "reference page 1, by hand",
)
add(
    "aspo, wrong answer",
    "aspo.loss_matrix",
    _WRONG,
    [[3.0 * math.log(0.5), 2.0]],
    1e-12,
    "reference page 3.5, by hand",
)
# Probability-proportional smoothing (reconstructed): pi = (.6, .4) = old, K = 2, alpha = 1, sampled token 0:
# the target is (.6, .4) itself, so nothing moves; uniform smoothing pulls to (.5, .5).
for _smoothing, _push in (("probability", 0.0), ("uniform", 0.1)):
    add(
        f"simko {_smoothing} smoothing",
        "simko.loss_matrix",
        {
            **single_token(_AB, 0),
            "old_logp": real([[_AB[0]]]),
            "advantages": real([1.0]),
            "correct": flags([True]),
            "gate": flags([[True]]),
            "alpha": 1.0,
            "top_k": 2,
            "smoothing": _smoothing,
        },
        [[[_push, -_push]]],
        1e-12,
        "reference page 2.7, by hand",
        "logits",
    )
# UCAS: two answers of one token with KL levels 0 and 1 have z = -+ .7071 (over a std with + 1e-6).
add(
    "ucas advantages",
    "ucas.advantages",
    {
        "rewards": real([1.0, 0.0]),
        "groups": ids([0, 0]),
        "certainty": real([[0.0], [1.0]]),
        "raw_logit": real([[4.0], [2.0]]),
        "mask": flags([[True], [True]]),
    },
    [
        [math.sqrt(0.5) * math.exp(0.25 * math.sqrt(0.5)) - 0.05],
        [-math.sqrt(0.5) * math.exp(0.35 * math.sqrt(0.5))],
    ],
    5e-6,
    "reference page 3.3, by hand",
)
add(
    "ucas certainty",
    "ucas.certainty",
    {"logits": real([[_AB]]), "mask": flags([[True]])},
    [[0.5 * math.log(0.5 / 0.6) + 0.5 * math.log(0.5 / 0.4)]],
    1e-12,
    "reference page 3.3, by hand",
)
add(
    "lp_reg loss",
    "lp_reg.loss_matrix",
    {**_WRONG, "proxy": real([[0.0, 0.0]]), "selected": flags([[True, False]])},
    [[10.0 + 2.0 - math.log(2.0) - 1.0, 2.0]],
    1e-12,
    "addendum 3.6, by hand",
)
# Two rewards: (1, 0) and (0, 3) are +-1/sqrt(2) each in its group, whatever their scales.
add(
    "several rewards",
    "several_rewards.advantages",
    {"rewards": real([[1.0, 0.0], [0.0, 3.0]]), "groups": ids([0, 0]), "weights": [1.0, 0.5]},
    [0.5 * math.sqrt(0.5), -0.5 * math.sqrt(0.5)],
    2e-6,
    "the issue, by hand",
)


# Methods outside of the list: addendum, section 3

add(
    "unlikeliness",
    "extras.unlikeliness_advantages",
    {"rewards": [1.0, 1.0] + [0.0] * 6, "ranks": [7, 0, 1, 2, 3, 4, 5, 6]},
    [1.342, 1.867] + [-0.535] * 6,
    6e-4,
    "addendum 3.7",
)
for _beta in (0.05, 0.25):
    add(
        f"unlikeliness, all right, beta {_beta}",
        "vectors.unlikeliness_extremes",
        {"group": 8, "beta": _beta},
        [1.429, -1.429],
        6e-4,
        "addendum 3.7",
    )
for _new, _old, _expected, _tolerance in ((0.95, 0.90, 0.528, 6e-4), (0.55, 0.50, 0.99, 6e-3)):
    add(
        f"reco {_old} -> {_new}",
        "extras.reco_ratio",
        {"probability": _new, "old_probability": _old},
        _expected,
        _tolerance,
        "addendum 3, runners-up",
    )
for _m, _expected in enumerate((6.000, 2.087, 0.664, 0.190, 0.0474, 0.0100)):
    add(
        f"bbg m={_m}",
        "extras.bbg_gate",
        {"m": _m, "n": 8, "k": 16},
        _expected,
        6e-4 if _m < 4 else 6e-5,
        "addendum 3, runners-up",
    )
for _cluster, _expected in ((5, 0.429), (2, 0.857), (1, 1.0)):
    add(
        f"darling cluster {_cluster}",
        "extras.darling_factor",
        {"cluster": _cluster, "group": 8},
        _expected,
        6e-4,
        "addendum 3, runners-up",
    )
for _a, _expected in ((1.0, 1.230), (-1.0, -0.770)):
    add(
        f"repo_r A={_a}",
        "extras.repo_r",
        {"advantage": _a, "probability": 0.1},
        _expected,
        6e-4,
        "addendum 3, runners-up",
    )


# What a few vectors are computed with


def softmax(logits: Tensor) -> Tensor:
    from reference_methods.arithmetic import log_probabilities

    return torch.exp(log_probabilities(logits))


def simko_has_gradient(ratio: float, penalty_on: Any) -> bool:
    """Return whether a wrong top-1 token behind an open gate has a gradient at this ratio."""
    from reference_methods import simko

    inputs = single_token([1.0, 0.0], 0)
    logits = inputs["logits"].requires_grad_()
    old_logp = real([[1.0 - math.log(math.e + 1.0) - math.log(ratio)]])
    loss = simko.loss_matrix(
        logits,
        inputs["token_ids"],
        inputs["mask"],
        old_logp,
        real([-1.0]),
        correct=flags([False]),
        gate=flags([[True]]),
        penalty_on=penalty_on,
    ).sum()
    return bool(loss.requires_grad) and bool((torch.autograd.grad(loss, logits)[0] != 0).any())


def probability_after_forgetting(logits: list[float], learning_rate: float) -> float:
    from reference_methods import eepo

    inputs = single_token(logits, 0)
    row = inputs["logits"].requires_grad_()
    loss = eepo.unlearning_loss(row, inputs["token_ids"], inputs["mask"])
    (after,) = eepo.forget([row], torch.autograd.grad(loss, [row]), learning_rate=learning_rate)
    return float(torch.softmax(after.detach()[0, 0], dim=0)[0])


def nucleus_size(row: Tensor) -> int:
    from reference_methods import siren

    return len(siren.nucleus(row))


def gradient_weight(method: str, probability: float, old_probability: float) -> float:
    """Return the weight on grad log pi of one token with A = +1: the gradient in its logit over 1 - pi, with its sign."""
    from importlib import import_module

    inputs = single_token([math.log(probability), math.log(1.0 - probability)], 0)
    logits = inputs["logits"].requires_grad_()
    old_logp, advantage = real([[math.log(old_probability)]]), real([1.0])
    module = import_module(f"reference_methods.{method}")
    loss = module.loss_matrix(logits, inputs["token_ids"], inputs["mask"], old_logp, advantage).sum()
    return -float(torch.autograd.grad(loss, logits)[0][0, 0, 0]) / (1.0 - probability)


def unlikeliness_extremes(group: int, beta: float) -> list[float]:
    """Return the advantages of the least and the most likely answer of a group that is all right."""
    from reference_methods import extras

    values = extras.unlikeliness_advantages([1.0] * group, list(range(group)), beta)
    return [values[0], values[-1]]
