"""Memory of a GPU is counted in one way; copies to it do not wait. `torch.cuda` is a stand-in that is written down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from simko import device as devices
from simko.device import CudaMemory, Peak, cuda_memory, to_device, to_host
from simko.sizes import CUDA_CONTEXT_BYTES

GB = 10**9
CUDA = torch.device("cuda", 0)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A card of 24 GB: 5 are another's, 1 is our context, torch keeps 8 and uses 6 of them."""
    numbers: dict[str, Any] = {
        "mem_get_info": (10 * GB, 24 * GB), "memory_reserved": 8 * GB, "memory_allocated": 6 * GB,
        "max_memory_reserved": 9 * GB, "get_per_process_memory_fraction": 1.0,
    }  # fmt: skip
    for name in numbers:
        monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: numbers[name])
    for name in ("synchronize", "reset_peak_memory_stats", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: numbers.setdefault("calls", []).append(name))
    return numbers


def test_what_torch_keeps_is_free_and_what_others_hold_is_not(card: dict[str, Any]) -> None:
    assert cuda_memory(CUDA) == CudaMemory(usable=18 * GB, free=12 * GB)
    # what this process holds does not change what it may use
    card |= {"mem_get_info": (4 * GB, 24 * GB), "memory_reserved": 14 * GB, "memory_allocated": 14 * GB}
    assert cuda_memory(CUDA) == CudaMemory(usable=18 * GB, free=4 * GB)


def test_a_limit_of_this_process_counts(card: dict[str, Any]) -> None:
    card["get_per_process_memory_fraction"] = 1 / 3  # 8 GB of 24
    assert cuda_memory(CUDA) == CudaMemory(usable=8 * GB, free=2 * GB)
    card["memory_allocated"] = 9 * GB
    assert cuda_memory(CUDA).free == 0


def test_a_peak_on_a_gpu_leaves_out_other_processes(card: dict[str, Any]) -> None:
    peak = Peak(CUDA)
    peak.start()
    assert card["calls"] == ["synchronize", "reset_peak_memory_stats"]
    assert peak.read() == 9 * GB + CUDA_CONTEXT_BYTES


def test_memory_is_released_in_one_way(card: dict[str, Any]) -> None:
    devices.release(CUDA)
    assert card["calls"] == ["empty_cache"]


def test_only_this_module_asks_for_free_memory() -> None:
    root = Path(__file__).parents[1]
    asking = {
        path.relative_to(root).as_posix()
        for folder in ("simko", "agents", "envs")
        for path in (root / folder).rglob("*.py")
        if re.search(r"mem_get_info|memory_reserved|memory_allocated", path.read_text(encoding="utf-8"))
    }
    # doctor shows what the driver says of the whole card
    assert {path.removeprefix("simko/agents/") for path in asking} <= {"simko/device.py", "simko/cli/doctor.py"}


def test_arrays_reach_a_cpu_as_they_are() -> None:
    array = np.arange(6).reshape(2, 3)
    assert torch.equal(to_device(array, torch.device("cpu")), torch.from_numpy(array))
    transposed, other = to_host(torch.from_numpy(array).t(), torch.tensor(2.5))
    assert transposed.tolist() == array.T.tolist()
    assert float(other) == 2.5


def test_copies_to_a_gpu_leave_pinned_memory_and_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)

    class Copies(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten._to_copy.default:
                assert args[0] is pinned[-1]
                assert kwargs["non_blocking"]
                assert kwargs["device"] == CUDA
            return func(*args, **(kwargs or {}))

    with FakeTensorMode(), Copies():
        for array in (np.zeros(3, dtype=np.int64), np.zeros((3, 4)).T):
            tensor = to_device(array, CUDA)
            assert (tensor.device, tuple(tensor.shape)) == (CUDA, array.shape)
    assert len(pinned) == 2
