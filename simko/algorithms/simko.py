"""SimKO: simple pass@K optimisation (arXiv 2510.14807; v3 calls it CaSP).

A token has the ratio r = pi(y)/pi_old(y), the entropy H, and candidates v_1..v_K, ranked by pi. Its gate is
`h = 1[H > max(quantile_q of the response's H, entropy_floor)]`. The loss is GRPO's, with this ratio and advantage:

    correct response, A > 0, h:         r+ = (1 - alpha) r + alpha/K sum_k sg(r / r_k) r_k        r_k = pi(v_k)/pi_old(v_k)
    A < 0, h, and y is the top-1:       A  = penalty * A
    everywhere else:                    r

When to use it: take it if the first answer must get better and many answers must stay different. It acts on the most uncertain
fifth of a response, so it does little in answers of a few tokens. Our comparison of two seeds does not tell it from GRPO.

`sg(r/r_k) r_k` has the value of r and the gradient r grad(log p_k). So it is computed as `sg(r) exp(l_k - sg(l_k))`, without
old top-K log-probs. The value of the loss does not depend on alpha, only its gradient does. With respect to the logits of
an unclipped token it is `-A r ((1 - alpha h) e_y + alpha h / K sum_k e_{v_k} - pi)`: label smoothing among the model's own
candidates. Paper's symbols: alpha, K (N in v3), tau_q = `entropy_quantile`, lambda = `top1_penalty`.

Where the released code (CLR-Lab/SimKO at 306f4ff) and the paper differ or surprise, and what is done here:

 1. The code divides by the old policy's log-probs of other ids. They cancel, so none are used.
 2. The code fixes the penalty at 1.1. Here it is a setting (paper: 1.1 for mathematics, 1.05 for logic).
 3. The code puts the penalty on A, the paper on the ratio before clipping: `top1_penalty_on`. The default is the code's,
    which gave the results. The gradients are equal while nothing is clipped; a factor below 1 - clip_low on the ratio is.
 4. The code shares where score == 1, the paper where A > 0; here where the verifier says correct and A > 0. With shaped
    rewards a right answer can have A < 0, and sharing would push its candidates down.
 5. The code penalises rows with a negative sum of advantages; here each token with A < 0.
 6. Gate, candidates and top-1 are those of the current policy at every update, as in both.
 7. The quantile is strict and counts EOS, as in both. `entropy_floor` keeps certain tokens out of a gate whose quantile is 0.
 8. Clipping follows mixing, as in both: a clipped token loses both gradients.
 9. The code takes the token mean of a micro-batch, the paper 1/G sum 1/len. Here it is that of the step, as in `grpo`.
10. The code's defaults (tau 1, K 1) switch the method off in silence. Ours are the paper's, and a run names what is idle.
11. The scripts of the Qwen GRPO baseline have an entropy bonus of 0.001. Neither method has one here.
12. The code copies the logits K times. Here one sweep gathers the candidates (`simko.head`).
13. The code spreads correctness along the wrong axis where B == T. Here it has the shape (B, 1).
18. The code has old log-probs in eval mode, and the update in train mode. Our adapter has no dropout, so the two agree.
19. The code's statistics ignore the rollout's top-p and top-k. Our rollouts are untruncated.
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
