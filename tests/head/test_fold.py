"""Every tier passes `test_head.py` and `test_extras.py`; which tier runs where; on a GPU, half precision against float64."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from simko.head import Tile, fold, tile_for, token_statistics

SUITE = [Path(__file__).with_name(name) for name in ("test_head.py", "test_extras.py")]
TESTS = Path(__file__).parent.parent
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton: pip install triton")


def suite(tier: str, *arguments: str, **environ: str) -> str:
    """Run the suite with that tier; return its output, or fail with it."""
    command = [sys.executable, "-m", "pytest", *map(str, SUITE), "-q", "-p", "no:cacheprovider", *arguments]
    environ = {**os.environ, "SIMKO_TEST_HEAD_TIER": tier, "PYTHONPATH": str(TESTS), **environ}
    run = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=TESTS)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    return run.stdout


@needs_triton
@pytest.mark.slow
def test_triton_passes_the_suite_in_its_interpreter() -> None:
    # left out: thousands of steps, which take minutes and show what lies in the products, outside the kernel; and the
    # sizes of tensors, which the interpreter copies. numpy warns of inf - inf, where a kernel gives nan.
    quiet = ("-W", "ignore:invalid value:RuntimeWarning")
    assert "passed" in suite("triton", "-k", "not thousands and not outlive", *quiet, TRITON_INTERPRET="1")


def test_auto_is_torch_on_a_cpu() -> None:
    assert fold.fold_of("auto", torch.device("cpu")) is fold.fold


def test_triton_without_cuda_or_triton_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(fold, "_has_triton", lambda: True)
    with pytest.raises(ValueError, match="needs a CUDA device, not cpu"):
        fold.fold_of("triton", torch.device("cpu"))
    monkeypatch.setattr(fold, "_has_triton", lambda: False)
    with pytest.raises(ValueError, match="pip install triton"):
        fold.fold_of("triton", torch.device("cpu"))
    assert fold.fold_of("auto", torch.device("cuda")) is fold.fold


def test_an_unknown_tier_is_refused() -> None:
    # a TypeError where the types of arguments are checked, as in these tests
    with pytest.raises((ValueError, TypeError), match=r"auto.*torch.*triton"):
        fold.fold_of("cuda", torch.device("cpu"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("rows", "vocabulary"), [(1, 1), (3, 100), (1024, 151_936), (10**6, 151_936), (10**6, 300)])
def test_a_tile_fits_the_problem_and_the_memory(rows: int, vocabulary: int) -> None:
    tile = tile_for(rows, vocabulary, torch.device("cpu"))
    assert 1 <= tile.rows <= rows
    assert 1 <= tile.width <= vocabulary
    assert 4 * tile.rows * tile.width <= 8 * 2**20


@pytest.mark.gpu
@pytest.mark.parametrize("tier", ["torch", "triton"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_on_a_gpu_as_near_to_float64_as_the_dtype_allows(tier: fold.Tier, dtype: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(300, 128, generator=rng).to("cuda", dtype).requires_grad_()
    weight = (0.2 * torch.randn(50_003, 128, generator=rng)).to("cuda", dtype)
    ids = torch.randint(50_003, (300,), generator=rng).cuda()
    ours = token_statistics(hidden, weight, ids, tier=tier, tile=Tile(128, 9_000))
    exact_in = hidden.detach().double().requires_grad_()
    logp = torch.log_softmax(exact_in @ weight.double().t(), -1)
    truth = logp.gather(1, ids[:, None])[:, 0]
    tolerance = 2e-3 if dtype == torch.float32 else 1e-2  # a float32 GEMM may run in TF32
    torch.testing.assert_close(ours.logp.double(), truth, rtol=0, atol=tolerance)
    torch.testing.assert_close(ours.entropy.double(), -(logp.exp() * logp).sum(-1).detach(), rtol=0, atol=tolerance)
    mine = torch.autograd.grad(ours.logp.sum(), hidden)[0].double()
    exact = torch.autograd.grad(truth.sum(), exact_in)[0]
    assert (mine - exact).norm() < 0.01 * exact.norm()


@pytest.mark.gpu
def test_on_a_gpu_no_logits_are_ever_whole() -> None:
    n, d, v = 4096, 512, 151_936
    hidden = torch.randn(n, d, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    weight = torch.randn(v, d, device="cuda", dtype=torch.bfloat16)
    ids = torch.randint(v, (n,), device="cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    token_statistics(hidden, weight, ids).logp.sum().backward()
    assert torch.cuda.max_memory_allocated() - before < n * v
