"""The default decode engine: unmodified transformers models, each prompt forwarded once, finished slots refilled at once.

queue of rows, long ones first, equal prompts side by side
  -> forward one token a live slot; put waiting prompts into free slots -> sample -> look for ends -> close the gaps -> ...
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simko.agents.adapter import mixture_layers
from simko.agents.engine.graphs import recordable
from simko.agents.engine.requests import Answers, Prompt, Request, requests
from simko.agents.engine.sampler import Stream, check_finite, draw, draws
from simko.agents.engine.slots import Slots
from simko.agents.engine.stops import StopStrings
from simko.device import cuda_memory, to_device, to_host
from simko.errors import UserError
from simko.head import LmHead
from simko.sizes import CPU_CACHE_BYTES, CUDA_SYNC_EVERY, LOGIT_BYTES, kv_bytes
from simko.types import Finish, Generation, Sampling

_MODELS = "see docs/reference/models.md for models that are"
_CHECKED = 3  # steps that `check` decodes

Ended = Callable[[int, Sequence[int]], bool]


@dataclass(slots=True)
class DecodeStats:
    """Counts of one call of `generate`. Generated tokens over slot-steps tell how well the slots were used."""

    slots: int = 0
    prefilled_tokens: int = 0
    generated_tokens: int = 0
    steps: int = 0
    slot_steps: int = 0


class LocalEngine:
    """A `simko.types.Engine` on a causal LM of transformers in this process.

    Args:
        weights: returns the model to decode with. Each `generate` calls it once, and it may build a transient copy. If it has
            a `hold` of its own (`simko.agents.engine.held`), that of the engine is it.
        head: returns the model's output layer.
        eos_ids: ids that end a sequence if `Sampling.stop_ids` is empty.
        tokenizer: needed for stop strings. Ids beyond its vocabulary are never drawn.
        cache_bytes: budget of keys, values and logits; it decides the number of slots. Sequences beyond it wait for a
            slot. Default: 2 GiB on CPU, half of the free memory on CUDA.
        slots: the most sequences that are decoded at once.
        sync_every: steps between two looks of the host at the tokens. A sequence that ends between them runs on; its
            further tokens are dropped, so no result changes. Default: 1 on CPU, 4 on CUDA.
        cuda_graphs: replay decode steps as CUDA graphs if the model allows it (see `simko.agents.engine.graphs`: not yet run
            on a GPU).

    Attributes:
        stats: counts of the last call of `generate`.
    """

    def __init__(
        self,
        weights: Callable[[], Any],
        head: Callable[[], LmHead],
        eos_ids: Iterable[int],
        tokenizer: Any = None,
        cache_bytes: int | None = None,
        slots: int | None = None,
        sync_every: int | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        self._weights = weights
        self._head = head
        self.eos_ids = frozenset(eos_ids)
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary_of(tokenizer)
        self.cache_bytes = cache_bytes
        self.slots = slots
        self.sync_every = sync_every
        self.cuda_graphs = cuda_graphs
        self.stats = DecodeStats()

    def hold(self) -> AbstractContextManager[None]:
        """Inside, several calls of `generate` decode with one copy of the weights, until the weights change."""
        hold: Callable[[], AbstractContextManager[None]] = getattr(self._weights, "hold", nullcontext)
        return hold()

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seeds: Sequence[int],
        budgets: Sequence[int] | None = None,
        on_finish: Callable[[int, Generation], None] | None = None,
    ) -> list[list[Generation]]:
        """See `simko.types.Engine.generate`.

        Raises:
            FloatingPointError: logits are not finite.
        """
        model, head = self._weights(), self._head()
        vocabulary = head.weight.shape[0]
        sequences = requests(prompts, n, sampling, seeds, budgets, model.config.get_text_config(), vocabulary)
        answers = Answers(sequences, on_finish)
        if queue := _queue(answers.waiting):
            self._decode(model, head, sampling, queue, answers)
        return answers.groups(n)

    def _decode(
        self,
        model: Any,
        head: LmHead,
        sampling: Sampling,
        queue: deque[_Row],
        answers: Answers,
    ) -> None:
        """Decode the rows in `queue`, handing each over as it ends."""
        sync_every = self.sync_every or (CUDA_SYNC_EVERY if model.device.type == "cuda" else 1)
        capacity = max(len(row.prompt) + row.budget for row in queue) + sync_every - 1
        rows = min(len(queue), self._fitting_rows(model, capacity, head.weight.shape[0]))
        graphs = self.cuda_graphs and model.device.type == "cuda" and recordable(model)
        slots = Slots(model, rows, capacity, graphs)
        self.stats = stats = DecodeStats(slots=slots.rows)
        ended = self._ended(sampling)
        live: list[_Row] = []  # the row in each slot
        tokens = torch.zeros(0, dtype=torch.int64)
        while queue or live:
            # the live slots move on before new prompts start: the hidden states then are in the order of the slots
            states = [slots.step(tokens)] if live else []
            stats.slot_steps += len(live)
            if new := [queue.popleft() for _ in range(min(slots.rows - len(live), len(queue)))]:
                states.append(slots.start([row.prompt for row in new], queue[0].prompt if queue else None))
                live += new
            steps = min(sync_every, max(row.budget - len(row.ids) for row in live))
            uniform = to_device(draws([row.stream for row in live], steps), model.device)
            hidden = torch.cat(states)
            drawn: list[tuple[Tensor, Tensor]] = []
            for j in range(steps):
                hidden = slots.step(tokens) if j else hidden
                tokens, logp = draw(
                    head.logits(hidden),
                    uniform[j],
                    sampling.temperature,
                    sampling.top_p,
                    sampling.top_k,
                    self._vocabulary,
                )
                drawn.append((tokens, logp))
            stats.steps += steps
            stats.slot_steps += (steps - 1) * len(live)
            ids, logprobs = to_host(*(torch.stack(column, 1) for column in zip(*drawn, strict=True)))
            table = ids.tolist()
            going = np.ones(len(live), dtype=bool)
            for slot, row in enumerate(live):
                finish = row.take(table[slot], logprobs[slot], ended)
                if finish is not None:
                    going[slot] = False
                    stats.generated_tokens += len(row.ids)
                    answers.finish(row.row, row.ids, row.logprobs, finish)
            if not going.all():
                old_slots = slots.compact(going)
                live, tokens = [live[slot] for slot in old_slots], tokens[to_device(old_slots, tokens.device)]
        stats.prefilled_tokens = slots.prefilled

    def _ended(self, sampling: Sampling) -> Ended:
        """Return a function of a row's number and its tokens: whether the last token ends the row."""
        ends = frozenset(sampling.stop_ids) or self.eos_ids
        stops = StopStrings(self._tokenizer, sampling.stop)
        return lambda _, ids: ids[-1] in ends or stops.ended(ids)

    def _fitting_rows(self, model: Any, capacity: int, vocabulary: int) -> int:
        """Return how many slots of `capacity` tokens the budget holds; at least one."""
        budget = self.cache_bytes
        if budget is None:
            device = model.device
            budget = cuda_memory(device).free // 2 if device.type == "cuda" else CPU_CACHE_BYTES
        rows = max(1, budget // (capacity * cache_bytes_per_token(model) + LOGIT_BYTES * vocabulary))
        return rows if self.slots is None else min(rows, self.slots)

    def check(self) -> None:
        """Raise `UserError` if prefill, cache and head of this engine do not reproduce the model's own logits."""
        model, head = self._weights(), self._head()
        config, name = model.config.get_text_config(), model.config.name_or_path
        kinds = {*(getattr(config, "layer_types", None) or ()), *(getattr(config, "attention_layers", None) or ())}
        if unknown := kinds - {"full_attention", "sliding_attention", "global"}:
            raise UserError(f"model '{name}' has layers of kind {sorted(unknown)}, which are not supported; {_MODELS}")
        limit = min(head.weight.shape[0], 997)
        rows = [[(7 * i + start) % limit for i in range(length)] for start, length in ((3, 20), (5, 8))]
        prompts = [tuple(row[:-_CHECKED]) for row in rows]
        try:
            with torch.no_grad():
                theirs = [
                    model(input_ids=torch.tensor([row], device=model.device), use_cache=False).logits[0, -_CHECKED:]
                    for row in rows
                ]
                slots = Slots(model, len(rows), len(rows[0]) + _CHECKED)
                slots.start(prompts)
                states = [
                    slots.step(torch.tensor([row[i - _CHECKED] for row in rows], device=model.device))
                    for i in range(_CHECKED)
                ]
                ours = [head.logits(state) for state in torch.stack(states, 1)]
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError) as cause:
            raise UserError(
                f"model '{name}' ({type(model).__name__}) fails in the decode engine "
                f"({' '.join(str(cause).split())[:150]}), so it is not supported; {_MODELS}"
            ) from cause
        errors = [
            (mine - other.to(mine.dtype)).abs().amax(-1) / other.float().abs().max().clamp_min(1e-6)
            for mine, other in zip(ours, theirs, strict=True)
        ]
        exact = model.dtype in (torch.float32, torch.float64)
        tolerance = 1e-3 if exact else 0.1
        # rounded to 16 bits, a router may choose another expert for a token or two; a wrong mask changes all of them
        error = float(torch.cat(errors).median() if mixture_layers(model) and not exact else torch.cat(errors).max())
        if not error < tolerance:
            raise UserError(
                f"model '{name}' ({type(model).__name__}): the decode engine's logits differ from the "
                f"model's by {error:.2g} of their size, so it is not supported; {_MODELS}"
            )


class _Row:
    """A sequence under way: its request, and the tokens that it has drawn so far."""

    __slots__ = ("budget", "ids", "logprobs", "prompt", "row", "stream")

    def __init__(self, request: Request) -> None:
        self.row, self.prompt, self.budget = request.row, request.prompt, request.budget
        self.stream = Stream(request.seed)
        self.ids: list[int] = []
        self.logprobs: list[float] = []

    def take(self, tokens: Sequence[int], logprobs: NDArray[np.floating[Any]], ended: Ended) -> Finish | None:
        """Add tokens up to the one that ends the sequence; return how it ended, or None if it goes on."""
        before = len(self.ids)
        finish: Finish | None = None
        for token in tokens:
            self.ids.append(token)
            finish = "stop" if ended(self.row, self.ids) else "length" if len(self.ids) >= self.budget else None
            if finish is not None:
                break
        new = logprobs[: len(self.ids) - before]
        check_finite(new)
        self.logprobs += new.tolist()
        return finish


def _queue(sequences: Sequence[Request]) -> deque[_Row]:
    """Order sequences by their start: the longest first, since a few long ones that are left at the end cost most.

    Equal prompts stand side by side, so that each is forwarded once.
    """
    first: dict[Prompt, int] = {}
    longest: dict[Prompt, int] = {}
    for request in sequences:
        first.setdefault(request.prompt, request.row)
        longest[request.prompt] = max(longest.get(request.prompt, 0), len(request.prompt) + request.budget)
    order = sorted(sequences, key=lambda request: (-longest[request.prompt], first[request.prompt], request.row))
    return deque(_Row(request) for request in order)


def vocabulary_of(tokenizer: Any) -> int | None:
    """Return one more than a tokenizer's largest id, or None if it does not tell. Many output layers have more rows."""
    tokens = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else None
    return 1 + max(tokens.values()) if tokens else None


def cache_bytes_per_token(model: Any) -> int:
    """Return the bytes of keys and values that one token takes in all layers of `model`."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = heads * head_dim
    if rank := getattr(
        config, "kv_lora_rank", None
    ):  # latent attention: one latent for all heads, and what has a position
        width = (rank + config.qk_rope_head_dim) // 2
    return kv_bytes(config.num_hidden_layers, width, model.dtype.itemsize)
