"""Micro-batches: rows of a batch that share a forward, as tensors, and what is done when a forward fails.

In order: which rows go together (`Layout`), their tokens as tensors (`MicroBatch`), the loop that retries (`run`), the
`[B, T]` matrices that a loss reads (`matrices`), and the search for numbers that are not finite.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from simko.algorithms.stats import Aggregation, Prepared, StepStats, TokenStats
from simko.device import release
from simko.errors import UserError
from simko.head import Extra, TokenStatistics, token_statistics
from simko.packing import PackedRows, Packer, needed, pack
from simko.types import Batch, Completion, Policy

T = TypeVar("T")
_PADDING = 1.03  # padded over real tokens of a micro-batch, at most


@dataclass(frozen=True)
class Layout:
    """How rows share a forward: `PACKED` or `PADDED`."""

    plan: Callable[[Batch, Sequence[int], int], list[list[int]]]
    """(batch, rows, most tokens) to micro-batches: each has at most so many tokens, or one row."""
    tokens: Callable[[Sequence[Completion]], int]
    """Tokens that one forward of these rows computes, padding included."""
    inputs: Callable[[Sequence[Completion]], tuple[PackedRows | NDArray[np.int64], list[NDArray[np.int64]]]]
    """The forward's input, and for each row the places whose hidden states predict the tokens of `needed`."""


def _plan_packed(batch: Batch, rows: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Rows of one prompt go together, and the prompt counts once."""
    groups: dict[bytes, list[int]] = {}
    for row in rows:
        groups.setdefault(batch.completions[row].prompt_ids.tobytes(), []).append(row)
    plan: list[list[int]] = []
    left = 0
    for members in groups.values():
        prompt = len(batch.completions[members[0]].prompt_ids)
        costs = [len(needed(batch.completions[row])) - 1 for row in members]
        fresh = prompt + sum(costs) > left  # a group that fits in a micro-batch is not torn
        for i, (row, cost) in enumerate(zip(members, costs, strict=True)):
            if (fresh and i == 0) or cost > left:
                plan.append([])
                left = max_tokens - prompt
            elif i == 0:
                left -= prompt
            plan[-1].append(row)
            left -= cost
    return plan


def _packed_tokens(completions: Sequence[Completion]) -> int:
    prompts = {c.prompt_ids.tobytes(): len(c.prompt_ids) for c in completions}
    return sum(prompts.values()) + sum(len(needed(c)) - 1 for c in completions)


def _plan_padded(batch: Batch, rows: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Rows are sorted by length. Padding counts, and is at most 3 % of the real tokens."""
    lengths = {row: _width(batch.completions[row]) for row in rows}
    plan: list[list[int]] = []
    real = 0
    for row in sorted(rows, key=lambda row: (lengths[row], row)):
        padded = lengths[row] * (len(plan[-1]) + 1) if plan else 0
        if plan and padded <= min(max_tokens, _PADDING * (real + lengths[row])):
            plan[-1].append(row)
            real += lengths[row]
        else:
            plan.append([row])
            real = lengths[row]
    return plan


def _padded_tokens(completions: Sequence[Completion]) -> int:
    return len(completions) * max(map(_width, completions), default=0)


def _pad(completions: Sequence[Completion]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Right-padded ids `[B, L]`, and each row's places among the B * L tokens."""
    ids = np.zeros((len(completions), max(map(_width, completions))), dtype=np.int64)
    places = []
    for i, c in enumerate(completions):
        ids[i, : _width(c)] = np.concatenate([c.prompt_ids, needed(c)[:-1]])
        places.append(i * ids.shape[1] + len(c.prompt_ids) - 1 + np.arange(len(needed(c))))
    return ids, places


def _width(completion: Completion) -> int:
    return len(completion.prompt_ids) + len(needed(completion)) - 1  # the last token predicts nothing


PACKED = Layout(_plan_packed, _packed_tokens, pack)
PADDED = Layout(_plan_padded, _padded_tokens, _pad)


@dataclass(frozen=True)
class MicroBatch:
    """B rows of a batch as tensors; the T columns of the matrices are answer tokens."""

    rows: list[int]
    inputs: PackedRows | Int[Tensor, "B L"]
    mask: Bool[Tensor, "B T"]  # tokens the policy sampled
    targets: Int[Tensor, "B T"]
    positions: Int[Tensor, "B T"]  # of each target's predicting state among the N packed or B * L padded tokens

    @classmethod
    def of(cls, batch: Batch, rows: Sequence[int], device: torch.device | str, layout: Layout = PADDED) -> MicroBatch:
        """Put the tokens of these rows on `device`."""
        completions = [batch.completions[row] for row in rows]
        ids, places = layout.inputs(completions)
        inputs = torch.from_numpy(ids).to(device) if isinstance(ids, np.ndarray) else ids
        answers = [needed(c) for c in completions]
        shape = (len(rows), max(len(a) for a in answers))
        mask, targets, positions = np.zeros(shape, dtype=np.bool_), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for i, (c, a) in enumerate(zip(completions, answers, strict=True)):
            t = len(a)
            mask[i, :t], targets[i, :t], positions[i, :t] = c.sampled[:t], a, places[i]
        return cls(list(rows), inputs, *(torch.from_numpy(x).to(device) for x in (mask, targets, positions)))

    def states(self, policy: Policy) -> Float[Tensor, "N D"]:
        """The hidden states that predict the N sampled tokens, row by row."""
        if isinstance(self.inputs, PackedRows):
            assert isinstance(policy, Packer)
            hidden: Float[Tensor, "N D"] = policy.hidden_packed(self.inputs)
        else:
            hidden = policy.hidden(self.inputs).flatten(0, 1)
        return hidden[self.positions[self.mask]]

    def statistics(
        self,
        policy: Policy,
        k: int,
        temperature: float,
        extra: frozenset[Extra] = frozenset(),
        options: Mapping[str, float] | None = None,
        states: Float[Tensor, "N D"] | None = None,
    ) -> TokenStatistics:
        """Statistics of the N sampled tokens, row by row. Only their hidden states reach the loss head."""
        head, options = policy.lm_head(), dict[str, Any](options or {})
        return token_statistics(
            self.states(policy) if states is None else states,
            head.weight, self.targets[self.mask], min(k, head.weight.shape[0]),
            temperature, bias=head.bias, soft_cap=head.soft_cap, scale=head.scale, extra=extra, **options,
        )  # fmt: skip

    def spread(self, values: Tensor) -> Tensor:
        """Lay values of the N sampled tokens out as `[B, T]` (and what follows); 0 elsewhere."""
        return laid_out(self.mask, values)


def laid_out(mask: Bool[Tensor, "B T"], values: Tensor) -> Tensor:
    """Values of the N tokens of `mask`, row by row, as `[B, T]` (and what follows); 0 elsewhere."""
    out = values.new_zeros(*mask.shape, *values.shape[1:])
    return out.masked_scatter(mask.reshape(*mask.shape, *([1] * (values.dim() - 1))), values)


@dataclass
class TokenBudget:
    """Tokens a forward. The budget halves when the device runs out of memory, and stays halved in later steps."""

    tokens: int
    halvings: int = 0

    def halve(self, failed: int) -> None:
        """Allow half of the `failed` tokens that were too many, but at least one."""
        self.tokens = max(min(self.tokens, failed) // 2, 1)
        self.halvings += 1


class NonFiniteRowsError(Exception):
    """A micro-batch gave NaN or infinity. `rows` are the rows to blame; empty if it could be any of them."""

    def __init__(self, rows: Sequence[int] = ()) -> None:
        super().__init__()
        self.rows = list(rows)


def run(
    policy: Policy,
    batch: Batch,
    budget: TokenBudget,
    work: Callable[[MicroBatch], T],
    rows: Sequence[int] | None = None,
) -> Iterator[tuple[MicroBatch, T]]:
    """Do `work` on micro-batches that cover `rows` (all if None), each row once, but for rows that are not finite.

    If the device has no memory for a micro-batch, the budget is halved, and what is left is planned anew. If `work` raises
    `NonFiniteRowsError`, the rows to blame are left out. If they are unknown, each half is tried alone, down to single rows.
    `work` must leave nothing behind when it raises.

    Raises:
        UserError: the device has no memory for one row alone.
    """
    layout = PACKED if isinstance(policy, Packer) and policy.packs else PADDED
    pending = layout.plan(batch, range(len(batch)) if rows is None else rows, budget.tokens)
    while pending:
        chosen = pending.pop(0)
        result, short = None, False
        try:
            micro = MicroBatch.of(batch, chosen, policy.device, layout)
            result = work(micro)
        except NonFiniteRowsError as error:
            middle = len(chosen) // 2
            parts = [[r for r in chosen if r not in error.rows]] if error.rows else [chosen[:middle], chosen[middle:]]
            pending = [part for part in parts if part and part != chosen] + pending
        except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
            if not out_of_memory(error):
                raise
            short = True
        if short:  # outside the handler: until it ends, the traceback holds the tensors
            completions = [batch.completions[row] for row in chosen]
            if len(chosen) == 1:
                tokens = len(completions[0].prompt_ids) + len(completions[0].ids)
                raise UserError(
                    f"out of memory on one sequence of {tokens} tokens alone; set gradient_checkpointing to true, "
                    "or lower max_new_tokens, max_prompt_tokens or lora_rank"
                )
            gc.collect()
            release(torch.device(policy.device))
            budget.halve(layout.tokens(completions))
            later = [row for part in pending for row in part]
            pending = [part for rest in (chosen, later) for part in layout.plan(batch, rest, budget.tokens)]
        elif result is not None:
            yield micro, result


def out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the CPU's allocator, had no memory."""
    message = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        phrase in message for phrase in ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
    )


def matrices(
    micro: MicroBatch,
    raw: TokenStatistics,
    batch: Batch,
    k: int,
    step: StepStats | None = None,
    prepared: Prepared | None = None,
) -> TokenStats:
    """Lay the statistics of N tokens out as `[B, T]`. Without `step.logp` the current policy is the old one."""
    logp = micro.spread(raw.logp)
    rows = torch.as_tensor(micro.rows, device=logp.device)

    def of_rows(values: Tensor | None) -> Tensor | None:
        """These rows of a value of the whole step; a scalar stays as it is."""
        if values is None or values.dim() == 0:
            return values
        part = values.to(logp.device)[rows]
        part = part[:, : logp.shape[1]] if part.dim() > 1 else part
        return part.to(logp.dtype) if part.is_floating_point() else part

    prepared = prepared or Prepared()
    advantage = of_rows(prepared.advantage)
    if advantage is None:
        own = torch.as_tensor(batch.advantage[micro.rows], dtype=logp.dtype, device=logp.device)
        advantage = own[:, None].expand_as(logp)
    old_logp = of_rows(step.logp) if step else None
    return TokenStats(
        mask=micro.mask,
        logp=logp,
        old_logp=logp.detach() if old_logp is None else old_logp,
        advantage=advantage,
        correct=torch.as_tensor(batch.correct[micro.rows], device=logp.device),
        entropy=micro.spread(raw.entropy),
        is_top1=micro.spread(raw.is_top1),
        topk_logp=micro.spread(raw.topk_logp[:, :k]),
        topk_ids=micro.spread(raw.topk_ids[:, :k]),
        ref_logp=of_rows(step.ref_logp) if step else None,
        nucleus_entropy=None if raw.nucleus_entropy is None else micro.spread(raw.nucleus_entropy),
        constants={name: value for name, whole in prepared.constants.items() if (value := of_rows(whole)) is not None},
    )


def row_weights(batch: Batch, aggregation: Aggregation, max_new_tokens: int) -> Float[np.ndarray, "B"]:
    """Return the factor of each row: one token's loss enters the step's loss with this weight.

    token_mean: 1 / tokens of the step. sequence_mean: 1 / (sequences of the step * tokens of the row).
    constant_length: 1 / (sequences of the step * token budget).
    """
    if aggregation == "token_mean":
        return np.full(len(batch), 1.0 / max(batch.step_tokens, 1))
    constant = aggregation == "constant_length"
    lengths = np.array([max_new_tokens if constant else max(int(c.sampled.sum()), 1) for c in batch.completions])
    return 1.0 / (max(batch.step_sequences, 1) * lengths)


@torch.no_grad()
def importance_weight(micro: MicroBatch, batch: Batch, old_logp: Float[Tensor, "B T"], clip: float) -> Tensor:
    """Return `min(pi_old(y) / pi_sampler(y), clip)`, `[B, T]`: a constant factor on each token's loss.

    It is for engines whose numbers differ from the trainer's: the trainer's own log-prob before the update, against the one
    that the sampler recorded. Truncated importance sampling (Yao et al. 2025, "Your efficient RL framework secretly brings
    you off-policy RL training"; TRL's `vllm_importance_sampling_cap`, 2.0 there).
    """
    logprobs = np.concatenate([c.logprobs[c.sampled] for c in (batch.completions[row] for row in micro.rows)])
    sampler = micro.spread(torch.from_numpy(logprobs).to(old_logp))
    return torch.exp(old_logp - sampler).clamp(max=clip)


@torch.no_grad()
def all_finite(tensors: Iterable[Tensor | None]) -> bool:
    """Whether every entry is a finite number. Costs one synchronisation with the device."""
    floats = [t.detach() for t in tensors if t is not None and t.numel() and t.is_floating_point()]
    # the largest magnitude is NaN if any entry is, and cannot overflow as a sum of squares would
    return not floats or math.isfinite(torch.nn.utils.get_total_norm(floats, math.inf))


def finite_rows(batch: Batch, step: StepStats | None = None) -> list[int]:
    """Return the rows whose advantage and log-probs (the sampler's, and those of `step`) are finite."""
    masked = None if step is None else ~step.mask.any(-1).cpu().numpy()  # `step_stats` masks a row that is not finite
    rows = []
    for row, completion in enumerate(batch.completions):
        fine = np.isfinite(batch.advantage[row]) and np.isfinite(completion.logprobs[completion.sampled]).all()
        if fine and (masked is None or not masked[row]):
            rows.append(row)
    return rows


def check_rows(micro: MicroBatch, raw: TokenStatistics) -> None:
    """Raise `NonFiniteRowsError` with the rows whose log-probs or entropy are not finite."""
    spoilt = ~torch.isfinite(raw.logp.detach() + raw.entropy)
    if bool(spoilt.any()):
        row = torch.nonzero(micro.mask)[:, 0][spoilt].unique()
        raise NonFiniteRowsError([micro.rows[i] for i in row.tolist()])
