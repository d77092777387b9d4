"""Engines by name: one for each value of the setting `engine`."""

from __future__ import annotations

from typing import Any

from simko.agents.loading import find_model
from simko.types import Engine, EngineName


def make_engine(name: EngineName, policy: Any) -> Engine:
    """Make the engine of that name for `policy`, a `LoraPolicy`. Each call decodes with the adapter as it is then.

    Raises:
        UserError: the engine is not installed, or cannot take this policy.
    """
    if name == "generate_batch":
        from simko.agents.engine.generate_batch import ContinuousEngine

        return ContinuousEngine(policy.decoding_model, policy.lm_head, policy.eos_ids, policy.tokenizer)
    if name == "vllm":
        from simko.agents.engine.vllm import VllmEngine

        return VllmEngine(policy, find_model(policy.name).location)
    engine: Engine = policy.engine
    return engine
