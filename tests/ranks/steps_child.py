"""One rank of a world that takes the same steps as one process would. Writes what it saw to `FOLDER/<size>-<rank>`.

Every method takes a step of a policy in float64, from tasks to the clipped gradient, by the functions of a run. Every other one
has two updates a batch. One that carries a state takes a second step.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from fakes import FakeEnv, FakePolicy, random_groups
from safetensors.torch import save_file
from torch import Tensor

from simko import algorithms, ranks
from simko.advantages import make_batch
from simko.errors import UserError
from simko.micro_batch import TokenBudget
from simko.ranks.sharing import my_rows
from simko.ranks.start import started
from simko.sampling import sample_step
from simko.settings import train_config
from simko.step_stats import prepare
from simko.train import update
from simko.update import accumulate_gradients

SETTINGS: dict[str, dict[str, Any]] = {
    "eepo": {"eepo_entropy": 99.0, "eepo_window": 1, "eepo_step": 0.1},
    "siren": {"siren_quantile": 0.0, "siren_beta": 1.0},
    "aer": {"aer_start": 0.01, "aer_kappa": 1.0, "aer_eta": 1.0},
    "pass_at_k": {"pass_k": 2},
    "simko_pass_at_k": {"pass_k": 2},
    "self": {"base_problems": 2},
    "dph_rl": {"base_problems": 2},
    "dapo": {"refill_rounds": 2},
}
STATEFUL = ("eepo", "siren", "aer")


class Sizes(FakePolicy):
    """It runs out of memory on more than so many rows at once, on one rank; and some rows are not finite."""

    most: int | None = None
    spoilt: int | None = None  # a token that makes its row NaN

    def hidden(self, ids: Tensor) -> Tensor:
        if self.most is not None and len(ids) > self.most:
            raise RuntimeError("CUDA out of memory")
        out = super().hidden(ids)
        if self.spoilt is None:
            return out
        return out.masked_fill((ids == self.spoilt).any(-1)[:, None, None], torch.nan)


def steps(name: str, updates: int, packs: bool) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Metrics and answers of each step of a method, and the gradients as the optimizer gets them."""
    config = train_config(
        {
            "algorithm": name,
            **SETTINGS.get(name, {}),
            "prompts_per_step": 3,
            "group_size": 4,
            "updates_per_batch": updates,
        }
    )
    method, policy = algorithms.of(config), FakePolicy(seed=3, packs=packs)
    optimizer = torch.optim.SGD([policy.adapter], 0.1)
    gradients: list[Tensor] = []
    optimizer.register_step_pre_hook(lambda *_: gradients.append(policy.adapter.grad.clone()))  # type: ignore[union-attr]
    budget, state, env, lines = TokenBudget(40), method.initial_state(), FakeEnv(), []
    for step in range(1, 3 if name in STATEFUL else 2):
        sampled = sample_step(policy, env, method, config, step, state, budget)  # type: ignore[arg-type]
        metrics = update(policy, method, optimizer, sampled, config, env.max_new_tokens, budget, step, state)  # type: ignore[arg-type]
        state.update(method.end_step(state, metrics))
        answers = [[c.ids.tolist(), c.text, c.verdict.outcome] for group in sampled.groups for c in group.completions]
        lines.append({"metrics": {**sampled.metrics, **metrics}, "answers": answers})
    return lines, {f"{name}.{i}": value for i, value in enumerate(gradients)}


def odd_batches() -> Iterator[tuple[str, dict[str, float], Tensor]]:
    """Batches that are hard to share: name, metrics, gradient."""
    world = ranks.world()
    for name in ("uneven", "one group", "one row", "spoilt rows", "no memory on rank 1"):
        policy = Sizes(seed=1)
        groups = random_groups(7, groups=5, size=4, turns=True)
        method = algorithms.get("simko", entropy_quantile=0.0)
        if name == "uneven":
            groups = [groups[0], *(type(g)(g.task, g.completions[:2]) for g in groups[1:3]), *random_groups(8, 1, 9)]
        if name == "one group":
            groups = random_groups(11, 1, 4)
        batch = make_batch(groups, method)
        if name == "one row":  # two of three ranks have none
            batch = type(batch)(batch.completions[:1], batch.group[:1], batch.advantage[:1], batch.correct[:1], 30, 4)
        if name == "spoilt rows":
            policy.spoilt = int(batch.completions[2].ids[0])
        if name == "no memory on rank 1" and world.rank == min(1, world.size - 1):
            policy.most = 1
        budget = TokenBudget(10**6)
        metrics = accumulate_gradients(
            policy, method, batch, temperature=0.9, micro_batch_tokens=budget, max_new_tokens=8, group_size=4
        )
        assert policy.adapter.grad is not None
        share = len(my_rows(batch, range(len(batch))))
        yield name, {**metrics, "budget": budget.tokens, "my rows": share}, policy.adapter.grad


def nothing_to_learn(policy: FakePolicy) -> Tensor | None:
    """An update whose rows all fall away leaves no gradient on any rank."""
    method = algorithms.get("grpo")
    batch = make_batch(random_groups(7), method)
    stats, prepared = prepare(policy, method, batch, temperature=1.0, micro_batch_tokens=99)
    prepared = type(prepared)(keep=torch.zeros(len(batch), dtype=torch.bool))
    accumulate_gradients(
        policy, method, batch, temperature=1.0, micro_batch_tokens=99, max_new_tokens=8, step=stats, prepared=prepared
    )
    return policy.adapter.grad


def failures() -> list[str]:
    """What each kind of failure on the last rank is on this one. The last of them ends the world."""
    world, last, heard = ranks.world(), ranks.world().size - 1, []
    errors = (FloatingPointError("not a number"), FloatingPointError("again"), UserError("bad data"))
    for error in errors:

        def work(error: Exception = error) -> ranks.Parcel:
            if world.rank == last:
                raise error
            return ranks.Parcel()

        try:
            world.share(work)
        except (FloatingPointError, UserError) as raised:
            heard.append(f"{type(raised).__name__}: {raised}")
    return heard


def everything(facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """All that is compared; alone there are no failures of others."""
    for number, name in enumerate(algorithms.names()):
        facts[name], gradients = steps(name, updates=1 + number % 2, packs=bool(number // 2 % 2))
        tensors |= gradients
    for name, metrics, gradient in odd_batches():
        facts[name], tensors[name] = [{"metrics": metrics, "answers": []}], gradient
    facts["nothing to learn"] = nothing_to_learn(FakePolicy()) is None
    if not ranks.world().alone:
        facts["failures"] = failures()


def main(folder: Path, ports: list[str]) -> None:
    """A world of all processes, and then, to save their start, of one fewer at another port."""
    torch.set_num_threads(1)
    rank, whole = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    for size, port in zip(range(whole, 1, -1), ports, strict=True):
        if rank >= size:
            return
        os.environ |= {"WORLD_SIZE": str(size), "MASTER_PORT": port}
        facts: dict[str, Any] = {}
        tensors: dict[str, Tensor] = {}
        with started() as world:
            assert world.size == size
            everything(facts, tensors)
        place = folder / f"{size}-{rank}"
        place.with_suffix(".json").write_text(json.dumps(facts))
        save_file(tensors, place.with_suffix(".safetensors"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
