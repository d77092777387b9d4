"""A policy and an environment from their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import torch

from simko.agents import LoraPolicy
from simko.agents.engine.by_name import make_engine
from simko.config import EnvironmentSettings, PolicySettings, TrainEnvironment
from simko.envs import TokenEnv
from simko.envs import make as make_registered
from simko.envs.code import jails
from simko.envs.foreign.options import read_options
from simko.envs.registry import ENTRY_POINT, resolve
from simko.errors import UserError
from simko.ranks import world


def make_policy(
    settings: PolicySettings, adapter: str | Path | None = None, dtype: str | torch.dtype = "auto"
) -> LoraPolicy:
    """The quantised model with the adapter in a folder, or with a fresh one. `dtype` is that of the computation.

    Raises:
        UserError: the model or the adapter cannot be loaded, layers are named beside an adapter, or engine vllm has no
            `tis_clip`, or is asked for in one process of several.
    """
    if settings.adapter is not None and settings.target_modules is not None:
        raise UserError(
            f"config: target_modules is {settings.target_modules}, and adapter {settings.adapter} has layers of its own; "
            "leave one out"
        )
    if settings.engine == "vllm" and not world().alone:
        raise UserError(
            "config: engine is vllm, which would load on the first card in each process; take --engine vllm-server, or local"
        )
    if settings.threads:
        torch.set_num_threads(settings.threads)
    policy = LoraPolicy.from_pretrained(
        settings.model,
        quantization=settings.quantization,
        lora_rank=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        adapter=None if adapter is None else str(adapter),
        device=settings.device,
        dtype=dtype,
        seed=settings.seed,
        target_modules=_layers(settings.target_modules),
        gradient_checkpointing=bool(settings.gradient_checkpointing),
        decode_weights=settings.decode_weights,
    )
    if settings.cache_bytes is not None:
        policy.engine.cache_bytes = settings.cache_bytes
    if settings.engine != "local":
        if settings.engine == "vllm" and not settings.tis_clip:
            raise UserError(
                "config: engine is vllm, whose log-probs are not the trainer's; set tis_clip, to 2 for example"
            )
        policy.engine = make_engine(settings.engine, policy, settings)
    return policy


def _layers(target_modules: str | None) -> str | list[str]:
    names = [name.strip() for name in (target_modules or "all-linear").split(",")]
    return "all-linear" if names == ["all-linear"] else [name for name in names if name]


def source_options(settings: EnvironmentSettings) -> dict[str, Any]:
    """The keywords of a source that reads rows."""
    options = {"keep_good_rows": settings.keep_good_rows or None, "columns": settings.columns}
    given = read_options(settings.env_options, settings.python)
    return given | {name: value for name, value in options.items() if value is not None}


def make_env(settings: TrainEnvironment, policy: LoraPolicy, split: str, date: str | None = None) -> TokenEnv:
    """The environment with the policy's tokenizer, EOS ids and context, on the problems of a split (`train` or `eval`).

    `date` is what a chat template reads from the clock (`RunFolder.prompt_date`).
    """
    jails.configure(settings.unsafe_no_sandbox, settings.code_seconds)
    options: dict[str, Any] = {
        "data": settings.data,
        "level": settings.level,
        "attempts": settings.attempts if settings.attempts > 1 else None,
        "source_options": source_options(settings) or None,
        "verifier": settings.verifier,
        "max_prompt_tokens": settings.max_prompt_tokens,
        "max_new_tokens": settings.max_new_tokens,
        "stop_ids": sorted(policy.eos_ids - {policy.tokenizer.eos_token_id}) or None,
    }
    overrides = {name: value for name, value in options.items() if value is not None}
    context = getattr(policy, "context", None)  # None: the policy does not say
    spec = gymnasium.spec(resolve(settings.env, {})[0])
    if spec.entry_point == ENTRY_POINT:  # an author's own entry point may not take these
        overrides |= {"context": context, "date": date}
    env = make_registered(
        settings.env, tokenizer=policy.tokenizer, split=split, template=settings.template, **overrides
    )
    env.context = env.context or context
    return env
