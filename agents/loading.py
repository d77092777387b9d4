"""Loading: from a model's name to a frozen, quantised causal LM and its tokenizer, or to one line that says what to mend."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import transformers

from simko.agents.quiet import quiet
from simko.device import keep_apart
from simko.errors import UserError
from simko.types import Quantization

_PLAIN = ["lm_head", "router", "gate.wg"]  # never quantised: the output, and routers that are linear layers by class


@dataclass(frozen=True)
class Source:
    """Where a model is: transformers loads `location`; the user and the adapter call it `name`."""

    name: str
    location: str
    cached_only: bool = False


def find_model(model: str | os.PathLike[str]) -> Source:
    """Resolve `tiny`, a local folder, a GGUF file (converted on first use) or a Hub id.

    Raises:
        UserError: the folder holds no model, the Hub has no such model, or the Hub is out of reach and the cache has none.
    """
    name = os.fspath(model)
    if name == "tiny":
        folder = Path(str(resources.files("simko.agents"))) / "tiny"
        if not (folder / "config.json").is_file():
            raise UserError(f"model 'tiny' is not in this installation ({folder}); install simko again")
        return Source(name, str(folder))
    path = Path(name).expanduser()
    if path.is_dir():
        if (path / "config.json").is_file():
            return Source(name, str(path))
        is_adapter = (path / "adapter_config.json").is_file()
        hint = "it is an adapter; pass it as adapter=" if is_adapter else "it is not a model folder; give one"
        raise UserError(f"model '{name}': the folder has no config.json: {hint}")
    if path.suffix == ".gguf":
        if not path.is_file():
            raise UserError(f"model '{name}': no such file; fetch it first, from the Hub with `hf download`")
        from simko.agents import gguf

        return Source(name, str(gguf.as_folder(path)))
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise UserError(f"model '{name}': no such folder; give a model folder, a Hub id like 'org/name', or 'tiny'")
    return _find_on_hub(name)


def stored_dtype(source: Source) -> torch.dtype:
    """Return the dtype of a model's stored weights by its config; float32 if the config does not tell.

    Raises:
        UserError: there is no config, or it cannot be read.
    """
    with quiet(), _explained(source, "model"):
        config = transformers.AutoConfig.from_pretrained(
            source.location, trust_remote_code=False, local_files_only=source.cached_only
        )
    dtype = config.get_text_config().dtype
    return dtype if isinstance(dtype, torch.dtype) else torch.float32


def load_tokenizer(source: Source) -> Any:
    """Load the model's tokenizer. If it has no pad token, the EOS token becomes that.

    Raises:
        UserError: there is no tokenizer, or it cannot be read.
    """
    with quiet(), _explained(source, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            source.location, trust_remote_code=False, local_files_only=source.cached_only
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(source: Source, quantization: Quantization, device: torch.device, dtype: torch.dtype) -> Any:
    """Load the frozen causal LM in evaluation mode, quantised while it is read. The output layer stays a plain weight.

    Raises:
        UserError: it is not a causal LM of transformers, or its weights are missing, damaged, already quantised, or not
            safetensors.
    """
    keep_apart(device)
    with quiet(), _explained(source, "model"):
        config = transformers.AutoConfig.from_pretrained(
            source.location, trust_remote_code=False, local_files_only=source.cached_only
        )
        if getattr(config, "quantization_config", None) is not None:
            raise UserError(f"model '{source.name}' is quantised already; give the model that it was made from")
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            source.location,
            config=config,
            dtype=dtype,
            device_map={"": device},
            quantization_config=_quantization_config(quantization, device, dtype),
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=source.cached_only,
            output_loading_info=True,
        )
    if missing := sorted(report["missing_keys"]):
        raise UserError(
            f"model '{source.name}' lacks {len(missing)} weights ({missing[0]}, ...), so it is not a whole causal LM; "
            "give another"
        )
    _unmap(model)
    return model.eval().requires_grad_(False)


def check_vocabulary(name: str, tokenizer: Any, embedded: int) -> None:
    """Raise `UserError` if the tokenizer has more tokens of its own than the model has embedding rows (`embedded`).

    Tokens that were added later, such as a pad token, may lie beyond: the engine refuses a prompt that holds one.
    """
    if tokenizer.vocab_size > embedded:
        raise UserError(
            f"model '{name}': its tokenizer has {tokenizer.vocab_size} tokens, its embedding {embedded} rows; "
            "put the model's own tokenizer into the folder"
        )


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """Return the dtype of that name; `auto` is float32 on CPU, and on CUDA bfloat16 if it is native, else float16.

    Raises:
        UserError: it is not a floating-point dtype.
    """
    if dtype == "auto":
        if device.type != "cuda":
            return torch.float32
        return native_dtype(None if torch.version.hip else torch.cuda.get_device_capability(device))
    chosen = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not (isinstance(chosen, torch.dtype) and chosen.is_floating_point):
        raise UserError(f"dtype '{dtype}' is unknown; use auto, float32, bfloat16, float16 or float64")
    return chosen


def native_dtype(capability: tuple[int, int] | None) -> torch.dtype:
    """Return bfloat16 from compute capability 8.0 (Ampere) on, float16 below (Turing, Volta). None is ROCm: bfloat16."""
    return torch.bfloat16 if capability is None or capability >= (8, 0) else torch.float16


def _unmap(model: Any) -> None:
    """Copy weights that still point into the mapped file: a single one keeps the whole file in the process's memory."""
    for parameter in model.parameters():
        if type(parameter) is torch.nn.Parameter and parameter.device.type == "cpu":
            parameter.data = parameter.data.clone()


def _quantization_config(quantization: Quantization, device: torch.device, dtype: torch.dtype) -> Any:
    if quantization == "none":
        return None
    if quantization == "nf4":
        if dtype == torch.float64:
            raise UserError(
                "quantization nf4 computes in 16 or 32 bits, not in float64; use dtype float32 or quantization none"
            )
        return transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=_PLAIN,
        )
    if quantization == "int8":
        # the CPU's 8-bit kernels have no outlier columns; those of CUDA follow LLM.int8()
        threshold = 6.0 if device.type == "cuda" else 0.0
        return transformers.BitsAndBytesConfig(
            load_in_8bit=True, llm_int8_threshold=threshold, llm_int8_skip_modules=_PLAIN
        )
    raise UserError(f"quantization is '{quantization}'; use 'nf4', 'int8' or 'none'")


def _find_on_hub(name: str) -> Source:
    """Ask the Hub once, without retries. If it does not answer, fall back on the cache."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    why = "HF_HUB_OFFLINE is set"
    if not constants.HF_HUB_OFFLINE:
        try:
            huggingface_hub.HfApi().model_info(name, timeout=10)
            return Source(name, name)
        except GatedRepoError as error:
            raise UserError(f"model '{name}' is gated; accept its terms on the Hub and run `hf auth login`") from error
        except (RepositoryNotFoundError, HFValidationError) as error:
            raise UserError(
                f"model '{name}' is neither a folder nor on the Hub; check the name, take 'tiny', or run `hf auth login` "
                "for a private one"
            ) from error
        except Exception as error:  # whatever the HTTP client raises: the cache may still help
            why = _first_line(error)
    if isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json"), str):
        return Source(name, name, cached_only=True)
    raise UserError(
        f"model '{name}' is not a folder and not in the cache, and the Hub is out of reach ({why}); "
        "go online, or give a local folder or 'tiny'"
    )


@contextlib.contextmanager
def _explained(source: Source, what: str) -> Iterator[None]:
    """Turn the errors of transformers and safetensors over a bad folder into one line."""
    import safetensors

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        line = _first_line(error)
        if "trust_remote_code" in str(error):
            line = "it needs Python code of its own, which simko never runs"
        raise UserError(f"{what} '{source.name}' cannot be loaded: {line}; fetch it again, or give another") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
