"""The forking pass: at each token of a few answers, the candidates of base and trained policy, and what the method did there.

One forward of each policy, without a gradient. The first groups of the last recorded step that hold right and wrong answers are
looked at, and a few problems of the evaluation. What the method did is what its own `loss` reports (`Loss.shares`) on these
statistics, with its own advantages; for methods that couple rows, over the whole recorded step.

The adapter is the run's newest one. An answer of step s was sampled by the policy before the update of s, so the numbers are
those of a policy that has been updated since: "before" is the base model, not the policy that sampled. A part that carries a
state from step to step is taken in its first state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simko import algorithms
from simko.advantages import make_batch, split_groups
from simko.algorithms.compose import Algorithm
from simko.build import make_env, make_policy
from simko.config import TrainConfig
from simko.console import note
from simko.errors import UserError
from simko.fork_choice import Chosen, choose_of_evaluation, choose_of_step
from simko.group_view import batch_of
from simko.head import LmHead
from simko.micro_batch import MicroBatch, TokenBudget, matrices, run
from simko.packing import needed
from simko.report.forks import (
    Answer,
    ForkGroup,
    Forks,
    Token,
    forks_path,
    read_forks,
    write_forks,
)
from simko.run.folder import RunFolder
from simko.run.manifest import file_hash
from simko.run.places import check_places
from simko.step_stats import prepare
from simko.token_text import token_text
from simko.types import Completion, Group, Policy

TOP, TOKENS = 5, 4096
"""Candidates of each policy, and tokens of all answers together."""
_LOGITS = 1 << 23  # logits of one policy that are alive at once
_DIGITS = 7


def run_forks(
    run_folder: RunFolder,
    say: Callable[[str], None] = note,
    *,
    device: str | None = None,
    stored_only: bool = False,
) -> Forks:
    """The forks of a run's newest adapter: those in its folder, else computed now with its model, and kept.

    `say` gets a line if they cannot be kept.

    Raises:
        UserError: the run has no checkpoint, its model or its data are not there, or it has no completions.
    """
    adapter = run_folder.adapter()
    if adapter is None:
        raise UserError(
            f"{run_folder.path} has no checkpoint yet, and the forking map needs an adapter; train on until one is saved"
        )
    sha256 = str(file_hash(adapter / "adapter_model.safetensors"))
    path = forks_path(run_folder.path, sha256)
    if path.is_file():
        try:
            return read_forks(path)
        except UserError as error:
            say(str(error))
    if stored_only:
        raise UserError(
            f"{run_folder.path} has no stored forks of its newest adapter, and no model may be loaded; "
            "make them with `simko report`"
        )
    policy, env = load(run_folder, adapter, device)
    step = int(adapter.parent.name.removeprefix("step-"))
    chosen, whole = choose_of_step(run_folder, env, step)
    chosen += choose_of_evaluation(run_folder, policy, env)
    if not chosen:
        raise UserError(
            f"{run_folder.path} has no answers to draw a forking map of; train a step, or evaluate it with `simko eval`"
        )
    forks = Forks(
        sha256, step, run_folder.config.model, run_folder.config.algorithm, run_folder.config.temperature,
        *fork(policy, algorithms.of(run_folder.config), chosen, run_folder.config, env.max_new_tokens, whole, step),
    )  # fmt: skip
    try:
        write_forks(run_folder.path, forks)
    except OSError as error:
        say(f"{path}: {error.strerror}; the forks are not kept, and the next report computes them again")
    return forks


def load(run_folder: RunFolder, adapter: Path, device: str | None = None) -> tuple[Any, Any]:
    """Policy and environment of a run, to be looked at: nothing is trained, and nothing is decoded.

    Raises:
        UserError: the model or the data are not where they were.
    """
    settings: TrainConfig = replace(
        run_folder.config, device=device or "auto", gradient_checkpointing=False, decode_weights="live", cache_bytes=None,
        engine="local", adapter=None, target_modules=None,
    )  # fmt: skip
    check_places(settings, f"report: run {run_folder.path}")
    policy = make_policy(settings, adapter)
    return policy, make_env(settings, policy, "train", run_folder.prompt_date())


@torch.no_grad()
def fork(
    policy: Policy,
    method: Algorithm,
    chosen: Sequence[Chosen],
    settings: TrainConfig,
    max_new_tokens: int,
    whole: Sequence[Group] = (),
    step: int | None = None,
    top: int = TOP,
    tokens: int = TOKENS,
) -> tuple[tuple[ForkGroup, ...], dict[int, str]]:
    """The forks of the chosen answers, and the text of each id in them.

    `whole` are all groups of the step, of which the groups of source "step" are some (the same objects). Answers are looked
    at as long as they have `tokens` together. Only a policy's `hidden` and `lm_head` are used, with its own and the base weights.
    """
    budget = TokenBudget(settings.micro_batch_tokens or 4096)
    wanted: list[Completion] = []
    left = tokens
    for entry in chosen:
        for number in entry.answers:
            completion = entry.group.completions[number]
            left -= len(needed(completion))
            if left >= 0 and completion.sampled.any():
                wanted.append(completion)
    looks = _looks(policy, wanted, settings.temperature, top, budget)
    did = _did(policy, method, whole, wanted, settings, max_new_tokens, budget, step or 0)
    groups = tuple(_fork_group(entry, looks, did, step) for entry in chosen)
    used = {id for group in groups for answer in group.answers for id in answer.ids}
    used |= {c[0] for group in groups for answer in group.answers for token in answer.tokens for c in token.candidates}
    return groups, {id: token_text(policy.tokenizer, id) for id in sorted(used)}


def _fork_group(
    entry: Chosen, looks: Mapping[int, list[Token]], did: Mapping[int, _Did], step: int | None
) -> ForkGroup:
    answers = []
    for number, c in enumerate(entry.group.completions):
        tokens = looks.get(id(c), [])
        of = did.get(id(c))
        if of is not None:
            tokens = [replace(token, advantage=of.advantage[i], did=of.shares[i]) for i, token in enumerate(tokens)]
        sample = entry.samples[number] if entry.samples else number
        reward = c.verdict.reward if np.isfinite(c.verdict.reward) else None
        ids = tuple(needed(c).tolist())
        answers.append(
            Answer(sample, c.verdict.outcome, reward, c.verdict.extracted, ids, tuple(tokens), of is not None)
        )
    task, at = entry.group.task, step if entry.source == "step" else None
    return ForkGroup(entry.source, at, task.id, task.problem, task.gold, tuple(answers))


def _looks(
    policy: Policy, completions: Sequence[Completion], temperature: float, top: int, budget: TokenBudget
) -> dict[int, list[Token]]:
    """The tokens of each completion, by the completion's identity."""
    batch = batch_of(completions)

    def work(micro: MicroBatch) -> list[Token]:
        trained = micro.states(policy), policy.lm_head()
        with policy.base():
            base = micro.states(policy), policy.lm_head()
        return compare(trained, base, micro.targets[micro.mask], temperature, top)

    looks: dict[int, list[Token]] = {}
    for micro, tokens in run(policy, batch, budget, work):
        start = 0
        for row in micro.rows:
            c = batch.completions[row]
            places = np.flatnonzero(c.sampled[: len(needed(c))]).tolist()
            part = tokens[start : start + len(places)]
            looks[id(c)] = [replace(token, place=place) for place, token in zip(places, part, strict=True)]
            start += len(places)
    return looks


def compare(
    trained: tuple[Float[Tensor, "N D"], LmHead],
    base: tuple[Float[Tensor, "N D"], LmHead],
    ids: Tensor,
    temperature: float,
    top: int,
) -> list[Token]:
    """Two policies at N tokens: both distributions whole, `softmax(logits / temperature)`, a few rows at a time.

    The first of each pair is the hidden states `[N, D]` that predict `ids` `[N]`, the second the head.
    """
    tokens: list[Token] = []
    rows = max(1, _LOGITS // trained[1].weight.shape[0])
    for start in range(0, len(ids), rows):
        part = slice(start, start + rows)
        new, old = (torch.log_softmax(head.logits(h[part]) / temperature, -1) for h, head in (trained, base))
        k = min(top, new.shape[-1])
        entropies = [_rounded(-(logp.exp() * logp.clamp(min=-1e4)).sum(-1)) for logp in (new, old)]
        own = [_rounded(logp.gather(-1, ids[part, None])[:, 0].exp()) for logp in (new, old)]
        both = torch.cat([new.topk(k).indices, old.topk(k).indices], -1)
        pairs = [_rounded(logp.gather(-1, both).exp()) for logp in (old, new)]
        for i, row in enumerate(both.tolist()):
            union = {id: (id, pairs[0][i][j], pairs[1][i][j]) for j, id in enumerate(row)}
            ordered = tuple(sorted(union.values(), key=lambda c: (-c[2], -c[1], c[0])))
            tokens.append(Token(0, entropies[0][i], entropies[1][i], own[0][i], own[1][i], ordered))
    return tokens


def _rounded(values: Tensor) -> Any:
    return np.round(values.double().cpu().numpy(), _DIGITS).tolist()


@dataclass
class _Did:
    """What the method gave and did at each sampled token of an answer."""

    advantage: list[float]
    shares: list[dict[str, float]]


def _did(
    policy: Policy,
    method: Algorithm,
    whole: Sequence[Group],
    wanted: Iterable[Completion],
    settings: TrainConfig,
    max_new_tokens: int,
    budget: TokenBudget,
    step: int,
) -> dict[int, _Did]:
    """What the method's own loss reports of the wanted answers that are in the step's batch, by the completion's identity."""
    marks = {id(c) for c in wanted}
    shape: dict[str, Any] = {"temperature": settings.temperature, "micro_batch_tokens": budget}
    shape |= {"state": method.initial_state(), "seed": settings.seed, "step": step}
    out: dict[int, _Did] = {}
    for groups in split_groups(whole, settings.updates_per_batch):
        batch = make_batch(groups, method, max_new_tokens)
        rows = [row for row, c in enumerate(batch.completions) if id(c) in marks]
        if not rows:
            continue
        stats, prepared = prepare(policy, method, batch, **shape)

        def work(micro: MicroBatch, batch: Any = batch, stats: Any = stats, prepared: Any = prepared) -> Any:
            raw = micro.statistics(policy, method.k, settings.temperature, _extra(method), method.stat_options)
            values = matrices(micro, raw, batch, method.k, stats, prepared)
            return values, method.loss(values)

        for micro, (values, loss) in run(policy, batch, budget, work, rows):
            for i, row in enumerate(micro.rows):
                mask = micro.mask[i]
                columns = {
                    name.removesuffix("_fraction"): share[i][mask].double().cpu().tolist()
                    for name, share in loss.shares.items()
                }
                advantage = values.advantage[i][mask].double().cpu().tolist()
                shares = [
                    {name: round(column[t], _DIGITS) for name, column in columns.items() if column[t]}
                    for t in range(len(advantage))
                ]
                out[id(batch.completions[row])] = _Did([round(a, _DIGITS) for a in advantage], shares)
    return out


def _extra(method: Algorithm) -> frozenset[Any]:
    return frozenset(method.needs_new) & {"entropy_grad", "nucleus_entropy"}
