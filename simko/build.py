"""A config to a policy and an environment; and what a run records of where it ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from simko.agents import LoraPolicy
from simko.agents.engine.by_name import make_engine
from simko.envs import TokenEnv
from simko.envs import make as make_registered
from simko.errors import UserError


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
