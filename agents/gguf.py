"""GGUF files: dequantised once into a transformers folder in the cache, which then loads like any other model.

The folder is `<cache>/gguf/<SHA-256 of the file>`, where `<cache>` is `SIMKO_CACHE`, else `simko` under `XDG_CACHE_HOME`,
else `~/.cache/simko`. It holds 16-bit weights: 2 bytes a parameter. It is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import transformers

from simko.errors import UserError

_SPARE_BYTES = 64 * 2**20  # tokenizer, configuration, file system
_END_KEYS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")


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
    folder = cache_folder() / "gguf" / _sha256(path)
    if (folder / "config.json").is_file():
        return folder
    size, ends = _header(path)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_suffix(".lock")):
            if not (folder / "config.json").is_file():  # another process may have made it meanwhile
                _check_disk(path, folder, size)
                _write(path, folder, ends)
    except OSError as error:
        raise UserError(f"{folder.parent}: {error.strerror or error}; set SIMKO_CACHE to a folder with room") from error
    return folder


def _header(path: Path) -> tuple[int, list[int]]:
    """Number of parameters, and the ids that end an answer."""
    try:
        import gguf
    except ImportError as error:
        raise UserError(
            f"model '{path}' is a GGUF file, which needs another package: pip install 'simko[gguf]'"
        ) from error
    try:
        reader: Any = gguf.GGUFReader(path)
        size = sum(int(tensor.n_elements) for tensor in reader.tensors)
        fields = [reader.get_field(key) for key in _END_KEYS]
        ends = sorted({int(field.contents()) for field in fields if field is not None})
    except Exception as error:  # a damaged file fails in numpy, in struct or in the reader itself
        raise UserError(f"model '{path}': not a readable GGUF file ({_line(error)})") from error
    return size, ends


def _check_disk(path: Path, folder: Path, size: int) -> None:
    """Say what the folder will take. Raises `UserError` where that is more than the disk has."""
    needed, free = 2 * size + _SPARE_BYTES, shutil.disk_usage(folder.parent).free
    cost = f"{needed / 1e9:.2f} GB of disk, {free / 1e9:.2f} GB are free"
    if needed > free:
        raise UserError(
            f"model '{path}': dequantised it takes {cost} in {folder.parent}; set SIMKO_CACHE to a larger disk"
        )
    print(f"simko: {path.name} is dequantised once to {folder}: {cost}", file=sys.stderr, flush=True)


def _write(path: Path, folder: Path, ends: list[int]) -> None:
    scratch = folder.with_suffix(".writing")
    shutil.rmtree(scratch, ignore_errors=True)
    from simko.agents.quiet import quiet

    try:
        with quiet():
            model = _dequantised(path, torch.float16)
            if not all(torch.isfinite(p).all() for p in model.parameters()):  # beyond float16's range
                model = _dequantised(path, torch.bfloat16)
            if ends:
                model.generation_config.eos_token_id = ends
            model.save_pretrained(scratch)
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                path.parent, gguf_file=path.name, trust_remote_code=False
            )
            tokenizer.save_pretrained(scratch)
        scratch.rename(folder)
    except UserError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise UserError(f"model '{path}' cannot be read: {_line(error)}") from error
    except Exception as error:  # transformers maps some architectures and fails on others as it likes
        raise UserError(f"model '{path}' cannot be read: {_line(error)}; give its transformers folder") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _dequantised(path: Path, dtype: torch.dtype) -> Any:
    options: dict[str, Any] = {}
    if hasattr(transformers, "GgufConfig"):  # later versions of transformers keep the quantised blocks by default
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=dtype, trust_remote_code=False, output_loading_info=True, **options
    )
    if missing := sorted(report["missing_keys"]):
        raise UserError(f"model '{path}' lacks {len(missing)} weights ({missing[0]}, ...): not a whole causal LM")
    model.hf_quantizer, model.is_quantized = None, False
    model.config.__dict__.pop("quantization_config", None)
    return model


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Within, no other process converts the same file; the kernel lets go however this one ends."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    digest = sha256()
    try:
        with path.open("rb") as source:
            while block := source.read(1 << 22):
                digest.update(block)
    except OSError as error:
        raise UserError(f"model '{path}': {error.strerror}") from error
    return digest.hexdigest()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
