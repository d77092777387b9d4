"""The policy: a frozen, 4-bit causal LM with a LoRA adapter. It decodes, trains and is saved."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from simko.agents import adapter as adapters
from simko.agents import fingerprint as fingerprints
from simko.agents.acting import Actor
from simko.agents.adapter_config import base_of, read_config
from simko.agents.engine.held import HeldModel
from simko.agents.engine.local import LocalEngine, vocabulary_of
from simko.agents.engine.requests import context_of
from simko.agents.engine.stops import cut
from simko.agents.kernels import packed
from simko.agents.loading import check_vocabulary, find_model, load_model, load_tokenizer, pick_dtype
from simko.agents.merging import write_merged
from simko.agents.quantize import (
    assert_trainable,
    lora_layers,
    make_trainable,
    merged_weight,
    plain_copy,
    plain_weight,
)
from simko.agents.rounding import Lost
from simko.agents.states import HiddenStates
from simko.device import pick_device
from simko.errors import UserError
from simko.head import LmHead
from simko.packing import PackedRows
from simko.types import DecodeWeights, Finish, Quantization, Sampling, Task


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion: its text, cut before the stop string, and the sampled ids and their log-probs, (T,) each."""

    text: str
    ids: NDArray[np.int64]
    logprobs: NDArray[np.float32]
    finish: Finish


class LoraPolicy:
    """A causal LM whose only trained weights are a LoRA adapter. Make one with `LoraPolicy.from_pretrained`.

    Attributes:
        name: name of the base model, as the user calls it.
        tokenizer: the tokenizer of transformers. If it had no pad token, that is the EOS token.
        model: the `peft.PeftModel`.
        engine: the `simko.types.Engine` that decodes with the current adapter.
        decoding_model: returns the model that engines in this process decode with; inside its `hold()`, built once.
        eos_ids: every id that ends an answer: the tokenizer's EOS and those of the model's generation config.
        decode_weights: which weights `engine` decodes with (see `from_pretrained`). Set it at any time.
        device: where the model computes.
        dtype: of the model's computation.
        fingerprint: fingerprint of the base model's weights (see `simko.agents.fingerprint`), saved with the adapter.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        seed: int = 0,
        gradient_checkpointing: bool = False,
        decode_weights: DecodeWeights = "auto",
        fingerprint: str | None = None,
        name: str | None = None,
    ) -> None:
        self.model = model
        self.name = name or str(model.peft_config["default"].base_model_name_or_path)
        self.fingerprint = fingerprint
        self.tokenizer = tokenizer
        self._causal_lm = model.get_base_model()
        self.device: torch.device = self._causal_lm.device
        self.dtype: torch.dtype = self._causal_lm.dtype
        self.decode_weights = decode_weights
        self._merged_output: tuple[int, Tensor] | None = None
        adapters.check_layers(self._causal_lm)
        make_trainable(self._causal_lm)
        self._states = HiddenStates(self._causal_lm, gradient_checkpointing)
        self.eos_ids = _eos_ids(self._causal_lm, tokenizer)
        self.decoding_model = HeldModel(self._decoding_model, lambda: (self._weights_version(), self.decode_weights))
        self.engine: Any = LocalEngine(self.decoding_model, self.lm_head, self.eos_ids, tokenizer)
        self.engine.check()
        self._actor = Actor(seed, vocabulary_of(tokenizer))

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str],
        quantization: Quantization = "nf4",
        lora_rank: int = 16,
        lora_alpha: int | None = None,
        adapter: str | os.PathLike[str] | None = None,
        device: str = "auto",
        dtype: str | torch.dtype = "auto",
        seed: int = 0,
        target_modules: str | Iterable[str] = "all-linear",
        gradient_checkpointing: bool = False,
        decode_weights: DecodeWeights = "auto",
    ) -> LoraPolicy:
        """Load a causal LM and put a LoRA adapter on it.

        Args:
            model: a Hub id, a local folder, a `.gguf` file, or `tiny` (built in).
            quantization: format of the frozen linear layers: NF4 with double quantisation, LLM.int8(), or none.
            lora_rank: r of the new adapter.
            lora_alpha: the adapter's output is scaled by lora_alpha / lora_rank. None is twice the rank.
            adapter: a PEFT folder to continue from. Its rank, alpha and target modules replace those given here.
            device: auto, cpu, cuda, cuda:0, ...
            dtype: dtype of the computation. auto is float32 on CPU, and bfloat16 (else float16) on CUDA.
            seed: seed of the adapter's first weights and of `act`. The global random state is neither read nor moved.
            target_modules: names of the adapted layers. `all-linear` is every linear layer but the output; of a mixture of
                experts, attention and shared layers.
            gradient_checkpointing: recompute each layer in the backward pass, instead of storing its activations.
            decode_weights: decode with the `live` quantised layers and adapter, or with a transient `merged` float copy,
                rebuilt for each rollout. auto merges on CPU, where that is faster, if memory allows. In half precision
                the copy keeps the adapter of a layer apart while rounding would lose it.

        Raises:
            UserError: the model, adapter or device cannot be used. The line says why, and what to do.
        """
        source = find_model(model)
        where = pick_device(device)
        name = source.name
        if adapter is None:
            config = adapters.lora_config(name, lora_rank, lora_alpha, target_modules)
        else:
            config = read_config(adapter, name)
        tokenizer = load_tokenizer(source)
        frozen = load_model(source, quantization, where, pick_dtype(dtype, where))
        check_vocabulary(name, tokenizer, frozen.get_input_embeddings().weight.shape[0])
        if adapter is None:
            config.target_modules = adapters.targets(frozen, config.target_modules)
        adapted = adapters.add_adapter(frozen, config, seed)
        if adapter is None and isinstance(frozen.get_output_embeddings(), LoraLayer):
            raise UserError("target_modules names the output layer, which the loss reads frozen; leave it out")
        fingerprint = fingerprints.of_model(source.location)
        if adapter is not None:
            fingerprints.check(adapter, name, fingerprint)
            adapters.load_weights(adapted, adapter)
            fingerprints.note_other_name(adapter, base_of(adapter), name, fingerprint)
        return cls(
            adapted,
            tokenizer,
            seed=seed,
            gradient_checkpointing=gradient_checkpointing,
            decode_weights=decode_weights,
            fingerprint=fingerprint,
            name=name,
        )

    def hidden(self, ids: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Return the last hidden states, after the final norm, of right-padded `ids`. Gradients reach the adapter alone.

        Causal attention never looks right, so no mask is needed. The states of padding have no meaning.
        """
        return self._states.padded(ids.to(self.device))

    def hidden_packed(self, rows: PackedRows) -> Float[Tensor, "N D"]:
        """Return the last hidden states of packed rows; each distinct prompt is computed once (see `simko.packing`)."""
        return self._states.packed(rows)

    @property
    def packs(self) -> bool:
        """Whether `hidden_packed` agrees with `hidden` for this model. Tried once, on a few tokens."""
        return self._states.packs

    @property
    def context(self) -> int | None:
        """Tokens that the model takes, prompt and answer together; None if it does not say."""
        return context_of(self._causal_lm.config.get_text_config())

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether the backward pass recomputes each layer's activations. Set it at any time."""
        return self._states.checkpointing

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, on: bool) -> None:
        self._states.checkpointing = on

    def lm_head(self) -> LmHead:
        """Return the output layer: its frozen weight (V, D), bias, soft cap and scale."""
        layer = self._causal_lm.get_output_embeddings()
        bias = None if layer.bias is None else layer.bias.data
        return LmHead.of(self._causal_lm.config.get_text_config(), self._output_weight(layer), bias)

    def trainable_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Return (name, parameter) of the adapter, sorted by name. The names are those of a PEFT file."""
        return [(name, p) for name, p in adapters.parameters(self.model) if p.requires_grad]

    @contextlib.contextmanager
    def base(self) -> Iterator[None]:
        """Switch the adapter off inside this context: the policy is the base model."""
        with self.model.disable_adapter():
            yield

    def generate(
        self,
        prompts: Sequence[str] | Sequence[Sequence[int]],
        n: int = 1,
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        max_new_tokens: int = 256,
        stop: Sequence[str] = (),
        seed: int = 0,
    ) -> list[list[Answer]]:
        """Return `n` completions of each prompt. The same seed gives the same answers.

        A prompt is a list of ids, or text, which is encoded without a template.
        """
        ids = [self.tokenizer.encode(p) if isinstance(p, str) else [int(i) for i in p] for p in prompts]
        sampling = Sampling(temperature, top_p, top_k, max_new_tokens, tuple(stop))
        seeds = [(seed << 32) + i for i in range(len(ids) * n)]
        groups = self.engine.generate(ids, n, sampling, seeds)
        return [[Answer(self._text(g.ids, stop), g.ids, g.logprobs, g.finish) for g in group] for group in groups]

    def solve(
        self,
        text: str,
        env: Any,
        n: int = 1,
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
    ) -> list[tuple[str, int]]:
        """Answer a question in an environment's own prompt format `n` times.

        Args:
            text: the problem, in the wording of the environment's tasks.
            env: a `simko.envs.TokenEnv` made with this policy's tokenizer, or an id for `gymnasium.make`.
            n: number of answers.
            temperature: of the sampling; 0 is greedy.
            top_p: mass of the tokens that are sampled from; 1 is all of them.
            top_k: number of the tokens that are sampled from; 0 is all of them.
            seed: of the sampling.

        Returns:
            Distinct answers with their counts, the most frequent first.

        Raises:
            UserError: there is no such environment, or it answers back, for which it would need a gold answer.
        """
        if isinstance(env, str):
            import gymnasium

            try:
                more = sorted(self.eos_ids - {self.tokenizer.eos_token_id})
                options: dict[str, Any] = {"stop_ids": more} if more else {}
                env = gymnasium.make(env, tokenizer=self.tokenizer, context=self.context, **options)
            except gymnasium.error.Error as error:
                raise UserError(f"solve: there is no environment '{env}' ({error}); see `simko env list`") from error
        env = env.unwrapped
        if not env.single_turn:
            raise UserError("solve: this environment answers back, which takes a gold answer; use a single-turn one")
        episodes = [env.begin(Task(id="solve", problem=text, gold="")) for _ in range(n)]
        sampling = Sampling(temperature, top_p, top_k, env.max_new_tokens, tuple(env.stop), tuple(sorted(env.stop_ids)))
        seeds = [(seed << 32) + i for i in range(n)]
        prompt = episodes[0].prompt_ids
        left = env.max_new_tokens if self.context is None else max(1, self.context - len(prompt))
        [answers] = self.engine.generate([prompt], n, sampling, seeds, [left])
        for episode, answer in zip(episodes, answers, strict=True):
            episode.extend(answer.ids.tolist())
        return Counter(episode.text for episode in episodes).most_common()

    def act(
        self,
        observation: Mapping[str, Any],
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int | None = None,
    ) -> int:
        """Draw the next token id for a `TokenEnv` observation `{"tokens": (max_length,) int64, "length": int}`.

        Keys and values are cached between calls: if the observation extends the last one, only its new tokens are fed.
        Draws come from the policy's own stream, which `seed` restarts.
        """
        assert_trainable(self._causal_lm)
        if seed is not None:
            self._actor.restart(seed)
        version = self._weights_version()
        return self._actor.act(self._causal_lm, self.lm_head(), observation, version, temperature, top_p, top_k)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the adapter as a plain PEFT folder, with the fingerprint of its base model in an additional file."""
        adapters.save_adapter(self.model, folder)
        fingerprints.record(folder, self.name, self.fingerprint)

    def load_adapter(self, folder: str | os.PathLike[str]) -> None:
        """Replace the adapter's weights by those in `folder`, bit for bit.

        Raises:
            UserError: the adapter is missing or damaged, or belongs to another model, rank or set of layers.
        """
        mine = self.model.peft_config["default"]
        theirs = read_config(folder, self.name)
        fingerprints.check(folder, self.name, self.fingerprint)
        for key in ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern"):
            if getattr(mine, key) != getattr(theirs, key):
                raise UserError(
                    f"adapter '{folder}': {key} is {getattr(theirs, key)}, this policy's is {getattr(mine, key)}; "
                    "load it with LoraPolicy.from_pretrained(..., adapter=folder)"
                )
        adapters.load_weights(self.model, folder)
        fingerprints.note_other_name(folder, base_of(folder), self.name, self.fingerprint)

    def merge(
        self,
        folder: str | os.PathLike[str],
        eos_ids: Iterable[int] = (),
        dtype: torch.dtype | None = None,
        finish: Callable[[Path, Lost], None] = lambda folder, lost: None,
    ) -> Lost:
        """Write base and adapter as one plain transformers folder, with the tokenizer. The policy does not change.

        The weights are in `dtype`, or in that of the policy. They are rounded once; what that took from the adapter is returned.
        `finish(scratch, lost)` may add files to the folder.

        The base is the one that the policy computes with: its quantised weights, dequantised. If `eos_ids` are given, they
        go into the folder's generation config.

        Raises:
            UserError: the folder exists and is not empty, or cannot be written.
        """
        return write_merged(self._causal_lm, self.tokenizer, folder, eos_ids, dtype, finish)

    def _text(self, ids: NDArray[np.int64], stop: Sequence[str]) -> str:
        return cut(self.tokenizer.decode(ids.tolist(), skip_special_tokens=True), stop)

    def _decoding_model(self) -> Any:
        assert_trainable(self._causal_lm)
        # before it is measured, merge: the plan has memory for it
        merge = self.decode_weights in ("merged", "measured")
        if self.decode_weights == "auto" and self.device.type == "cpu":
            weights = sum(layer.in_features * layer.out_features for _, layer in lora_layers(self._causal_lm))
            merge = 2 * weights * self.dtype.itemsize < psutil.virtual_memory().available
        return plain_copy(self._causal_lm, finish=packed, faithful=True) if merge else self._causal_lm

    def _output_weight(self, layer: Any) -> Tensor:
        """Return the weight (V, D) of the output layer, with an adapter that was trained on it elsewhere, and is frozen here."""
        weight = plain_weight(layer)
        if not isinstance(layer, LoraLayer) or layer.disable_adapters:
            return weight
        version = sum(p._version for _, p in adapters.parameters(layer))
        if self._merged_output is None or self._merged_output[0] != version:
            self._merged_output = version, merged_weight(layer, self.dtype)[0]
        return self._merged_output[1]

    def _weights_version(self) -> tuple[int, bool]:
        """Return a value that changes if an optimizer moves the adapter, or `base()` switches it off."""
        off = any(layer.disable_adapters for _, layer in lora_layers(self._causal_lm))
        return sum(p._version for _, p in self.trainable_parameters()), off


def _eos_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Collect every id that ends an answer, from generation config and tokenizer, without ids that the model cannot draw."""
    eos_ids: set[int] = set()
    for ids in (getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id):
        if ids is not None:
            eos_ids |= {int(i) for i in (ids if isinstance(ids, list | tuple) else [ids])}
    vocabulary = model.get_output_embeddings().weight.shape[0]
    return frozenset(i for i in eos_ids if 0 <= i < vocabulary)
