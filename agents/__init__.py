"""Agents: the 4-bit LoRA policy and the engine that it decodes with."""

import logging
import os

# torch asks once, at its first allocation: huge pages for large tensors on CPU (see simko.device)
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
# bitsandbytes reports on import that an optional kernel is absent, and at every 8-bit product that it casts its input
for _name in ("bitsandbytes.backends.cpu.ops", "bitsandbytes.autograd._functions"):
    logging.getLogger(_name).setLevel(logging.ERROR)

from simko.agents.engine.local import LocalEngine  # noqa: E402
from simko.agents.policy import Answer, LoraPolicy  # noqa: E402

__all__ = ["Answer", "LocalEngine", "LoraPolicy"]
