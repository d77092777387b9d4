"""Agents: the 4-bit LoRA policy, and the engines that it decodes with.

policy, acting                      the policy; one token at a time, for an environment
loading, gguf, quantize, kernels    a model's weights in: found, read, made safe to train on
adapter, adapter_config             LoRA adapters: made, read from elsewhere, saved
fingerprint, merging                which base they belong to; both merged into a plain model
states, packed                      the forward of training, of padded and of packed rows
engine/                             decoding
tiny/                               the weights and the tokenizer of the built-in policy
"""

import logging
import os

# huge pages for large tensors on CPU (see simko.device); torch reads this once, at its first allocation
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
# bitsandbytes logs on import that an optional kernel is absent, and at every 8-bit product that it casts its input
for _name in ("bitsandbytes.backends.cpu.ops", "bitsandbytes.autograd._functions"):
    logging.getLogger(_name).setLevel(logging.ERROR)

from simko.agents.engine.local import LocalEngine  # noqa: E402
from simko.agents.policy import Answer, LoraPolicy  # noqa: E402

__all__ = ["Answer", "LocalEngine", "LoraPolicy"]
