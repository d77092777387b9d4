"""The facts that a plan starts from: a model's shape and size on disk, an environment's budgets. No torch, no weights."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil

from simko.config import TrainConfig, TrainEnvironment
from simko.errors import UserError
from simko.gguf_header import GgufHeader
from simko.memory.forecast import Job
from simko.memory.shapes import Shape, built_in, nearest_built_in

_SAMPLED = 64  # prompts whose length is looked at
_TEMPLATE_TOKENS = 48  # what a chat template may add
_NEEDED = (".safetensors", "tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json", ".jinja")
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Facts:
    """What is known of a model without its weights. Sizes are bytes; `source` says where the shape is from."""

    shape: Shape
    source: str
    download: float
    disk: float
    folder: Path | None = None


def facts(model: str) -> Facts:
    """The shape of `tiny`, a folder, a GGUF file, a Hub id (its config.json alone is fetched) or a name of the built-in table.

    Raises:
        UserError: nothing there that can be planned, or the Hub is out of reach and the table does not list the model.
    """
    if model == "tiny":
        return _of_folder(model, Path(__file__).resolve().parents[1] / "agents" / "tiny")
    path = Path(model).expanduser()
    if path.is_dir():
        return _of_folder(model, path)
    if path.suffix == ".gguf":
        return _of_gguf(path)
    on_hub = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", model) is not None
    if on_hub and (cached := _cached(model)) is not None:
        return _of_folder(model, cached)
    listed = built_in(model)
    if on_hub:
        try:
            return _of_hub(model)
        except UserError:
            if listed is None:
                raise
    if listed is not None:
        size = 2.0 * listed.parameters
        return Facts(listed, "built-in table", size, size)
    raise UserError(
        f"model '{model}': no such folder, and not in the built-in table{nearest_built_in(model)}; "
        "give a folder, a Hub id like 'org/name', or 'tiny'"
    )


def job(config: TrainConfig, device: Literal["cpu", "cuda"], model: Facts | None = None, card: float = 0.0) -> Job:
    """The work of a config on a device. Prompts are as long as the longest of a few drawn, or as the environment allows.

    `card` is the whole memory of the device in bytes, for an engine that takes a share of it.

    Raises:
        UserError: no such environment.
    """
    from simko import algorithms  # here: it loads torch
    from simko.envs.registry import resolve
    from simko.envs.turns import with_attempts

    name, options = resolve(config.env, {} if config.data is None else {"data": config.data})
    import gymnasium

    registered: Mapping[str, Any] = gymnasium.spec(name).kwargs.get("env", {})
    new = config.max_new_tokens or registered.get("max_new_tokens") or 256
    if config.max_new_tokens is None and config.attempts > 1:
        new = with_attempts(new, config.attempts)
    longest = config.max_prompt_tokens or registered.get("max_prompt_tokens") or 512
    if model is not None and model.shape.context:
        new = max(1, min(new, model.shape.context - 1))  # an answer has at most what its prompt leaves
        longest = max(1, min(longest, model.shape.context - new))
    drawn = _longest_prompt(registered, config, options.get("data"), model)
    return Job(
        device=device,
        quantization=config.quantization,
        lora_rank=config.lora_rank,
        prompts=config.prompts_per_step,
        group_size=config.group_size,
        longest_prompt=longest if drawn is None else min(longest, drawn),
        max_new_tokens=new,
        eval_rows=config.eval_problems * config.eval_samples,
        reference="reference" in algorithms.of(config).needs_new,
        updates=config.updates_per_batch,
        keep_checkpoints=config.keep_checkpoints,
        needs=_needs(config),
        engine=config.engine,
        engine_share=config.engine_share,
        engine_card=card,
    )


def _needs(config: TrainConfig) -> frozenset[str]:
    """Statistics that the method of a config asks for, its auxiliary loss included."""
    from simko import algorithms

    method = algorithms.of(config)
    return frozenset().union(method.needs_old, method.needs_new, method.auxiliary.needs_new if method.auxiliary else ())


def machine_bytes() -> int:
    """The machine's memory, or its container's limit where that is less. Not what is free: equal runs must plan alike."""
    total = int(psutil.virtual_memory().total)
    for path in _CGROUP:
        try:
            total = min(total, int(path.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total


def _of_folder(model: str, folder: Path) -> Facts:
    shape = Shape.from_config(model, _json(folder / "config.json", model))
    disk = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return Facts(shape, "config.json", 0.0, float(disk), folder)


def _of_hub(model: str) -> Facts:
    """Asks the Hub for the file list and config.json; weights stay there."""
    import huggingface_hub

    try:
        info = huggingface_hub.HfApi().model_info(model, files_metadata=True, timeout=10)
        path = huggingface_hub.hf_hub_download(model, "config.json")
    except Exception as error:  # whatever the HTTP client raises
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"model '{model}': the Hub does not give its config.json ({line}); give a local folder"
        ) from error
    files = [(s.rfilename, s.size or 0) for s in info.siblings or ()]
    needed = sum(size for name, size in files if name.endswith(_NEEDED) and "/" not in name)
    shape = Shape.from_config(model, _json(Path(path), model))
    size = float(needed or 2 * shape.parameters)
    return Facts(shape, "config.json on the Hub", size, size)


def _cached(model: str) -> Path | None:
    """The snapshot of a Hub id whose weights are in the cache already."""
    import huggingface_hub

    for name in ("model.safetensors", "model.safetensors.index.json"):
        if isinstance(path := huggingface_hub.try_to_load_from_cache(model, name), str):
            folder = Path(path).parent
            return folder if (folder / "config.json").is_file() else None
    return None


def _of_gguf(path: Path) -> Facts:
    header = GgufHeader(path)
    try:
        hidden, heads = header.number("embedding_length"), header.number("attention.head_count")
        head_dim = header.number("attention.key_length", hidden // heads)
        shape = Shape(
            path.name,
            layers=header.number("block_count"),
            hidden=hidden,
            intermediate=header.number("feed_forward_length"),
            heads=heads,
            kv_width=header.number("attention.head_count_kv", heads) * head_dim,
            vocabulary=max(header.tensors["token_embd.weight"]),
            tied="output.weight" not in header.tensors,
            query_width=heads * head_dim,
            qkv_bias="blk.0.attn_q.bias" in header.tensors,
            context=header.number("context_length", 0) or None,
        )
    except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
        line = " ".join(str(error).split())[:150]
        raise UserError(
            f"model '{path}': its header lacks what a plan needs ({line}); give the model's transformers folder"
        ) from error
    return Facts(shape, "GGUF header", 0.0, 2.0 * shape.parameters)


def _longest_prompt(
    registered: Mapping[str, Any], settings: TrainEnvironment, data: str | None, model: Facts | None
) -> int | None:
    """Tokens of the longest of some drawn prompts, with room for a template; None if no prompt can be drawn."""
    from simko.envs.registry import names_data, specs
    from simko.envs.token_env import load_object

    name = settings.env.rpartition(":")[2]
    procedural = all(info.source == "procedural" for info in specs() if info.id == name)
    if names_data(name) or (not procedural and data is None and not os.environ.get("SIMKO_DATA")):
        return None  # the data would be fetched, or a server asked
    try:
        source = load_object(registered["source"])(split="train", level=settings.level, data=data)
        rng = np.random.default_rng(0)
        drawn = [source.draw(rng) for _ in range(_SAMPLED)]
        texts = [f"{task.system or ''}{task.problem}{registered.get('instruction') or ''}" for task in drawn]
    except Exception:  # data that is not here yet, or an author's source that wants more: the bound is the answer
        return None
    tokenizer = None if model is None or model.folder is None else model.folder / "tokenizer.json"
    if tokenizer is not None and tokenizer.is_file():
        import tokenizers

        counts = [len(e.ids) for e in tokenizers.Tokenizer.from_file(str(tokenizer)).encode_batch(texts)]
    else:
        counts = [len(text.encode()) // 3 + 1 for text in texts]  # few tokenizers have tokens of less than 3 bytes
    return round(1.1 * max(counts)) + _TEMPLATE_TOKENS


def _json(path: Path, model: str) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise UserError(f"model '{model}': {path} is not a readable config.json ({error}); fetch it again") from error
    return content
