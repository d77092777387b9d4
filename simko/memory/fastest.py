"""Live or merged weights to decode with, by the clock: both decode the same few tokens before the first step.

Which of the two is faster depends on the card, the batch and the length of answers. Only CUDA, where results depend on the
kernels anyway, is asked this by itself; on a CPU equal seeds give equal bytes, and a clock has no say unless it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from simko.device import release
from simko.memory.forecast import Job
from simko.micro_batch import out_of_memory

Weights = Literal["live", "merged"]
_TOKENS = (1, 9)  # decoded to tell the start (merging, prefill) from the steps
_ROUNDS = 3  # the first of which warms up


def fastest(
    policy: Any, work: Job, slots: int, ids: Callable[[int], Any], temperature: float
) -> tuple[Weights, dict[str, float | None]]:
    """The weights that a step's rollout is fastest with, and its forecast seconds with each: None where memory was short.

    `ids(count)` gives token ids of no meaning. A rollout is a start and `max_new_tokens` steps, as often as all rows fill the
    slots. `policy.decode_weights` is left at the choice; live where both are even.
    """
    prompts = max(1, min(work.prompts, slots))
    rows = max(1, slots // prompts) * prompts
    waves = -(-work.rows // rows)
    prompt = ids(prompts * work.longest_prompt).reshape(prompts, -1).tolist()
    found: dict[str, float | None] = {}
    kinds: tuple[Weights, Weights] = ("live", "merged")
    for kind in kinds:
        policy.decode_weights = kind
        try:
            start, more = (_seconds(policy, prompt, rows // prompts, tokens, temperature) for tokens in _TOKENS)
            steps = max(more - start, 0.0) / (_TOKENS[1] - _TOKENS[0])
            found[kind] = start + steps * max(work.max_new_tokens - 1, 0) * waves
        except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
            if not out_of_memory(error):
                raise
            found[kind] = None
        release(policy.device)
    merged = found["merged"] is not None and (found["live"] is None or found["merged"] < found["live"])
    policy.decode_weights = "merged" if merged else "live"
    return policy.decode_weights, found


def _seconds(policy: Any, prompts: list[list[int]], n: int, tokens: int, temperature: float) -> float:
    """The least time of a few rollouts of exactly `tokens` tokens an answer."""
    from simko.types import Sampling

    never = int(policy.lm_head().weight.shape[0])  # no such id: nothing ends early
    sampling = Sampling(temperature, max_new_tokens=tokens, stop_ids=(never,))
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        policy.engine.generate(prompts, n, sampling, list(range(len(prompts) * n)))
        taken.append(time.perf_counter() - began)
    return min(taken[1:])
