"""SimKO: simple pass@K optimisation (arXiv 2510.14807; v3 calls it CaSP).

A token has the ratio r = pi(y)/pi_old(y), the entropy H, and candidates v_1..v_K, ranked by pi. Its gate is
h = 1[H > max(quantile_q of the response's H, entropy_floor)]. The loss is GRPO's, with this ratio and advantage:

    correct response, A > 0, h:         r+ = (1 - alpha) r + alpha/K sum_k sg(r / r_k) r_k        r_k = pi(v_k)/pi_old(v_k)
    A < 0, h, and y is the top-1:       A  = penalty * A
    everywhere else:                    r

`sg(r/r_k) r_k` has the value of r and the gradient r grad(log p_k). So it is computed as `sg(r) exp(l_k - sg(l_k))`, without
old top-K log-probs. The *value* of the loss does not depend on alpha, only its gradient does. With respect to the logits of
an unclipped token it is `-A r ((1 - alpha h) e_y + alpha h / K sum_k e_{v_k} - pi)`: label smoothing among the model's own
candidates. Paper's symbols: alpha, K (N in v3), tau_q = `entropy_quantile`, lambda = `top1_penalty`.

Differences between the released code (CLR-Lab/SimKO at 306f4ff) and the paper, surprises in the code, and our choice:

 1. old top-K of other ids: the code compares new candidates with the old policy's rank-k log-probs. They cancel: not used.
 2. penalty hard-coded at 1.1 in the code: a setting (paper: 1.1 mathematics, 1.05 logic).
 3. penalty on the advantage (code) or on the ratio before clipping (paper): `top1_penalty_on`. The default is the code's,
    which produced the results. Both have one gradient while nothing is clipped; a factor < 1 - clip_low on the ratio is.
 4. positive branch where score == 1 exactly (code) or A > 0 (pseudo-code): here where the verifier says correct and A > 0.
    With shaped rewards a right answer can have A < 0. Then sharing would push its candidates down.
 5. negative branch by the sum of a row's advantages (code): here by each token's A < 0.
 6. gate, candidates and top-1 of the current policy at every update: as paper and code.
 7. strict > on a per-response quantile, EOS counted (both); `entropy_floor` 1e-4 nats keeps certain tokens out of a gate
    whose quantile is 0.
 8. clipping after mixing: a clipped token loses both gradients, as paper and code.
 9. token mean of each micro-batch (code), 1/G sum 1/len (paper): token mean of the whole step, as `grpo` here; the paper's
    is `aggregation="sequence_mean"`.
10. the code's defaults (tau 1, K 1) switch the method off silently: ours are the paper's; `inert` names what is idle.
11. the code's scripts leave an entropy bonus of 0.001 on in the Qwen GRPO baseline: here neither method has a bonus.
12. K copies of the logits (code): gathered from one sweep (`simko.head`).
13. correctness broadcast along the wrong axis where B == T (code): shaped (B, 1).
18. old log-probs in eval mode, update in train mode (code): the adapter has no dropout, so the two agree.
19. statistics ignore the rollout's top-p and top-k (code): rollouts are untruncated.
20. no concentration diagnostics (code): the trainer logs the log-probs of ranks 1 to 5, and more (`simko.concentration`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simko.algorithms.gates import high_entropy
from simko.algorithms.grpo import ClippedLoss, clipped_loss, kl_term
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Loss, Prepared, State, StepStats, TokenStats
from simko.config import setting


@part
@dataclass(frozen=True)
class SimKOLoss(ClippedLoss):
    """Shares the reward of right answers among the top K, and punishes the top-1 of wrong ones harder."""

    name: ClassVar[str] = "simko"

    alpha: float = setting(
        0.01, "share of a correct token's reward that goes to the top K (large models 0.01)", minimum=0.0, maximum=1.0
    )
    top_k: int = setting(3, "candidates that share (K)", minimum=1)
    smoothing: Literal["uniform", "probability"] = setting(
        "uniform", "shares: equal, or by the candidates' probability"
    )
    entropy_quantile: float = setting(
        0.8, "tokens above this quantile of their response's entropy", minimum=0.0, maximum=1.0
    )
    top1_penalty: float = setting(1.1, "factor on wrong tokens that are the top-1 (lambda)", minimum=0.0)
    top1_penalty_on: Literal["advantage", "ratio"] = setting("advantage", "what the factor multiplies before clipping")
    entropy_floor: float = setting(1e-4, "nats; tokens with at most this entropy never pass the gate", minimum=0.0)
    grpo_steps: int = setting(0, "first steps that train with plain GRPO (paper: 50 for logic)", minimum=0)

    @property
    def k(self) -> int:  # noqa: D102
        return self.top_k

    def inert(self, updates_per_batch: int) -> tuple[str, ...]:  # noqa: D102
        shares, punishes = (self.entropy_quantile < 1 and on for on in (self.alpha > 0, self.top1_penalty != 1))
        clips = punishes and self.top1_penalty < 1 - self.clip_low  # on the ratio, the factor itself is clipped away
        hidden = {"clip_low"} if punishes and self.top1_penalty < 1 and self.top1_penalty_on == "ratio" else set()
        names = tuple(name for name in super().inert(updates_per_batch) if name not in hidden)
        where = () if clips or (punishes and updates_per_batch > 1) else ("top1_penalty_on",)
        names += where if shares else (*where, "top_k", "smoothing")
        return names + (() if shares or punishes else ("alpha", "entropy_quantile", "top1_penalty", "entropy_floor"))

    def prepare(self, step: StepStats, advantage: Float[Tensor, "B T"], state: State) -> Prepared:  # noqa: D102
        return Prepared(constants={"gate": torch.tensor(step.step > self.grpo_steps)} if self.grpo_steps else {})

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        gate = high_entropy(stats.entropy, stats.mask, self.entropy_quantile, self.entropy_floor)
        if "gate" in stats.constants:
            gate = gate & stats.constants["gate"]
        shared = gate & stats.correct[:, None] & (stats.advantage > 0)
        punished = gate & stats.is_top1 & (stats.advantage < 0)

        ratio = torch.exp(stats.logp - stats.old_logp)
        if self.alpha > 0:
            mixed = mix_top_k(ratio, stats.topk_logp, self.alpha, self.smoothing)
            ratio = torch.where(shared, mixed, ratio)
        advantage = stats.advantage
        if self.top1_penalty_on == "advantage":
            advantage = torch.where(punished, self.top1_penalty * advantage, advantage)
        else:
            ratio = torch.where(punished, self.top1_penalty * ratio, ratio)

        matrix, clipped = clipped_loss(ratio, advantage, self.clip_low, self.clip_high)
        shares = {
            "clip_fraction": clipped,
            "gate_fraction": gate,
            "shared_fraction": shared,
            "punished_fraction": punished,
        }
        return Loss(matrix + kl_term(stats, self.kl_coefficient), shares)


def mix_top_k(
    ratio: Float[Tensor, "B T"], topk_logp: Float[Tensor, "B T K"], alpha: float, smoothing: str = "uniform"
) -> Float[Tensor, "B T"]:
    """Return `(1 - alpha) r + alpha sum_k s_k sg(r) exp(l_k - sg(l_k))`: the value is r, the top K share the gradient.

    The shares s_k are 1/K, or p_k / sum_j p_j with `smoothing` "probability".
    """
    candidates = ratio.detach()[..., None] * torch.exp(topk_logp - topk_logp.detach())
    if smoothing == "uniform":
        return (1 - alpha) * ratio + alpha * candidates.mean(-1)
    return (1 - alpha) * ratio + alpha * (torch.softmax(topk_logp.detach(), -1) * candidates).sum(-1)


PRESETS: dict[str, dict[str, Any]] = {  # arXiv 2510.14807v3, app. E.1
    "math": {},
    "logic": {"alpha": 0.005, "top1_penalty": 1.05, "clip_high": 0.28, "grpo_steps": 50, "sampling": "refill"},
    "code": {"alpha": 0.05},
}
method(
    "simko",
    loss="simko",
    title="SimKO: top-K sharing, top-1 penalty (arXiv 2510.14807)",
    source="arXiv 2510.14807; CLR-Lab/SimKO 306f4ff",
    presets=PRESETS,
)
