"""The machine's devices and memory: pick a device, release memory, measure a peak."""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from simko.errors import UserError
from simko.sizes import CUDA_CONTEXT_BYTES

_M_MMAP_THRESHOLD = -3  # of malloc.h


def release(device: torch.device) -> None:
    """Give freed memory back, so that it does not add to the peak of the next phase.

    On a CPU glibc keeps freed tensors below 32 MiB in its heap. After a merged copy of a 135M model that was 0.8 GB.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif (trim := _libc("malloc_trim")) is not None:
        trim(0)


def keep_apart(device: torch.device) -> None:
    """Give each CPU tensor of 4 MiB or more its own pages, which the kernel gets back when the tensor dies.

    By itself glibc raises this limit to 32 MiB while a program runs. Smaller tensors then lie in a heap that never
    shrinks: an update whose tensors came to 0.4 GB held 1.9 GB. The price is 5-8 % of an update's CPU time with huge
    pages (see `simko.agents.__init__`); without them it would be 30 %.
    """
    if device.type == "cpu" and (mallopt := _libc("mallopt")) is not None:
        mallopt(_M_MMAP_THRESHOLD, 4 * 2**20)


class CudaMemory(NamedTuple):
    """Bytes of a GPU that this process may hold in tensors, and those of them that are free. Others' are in neither."""

    usable: int
    free: int


def cuda_memory(device: torch.device) -> CudaMemory:
    """The memory of a GPU as this process sees it; the only place that asks.

    The driver counts the blocks that torch keeps for later as taken, and it does not know of a limit set by
    `torch.cuda.set_per_process_memory_fraction`. CUDA's own context is not in these bytes (`simko.sizes.CUDA_CONTEXT_BYTES`).
    """
    free, total = torch.cuda.mem_get_info(device)
    allowed = int(total * torch.cuda.get_per_process_memory_fraction(device))
    usable = min(free + torch.cuda.memory_reserved(device), allowed)
    return CudaMemory(int(usable), int(max(0, usable - torch.cuda.memory_allocated(device))))


def to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to a device. On CUDA the host does not wait: not for the copy, nor for what the device still computes.

    From pageable memory it would wait for all that is queued. torch keeps the pinned block until the copy is done.
    """
    tensor = torch.from_numpy(values)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_host(*tensors: Tensor) -> list[NDArray[Any]]:
    """Copy tensors to arrays. This waits once for all that the device has queued."""
    return [tensor.cpu().numpy() for tensor in tensors]


class Peak:
    """The memory peak of a stretch of work, in bytes. Call `start`, do the work, call `read`.

    Memory that the process held before counts, too. On CUDA it is torch's reserved memory and what the context is assumed to
    take, since the driver does not tell whose the rest is; on a CPU under Linux it is resident memory. Elsewhere `read`
    returns None.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def start(self) -> None:
        """Forget earlier peaks."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:
                self._device = torch.device("meta")  # the mark cannot be reset: `read` returns None

    def read(self) -> int | None:
        """Bytes at the peak since `start`; None if this system does not tell."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            return int(torch.cuda.max_memory_reserved(self._device) + CUDA_CONTEXT_BYTES)
        if self._device.type != "cpu":
            return None
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return None if peak is None else int(peak[1]) * 1024


@functools.cache
def _libc(name: str) -> Any:
    """Return a function of glibc; None on other systems, and if another allocator may be in place (LD_PRELOAD)."""
    if not sys.platform.startswith("linux") or os.environ.get("LD_PRELOAD"):
        return None
    try:
        return getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None


def pick_device(device: str) -> torch.device:
    """Return the torch device of that name; `auto` is CUDA if there is one, else the CPU.

    Under torchrun, `auto` takes the GPU of the local rank.

    Raises:
        UserError: torch does not know the device, or this machine does not have it.
    """
    if device == "auto":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"device '{device}' cannot be used ({str(error).strip().splitlines()[0]}); try 'auto' or 'cpu'"
        ) from error
    return torch.device("cuda", torch.cuda.current_device()) if device == "cuda" else chosen
