"""The memory of a cache is taken as it is written."""

from __future__ import annotations

import gc
import re
import sys
from pathlib import Path

import pytest
import torch

from simko.agents.engine.cache import zeros_on_demand


def resident() -> int:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 1, 4, 8), (64, 3, 160, 64)])
def test_it_is_zeros_of_the_type_asked_for(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    states = zeros_on_demand(shape, torch.ones(1, dtype=dtype))
    assert (states.dtype, tuple(states.shape)) == (dtype, shape)
    assert not states.any()
    states[1:, :, 3] = 2
    assert states.sum() == 2 * states[1:, :, 3].numel()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_is_not_written_takes_no_memory_and_the_rest_is_given_back() -> None:
    gc.collect()
    before = resident()
    states = zeros_on_demand((64, 4, 1024, 64), torch.ones(1))  # 64 MiB
    assert resident() - before < 8 * 2**20
    states[:, :, :256] = 1
    assert 10 * 2**20 < resident() - before < 32 * 2**20
    states[:16].add_(1)
    del states
    assert resident() - before < 8 * 2**20
