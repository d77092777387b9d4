"""What this machine has: its devices, its memory, and the peak of a stretch of work."""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
from pathlib import Path
from typing import Any

import torch

from simko.errors import UserError

_M_MMAP_THRESHOLD = -3  # of malloc.h


def release(device: torch.device) -> None:
    """Give freed memory back, so that what one phase has freed does not stand beside what the next one takes.

    On CPU glibc keeps freed tensors below 32 MiB in its heap; after a merged copy of a 135M model that was 0.8 GB.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif (trim := _libc("malloc_trim")) is not None:
        trim(0)


def keep_apart(device: torch.device) -> None:
    """On CPU: tensors from 4 MiB on get pages of their own, huge ones where the kernel gives them, and free them when they die.

    glibc would raise that limit to 32 MiB as a program runs and mix them into a heap that never shrinks: an update whose
    tensors came to 0.4 GB held 1.9 GB. It costs 5-8 % of an update's CPU time; without huge pages (see
    `simko.agents.__init__`) it would cost 30 %.
    """
    if device.type == "cpu" and (mallopt := _libc("mallopt")) is not None:
        mallopt(_M_MMAP_THRESHOLD, 4 * 2**20)


def cuda_bytes(device: torch.device) -> int:
    """What this process may take of a GPU: what is free, and what it holds already."""
    return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))


class Peak:
    """The peak of a stretch of work, in bytes: `start`, work, `read`. What the process held before counts, too.

    CUDA: torch's reserved memory and what the context takes beside it. Linux on CPU: resident memory. `read` is None elsewhere.
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
                self._device = torch.device("meta")

    def read(self) -> int | None:
        """The peak since `start`."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            free, total = torch.cuda.mem_get_info(self._device)
            beside = total - free - torch.cuda.memory_reserved(self._device)
            return int(torch.cuda.max_memory_reserved(self._device) + max(beside, 0))
        if self._device.type != "cpu":
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return None if found is None else int(found[1]) * 1024


@functools.cache
def _libc(name: str) -> Any:
    """A function of glibc; None on other systems, and where another allocator may be in place."""
    if not sys.platform.startswith("linux") or os.environ.get("LD_PRELOAD"):
        return None
    try:
        return getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None


def pick_device(device: str) -> torch.device:
    """`auto` is CUDA where there is one (the local rank's under torchrun), else the CPU.

    Raises:
        UserError: a device that torch does not know or that is not there.
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
