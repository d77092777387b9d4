"""SIREN: selective entropy regularisation (arXiv 2509.25133).

    Hn_t  entropy of p renormalised on the largest top set whose mass is below `nucleus_mass`: often one token, or none
    h_t   1[Hn_t > quantile_q of the response's Hn]
    E     mean over responses of sum_t Hn h / sum_t h           (0 for a response without such a token)
    L     L_DrGRPO + beta (E - E_0)^2                            E_0: E at the first step

When to use it: take it if answers fork at a few tokens, and the entropy at these shall stay near what it was. It pulls
entropy down, too, where that is above its start. It costs a second sweep of the vocabulary at unsure tokens. We have not
compared it with other methods.

Source: Linn3a/siren fa59a8d, `dp_actor.py`; beta .005, mass .8, quantile .8, candidates from the top 10,000. Departures:
- E is of the whole optimizer step under the old policy, not of a micro-batch. The gradient is `2 beta (E - E_0) grad E`, so it
  does not depend on the split. The regulariser's value in the logged loss is not `beta (E - E_0)^2`: see `siren_penalty`.
- The anchor is in the checkpoint. In the code a resumed run must be given it by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simko.algorithms.gates import row_quantile
from simko.algorithms.grpo import ClippedLoss
from simko.algorithms.registry import method, part
from simko.algorithms.stats import Loss, Prepared, Stat, State, StepStats, TokenStats
from simko.config import setting


@part
@dataclass(frozen=True)
class SIRENLoss(ClippedLoss):
    """PPO's loss, and a pull of the peak tokens' nucleus entropy to what it was at the start."""

    name: ClassVar[str] = "siren"

    siren_beta: float = setting(0.005, "weight of the squared distance from the anchor", minimum=0.0)
    nucleus_mass: float = setting(0.8, "mass that the nucleus stays below", above=0.0, maximum=1.0)
    siren_quantile: float = setting(0.8, "tokens above this quantile of their response", minimum=0.0, maximum=1.0)

    @property
    def needs_old(self) -> frozenset[Stat]:  # noqa: D102
        return frozenset(("nucleus_entropy",))

    @property
    def needs_new(self) -> frozenset[Stat]:  # noqa: D102
        return super().needs_new | {"nucleus_entropy"}

    @property
    def stat_options(self) -> Mapping[str, float]:  # noqa: D102
        return {"nucleus_mass": self.nucleus_mass}

    @property
    def every_row(self) -> bool:  # noqa: D102
        return True

    def prepare(self, step: StepStats, advantage: Float[Tensor, "B T"], state: State) -> Prepared:  # noqa: D102
        assert step.nucleus_entropy is not None
        rows = step.mask.any(-1)
        entropy = peak_entropy(step.nucleus_entropy, step.mask, self.siren_quantile)[rows].mean()
        gap = entropy - state.get("anchor", entropy)
        return Prepared(
            constants={"slope": 2 * self.siren_beta * gap / rows.sum()},
            metrics={"siren_entropy": float(entropy), "siren_penalty": self.siren_beta * float(gap) ** 2},
        )

    def loss(self, stats: TokenStats) -> Loss:  # noqa: D102
        assert stats.nucleus_entropy is not None
        entropy = peak_entropy(stats.nucleus_entropy, stats.mask, self.siren_quantile)
        return replace(super().loss(stats), regulariser=stats.constants["slope"] * entropy.sum())

    def end_step(self, state: State, metrics: Mapping[str, Any]) -> State:  # noqa: D102
        if "anchor" in state or "siren_entropy" not in metrics:
            return state
        return {"anchor": metrics["siren_entropy"]}


def peak_entropy(entropy: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], q: float) -> Float[Tensor, "B"]:
    """Mean over each row's tokens above its quantile; 0 for a row without one."""
    peak = (entropy.detach() > row_quantile(entropy.detach(), mask, q)[:, None]) & mask
    return torch.where(peak, entropy, 0.0).sum(-1) / peak.sum(-1).clamp(min=1)


method(
    "siren",
    advantage="dr_grpo",
    loss="siren",
    defaults={"aggregation": "constant_length"},
    title="SIREN: the entropy of forking tokens stays near its start (arXiv 2509.25133)",
    source="arXiv 2509.25133; Linn3a/siren fa59a8d",
)
