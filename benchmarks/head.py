"""The loss head: log p of the sampled id, and dL/dh, for N response tokens. Ours gives K candidates, entropy and top-1, too.

Each extra is timed beside it. "nucleus_entropy" and "proxy" take a second sweep for the rows that their candidates do not settle:
all rows of these flat distributions. With `sure`, that share of the rows has a distribution like most of a trained model's.

On a CPU: float32, N = 1024, D = 896, V = 151,936, K = 3. On CUDA: bfloat16, N = 8192, D = 2048. The weight is frozen in every
case, as with LoRA. The floor is only the two products with the vocabulary that every exact method needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from benchmarks.common import Case, Options, Result, compare

TITLE = "loss head: log-probs over the vocabulary and the gradient to the hidden states"
_HERE = "benchmarks.head"
_CPU = {"n": 1024, "d": 896, "v": 151_936, "k": 3, "device": "cpu", "dtype": "float32"}
_CUDA = {"n": 8192, "d": 2048, "v": 151_936, "k": 3, "device": "cuda", "dtype": "bfloat16"}
_QUICK = {"n": 128, "d": 64, "v": 8_192}
_TRL, _LIGER = {"trl": "trl==1.16.0"}, {"liger-kernel": "liger-kernel==0.8.5"}


def _inputs(n: int, d: int, v: int, device: str, dtype: str) -> tuple[Any, Any, Any]:
    import torch

    rng = torch.Generator().manual_seed(0)
    as_type: dict[str, Any] = {"device": device, "dtype": getattr(torch, dtype)}
    hidden = torch.randn(n, d, generator=rng).to(**as_type).requires_grad_()
    weight = (0.05 * torch.randn(v, d, generator=rng)).to(**as_type)
    return hidden, weight, torch.randint(v, (n,), generator=rng).to(device)


def ours(
    n: int, d: int, v: int, k: int, device: str, dtype: str, tier: Any = "auto", extra: Any = (), sure: float = 0.0
) -> Callable[[], None]:
    """Compute `simko.head.token_statistics`, perhaps with extras, and the gradient of what has one."""
    import torch

    from simko.head import token_statistics

    hidden, weight, ids = _inputs(n, d, v, device, dtype)
    certain = int(sure * n)
    target = weight[ids[:certain]]
    hidden.data[:certain] = 40 * target / target.square().sum(-1, keepdim=True)  # its logit is 40

    def once() -> None:
        out = token_statistics(hidden, weight, ids, k, tier=tier, extra=frozenset(extra))
        columns = (out.logp, out.topk_logp, out.entropy, out.nucleus_entropy)
        torch.autograd.grad([c.mean() for c in columns if c is not None and c.requires_grad], hidden)

    return once


def naive(n: int, d: int, v: int, k: int, device: str, dtype: str) -> Callable[[], None]:
    """Compute whole logits, `log_softmax`, gather, and entropy without a gradient."""
    import torch

    hidden, weight, ids = _inputs(n, d, v, device, dtype)

    def once() -> None:
        logp = torch.log_softmax((hidden @ weight.t()).float(), -1)
        with torch.no_grad():
            -(logp.exp() * logp).sum(-1)
        torch.autograd.grad(logp.gather(1, ids[:, None]).mean(), hidden)

    return once


def copies(n: int, d: int, v: int, k: int, device: str, dtype: str) -> Callable[[], None]:
    """Copy the logits for each of K candidates, as the published SimKO code does."""
    import torch

    hidden, weight, ids = _inputs(n, d, v, device, dtype)

    def once() -> None:
        logits = (hidden @ weight.t()).float()
        columns = [ids, *logits.detach().topk(k, -1).indices.unbind(1)]
        logp = [torch.log_softmax(logits.clone(), -1).gather(1, column[:, None]) for column in columns]
        torch.autograd.grad(torch.cat(logp, 1).mean(), hidden)

    return once


def trl(n: int, d: int, v: int, k: int, device: str, dtype: str) -> Callable[[], None]:
    """Compute TRL's chunked log-prob with its GRPOTrainer's tile and outputs: one id, and entropy."""
    import torch
    from trl.kernels import ChunkedLogProbFunction
    from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE as TILE

    hidden, weight, ids = _inputs(n, d, v, device, dtype)

    def once() -> None:
        outputs = ("log_probs", "entropy")
        logp = ChunkedLogProbFunction.apply(hidden, weight, None, ids, 1.0, TILE, None, 1.0, outputs)[0]
        torch.autograd.grad(logp.mean(), hidden)

    return once


def liger(n: int, d: int, v: int, k: int, device: str, dtype: str) -> Callable[[], None]:
    """Compute Liger's chunked log-prob, the head of its fused GRPO loss: one id."""
    import torch
    from liger_kernel.chunked_loss.fused_linear_ppo import LigerFusedLinearPPOBase

    hidden, weight, ids = _inputs(n, d, v, device, dtype)

    def once() -> None:
        logp = LigerFusedLinearPPOBase.chunk_forward(hidden[None], weight, ids[None])
        torch.autograd.grad(logp.mean(), hidden)

    return once


def floor(n: int, d: int, v: int, k: int, device: str, dtype: str, product: str) -> Callable[[], None]:
    """Compute only `Z = h W^T` and `P W`, tile by tile in the same space, by torch.mm or by `simko.head.linear`."""
    import torch

    from simko.head.linear import linear

    hidden, weight, _ = _inputs(n, d, v, device, dtype)
    width = 4096 if device == "cpu" else 32_768

    @torch.no_grad()
    def once() -> None:
        out, space = torch.zeros_like(hidden), hidden.new_empty(n * width)
        for start in range(0, v, width):
            block = weight[start : start + width]
            if product == "mm":
                z = space[: n * len(block)].view(n, len(block))
                torch.mm(hidden, block.t(), out=z)
                out.addmm_(z, block)
            else:
                out += linear(linear(hidden, block), block.t())

    return once


def run(options: Options) -> Result:
    """Time ours in every tier that runs here, each peer, and the floor."""
    import torch

    from simko.head import Extra

    cuda = torch.cuda.is_available()
    size: dict[str, Any] = {**(_CUDA if cuda else _CPU), **(_QUICK if options.quick else {})}
    cases = [
        Case("simko", f"{_HERE}:ours", size, "ours"),
        *(Case(f"simko, {name}", f"{_HERE}:ours", {**size, "extra": [name]}, "other") for name in get_args(Extra)),
        *(
            Case(f"simko, {name}, 90 % sure", f"{_HERE}:ours", {**size, "extra": [name], "sure": 0.9}, "other")
            for name in ("nucleus_entropy", "proxy")
        ),
        *([Case("simko, tier torch", f"{_HERE}:ours", {**size, "tier": "torch"}, "other")] if cuda else []),
        Case("two GEMMs", f"{_HERE}:floor", {**size, "product": "mm"}, "other"),
        Case("two GEMMs, simko.head.linear", f"{_HERE}:floor", {**size, "product": "linear"}, "other"),
        Case("liger", f"{_HERE}:liger", size, needs=_LIGER),
        Case("trl", f"{_HERE}:trl", size, needs=_TRL),
        Case("naive", f"{_HERE}:naive", size),
        Case("K copies", f"{_HERE}:copies", size, repeats=2),
    ]  # fmt: skip
    time = "wall_s" if cuda else "cpu_s"
    goals = {f"{time}/trl": 0.45, f"{time}/liger": 0.8}
    result = compare("head", TITLE, cases, options, repeats=3, targets=goals, setting=size)
    if options.quick:
        return result
    mine = result.samples["simko"]
    for name in {"two GEMMs", "two GEMMs, simko.head.linear"} & result.samples.keys():
        share = result.samples[name].median(time) / mine.median(time)
        result.notes.append(f"{share:.0%} of the floor of {name}, by {time} (goal 85 %)")
    result.notes.append(f"peak of simko {max(mine.column('peak_mib')):.0f} MiB (goal 100), above weights and inputs")
    return result
