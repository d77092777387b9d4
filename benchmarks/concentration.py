"""What the metrics of concentration add to a step: the same answers, updated with them and without, in turn.

Two shapes. "tiny" is a step of the built-in policy, rollout included, with the sizes of its preset. "head" is only the update of
a policy that is nothing but the output layer of a 0.5B model (vocabulary 151,936, D = 896): there is no rollout and no body
whose time would hide the metrics, so it is the worst case. Nine in ten of its distributions are sure, as in a trained model.
It is slow on a CPU: each of 10 repeats has two updates of 1,024 tokens, so it takes minutes. `--quick` shows that it works.
`with_s` and `without_s` are seconds of processor time on a CPU, of the clock on CUDA. The ratio is that of their medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.common import Case, Options, Result, compare, machine

TITLE = "metrics of concentration: a step with them and without"
_SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"prompts": 32, "group": 16},
    "head": {"answers": 16, "length": 64, "vocabulary": 151_936, "width": 896},
}
_QUICK: dict[str, dict[str, Any]] = {
    "tiny": {"prompts": 4, "group": 4},
    "head": {"answers": 4, "length": 8, "vocabulary": 4096, "width": 32},
}


def run(options: Options) -> Result:
    """Time both shapes."""
    sizes = _QUICK if options.quick else _SIZES
    clock = "wall" if machine(options)["gpu"] else "cpu"
    cases = [
        Case(name, f"benchmarks.concentration:{name}", {"clock": clock, **size}, "ours" if name == "tiny" else "other")
        for name, size in sizes.items()
    ]
    result = compare("concentration", TITLE, cases, options, repeats=9, setting={})
    for name in sizes:
        sample = result.samples[name]
        result.ratios[f"with/without, {name}"] = sample.median("with_s") / sample.median("without_s")
    result.targets = {} if options.quick else dict.fromkeys(result.ratios, 1.03)
    return result


def tiny(clock: str, prompts: int, group: int) -> Callable[[], dict[str, float]]:
    """A whole step: the rollout, once, and the update."""
    from simko import algorithms
    from simko.advantages import make_batch
    from simko.build import make_env, make_policy
    from simko.micro_batch import TokenBudget
    from simko.sampling import sample_step
    from simko.settings import train_config

    config = train_config({"prompts_per_step": prompts, "group_size": group, "logger": "none"})
    policy = make_policy(config, None)
    env, method, budget = make_env(config, policy, "train", None), algorithms.of(config), TokenBudget(8192)
    step = 0

    def once() -> dict[str, float]:
        nonlocal step
        step += 1
        began = _now(clock)
        groups = sample_step(policy, env, method, config, step, method.initial_state(), budget).groups
        batch = make_batch(groups, method, env.max_new_tokens)
        rollout = _now(clock) - began
        seconds = _both(policy, method, batch, budget.tokens, group, clock, step)
        return {name: rollout + value for name, value in seconds.items()} | {"rollout_s": rollout}

    return once


def head(clock: str, answers: int, length: int, vocabulary: int, width: int) -> Callable[[], dict[str, float]]:
    """The update of a policy without a body."""
    import numpy as np

    from simko import algorithms
    from simko.types import Batch, Completion, Verdict

    policy, rng, turn = _HeadOnly(vocabulary, width), np.random.default_rng(0), 0
    rows = []
    for i in range(answers):
        ids = [int(rng.integers(_IDS))]
        while len(ids) <= length:
            ids.append(_after(ids[-1]))
        rows.append(
            Completion(
                np.array(ids[:1]), np.array(ids[1:]), np.full(length, -1, np.float32), np.ones(length, np.bool_), "", "stop",
                Verdict("correct" if i % 2 else "incorrect", float(i % 2)),
            )
        )  # fmt: skip
    advantage = np.where(np.arange(answers) % 2, 1.0, -1.0)
    batch = Batch(tuple(rows), np.zeros(answers, np.int64), advantage, advantage > 0, answers * length, answers)

    def once() -> dict[str, float]:
        nonlocal turn
        turn += 1
        return _both(policy, algorithms.get("simko"), batch, 2048, answers, clock, turn)

    return once


_IDS = 512


def _after(token: int) -> int:
    return (7 * token + 1) % _IDS


class _HeadOnly:
    """The state of a token is a row of a table; one state in ten says nothing about the next token."""

    packs = False

    def __init__(self, vocabulary: int, width: int) -> None:
        import torch

        from simko.head import LmHead

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        rng = torch.Generator().manual_seed(0)
        weight = 0.05 * torch.randn(vocabulary, width, generator=rng)
        table = torch.randn(_IDS, width, generator=rng)
        sure = torch.rand(_IDS, generator=rng) < 0.9
        target = weight[[_after(token) for token in range(_IDS)]][sure]
        table[sure] = 15 * target / target.square().sum(-1, keepdim=True)  # its logit is 15
        self._head, self._table = LmHead(weight.to(self.device, dtype)), table.to(self.device, dtype)
        self._adapter = torch.ones(width, device=self.device, dtype=dtype, requires_grad=True)

    def trainable_parameters(self) -> list[tuple[str, Any]]:
        return [("adapter", self._adapter)]

    def hidden(self, ids: Any) -> Any:
        return self._table[ids] * self._adapter

    def lm_head(self) -> Any:
        return self._head


def _both(
    policy: Any, method: Any, batch: Any, tokens: int, group: int, clock: str, turn: int
) -> dict[str, float]:  # fmt: skip
    """Seconds of the update with the metrics and without; which is first changes from turn to turn."""
    from simko.update import accumulate_gradients

    seconds = {}
    for name in ("with_s", "without_s") if turn % 2 else ("without_s", "with_s"):
        began = _now(clock)
        accumulate_gradients(
            policy, method, batch, temperature=1.0, micro_batch_tokens=tokens, max_new_tokens=512,
            group_size=group if name == "with_s" else 0,
        )  # fmt: skip
        seconds[name] = _now(clock) - began
        for _, parameter in policy.trainable_parameters():
            parameter.grad = None
    return seconds


def _now(clock: str) -> float:
    if clock == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()
