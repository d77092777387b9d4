"""A config to a policy and an environment; and what a run records of where it ran."""

from __future__ import annotations

import platform
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium
import torch

from simko.agents import LoraPolicy
from simko.agents.engines import make_engine
from simko.envs import TokenEnv
from simko.envs import make as make_registered
from simko.errors import UserError

_RECORDED = ("simko", "torch", "transformers", "peft", "bitsandbytes", "gymnasium", "math-verify", "sympy", "numpy")


def make_policy(config: Any, adapter: str | Path | None = None, dtype: str | torch.dtype = "auto") -> LoraPolicy:
    """The quantised model with an adapter: that of `adapter`, a folder, or a fresh one.

    `config` is a `TrainConfig` or anything with its model fields. `dtype` is that of the computation.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    policy = LoraPolicy.from_pretrained(
        config.model,
        quantization=config.quantization,
        lora_rank=config.lora_rank,
        lora_alpha=config.lora_alpha,
        adapter=None if adapter is None else str(adapter),
        device=config.device,
        dtype=dtype,
        seed=config.seed,
        gradient_checkpointing=bool(config.gradient_checkpointing),
        decode_weights=config.decode_weights,
    )
    if config.cache_bytes is not None:
        policy.engine.cache_bytes = config.cache_bytes
    if config.engine != "local":
        if config.engine == "vllm" and not config.tis_clip:
            raise UserError(
                "config: engine is vllm, whose log-probs are not the trainer's; set tis_clip, to 2 for example"
            )
        policy.engine = make_engine(config.engine, policy)
    return policy


def make_env(config: Any, policy: LoraPolicy, split: str) -> TokenEnv:
    """The environment of a config with the policy's tokenizer and EOS ids, on its training or its evaluation problems."""
    options = {
        "data": config.data,
        "level": config.level,
        "attempts": config.attempts if config.attempts > 1 else None,
        "source_options": {"keep_good_rows": True} if config.keep_good_rows else None,
        "verifier": config.verifier,
        "max_prompt_tokens": config.max_prompt_tokens,
        "max_new_tokens": config.max_new_tokens,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if beyond := sorted(policy.eos_ids - {policy.tokenizer.eos_token_id}):
        given["stop_ids"] = beyond
    return make_registered(config.env, tokenizer=policy.tokenizer, split=split, template=config.template, **given)


def data_notes(env: Any) -> list[str]:
    """What a person should know of the rows of an environment, a line each: those left out, counted, and why."""
    notes = [str(note) for note in getattr(env.source, "notes", ())]
    if bad := getattr(env.source, "bad_rows", ()):
        notes.append(f"{len(bad)} bad rows are left out, the first: {bad[0]}")
    return notes


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers."""
    found = {"python": platform.python_version()}
    for name in _RECORDED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine(device: Any) -> dict[str, Any]:
    """Platform and device of a run."""
    on_cuda = torch.device(device).type == "cuda"
    return {
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if on_cuda else "cpu",
        "threads": torch.get_num_threads(),
        "gymnasium": gymnasium.__version__,
    }


def file_hash(path: str | Path | None) -> str | None:
    """SHA-256 of a data file; None for a folder or nothing."""
    if path is None or not Path(path).is_file():
        return None
    digest = sha256()
    with Path(path).open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
