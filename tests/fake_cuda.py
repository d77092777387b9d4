"""A GPU that computes nothing: tensors say that they are on `cuda:0`, and torch checks shapes, dtypes and devices alone.

torch raises as on a card where tensors of two devices meet. `Crossings` lists for what the host would wait.
"""

from __future__ import annotations

import copy
import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bitsandbytes.functional import QuantState
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from simko import device as devices
from simko.head.sweep import adds_in_place

CUDA = torch.device("cuda", 0)
FREE, TOTAL = 6 * 2**30, 8 * 2**30
aten = torch.ops.aten
_INDEXING = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}
_META = 14  # of c10::DeviceType; CUDA is 1


class Crossings(TorchDispatchMode):
    """Lists what crosses between host and device, in `seen`.

    `to_device` and `to_host` are calls of `simko.device`. `blocking` are copies that go another way. `read` is a value that the
    host asks for: it gets True, or 0, and of `any()` what `any_is` says. A mask that selects has True everywhere, and no two
    entries are equal.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.any_is = False

    def waits(self) -> list[str]:
        """Everything for which the host waits."""
        return [kind for kind in self.seen if kind != "to_device"]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is aten._local_scalar_dense.default:
            self.seen += ["read"] * (args[0].device.type == "cuda")
            if args[0].dtype == torch.bool:
                return self.any_is if getattr(args[0], "of_any", False) else True
            return 0.0 if args[0].is_floating_point() else 0
        if func in (aten.nonzero.default, aten._unique2.default) and args[0].device.type == "cuda":
            self.seen.append("read")
            flat = args[0].new_empty(args[0].numel(), dtype=args[0].dtype)
            places = args[0].new_empty(args[0].shape, dtype=torch.int64)
            if func is aten._unique2.default:
                return flat, places, places.flatten()
            return places.new_empty(args[0].numel(), args[0].dim())
        if func in _INDEXING:
            args = (args[0], self._places(args[0], args[1]), *args[2:])
        out = func(*args, **(kwargs or {}))
        if func is aten.any.default:
            out.of_any = True
        if func is aten._to_copy.default and args[0].device != out.device:
            self.seen.append(f"blocking {args[0].device.type} to {out.device.type}")
        if func is aten.copy_.default and args[0].device != args[1].device:
            self.seen.append(f"blocking {args[1].device.type} to {args[0].device.type}")
        return out

    def _places(self, of: torch.Tensor, indices: Any) -> list[Any]:
        places: list[Any] = []
        for index in indices:
            if index is not None and index.dtype == torch.bool:
                self.seen.append("read")
                places += [index.new_empty(index.numel(), dtype=torch.int64) for _ in range(index.dim())]
                continue
            if index is not None and index.dim() and index.device != of.device:
                self.seen.append(f"blocking {index.device.type} to {of.device.type}")
            places.append(index)
        return places


@contextmanager
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crossings]:
    """Inside, tensors may be made on `CUDA`. Arrays that come from it are zeros."""
    _guard_devices(monkeypatch)
    crossings = Crossings()

    def to_device(values: Any, device: torch.device) -> torch.Tensor:
        crossings.seen.append("to_device")
        return torch.empty(values.shape, dtype=torch.from_numpy(values).dtype, device=device)

    def to_host(*tensors: torch.Tensor) -> list[Any]:
        crossings.seen.append("to_host")
        return [_values(tensor) for tensor in tensors]

    for name, stand_in in (("to_device", to_device), ("to_host", to_host)):
        real = getattr(devices, name)
        for module in list(sys.modules.values()):
            if (
                module is not None
                and getattr(module, "__name__", "").startswith("simko")
                and vars(module).get(name) is real
            ):
                monkeypatch.setattr(module, name, stand_in)
    monkeypatch.setattr("simko.head.fold._has_triton", lambda: False)  # its kernel has a test in the interpreter
    monkeypatch.setattr(FakeTensor, "numpy", _values, raising=False)
    monkeypatch.setattr(FakeTensor, "tolist", lambda tensor: _values(tensor.cpu()).tolist(), raising=False)
    memory = {"mem_get_info": (FREE, TOTAL), "memory_reserved": 2**30, "memory_allocated": 2**29}
    for name, value in memory.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda *_: 1.0)
    try:
        with FakeTensorMode(), crossings:
            yield crossings
    finally:
        adds_in_place.cache_clear()


def _values(tensor: torch.Tensor) -> Any:
    """What the host reads: True, or zeros."""
    return np.full(tensor.shape, tensor.dtype == torch.bool, str(tensor.dtype).removeprefix("torch."))


def _guard_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a torch without CUDA switch to a fake device: its table of guards gets that of `meta`, which does nothing."""
    if torch.version.cuda is not None or torch.version.hip is not None:
        return  # FakeTensorMode sees to it
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * 16).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    monkeypatch.setitem(_Table(guards), 1, guards[_META])


class _Table(dict[int, Any]):
    """What `monkeypatch.setitem` needs of the array of guards."""

    def __init__(self, guards: Any) -> None:
        super().__init__({1: guards[1]})
        self._guards = guards

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        self._guards[key] = value


def to_fake_cuda(policy: Any, dtype: torch.dtype = torch.bfloat16) -> None:
    """Turn a `LoraPolicy` in float32 on the CPU, in place, into what it would be on a GPU. Call it inside `fake_cuda`."""
    model = policy.model.get_base_model()
    twins: dict[int, Any] = {}

    def twin(tensor: torch.Tensor, adapter: bool) -> Any:
        if id(tensor) not in twins:
            kept = adapter or not tensor.is_floating_point()
            fake = torch.empty(tensor.shape, dtype=tensor.dtype if kept else dtype, device=CUDA)
            made: Any = (
                torch.nn.Parameter(fake, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else fake
            )
            for name, value in vars(tensor).items():  # what bitsandbytes keeps beside a quantised weight
                setattr(made, name, _state(value, dtype) if isinstance(value, QuantState) else _plain(value))
            twins[id(tensor)] = made
        return twins[id(tensor)]

    for name, module in policy.model.named_modules():
        for tensors in (module._parameters, module._buffers):
            for key, tensor in tensors.items():
                if tensor is not None:
                    tensors[key] = twin(tensor, "lora_" in name or "rotary" in name)
        for key, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor):
                setattr(module, key, twin(value, True))
        if isinstance(module, Linear4bit):
            module.__class__ = Linear4bit
            module.compute_dtype, module.quant_state = dtype, module.weight.quant_state
        if isinstance(module, Linear8bitLt):
            module.eval()
            module.state.CB, module.state.SCB = (
                torch.empty(module.weight.shape, dtype=torch.int8, device=CUDA),
                torch.empty(module.weight.shape[0], device=CUDA),
            )
    model.config.dtype = dtype
    policy.device, policy.dtype = model.device, model.dtype


def _plain(value: Any) -> Any:
    return torch.empty(value.shape, dtype=value.dtype, device=CUDA) if isinstance(value, torch.Tensor) else value


def _state(state: QuantState, dtype: torch.dtype) -> QuantState:
    made = copy.copy(state)
    for name, value in vars(state).items():
        setattr(made, name, _state(value, torch.float32) if isinstance(value, QuantState) else _plain(value))
    made.dtype = dtype
    return made
