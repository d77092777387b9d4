"""What a method may ask of the loss head beyond what every method gets. What is not asked for is not computed."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from simko.head.nucleus import nucleus_entropy, proxy_logp
from simko.head.sweep import Columns, Fold, OneSweep, Tile

Extra = Literal["entropy_grad", "certainty", "raw_logit", "nucleus_entropy", "proxy"]
# log p (N,), top-K log p (N, K), their ids and entropy (N,); the extras in the order of `TokenStatistics`
Parts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]


class Extras(NamedTuple):
    """The extras that are asked for, and their settings."""

    names: frozenset[Extra]
    nucleus_mass: float
    min_p: float

    def check(self) -> None:
        """Raise ValueError for an unknown name, and for a setting outside (0, 1]."""
        unknown = sorted(set(self.names) - set(get_args(Extra)))
        if unknown:
            raise ValueError(f"token_statistics: extra has {unknown}, must be among {', '.join(get_args(Extra))}")
        for name, value in (("nucleus_mass", self.nucleus_mass), ("min_p", self.min_p)):
            if not 0 < value <= 1:
                raise ValueError(f"token_statistics: {name} is {value}, must lie above 0 and at most at 1")


def swept_statistics(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: float,
    sampled_ids: Tensor,
    k: int,
    temperature: float,
    extras: Extras,
    tile: Tile,
    fold: Fold,
) -> Parts:
    """Sweep once for everything, and a second time for the rows and extras that need it."""
    names, factor = extras.names, scale / temperature
    grad, certain = "entropy_grad" in names, "certainty" in names
    sweep = Columns(*OneSweep.apply(hidden, weight, bias, sampled_ids, k, factor, tile, fold, grad, certain))
    certainty = raw_logit = nucleus = proxy = None
    if certain:  # KL(uniform || p) = log sum e^z - mean z - log V
        vocabulary = weight.shape[0]
        certainty = (sweep.lse - sweep.z_sum / vocabulary - math.log(vocabulary)).clamp_(min=0)
    if "raw_logit" in names:
        raw_logit = sweep.sampled * temperature
    if "nucleus_entropy" in names:
        nucleus = nucleus_entropy(hidden, weight, bias, sweep, factor, extras.nucleus_mass, tile)
    if "proxy" in names:
        proxy = proxy_logp(hidden, weight, bias, sweep, factor, extras.min_p, tile)
    return sweep.logp, sweep.topk_logp, sweep.topk_ids, sweep.entropy, certainty, raw_logit, nucleus, proxy
