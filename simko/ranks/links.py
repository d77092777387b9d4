"""`python -m simko.ranks.links`: one process of `simko doctor --gpus`. It says what it measured, one JSON object a line.

Over PCIe a copy from card to card may hang, or arrive changed without an error: on cards without peer-to-peer support (RTX
4090), and where an IOMMU is on (NVIDIA/nccl-tests#117, NVIDIA/open-gpu-kernel-modules#45). So numbers are compared one by
one, each check runs in a fresh process, and whoever starts it ends it when it has said nothing for too long.

Not yet run on a GPU.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

ROUNDS = 5
NUMBERS = 4 * 2**20  # of 4 bytes, as many as the adapter of a small model has


def main(arguments: Sequence[str]) -> None:
    """`copies SECONDS [[source, target], ...]`, or `sum SECONDS {"rank": ..., "size": ..., "backend": ..., "store": ...}`."""
    check, seconds, rest = arguments
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(seconds))  # the kernel ends this process although it hangs, and although nobody waits any more
    say({"ready": torch.__version__})
    if check == "copies":
        for source, target in json.loads(rest):
            say({"source": source, "target": target, **copies(source, target)})
    else:
        say(sums(**json.loads(rest), seconds=float(seconds)))


def copies(source: str, target: str) -> dict[str, Any]:
    """Copy sentinels from device to device: how many numbers arrived changed, and bytes a second."""
    changed = 0
    for turn in range(ROUNDS):
        sentinel = torch.randint(
            2**31 - 1, (NUMBERS,), dtype=torch.int32, generator=torch.Generator().manual_seed(turn)
        )
        here = sentinel.to(source)
        there = torch.full_like(sentinel, -1, device=target)  # a copy that does nothing leaves -1
        transfer(here, there)
        changed += int((there.cpu() != sentinel).sum())
    wait_for(source, target)
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        transfer(here, there)
    wait_for(source, target)
    return {"changed": changed, "bytes_per_second": ROUNDS * 4 * NUMBERS / (time.perf_counter() - begun)}


def transfer(here: Tensor, there: Tensor) -> None:
    """The copy that is checked."""
    there.copy_(here)


def sums(rank: int, size: int, backend: str, store: str, seconds: float) -> dict[str, Any]:
    """Add up sentinels of all ranks: how many sums are wrong, and bytes a second through this rank's link.

    A ring all-reduce of n bytes sends 2 n (size - 1) / size bytes over each link (NVIDIA/nccl-tests, doc/PERFORMANCE.md).
    """
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        backend, init_method=f"file://{store}", rank=rank, world_size=size, timeout=timedelta(seconds=seconds)
    )
    wrong = 0
    for turn in range(ROUNDS):
        values = sentinel_of(rank, turn).to(device)
        add_up(values)
        right = torch.stack([sentinel_of(peer, turn) for peer in range(size)]).sum(0)
        wrong += int((values.cpu() != right).sum())
    values.zero_()
    wait_for(device)
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        add_up(values)
    wait_for(device)
    passed = time.perf_counter() - begun
    dist.destroy_process_group()
    sent = ROUNDS * 4 * NUMBERS * 2 * (size - 1) / size
    return {"rank": rank, "changed": wrong, "bytes_per_second": sent / passed, "seconds": passed / ROUNDS}


def add_up(values: Tensor) -> None:
    """The all-reduce that is checked."""
    dist.all_reduce(values)


def sentinel_of(rank: int, turn: int) -> Tensor:
    """Whole numbers that differ by place, rank and turn, small enough that float32 adds them without rounding."""
    return ((torch.arange(NUMBERS) * 31 + rank * 7 + turn) % 1021).float()


def wait_for(*devices: torch.device | str) -> None:
    """Until these devices have done their work."""
    for device in map(torch.device, devices):
        if device.type == "cuda":
            torch.cuda.synchronize(device)


def say(fact: dict[str, Any]) -> None:
    """One line for the process that reads."""
    print(json.dumps(fact), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
