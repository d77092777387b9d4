"""The choice of live or merged weights by the clock: both decode the same few tokens before the first step.

Which of the two is faster depends on the card, the batch and the length of answers. On a CPU equal seeds give equal bytes, so
the clock decides only if a user asks for it. On CUDA results depend on the kernels anyway, so there it decides by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from simko.device import release
from simko.memory.forecast import Job
from simko.micro_batch import out_of_memory

Weights = Literal["live", "merged"]
_TOKENS = (1, 9)  # answer lengths: their difference tells the time of a step from that of the start (merging, prefill)
_ROUNDS = 3  # the first warms up and is not counted


def fastest(
    policy: Any, work: Job, slots: int, ids: Callable[[int], Any], temperature: float
) -> tuple[Weights, dict[str, float | None]]:
    """Set `policy.decode_weights` to the faster weights; return them, and the forecast seconds of a step's rollout with each.

    The seconds are None if memory ran out. `ids(count)` gives filler token ids. A rollout is one start, and `max_new_tokens`
    steps for each time that the rows fill the slots. If both are even, the choice is live.
    """
    prompts = max(1, min(work.prompts, slots))
    rows = max(1, slots // prompts) * prompts
    waves = -(-work.rows // rows)
    prompt = ids(prompts * work.longest_prompt).reshape(prompts, -1).tolist()
    seconds: dict[str, float | None] = {}
    kinds: tuple[Weights, Weights] = ("live", "merged")
    for kind in kinds:
        policy.decode_weights = kind
        try:
            start, more = (_seconds(policy, prompt, rows // prompts, tokens, temperature) for tokens in _TOKENS)
            steps = max(more - start, 0.0) / (_TOKENS[1] - _TOKENS[0])
            seconds[kind] = start + steps * max(work.max_new_tokens - 1, 0) * waves
        except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
            if not out_of_memory(error):
                raise
            seconds[kind] = None
        release(policy.device)
    merged = seconds["merged"] is not None and (seconds["live"] is None or seconds["merged"] < seconds["live"])
    policy.decode_weights = "merged" if merged else "live"
    return policy.decode_weights, seconds


def _seconds(policy: Any, prompts: list[list[int]], n: int, tokens: int, temperature: float) -> float:
    """Seconds of the fastest of a few rollouts whose answers have exactly `tokens` tokens."""
    from simko.types import Sampling

    never = int(policy.lm_head().weight.shape[0])  # an id that does not exist: no answer ends early
    sampling = Sampling(temperature, max_new_tokens=tokens, stop_ids=(never,))
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        policy.engine.generate(prompts, n, sampling, list(range(len(prompts) * n)))
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
