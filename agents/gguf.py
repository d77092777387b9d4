"""GGUF files: dequantised once into a transformers folder in the cache, which then loads like any other model.

The folder is `<cache>/gguf/<SHA-256 of the file>`, where `<cache>` is `SIMKO_CACHE`, else `simko` under `XDG_CACHE_HOME`,
else `~/.cache/simko`. It holds 16-bit weights: 2 bytes a parameter. It is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from filelock import FileLock

from simko.agents.quiet import quiet
from simko.errors import UserError
from simko.files import check_space, digest, whole_folder
from simko.gguf_header import GgufHeader


def cache_folder() -> Path:
    """Return the folder of files that simko can make again."""
    if folder := os.environ.get("SIMKO_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "simko"


def as_folder(path: Path) -> Path:
    """The transformers folder of a GGUF file, made on first use; a line on stderr says what that costs.

    Raises:
        UserError: the package `gguf` is missing, the file is one part of several or cannot be read, an architecture that
            transformers does not read, or a disk that is too small.
    """
    part = re.search(r"-(\d{5})-of-(\d{5})\.gguf$", path.name)
    if part and part[2] != "00001":
        raise UserError(
            f"model '{path}' is part {part[1]} of {part[2]}; join them first with `llama-gguf-split --merge`"
        )
    try:
        folder = cache_folder() / "gguf" / digest(path)
    except OSError as error:
        raise UserError(f"model '{path}': {error.strerror}") from error
    if (folder / "config.json").is_file():
        return folder
    header = GgufHeader(path)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):  # waits for another process that converts the same file
            if not (folder / "config.json").is_file():  # that process may have made it
                what = f"model '{path}': dequantised it"
                cost = check_space(folder.parent, 2 * header.parameters, what, "set SIMKO_CACHE to a larger disk")
                print(f"simko: {path.name} is dequantised once to {folder}: {cost}", file=sys.stderr, flush=True)
                _write(path, folder, header.end_ids)
    except OSError as error:
        raise UserError(f"{folder.parent}: {error.strerror or error}; set SIMKO_CACHE to a folder with room") from error
    return folder


def _write(path: Path, folder: Path, ends: list[int]) -> None:
    try:
        with whole_folder(folder) as scratch, quiet():
            model = dequantised_model(path, torch.float16)
            if not all(torch.isfinite(p).all() for p in model.parameters()):  # beyond float16's range
                model = dequantised_model(path, torch.bfloat16)
            if ends:
                model.generation_config.eos_token_id = ends
            model.save_pretrained(scratch)
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                path.parent, gguf_file=path.name, trust_remote_code=False
            )
            tokenizer.save_pretrained(scratch)
    except UserError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise UserError(f"model '{path}' cannot be read: {_line(error)}; fetch it again") from error
    except Exception as error:  # transformers maps some architectures and fails on others as it likes
        raise UserError(f"model '{path}' cannot be read: {_line(error)}; give its transformers folder") from error


def dequantised_model(path: Path, dtype: torch.dtype, config: Any = None) -> Any:
    """Read a GGUF file into a plain transformers model, its blocks dequantised.

    `config` is used in place of what the file says: transformers does not read all of it (a stretched rotary embedding, the
    size of Qwen3's heads).

    Raises:
        UserError: weights are missing.
    """
    options: dict[str, Any] = {} if config is None else {"config": config}
    if hasattr(transformers, "GgufConfig"):  # later versions of transformers keep the quantised blocks by default
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that transformers has no switch for
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=dtype, trust_remote_code=False, output_loading_info=True, **options
        )
    if missing := sorted(report["missing_keys"]):
        raise UserError(
            f"model '{path}' lacks {len(missing)} weights ({missing[0]}, ...), so it is not a whole causal LM; give another file"
        )
    model.hf_quantizer, model.is_quantized = None, False
    model.config.__dict__.pop("quantization_config", None)
    return model


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
