"""Engines by name: one for each value of the setting `engine`."""

from __future__ import annotations

from typing import Any

from simko.agents.loading import find_model
from simko.config import MemorySettings
from simko.errors import UserError
from simko.types import Engine, EngineName

_DEFAULTS = MemorySettings()


def make_engine(name: EngineName, policy: Any, settings: MemorySettings = _DEFAULTS) -> Engine:
    """Make the engine of that name for `policy`, a `LoraPolicy`. Each call decodes with the adapter as it is then.

    Of `settings` those are read that begin with `engine_`.

    Raises:
        UserError: the engine is not installed, cannot take this policy, or is a server without an address.
    """
    if name == "generate_batch":
        from simko.agents.engine.generate_batch import ContinuousEngine

        return ContinuousEngine(policy.decoding_model, policy.lm_head, policy.eos_ids, policy.tokenizer)
    if name == "vllm":
        from simko.agents.engine.vllm import VllmEngine

        return VllmEngine(policy, find_model(policy.name).location, settings.engine_share)
    if name == "vllm-server":
        from simko.agents.engine.vllm_server import VllmServerEngine

        if settings.engine_url is None:
            raise UserError("engine vllm-server: no address; give --engine-url http://host:8000, or --engine local")
        return VllmServerEngine(
            policy,
            settings.engine_url,
            find_model(policy.name).location,
            adapter_folder=settings.engine_adapter_folder,
            connections=settings.engine_connections,
            timeout=settings.engine_timeout,
        )
    engine: Engine = policy.engine
    return engine
