"""What travels between ranks: plain facts as JSON, and tensors by name as safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line reads this module, and loads no torch
    from torch import Tensor

_FACTS = "facts"


@dataclass(frozen=True)
class Parcel:
    """A value that every rank is to have. `facts` is JSON: lists, dicts by text, numbers (not finite ones, too), text, None."""

    facts: Any = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def pack(parcel: Parcel) -> bytes:
    """The parcel as bytes. Tensors come off their device."""
    import torch
    from safetensors.torch import save

    text = bytearray(json.dumps(parcel.facts).encode())
    tensors = {f"t.{name}": value.detach().cpu().contiguous() for name, value in parcel.tensors.items()}
    return save({_FACTS: torch.frombuffer(text, dtype=torch.uint8), **tensors})


def unpack(data: bytes) -> Parcel:
    """The parcel in these bytes. Tensors are on the CPU."""
    from safetensors.torch import load

    tensors = load(data)
    facts = json.loads(tensors.pop(_FACTS).numpy().tobytes())
    return Parcel(facts, {name.removeprefix("t."): value for name, value in tensors.items()})
