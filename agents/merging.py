"""Merging: base and adapter as one plain transformers folder, which transformers and vLLM read without simko."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from simko.agents.quantize import plain_copy
from simko.agents.quiet import quiet
from simko.agents.rounding import Lost
from simko.errors import UserError
from simko.files import check_space, whole_folder


def check_target(folder: str | os.PathLike[str]) -> Path:
    """The path of a folder that can be written. Raises `UserError` if something is there already."""
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"'{folder}' exists and is not an empty folder; choose another")
    return path


@contextmanager
def export_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty scratch folder that becomes `folder` at the end: whole, or not there at all.

    Raises:
        UserError: the folder exists and is not empty, or cannot be written.
    """
    path = check_target(folder).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(path) as scratch:
            yield scratch
    except OSError as error:
        raise UserError(f"'{folder}' cannot be written: {error.strerror or error}; choose another") from error


def write_merged(
    model: Any,
    tokenizer: Any,
    folder: str | os.PathLike[str],
    eos_ids: Iterable[int] = (),
    dtype: torch.dtype | None = None,
    finish: Callable[[Path, Lost], None] = lambda folder, lost: None,
) -> Lost:
    """Write the causal LM `model` with its active adapter merged, in `dtype` (the model's own); `model` is unchanged.

    Weights are rounded once, to `dtype`. Returns what that took from the adapter.

    `eos_ids`, if given, become the ids that end an answer in the folder's generation config. `finish(scratch, lost)` may add
    files. The folder is there whole or not at all.

    Raises:
        UserError: the folder exists and is not empty, or the disk is too small or cannot be written.
    """
    parts: list[Lost] = []
    with export_folder(folder) as scratch, quiet(), torch.no_grad():
        plain = plain_copy(model, torch.device("cpu"), dtype=dtype, on_lost=parts.append)
        _restore_conv1d(plain)
        if plain.config.tie_word_embeddings and not _is_tied(plain):
            plain.config.tie_word_embeddings = False  # an adapter of the output layer has parted them
        _mend_generation_config(plain.generation_config, sorted(eos_ids))
        size = sum(p.numel() * p.itemsize for p in plain.parameters())
        check_space(scratch.parent, size, f"'{folder}'", "choose another disk")
        plain.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        lost = sum(parts, Lost())
        finish(scratch, lost)
    return lost


def _is_tied(model: Any) -> bool:
    output = model.get_output_embeddings()
    return output is None or output.weight is model.get_input_embeddings().weight


def _mend_generation_config(config: Any, eos_ids: list[int]) -> None:
    """Set `do_sample` if the config has sampling settings: transformers reads them without it, but refuses to write them."""
    config._from_model_config = False
    if eos_ids:
        config.eos_token_id = eos_ids if len(eos_ids) > 1 else eos_ids[0]
    try:
        config.validate(strict=True)
    except ValueError:
        config.do_sample = True


def _restore_conv1d(model: Any) -> None:
    """Put back the transposed layers of models like GPT-2: quantising has turned them into linear ones."""
    with torch.device("meta"):
        built = type(model)(model.config)
    for name, layer in built.named_modules():
        if isinstance(layer, Conv1D) and isinstance(linear := model.get_submodule(name), nn.Linear):
            conv = Conv1D(linear.out_features, linear.in_features)
            conv.weight = nn.Parameter(linear.weight.t().contiguous(), requires_grad=False)
            conv.bias = nn.Parameter(linear.bias, requires_grad=False)
            model.set_submodule(name, conv)
