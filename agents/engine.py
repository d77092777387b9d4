"""The decode engine: unmodified transformers models, one prefill for each distinct prompt, lockstep decoding of the rest.

order rows by length -> chunks that fit the cache budget -> prefill prompts, copy to their rows
                     -> sample, drop finished rows, forward one token a row -> ... until no row is left
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from simko.agents.cache import SlotCache, decode_mask
from simko.agents.sampler import Streams, check_sampling, sample
from simko.agents.stops import StopStrings
from simko.errors import UserError
from simko.head import LmHead
from simko.types import Finish, Generation, Sampling

_PREFILL_TOKENS = 4096  # padded prompt tokens a prefill forward
_CPU_CACHE_BYTES = 2 * 2**30
_LOGIT_BYTES = 32  # a row's share of logits, probabilities and cumulative sums, for each id of the vocabulary


class LocalEngine:
    """`simko.types.Engine` on a causal LM of transformers in this process.

    Args:
        weights: gives the model to decode with; asked once a call of `generate`, and may build a transient copy.
        head: gives the model's output layer.
        eos_ids: ids that end a sequence, where `Sampling.stop_ids` names none.
        tokenizer: needed where stop strings are used; ids beyond its vocabulary are never drawn.
        cache_bytes: budget of keys, values and logits; rows beyond it wait for the next chunk, which prefills its prompts
            anew. 2 GiB on CPU, half of what is free on CUDA.
    """

    def __init__(
        self,
        weights: Callable[[], Any],
        head: Callable[[], LmHead],
        eos_ids: Iterable[int],
        tokenizer: Any = None,
        cache_bytes: int | None = None,
    ) -> None:
        self._weights = weights
        self._head = head
        self.eos_ids = frozenset(eos_ids)
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary_of(tokenizer)
        self.cache_bytes = cache_bytes

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
        """`n` continuations for each prompt; see `simko.types.Engine`.

        Raises:
            UserError: an empty prompt, an id outside the vocabulary, a sampling setting out of range, or a prompt and
                budget longer than the model's context.
            FloatingPointError: logits that are not finite.
        """
        model, head = self._weights(), self._head()
        longest = sampling.max_new_tokens
        budget = [longest] * len(prompts) if budgets is None else [min(longest, b) for b in budgets]
        if len(seeds) != len(prompts) * n or len(budget) != len(prompts):
            raise ValueError(f"{len(prompts)} prompts x {n} need as many seeds and {len(prompts)} budgets")
        check_sampling(sampling.temperature, sampling.top_p, sampling.top_k)
        _check_prompts(prompts, budget, model.config.get_text_config(), head.weight.shape[0])

        done: list[Generation | None] = [None] * len(seeds)
        rows = [row for row in range(len(seeds)) if budget[row // n] > 0]

        def finished(row: int, generation: Generation) -> None:
            done[row] = generation
            if on_finish is not None:
                on_finish(row, generation)

        for row in sorted(set(range(len(seeds))) - set(rows)):
            finished(row, _generation([], [], "length"))
        distinct = {prompt: i for i, prompt in enumerate(dict.fromkeys(tuple(p) for p in prompts))}
        capacity = {row: len(prompts[row // n]) + budget[row // n] for row in rows}
        rows.sort(key=lambda row: (-capacity[row], distinct[tuple(prompts[row // n])], row))  # long ones first
        while rows:
            count = self._fitting_rows(model, capacity[rows[0]], head.weight.shape[0])
            chunk, rows = rows[:count], rows[count:]
            batch = _Batch(model, head, [prompts[row // n] for row in chunk], capacity[chunk[0]])
            streams = Streams([seeds[row] for row in chunk])
            stops = StopStrings(self._tokenizer, sampling.stop)
            self._run(batch, sampling, streams, stops, [budget[row // n] for row in chunk], chunk, finished)
        return [[g for g in done[i * n : (i + 1) * n] if g is not None] for i in range(len(prompts))]

    def _run(
        self,
        batch: _Batch,
        sampling: Sampling,
        streams: Streams,
        stops: StopStrings,
        budget: Sequence[int],
        names: Sequence[int],
        finished: Callable[[int, Generation], None],
    ) -> None:
        """Decode one chunk of R rows to its end, in lockstep: every live row has as many tokens as any other."""
        ids: list[list[int]] = [[] for _ in budget]
        logprobs: list[list[float]] = [[] for _ in budget]
        finish: list[Finish] = ["length"] * len(budget)
        live = np.arange(len(budget))  # the row in each slot
        ends = frozenset(sampling.stop_ids) or self.eos_ids
        hidden = batch.prefill()
        for step in range(max(budget)):
            uniform = torch.from_numpy(streams.draw(live, step))
            logits = batch.head.logits(hidden)
            tokens, logp = sample(
                logits, uniform, sampling.temperature, sampling.top_p, sampling.top_k, self._vocabulary
            )
            going = np.ones(len(live), dtype=bool)
            for slot, (row, token, value) in enumerate(zip(live.tolist(), tokens.tolist(), logp.tolist(), strict=True)):
                ids[row].append(token)
                logprobs[row].append(value)
                if token in ends or stops.ended(ids[row]):
                    finish[row] = "stop"
                    going[slot] = False
                elif step + 1 >= budget[row]:
                    going[slot] = False
                if not going[slot]:
                    finished(names[row], _generation(ids[row], logprobs[row], finish[row]))
            if not going.any():
                break
            slots = batch.compact(going)
            live = live[slots]
            hidden = batch.step(tokens[torch.from_numpy(slots).to(tokens.device)])

    def _fitting_rows(self, model: Any, capacity: int, vocabulary: int) -> int:
        """How many rows of `capacity` tokens the budget holds; at least one."""
        budget = self.cache_bytes
        if budget is None:
            device = model.device
            budget = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else _CPU_CACHE_BYTES
        return max(1, budget // (capacity * cache_bytes_per_token(model) + _LOGIT_BYTES * vocabulary))

    def check(self) -> None:
        """Raise `UserError` where prefill, cache and head of this engine do not reproduce the model's own logits."""
        model, head = self._weights(), self._head()
        kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
        if unknown := kinds - {"full_attention", "sliding_attention"}:
            raise UserError(f"model '{model.config.name_or_path}' has layers of kind {sorted(unknown)}: not supported")
        tokens = [(7 * i + 3) % min(head.weight.shape[0], 997) for i in range(8)]
        try:
            with torch.no_grad():
                theirs = model(input_ids=torch.tensor([tokens], device=model.device), use_cache=False).logits[0, -1]
                batch = _Batch(model, head, [tokens[:5]], len(tokens))
                batch.prefill()
                for token in tokens[5:]:
                    hidden = batch.step(torch.tensor([token], device=model.device))
                ours = head.logits(hidden)[0]
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError) as cause:
            raise UserError(
                f"model '{model.config.name_or_path}' ({type(model).__name__}) fails in the decode engine "
                f"({' '.join(str(cause).split())[:150]}); this architecture is not supported"
            ) from cause
        error = float((ours - theirs.to(ours.dtype)).abs().max() / theirs.float().abs().max().clamp_min(1e-6))
        tolerance = 1e-3 if model.dtype in (torch.float32, torch.float64) else 0.1
        if not error < tolerance:
            raise UserError(
                f"model '{model.config.name_or_path}' ({type(model).__name__}): the decode engine's logits differ from the "
                f"model's by {error:.2g} of their size; this architecture is not supported"
            )


class _Batch:
    """The model-side state of one chunk: the cache and where each live slot stands."""

    def __init__(self, model: Any, head: LmHead, prompts: Sequence[Sequence[int]], capacity: int) -> None:
        self.head = head
        self._backbone = model.base_model
        self._config = model.config.get_text_config()
        self._device, self._dtype = model.device, model.dtype
        self._prompts = [tuple(prompt) for prompt in prompts]
        self._position = np.array([len(prompt) for prompt in prompts])
        self._cache = SlotCache(self._config.num_hidden_layers, len(prompts), capacity)

    def prefill(self) -> Float[Tensor, "R D"]:
        """Forward each distinct prompt once; the last hidden state of each of the R rows."""
        states: list[Tensor] = []
        start = 0
        while start < len(self._prompts):
            stop, distinct = self._prefill_rows(start)
            length = max(len(prompt) for prompt in distinct)
            # right padding needs no mask: causal attention never looks right, and decoding overwrites or masks the rest
            ids = torch.tensor([[*prompt, *[0] * (length - len(prompt))] for prompt in distinct], device=self._device)
            source = torch.tensor([distinct[prompt] for prompt in self._prompts[start:stop]], device=self._device)
            self._cache.prefill(start, source)
            hidden = self._backbone(
                input_ids=ids, position_ids=_arange(length, self._device), past_key_values=self._cache, use_cache=True
            ).last_hidden_state
            last = torch.tensor([len(prompt) - 1 for prompt in distinct], device=self._device)
            states.append(hidden[_arange(len(distinct), self._device)[0], last][source])
            start = stop
        return torch.cat(states)

    def _prefill_rows(self, start: int) -> tuple[int, dict[tuple[int, ...], int]]:
        """The end of the run of rows from `start` whose distinct prompts share one forward, and those prompts."""
        distinct: dict[tuple[int, ...], int] = {}
        longest = 0
        for stop in range(start, len(self._prompts)):
            prompt = self._prompts[stop]
            if prompt not in distinct:
                longest = max(longest, len(prompt))
                if distinct and longest * (len(distinct) + 1) > _PREFILL_TOKENS:
                    return stop, distinct
                distinct[prompt] = len(distinct)
        return len(self._prompts), distinct

    def compact(self, going: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Keep the `going` slots, moving the last of them into holes; returns which old slot each new one holds."""
        count = int(going.sum())
        slots = np.arange(count)
        holes = np.flatnonzero(~going[:count])
        movers = np.flatnonzero(going[count:]) + count
        if len(holes):
            slots[holes] = movers
            longest = int(self._position[movers].max())
            self._cache.move(
                torch.from_numpy(movers).to(self._device), torch.from_numpy(holes).to(self._device), longest
            )
        self._position = self._position[slots]
        return slots

    def step(self, tokens: Tensor) -> Float[Tensor, "N D"]:
        """Forward one token for each live slot; their hidden states."""
        position = torch.from_numpy(self._position).to(self._device)
        live = self._cache.decode(position, int(self._position.max()))
        hidden = self._backbone(
            input_ids=tokens[:, None],
            position_ids=position[:, None],
            attention_mask=self._masks(position, live),
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        self._position = self._position + 1
        return hidden[:, 0]

    def _masks(self, position: Tensor, live: int) -> Tensor | dict[str, Tensor]:
        """The mask, or one for each kind of layer where the model has several."""
        window = getattr(self._config, "sliding_window", None)
        kinds = set(getattr(self._config, "layer_types", None) or ())
        if not kinds:
            return decode_mask(position, live, self._dtype, window)
        masks = {
            kind: decode_mask(position, live, self._dtype, window if "sliding" in kind else None) for kind in kinds
        }
        return masks if "sliding_attention" in kinds else masks["full_attention"]


def vocabulary_of(tokenizer: Any) -> int | None:
    """One more than the largest id of a tokenizer, where it says so. Many models have more rows in their output layer."""
    tokens = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else None
    return 1 + max(tokens.values()) if tokens else None


def cache_bytes_per_token(model: Any) -> int:
    """Bytes of keys and values that one token takes in all layers of `model`."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * head_dim * model.dtype.itemsize)


def _arange(length: int, device: torch.device) -> Tensor:
    return torch.arange(length, device=device)[None]


def _generation(ids: Sequence[int], logprobs: Sequence[float], finish: Finish) -> Generation:
    return Generation(np.array(ids, dtype=np.int64), np.array(logprobs, dtype=np.float32), finish)


def _check_prompts(prompts: Sequence[Sequence[int]], budget: Sequence[int], config: Any, vocabulary: int) -> None:
    context = getattr(config, "max_position_embeddings", None)
    for i, (prompt, new) in enumerate(zip(prompts, budget, strict=True)):
        if not len(prompt):
            raise UserError(f"prompt {i} has no tokens; a model needs at least one to continue")
        if not (min(prompt) >= 0 and max(prompt) < vocabulary):
            raise UserError(
                f"prompt {i} holds an id outside 0..{vocabulary - 1}; was it encoded with another tokenizer?"
            )
        if context is not None and len(prompt) + new > context:
            raise UserError(
                f"prompt {i} ({len(prompt)} tokens) and {new} new tokens exceed the model's context of {context}; "
                "lower max_new_tokens"
            )
