"""What several references count with: log-probs, entropies, ranks, quantiles, groups, ratios. Plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Cell = Tensor | float


def log_probabilities(row: Tensor) -> Tensor:
    """Return log softmax of one row of logits [V], with gradient."""
    shift = row.detach().max()
    return row - shift - torch.log(torch.exp(row - shift).sum())


def row_entropy(row: Tensor) -> Tensor:
    """Return the entropy in nats of one row of logits [V], with gradient. `dH/dz_v = -p_v (log p_v + H)`."""
    logp = log_probabilities(row)
    total = logp.new_zeros(())
    for v in range(len(logp)):
        total = total - torch.exp(logp[v]) * logp[v]
    return total


def table(mask: Tensor, cell: Callable[[int, int], Cell], like: Tensor) -> Tensor:
    """Return [B, T] with `cell(b, t)` where `mask` is True and 0 elsewhere."""
    rows = []
    for b in range(mask.shape[0]):
        values = []
        for t in range(mask.shape[1]):
            value = cell(b, t) if bool(mask[b, t]) else 0.0
            values.append(value if isinstance(value, Tensor) else like.new_tensor(value))
        rows.append(torch.stack(values))
    return torch.stack(rows)


def token_logp(logits: Tensor, token_ids: Tensor, mask: Tensor) -> Tensor:
    """Return log pi(y_t) [B, T]."""
    return table(mask, lambda b, t: log_probabilities(logits[b, t])[int(token_ids[b, t])], logits)


def entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Return the entropies [B, T] in nats."""
    return table(mask, lambda b, t: row_entropy(logits[b, t]), logits)


def ranked(row: Tensor) -> list[int]:
    """Return the ids of one row [V], most likely first; of equals, the lower id first."""
    return sorted(range(len(row)), key=lambda v: (-float(row[v]), v))


def quantile(values: Sequence[float], q: float) -> float:
    """Return the quantile with linear interpolation between order statistics, as `torch.quantile` defines it."""
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    below = min(math.floor(position), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def row_gate(values: Tensor, mask: Tensor, q: float) -> Tensor:
    """Return [B, T]: True where a value is strictly above its own row's quantile over the tokens in the mask."""
    gate = torch.zeros_like(mask, dtype=torch.bool)
    for b in range(mask.shape[0]):
        inside = [t for t in range(mask.shape[1]) if bool(mask[b, t])]
        if not inside:
            continue
        threshold = quantile([float(values[b, t]) for t in inside], q)
        for t in inside:
            gate[b, t] = float(values[b, t]) > threshold
    return gate


def flat_tokens(mask: Tensor) -> list[tuple[int, int]]:
    """Return the places (b, t) in the mask, row after row."""
    return [(b, t) for b in range(mask.shape[0]) for t in range(mask.shape[1]) if bool(mask[b, t])]


def per_token(advantages: Tensor, mask: Tensor) -> Tensor:
    """Return advantages as [B, T], from [B] or [B, T]."""
    if advantages.ndim == 2:
        return advantages.double()
    return torch.stack([torch.stack([advantages[b].double()] * mask.shape[1]) for b in range(mask.shape[0])])


def members(groups: Tensor) -> list[list[int]]:
    """Return the rows of each group, groups in the order of their first row."""
    rows: dict[int, list[int]] = {}
    for b in range(len(groups)):
        rows.setdefault(int(groups[b]), []).append(b)
    return list(rows.values())


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def bessel_std(values: Sequence[float]) -> float:
    """Return the standard deviation over n - 1; 0 for one value."""
    if len(values) < 2:
        return 0.0
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def population_std(values: Sequence[float]) -> float:
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / len(values))


def all_equal(values: Sequence[float]) -> bool:
    return all(value == values[0] for value in values)


def by_group(groups: Tensor, group_values: Callable[[list[int]], Sequence[float]]) -> Tensor:
    """Return [B] from a function of the rows of one group."""
    result = torch.zeros(len(groups), dtype=torch.float64)
    for rows in members(groups):
        for b, value in zip(rows, group_values(rows), strict=True):
            result[b] = value
    return result


def mean_logp(logp: Tensor, mask: Tensor, *, length_norm: bool = True) -> Tensor:
    """Return [B]: the mean log-prob of each sequence's tokens, or their sum."""
    values = []
    for b in range(mask.shape[0]):
        inside = [float(logp[b, t]) for t in range(mask.shape[1]) if bool(mask[b, t])]
        total = math.fsum(inside)
        values.append(total / max(len(inside), 1) if length_norm else total)
    return torch.tensor(values, dtype=torch.float64)


def clipped_ratio(ratio: Tensor, low: float, high: float) -> Tensor:
    """Return the ratio within [low, high]; no gradient outside."""
    if float(ratio.detach()) < low:
        return ratio.new_tensor(low)
    if float(ratio.detach()) > high:
        return ratio.new_tensor(high)
    return ratio


def ppo_token(advantage: Tensor, ratio: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """Return `max(-A r, -A clip(r))` of one token, with clip to [1 - clip_low, 1 + clip_high]."""
    plain = -advantage * ratio
    clipped = -advantage * clipped_ratio(ratio, 1.0 - clip_low, 1.0 + clip_high)
    return plain if float(plain.detach()) >= float(clipped.detach()) else clipped


def k3(logp: Tensor, target_logp: Tensor) -> Tensor:
    """Return the k3 estimate of KL(pi || target) at one token: `exp(d) - d - 1`, d = target_logp - logp."""
    difference = target_logp - logp
    return torch.exp(difference) - difference - 1.0
