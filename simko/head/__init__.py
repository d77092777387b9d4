"""The loss head: from hidden states and lm_head to per-token statistics, in one sweep over the vocabulary.

With LoRA the lm_head `W (V, D)` is frozen, so a loss needs `dL/dh` and never `dL/dW`. Let `p = softmax(head(h) / temperature)`.
Every method reads log p of the sampled id and of the K most likely ids, the entropy of p, and whether the sampled id is the
most likely one. `sweep` computes them tile by tile; logits exist nowhere else. It also sums `Wbar = E_p[W]`, which makes the
backward a gather. What only some methods read is an `Extra`: it costs nothing unless it is asked for. Two of them may need a
second sweep (`nucleus`). A head that is trained or soft-capped takes the path of `slow` automatically.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simko.device import to_host
from simko.head.extras import Extra, Extras, swept_statistics
from simko.head.fold import Tier, fold_of
from simko.head.slow import slow_statistics
from simko.head.sweep import Tile, logits_of, tile_for

__all__ = ["Extra", "LmHead", "Tier", "Tile", "TokenStatistics", "tile_for", "token_statistics"]


@dataclass(frozen=True)
class LmHead:
    """The output layer of a causal LM: `logits = soft_cap * tanh(scale * (h W^T + bias) / soft_cap)`."""

    weight: Float[Tensor, "V D"]
    bias: Float[Tensor, "V"] | None = None
    soft_cap: float | None = None
    scale: float = 1.0

    @classmethod
    def of(cls, config: Any, weight: Float[Tensor, "V D"], bias: Float[Tensor, "V"] | None) -> LmHead:
        """The head with these tensors; its soft cap and scale are those of a transformers text config."""
        scale = getattr(config, "logit_scale", None) or 1.0 / (getattr(config, "logits_scaling", None) or 1.0)
        return cls(weight, bias, getattr(config, "final_logit_softcapping", None), float(scale))

    @torch.no_grad()
    def logits(self, hidden: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Return all logits, for decoding: computed in float32 (float64 for float64), without a gradient."""
        z = logits_of(hidden, self.weight)
        z = z if self.bias is None else z + self.bias
        z = z if self.scale == 1.0 else z * self.scale
        return z if self.soft_cap is None else self.soft_cap * torch.tanh(z / self.soft_cap)


class TokenStatistics(NamedTuple):
    """Statistics of N tokens, for the losses. Log-probs are natural logarithms; entropies are in nats.

    `entropy` has a gradient only with the extra "entropy_grad". The last four are None unless they are asked for.
    """

    logp: Float[Tensor, "N"]
    topk_logp: Float[Tensor, "N K"]
    topk_ids: Int[Tensor, "N K"]
    entropy: Float[Tensor, "N"]
    is_top1: Bool[Tensor, "N"]
    certainty: Float[Tensor, "N"] | None = None
    raw_logit: Float[Tensor, "N"] | None = None
    nucleus_entropy: Float[Tensor, "N"] | None = None
    proxy_logp: Float[Tensor, "N"] | None = None


def token_statistics(
    hidden: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    sampled_ids: Int[Tensor, "N"],
    k: int = 3,
    temperature: float = 1.0,
    *,
    bias: Float[Tensor, "V"] | None = None,
    soft_cap: float | None = None,
    scale: float = 1.0,
    tier: Tier = "auto",
    tile: Tile | None = None,
    extra: frozenset[Extra] = frozenset(),
    nucleus_mass: float = 0.8,
    min_p: float = 0.02,
) -> TokenStatistics:
    """Compute the statistics of `softmax(head(hidden) / temperature)`, untruncated, with a gradient to `hidden`.

    A row gets a gradient of exactly zero if the incoming gradients of all its statistics are zero. This holds even if its own
    statistics are not finite. No row affects another.

    The extras, with p and z the tempered probabilities and logits:

    - "entropy_grad": `entropy` is differentiable in `hidden`. One more product with W, and one more (N, D).
    - "certainty": `certainty` = KL(uniform || p) = logsumexp(z) - mean z - log V, the self-certainty of UCAS (arXiv 2510.10649).
    - "raw_logit": `raw_logit`, the logit of the sampled token before the temperature, after bias, scale and soft cap.
    - "nucleus_entropy": the entropy of p renormalised on its largest top prefix whose mass is strictly below `nucleus_mass`,
      differentiable in `hidden` with the prefix held fixed. It is 0 where the prefix has at most one token.
    - "proxy": `proxy_logp`, log p of the sampled token after tokens below `min_p` max p are removed; -1e4 if it is one of them.

    Args:
        hidden: (N, D) last hidden states of the N positions that predict `sampled_ids`.
        weight: (V, D) lm_head.
        sampled_ids: (N,) ids in [0, V).
        k: number of candidates, 1 <= k <= V; `topk_ids` is ordered by falling probability, equal ones in any order.
        temperature: of the rollout, > 0.
        bias: of the head, as are `soft_cap` and `scale` (see `LmHead`).
        tier: which code folds a tile of logits into the statistics (see `simko.head.fold`).
        tile: rows and vocabulary entries whose logits are alive at once; None chooses by shape and device.
        extra: what to compute beyond the first five fields.
        nucleus_mass: in (0, 1], of "nucleus_entropy".
        min_p: in (0, 1], of "proxy".

    Returns:
        `TokenStatistics`; `logp`, `topk_logp` and the entropies asked for are differentiable in `hidden` (and in a trained
        `weight` or `bias`). Float32 for half-precision inputs, else the dtype of `hidden`.

    Raises:
        ValueError: k, temperature, a setting or an id out of range, an unknown extra, shapes that do not fit, or a tier that
            cannot run here.
    """
    _check(hidden, weight, sampled_ids, k, temperature)
    extras = Extras(extra, nucleus_mass, min_p)
    extras.check()
    trained = weight.requires_grad or (bias is not None and bias.requires_grad)
    if trained or soft_cap is not None or scale <= 0:
        rows = tile.rows if tile else None
        columns = slow_statistics(hidden, weight, bias, soft_cap, scale, sampled_ids, k, temperature, extras, rows)
    else:
        tile = tile or tile_for(hidden.shape[0], weight.shape[0], hidden.device)
        fold = fold_of(tier, hidden.device)
        columns = swept_statistics(hidden, weight, bias, scale, sampled_ids, k, temperature, extras, tile, fold)
    logp, topk_logp, topk_ids, entropy, *others = columns
    return TokenStatistics(logp, topk_logp, topk_ids, entropy, topk_ids[:, 0] == sampled_ids, *others)


def _check(hidden: Tensor, weight: Tensor, sampled_ids: Tensor, k: int, temperature: float) -> None:
    vocabulary = weight.shape[0]
    if not 1 <= k <= vocabulary:
        raise ValueError(f"token_statistics: k is {k}, must lie in 1..{vocabulary} (the vocabulary)")
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"token_statistics: temperature is {temperature}, must be a finite number above 0")
    if hidden.shape[0] != sampled_ids.shape[0] or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            f"token_statistics: shapes do not fit: hidden {tuple(hidden.shape)}, weight {tuple(weight.shape)}, "
            f"sampled_ids {tuple(sampled_ids.shape)}"
        )
    [(least, largest)] = to_host(torch.stack(sampled_ids.aminmax())) if len(sampled_ids) else [(0, 0)]
    if least < 0 or largest >= vocabulary:
        raise ValueError(f"token_statistics: a sampled id lies outside 0..{vocabulary - 1}")
