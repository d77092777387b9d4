"""One advantage with eight weights: `A_i = w(c) (R_i - c/n)`, R in {0, 1}, c = number correct, n = size of the group.

Read in: addendum, section 1.0 (its table names the source of each weight). With c = 0 or c = n each weight gives A = 0.

| name          | w(c)                                                             | default |
|---------------|------------------------------------------------------------------|---------|
| mean_baseline | 1                                                                |         |
| rloo          | n / (n - 1)                                                      |         |
| grpo          | 1 / (std over n - 1  +  1e-6)                                    |         |
| f_grpo        | (1 - c/n)^gamma / (std over n - 1  +  1e-6)                      | gamma .5|
| maxrl         | 1 / (c/n + 1e-6)                                                 |         |
| one_sided     | 1 / sqrt(c/n)                                                    |         |
| pass_at_k     | (1 - R) / ((s + 1e-6) (1 - c/n)), s = sqrt(R (1 - R)),           | k 4     |
|               | R = 1 - C(n-c, k) / C(n, k)                                      |         |
| pkpo          | n/(n-1) C(n-c, k-1) / C(n-1, k-1)                                | k 4     |

Decided here: the epsilons are those of each code (the table prints none for f_grpo and pass_at_k, and its three digits
cannot tell). k = 4 for pkpo is the addendum's ("no default in code; use 4"). A group of one gives 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from reference_methods.arithmetic import by_group

Weight = Callable[[int, int], float]


def _binary_std(c: int, n: int) -> float:
    """Return the standard deviation over n - 1 of c ones among n."""
    return math.sqrt((c * (1.0 - c / n) ** 2 + (n - c) * (c / n) ** 2) / (n - 1))


def mean_baseline(c: int, n: int) -> float:
    return 1.0


def rloo(c: int, n: int) -> float:
    return n / (n - 1)


def grpo(c: int, n: int, epsilon: float = 1e-6) -> float:
    return 1.0 / (_binary_std(c, n) + epsilon)


def f_grpo(c: int, n: int, gamma: float = 0.5, epsilon: float = 1e-6) -> float:
    return (1.0 - c / n) ** gamma / (_binary_std(c, n) + epsilon)


def maxrl(c: int, n: int, epsilon: float = 1e-6) -> float:
    return 1.0 / (c / n + epsilon)


def one_sided(c: int, n: int) -> float:
    return 1.0 / math.sqrt(c / n)


def pass_at_k(c: int, n: int, k: int = 4, epsilon: float = 1e-6) -> float:
    reward = 1.0 - math.comb(n - c, k) / math.comb(n, k)
    spread = math.sqrt(reward * (1.0 - reward))
    return (1.0 - reward) / ((spread + epsilon) * (1.0 - c / n))


def pkpo(c: int, n: int, k: int = 4) -> float:
    return n / (n - 1) * math.comb(n - c, k - 1) / math.comb(n - 1, k - 1)


WEIGHTS: dict[str, Callable[..., float]] = {
    "mean_baseline": mean_baseline,
    "rloo": rloo,
    "grpo": grpo,
    "f_grpo": f_grpo,
    "maxrl": maxrl,
    "one_sided": one_sided,
    "pass_at_k": pass_at_k,
    "pkpo": pkpo,
}


def group_advantages(correct: list[bool], weight: Weight) -> list[float]:
    """Return the advantages of one group."""
    n, c = len(correct), sum(correct)
    if c in (0, n):
        return [0.0] * n
    return [weight(c, n) * ((1.0 if right else 0.0) - c / n) for right in correct]


def advantages(correct: Tensor, groups: Tensor, name: str, **settings: float) -> Tensor:
    """Return the advantages [B] with the weight called `name`."""

    def weight(c: int, n: int) -> float:
        return WEIGHTS[name](c, n, **settings)

    return by_group(groups, lambda rows: group_advantages([bool(correct[b]) for b in rows], weight))
