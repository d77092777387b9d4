"""The forward of training: last hidden states with a gradient, for padded or packed rows, with or without checkpointing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from simko.agents import packed as packing
from simko.agents.quantize import assert_trainable
from simko.agents.quiet import quiet
from simko.errors import UserError
from simko.packing import PackedRows

_KINDS = {"full_attention", "sliding_attention"}  # kinds of layers that packed attention knows


class HiddenStates:
    """Hidden states of a causal LM after the final norm.

    Attributes:
        checkpointing: recompute each layer in the backward pass, instead of storing its activations. Set it at any time.
    """

    def __init__(self, causal_lm: Any, checkpointing: bool = False) -> None:
        self._causal_lm = causal_lm
        self._layers: list[nn.Module] = []
        self._packs: bool | None = None
        self._configs = list({id(c): c for m in causal_lm.modules() if (c := getattr(m, "config", None))}.values())
        self._now_packed = False
        self.checkpointing = checkpointing

    @property
    def checkpointing(self) -> bool:
        """Whether activations are recomputed. Setting it raises `UserError` if the model cannot."""
        return self._checkpointing

    @checkpointing.setter
    def checkpointing(self, on: bool) -> None:
        if on and not self._layers:
            options = {"use_reentrant": False, "context_fn": self._contexts}
            with quiet(), contextlib.suppress(ValueError):  # raised by models that cannot
                self._causal_lm.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
                self._layers = [m for m in self._causal_lm.modules() if isinstance(m, GradientCheckpointingLayer)]
            for layer in self._layers:
                _without_dropout(layer)
            if not self._layers:
                kind = type(self._causal_lm).__name__
                raise UserError(f"{kind} cannot recompute activations; set gradient_checkpointing to false")
        self._checkpointing = on

    @property
    def packs(self) -> bool:
        """Whether packed rows give the states of the same rows alone. Tried once, on a few tokens."""
        if self._packs is None:
            self._packs = self._packed_equals_alone()
        return self._packs

    def padded(self, ids: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Return the states of right-padded `ids`."""
        return self._forward(input_ids=ids)

    def packed(self, rows: PackedRows) -> Float[Tensor, "N D"]:
        """Return the states of packed rows, in their order."""
        return self._of_blocks(rows, packing.blocks(rows, self._causal_lm.device))

    def _of_blocks(self, rows: PackedRows, blocks: list[packing.Block]) -> Tensor:
        ids, positions = (torch.from_numpy(a).to(self._causal_lm.device)[None] for a in (rows.ids, rows.position_ids))
        with self._packed_attention():
            return self._forward(input_ids=ids, position_ids=positions, packed_blocks=blocks)[0]

    def _forward(self, **inputs: Any) -> Tensor:
        assert_trainable(self._causal_lm)
        try:
            # layers checkpoint in training mode only; set their own flag alone, so that no module inside changes mode
            for layer in self._layers:
                layer.training = self._checkpointing and torch.is_grad_enabled()
            states: Tensor = self._causal_lm.base_model(use_cache=False, **inputs).last_hidden_state
        finally:
            for layer in self._layers:
                layer.training = False
        return states

    @contextlib.contextmanager
    def _packed_attention(self) -> Iterator[None]:
        packing.register()
        before = [config._attn_implementation_internal for config in self._configs]
        try:
            for config in self._configs:
                config._attn_implementation_internal = packing.NAME
            self._now_packed = True
            yield
        finally:
            self._now_packed = False
            for config, name in zip(self._configs, before, strict=True):
                config._attn_implementation_internal = name

    def _contexts(self) -> tuple[Any, Any]:
        """Return the contexts of a checkpointed layer's forward and of its recomputation.

        The recomputation comes after `_packed_attention` has ended, so packed rows need it again.
        """
        again = self._packed_attention() if self._now_packed else contextlib.nullcontext()
        return contextlib.nullcontext(), again

    @torch.no_grad()
    def _packed_equals_alone(self) -> bool:
        """Compare packed with single rows: two prompts and three answers, one of them long enough to show any leak."""
        config = self._causal_lm.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        if kinds - _KINDS:
            return False
        rng = np.random.default_rng(0)
        lengths, answers = (5, 9), ((1, 4), (0, 7), (1, 20))
        parts = [rng.integers(0, config.vocab_size, n) for n in (*lengths, *(n for _, n in answers))]
        positions = [np.arange(n) for n in lengths] + [np.arange(n) + lengths[p] for p, n in answers]
        rows = PackedRows(np.concatenate(parts), np.concatenate(positions), lengths, answers)
        blocks = packing.blocks(rows, self._causal_lm.device)
        try:
            together = self._of_blocks(rows, blocks).split([len(part) for part in parts])
        except (
            NotImplementedError,
            TypeError,
            ValueError,
            RuntimeError,
            KeyError,
            IndexError,
            AttributeError,
        ) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            return False
        windowed = "sliding_attention" in kinds if kinds else getattr(config, "sliding_window", None) is not None
        if windowed and not any(window for block in blocks for window, _ in block.masks):
            return False  # its window is in a mask that packed rows do not get, and is too wide to show on these few tokens
        exact = self._causal_lm.dtype in (torch.float32, torch.float64)
        for (prompt, length), part, state in zip(answers, parts[2:], together[2:], strict=True):
            ids = torch.from_numpy(np.concatenate([parts[prompt], part])).to(self._causal_lm.device)[None]
            alone = self.padded(ids)[0, -length:].float()
            # `not <=`: NaN does not pass
            if not torch.linalg.norm(state.float() - alone) <= (1e-3 if exact else 0.1) * torch.linalg.norm(alone):
                return False
        return True


def _without_dropout(layer: nn.Module) -> None:
    """Switch off dropout that follows a layer's own training flag (OPT, XGLM, BioGPT): checkpointing sets that flag."""
    for name, value in list(vars(layer).items()):
        if "drop" in name and isinstance(value, float):
            setattr(layer, name, 0.0)
