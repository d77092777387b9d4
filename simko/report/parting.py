"""Does the held-out score follow the reward? Few problems are looked at now and then; this says when the two part.

**The rule.** Two looks are compared problem by problem: the mean difference d, and its standard error, which is the standard
deviation of the differences over the square root of the number of problems. It holds the noise of the samples and that of the
problems. A fall counts

- in pass@K, if the score is below that of the *first* look by more than 3.5 standard errors;
- in pass@1, if it is below that of the *best* earlier look by more than 4.5, and the mean training solve rate since then is above
  that of as many steps before. (If that look was before step 1, the second half of the steps is held against the first.) It is
  4.5 because the best of many looks is high by luck, too.

With a policy that does not change and 20 looks of 16 problems x 32 samples, either rule is met by chance in under 5 % of runs
(`tests/report/test_parting.py` simulates it). A fall smaller than that is not seen; look at more problems to see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from simko.report.passk import pass_at_k
from simko.run.records import Look

FALL_FROM_FIRST, FALL_FROM_BEST = 3.5, 4.5  # standard errors


def look_score(look: Look, k: int) -> float | None:
    """Mean pass@`k` over the problems that have so many samples with a verdict; None if there is none."""
    values = [pass_at_k(n, c, k) for n, c in look.counts.values() if n >= k]
    return float(np.mean(values)) if values else None


def partings(looks: Sequence[Look], solve_rates: Mapping[int, float], k: int) -> list[str]:
    """A line for each way in which the newest look parts from the reward, with its remedy; empty where it does not.

    `solve_rates` maps a step to its mean training solve rate, in order. Only problems that both looks have are compared: the
    settings of looks may change when a run goes on.
    """
    if len(looks) < 2:
        return []
    *earlier, now = looks
    lines = []
    best = max(earlier, key=lambda look: look_score(look, 1) or 0.0)
    then, since = _rates(solve_rates, best.step, now.step)
    if _fell(best, now, 1, FALL_FROM_BEST) and since > then:
        lines.append(
            f"held-out pass@1 fell from {_percent(best, 1)} (step {best.step}) to {_percent(now, 1)}, beyond its noise, while "
            f"the training solve rate rose from {then:.0%} to {since:.0%}: the policy learns its training problems by heart, or "
            f"tricks the verifier. Read answers with `simko sample`; go back to a checkpoint of about step {best.step}, train on "
            "more problems, or lower --learning-rate"
        )
    if k > 1 and _fell(earlier[0], now, k, FALL_FROM_FIRST):
        first = earlier[0]
        lines.append(
            f"held-out pass@{k} fell from {_percent(first, k)} (step {first.step}) to {_percent(now, k)}, beyond its noise: the "
            "policy loses answers that it had. Lower --learning-rate, stop earlier, or take --algorithm simko_pass_at_k"
        )
    return lines


def _rates(solve_rates: Mapping[int, float], then: int, now: int) -> tuple[float, float]:
    """Mean solve rate of the steps up to `then`, and of as many after it up to `now`; of two halves if `then` has none."""
    before = [rate for step, rate in solve_rates.items() if 2 * then - now < step <= then]
    after = [rate for step, rate in solve_rates.items() if then < step <= now]
    if not before:
        half = len(after) // 2
        before, after = after[:half], after[half:]
    return _mean(before), _mean(after)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _fell(before: Look, now: Look, k: int, errors: float) -> bool:
    """Whether pass@`k` of the problems that both looks have fell by more than so many standard errors."""
    change = _differences(before, now, k)
    if len(change) < 2:
        return False
    error = float(np.std(change, ddof=1)) / len(change) ** 0.5
    return float(change.mean()) < -errors * error


def _differences(before: Look, now: Look, k: int) -> NDArray[np.float64]:
    pairs = [(before.counts[task], now.counts[task]) for task in now.counts if task in before.counts]
    return np.array([pass_at_k(*b, k) - pass_at_k(*a, k) for a, b in pairs if min(a[0], b[0]) >= k], dtype=np.float64)


def _percent(look: Look, k: int) -> str:
    return f"{100 * (look_score(look, k) or 0.0):.1f} %"
