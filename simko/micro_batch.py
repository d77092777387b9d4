"""Which rows of a batch share a forward, their tokens as tensors, and what happens to those that do not go through."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simko.algorithms.base import TokenStats
from simko.device import release
from simko.errors import UserError
from simko.head import TokenStatistics, token_statistics
from simko.packing import PackedRows, Packer, needed, pack
from simko.types import Batch, Policy

T = TypeVar("T")
_PADDING = 1.03  # padded over real tokens of a micro-batch, at most


@dataclass
class TokenBudget:
    """Tokens a forward. It halves when the device runs out of memory, and stays so for the steps that follow."""

    tokens: int
    halvings: int = 0

    def halve(self, failed: int) -> None:
        """Half of what `failed` tokens were too many for, one at the least."""
        self.tokens = max(min(self.tokens, failed) // 2, 1)
        self.halvings += 1


class NonFiniteRowsError(Exception):
    """A micro-batch gave NaN or infinity; `rows` are those known to be the cause, none where it could be any."""

    def __init__(self, rows: Sequence[int] = ()) -> None:
        super().__init__()
        self.rows = list(rows)


@dataclass(frozen=True)
class MicroBatch:
    """B rows of a batch, packed or right-padded; the T columns of the matrices are answer tokens."""

    rows: list[int]
    inputs: PackedRows | Int[Tensor, "B L"]
    mask: Bool[Tensor, "B T"]  # tokens the policy sampled
    targets: Int[Tensor, "B T"]
    positions: Int[Tensor, "B T"]  # where each target's predicting hidden state lies in the N tokens, or the B * L

    @classmethod
    def of(cls, batch: Batch, rows: Sequence[int], device: torch.device | str, packed: bool = False) -> MicroBatch:
        """The rows' tokens on `device`."""
        chosen = [batch.completions[row] for row in rows]
        answers = [needed(c) for c in chosen]
        inputs: PackedRows | Tensor
        if packed:
            inputs, places = pack(chosen)
        else:
            width = max(len(c.prompt_ids) + len(a) for c, a in zip(chosen, answers, strict=True)) - 1
            ids = np.zeros((len(rows), width), dtype=np.int64)
            for i, (c, a) in enumerate(zip(chosen, answers, strict=True)):
                ids[i, : len(c.prompt_ids) + len(a) - 1] = np.concatenate([c.prompt_ids, a[:-1]])
            inputs = torch.from_numpy(ids).to(device)
            places = [
                i * width + len(c.prompt_ids) - 1 + np.arange(len(a))
                for i, (c, a) in enumerate(zip(chosen, answers, strict=True))
            ]
        shape = (len(rows), max(len(a) for a in answers))
        mask, targets, positions = np.zeros(shape, dtype=np.bool_), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for i, (c, a) in enumerate(zip(chosen, answers, strict=True)):
            t = len(a)
            mask[i, :t], targets[i, :t], positions[i, :t] = c.sampled[:t], a, places[i]
        return cls(list(rows), inputs, *(torch.from_numpy(x).to(device) for x in (mask, targets, positions)))

    def statistics(self, policy: Policy, k: int, temperature: float) -> TokenStatistics:
        """The head's statistics of the N sampled tokens, row by row; only their hidden states reach the head."""
        if isinstance(self.inputs, PackedRows):
            assert isinstance(policy, Packer)
            hidden: Float[Tensor, "N D"] = policy.hidden_packed(self.inputs)
        else:
            hidden = policy.hidden(self.inputs).flatten(0, 1)
        head = policy.lm_head()
        return token_statistics(
            hidden[self.positions[self.mask]], head.weight, self.targets[self.mask], min(k, head.weight.shape[0]),
            temperature, bias=head.bias, soft_cap=head.soft_cap, scale=head.scale,
        )  # fmt: skip


def run(
    policy: Policy,
    batch: Batch,
    budget: TokenBudget,
    work: Callable[[MicroBatch], T],
    rows: Sequence[int] | None = None,
) -> Iterator[tuple[MicroBatch, T]]:
    """`work` on micro-batches that cover `rows` (all where None), each row once, but for those that give no finite number.

    A micro-batch for which the device has no memory is split by half the budget, which then stays halved, and tried again;
    one that raises `NonFiniteRowsError` is tried again without the rows to blame, which are searched for by halves where unknown.
    `work` must leave nothing behind when it raises.

    Raises:
        UserError: the device has no memory for one row alone.
    """
    packed = isinstance(policy, Packer) and policy.packs
    pending = plan_micro_batches(batch, budget.tokens, packed, rows)
    while pending:
        chosen = pending.pop(0)
        done, short = None, False
        try:
            micro = MicroBatch.of(batch, chosen, policy.device, packed)
            done = work(micro)
        except NonFiniteRowsError as found:
            middle = len(chosen) // 2
            parts = [[r for r in chosen if r not in found.rows]] if found.rows else [chosen[:middle], chosen[middle:]]
            pending = [part for part in parts if part and part != chosen] + pending
        except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
            if not out_of_memory(error):
                raise
            short = True
        if short:  # outside the handler: the traceback held the tensors
            if len(chosen) == 1:
                tokens = len(batch.completions[chosen[0]].prompt_ids) + len(batch.completions[chosen[0]].ids)
                raise UserError(
                    f"out of memory on one sequence of {tokens} tokens alone; set gradient_checkpointing to true, "
                    "or lower max_new_tokens, max_prompt_tokens or lora_rank"
                )
            gc.collect()
            release(torch.device(policy.device))
            budget.halve(forward_tokens(batch, chosen, packed))
            later = [row for part in pending for row in part]
            plans = (plan_micro_batches(batch, budget.tokens, packed, rows) for rows in (chosen, later))
            pending = [part for plan in plans for part in plan]
        elif done is not None:
            yield micro, done


def plan_micro_batches(
    batch: Batch, max_tokens: int, packed: bool = False, rows: Sequence[int] | None = None
) -> list[list[int]]:
    """The rows (all where None) in micro-batches of at most `max_tokens`, or of one row.

    Packed, rows of one prompt go together and the prompt counts once. Padded, rows are
    sorted by length, padding counts, and is at most 3 % of the real tokens.
    """
    left = range(len(batch)) if rows is None else rows
    return _plan_packed(batch, max_tokens, left) if packed else _plan_padded(batch, max_tokens, left)


def forward_tokens(batch: Batch, rows: Sequence[int], packed: bool = False) -> int:
    """Tokens that a forward of these rows computes, padding included."""
    chosen = [batch.completions[row] for row in rows]
    fed = [len(needed(c)) - 1 for c in chosen]
    if packed:
        return sum({c.prompt_ids.tobytes(): len(c.prompt_ids) for c in chosen}.values()) + sum(fed)
    return len(rows) * max((len(c.prompt_ids) + t for c, t in zip(chosen, fed, strict=True)), default=0)


def out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the CPU's allocator, had no memory."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        phrase in said for phrase in ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
    )


def _plan_padded(batch: Batch, max_tokens: int, rows: Sequence[int]) -> list[list[int]]:
    lengths = {row: len(batch.completions[row].prompt_ids) + len(needed(batch.completions[row])) - 1 for row in rows}
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


def _plan_packed(batch: Batch, max_tokens: int, rows: Sequence[int]) -> list[list[int]]:
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


def matrices(
    micro: MicroBatch,
    raw: TokenStatistics,
    batch: Batch,
    k: int,
    old_logp: Sequence[Tensor] | None,
    ref_logp: Sequence[Tensor] | None,
) -> TokenStats:
    """N-row statistics laid out as `[B, T]`; without `old_logp` the current policy is the old one."""

    def of_rows(values: Sequence[Tensor]) -> Tensor:
        return _lay(micro, torch.cat([values[row] for row in micro.rows]).to(raw.logp))

    logp = _lay(micro, raw.logp)
    advantage = torch.as_tensor(batch.advantage[micro.rows], dtype=logp.dtype, device=logp.device)
    return TokenStats(
        mask=micro.mask,
        logp=logp,
        old_logp=logp.detach() if old_logp is None else of_rows(old_logp),
        advantage=advantage[:, None].expand_as(logp),
        correct=torch.as_tensor(batch.correct[micro.rows], device=logp.device),
        entropy=_lay(micro, raw.entropy),
        is_top1=_lay(micro, raw.is_top1),
        topk_logp=_lay(micro, raw.topk_logp[:, :k]),
        topk_ids=_lay(micro, raw.topk_ids[:, :k]),
        ref_logp=None if ref_logp is None else of_rows(ref_logp),
    )


@torch.no_grad()
def importance_weight(micro: MicroBatch, batch: Batch, old_logp: Float[Tensor, "B T"], clip: float) -> Tensor:
    """`min(pi_old(y) / pi_sampler(y), clip)`, a constant that multiplies a token's loss.

    For engines whose numbers are not the trainer's: the ratio of the trainer's own log-prob before the update to the one that
    the sampler recorded. Truncated importance sampling (Yao et al. 2025, "Your efficient RL framework secretly brings you
    off-policy RL training"; TRL's `vllm_importance_sampling_cap`, 2.0 there).
    """
    drawn = np.concatenate([c.logprobs[c.sampled] for c in (batch.completions[row] for row in micro.rows)])
    sampler = _lay(micro, torch.from_numpy(drawn).to(old_logp))
    return torch.exp(old_logp - sampler).clamp(max=clip)


def _lay(micro: MicroBatch, values: Tensor) -> Tensor:
    out = values.new_zeros(*micro.mask.shape, *values.shape[1:])
    return out.masked_scatter(micro.mask.reshape(*micro.mask.shape, *([1] * (values.dim() - 1))), values)


@torch.no_grad()
def all_finite(tensors: Iterable[Tensor | None]) -> bool:
    """Whether every entry is a finite number; one synchronisation with the device."""
    given = [t.detach() for t in tensors if t is not None and t.numel() and t.is_floating_point()]
    # the largest magnitude carries NaN along, and cannot overflow as a sum of squares would
    return not given or math.isfinite(torch.nn.utils.get_total_norm(given, math.inf))


def finite_rows(batch: Batch, *logprobs: Sequence[Tensor] | None) -> list[int]:
    """Rows whose advantage, sampler's log-probs and given log-probs are finite."""
    rows = []
    for row, completion in enumerate(batch.completions):
        fine = np.isfinite(batch.advantage[row]) and np.isfinite(completion.logprobs[completion.sampled]).all()
        if fine and all_finite(values[row] for values in logprobs if values is not None):
            rows.append(row)
    return rows


def check_rows(micro: MicroBatch, raw: TokenStatistics) -> None:
    """Raise `NonFiniteRowsError` with the rows whose log-probs or entropy are not finite."""
    spoilt = ~torch.isfinite(raw.logp.detach() + raw.entropy)
    if bool(spoilt.any()):
        row = torch.nonzero(micro.mask)[:, 0][spoilt].unique()
        raise NonFiniteRowsError([micro.rows[i] for i in row.tolist()])
