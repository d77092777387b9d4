"""`doctor`: does this machine have what training needs, and if not, what mends it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from simko.cli.cards import check_cards
from simko.cli.finding import Finding
from simko.cli.output import print_json
from simko.console import one_line
from simko.errors import UserError

GIB = 2**30
SHOWN = ("simko", "torch", "transformers", "peft", "bitsandbytes", "gymnasium", "math-verify")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)


def doctor(
    gpus: bool = typer.Option(
        False, "--gpus", help="check instead what cards tell each other: copies, an all-reduce, their speed, and a mend"
    ),
    engine_url: str | None = typer.Option(
        None, "--engine-url", metavar="TEXT", help="look at a vLLM server too, as http://host:8000", show_default=False
    ),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """Check that this machine has what training needs. Exits 1 if something fails."""
    findings: list[dict[str, Any]] = []
    for name, finding, more in _between_cards() if gpus else _of_this_machine(engine_url):
        findings.append({"name": name, **asdict(finding), **more})
        if not as_json:
            typer.echo(f"{finding.status:4}  {name:13}  {finding.detail}")
            if finding.mend:
                typer.echo(f"{'':19}  -> {finding.mend}")
    if as_json:
        print_json(findings)
    if any(finding["status"] == "fail" for finding in findings):
        raise typer.Exit(1)


def _of_this_machine(engine_url: str | None) -> Iterator[tuple[str, Finding, dict[str, Any]]]:
    checks = CHECKS | ({} if engine_url is None else {"engine": partial(engine, engine_url)})
    for name, look in checks.items():
        try:
            yield name, look(), {}
        except Exception as error:  # a broken package raises whatever it likes, and this is how it is found
            reason = f"{type(error).__name__}: {one_line(str(error))[:200]}"
            yield name, Finding("fail", reason, "reinstall: pip install --force-reinstall simko"), {}


def _between_cards() -> Iterator[tuple[str, Finding, dict[str, Any]]]:
    import torch

    for name, finding, measured in check_cards(torch.cuda.device_count()):
        yield name, finding, {"measured": measured}


def python() -> Finding:
    """The interpreter and the platform."""
    detail = f"{platform.python_version()} in {sys.prefix}, {platform.system()} {platform.machine()}"
    if platform.system() != "Linux":
        return Finding(
            "warn", detail, "Linux and WSL2 are the home platforms; time limits of verifiers may not hold here"
        )
    return Finding("ok", detail)


def packages() -> Finding:
    """Versions, against the lower bounds of simko's own metadata."""
    versions = {name: _version(name) for name in SHOWN}
    detail = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    try:
        wanted = metadata.requires("simko") or []
    except metadata.PackageNotFoundError:
        return Finding("warn", detail, "simko itself is not installed: pip install -e . in the checkout")
    bounds = [
        match.groups()
        for line in wanted
        if (match := re.fullmatch(r"([\w.-]+)(?:<[\d.]+,)?>=([\d.]+)(?:,<[\d.]+)?", line))
    ]
    stale = [f"'{name}>={bound}'" for name, bound in bounds if _numbers(_version(name) or "0") < _numbers(bound)]
    return Finding("fail", detail, f"pip install -U {' '.join(stale)}") if stale else Finding("ok", detail)


def gpu() -> Finding:
    """CUDA devices and their memory."""
    import torch

    from simko.device import cuda_memory

    if torch.cuda.is_available():
        devices = [_device(index) for index in range(torch.cuda.device_count())]
        free = max(cuda_memory(torch.device("cuda", index)).free for index in range(torch.cuda.device_count()))
        if free < 4 * GIB:
            return Finding(
                "warn", "; ".join(devices), "little memory is free: stop what else uses the GPU (nvidia-smi)"
            )
        return Finding("ok", "; ".join(devices))
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists():
        detail = f"an NVIDIA driver is here, but torch {torch.__version__} cannot use it"
        return Finding(
            "warn", detail, "install a CUDA build of torch that fits the driver (nvidia-smi shows its version)"
        )
    return Finding("warn", "no CUDA device: training runs on the CPU", "enough for `tiny`; larger models want a GPU")


def precision() -> Finding:
    """Whether the device computes in bfloat16."""
    import torch

    if not torch.cuda.is_available():
        return Finding("ok", f"float32 on the CPU, {torch.get_num_threads()} of {os.cpu_count()} threads")
    if torch.cuda.get_device_capability()[0] >= 8:
        return Finding("ok", "bfloat16")
    return Finding(
        "warn", "no bfloat16 before compute capability 8.0: float16 is used", "expect rarer, skipped updates"
    )


def four_bit() -> Finding:
    """A tiny NF4 layer: forward and backward, after an evaluation forward, against its own dequantised weights."""
    import torch

    from simko.agents.quantize import plain_weight

    device = "cuda" if torch.cuda.is_available() else "cpu"
    layer, _ = _nf4_layer(device)
    random = torch.Generator().manual_seed(0)
    x, gradient = (torch.randn(4, width, generator=random).to(device) for width in (96, 80))
    with torch.no_grad():
        layer.eval()(x)
    x.requires_grad_()
    y = layer(x)
    y.backward(gradient)
    weight = plain_weight(layer).float()
    pairs: list[tuple[Any, Any]] = [(y.detach(), x.detach() @ weight.T), (x.grad, gradient @ weight)]
    error = max(float((got - right).norm() / right.norm()) for got, right in pairs)
    if not error < 1e-2:
        detail = f"NF4 on {device}: forward or backward is off by {error:.0%}"
        return Finding("fail", detail, "pip install -U bitsandbytes, or train with --quantization none")
    return Finding("ok", f"NF4 forward and backward right on {device} (relative error {error:.1g})")


def avx512() -> Finding:
    """bitsandbytes has paths for CPUs with AVX512 that spoil gradients without an error. simko turns them off."""
    layer, by_default = _nf4_layer("cpu")
    if by_default is None:
        detail = "this bitsandbytes has no switch for its AVX512-BF16 path"
        return Finding("warn", detail, "on the CPU take the version of constraints.txt")
    if layer.support_avx512bf16_for_cpu:
        mend = "train on CUDA, or with --quantization none"
        return Finding("fail", "bitsandbytes' AVX512-BF16 path stays on: gradients on the CPU would be wrong", mend)
    return Finding(
        "ok", "bitsandbytes' AVX512-BF16 path " + ("is here, and switched off" if by_default else "is not here")
    )


def _nf4_layer(device: str) -> tuple[Any, bool | None]:
    """A quantised layer as a policy has it, and whether bitsandbytes would use AVX512-BF16 by default."""
    import torch

    from simko.agents.quantize import Linear4bit, make_trainable

    layer = Linear4bit(96, 80, bias=False, quant_type="nf4", compute_dtype=torch.float32).to(device)
    by_default = getattr(layer, "support_avx512bf16_for_cpu", None)
    make_trainable(layer)
    return layer, by_default


def verifier() -> Finding:
    """The worker that runs math-verify."""
    from simko.envs import grade

    right, wrong = (grade(f"so the answer is \\boxed{{{text}}}", "0.5") for text in (r"\frac{1}{2}", r"\frac{1}{3}"))
    if right.outcome != "correct" or wrong.outcome != "incorrect":
        detail = f"1/2 against 0.5 grades {right.outcome}, 1/3 grades {wrong.outcome}"
        return Finding("fail", detail, "pip install -U math-verify; then `simko env check simko/GSM8K-v0`")
    return Finding("ok", f"1/2 equals 0.5 and 1/3 does not ({right.seconds + wrong.seconds:.2f} s)")


def sandbox() -> Finding:
    """What programs of a model would run in. Only tasks with the verifier `code` run any."""
    from simko.envs.code import jails

    try:
        return Finding("ok", f"programs of a model (verifier code) run in {jails.chosen().name}")
    except UserError as error:
        reason, _, mend = str(error).rpartition("; ")
        return Finding("warn", f"programs of a model (verifier code) cannot run: {reason}", mend)


def memory() -> Finding:
    """Memory of the machine."""
    import psutil

    memory = psutil.virtual_memory()
    detail = f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f} GiB"
    if memory.available < 3 * GIB:
        return Finding("warn", detail, "loading torch and a model wants about 3 GiB: close other programs")
    return Finding("ok", detail)


def disk() -> Finding:
    """Space where runs are written, and whether the place can be written."""
    here = Path.cwd()
    free = shutil.disk_usage(here).free / GIB
    detail = f"{free:.1f} GiB free in {here}"
    if not os.access(here, os.W_OK):
        return Finding("fail", f"{here} is not writable", "change to another folder, or give --out")
    if free < 5:
        mend = "a run takes up to a few GiB: free some, or give --out on another disk"
        return Finding("fail" if free < 0.5 else "warn", detail, mend)
    return Finding("ok", detail)


def data() -> Finding:
    """Where benchmarks are read from."""
    folder = os.path.expanduser(os.environ.get("SIMKO_DATA", ""))
    if not folder:
        return Finding("ok", "SIMKO_DATA is not set: benchmarks come from --data or the Hub")
    if not Path(folder).is_dir():
        return Finding("fail", f"SIMKO_DATA is {folder}, which is not a folder", "point it at the data, or unset it")
    return Finding("ok", f"SIMKO_DATA is {folder}")


def engine(url: str) -> Finding:
    """A vLLM server for `--engine vllm-server`."""
    from simko.agents.engine.vllm_look import look
    from simko.agents.engine.vllm_reply import start_command
    from simko.config import ModelSettings

    try:
        seen = look(url)
    except UserError as error:
        return Finding("fail", str(error), f"start one with: {start_command('MODEL', ModelSettings().lora_rank)}")
    length = f", up to {seen.max_model_len:,} tokens" if seen.max_model_len else ""
    detail = f"vLLM {seen.version} with {one_line(seen.model)[:100] or 'no model'}{length}"
    if seen.missing:
        command = start_command(one_line(seen.model)[:100] or "MODEL", ModelSettings().lora_rank)
        return Finding("fail", f"{detail}, without {', '.join(seen.missing)}", f"start it with: {command}")
    return Finding("ok", f"{detail}; loads adapters, and gives the log-probs that it samples by")


CHECKS: dict[str, Callable[[], Finding]] = {
    "python": python,
    "packages": packages,
    "gpu": gpu,
    "precision": precision,
    "4-bit": four_bit,
    "avx512": avx512,
    "verifier": verifier,
    "sandbox": sandbox,
    "memory": memory,
    "disk": disk,
    "data": data,
}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _device(index: int) -> str:
    import torch

    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    at = f"compute {properties.major}.{properties.minor}"
    return f"cuda:{index} {properties.name}, {free / GIB:.1f} GiB free of {total / GIB:.1f} GiB, {at}"
