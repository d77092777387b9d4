"""The machine of a page: device, driver and versions. A child asks, so that the caller holds no memory of the GPU."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT

PACKAGES = ("torch", "triton", "transformers", "peft", "bitsandbytes", "trl", "liger-kernel", "datasets", "simko")


def ask(environ: Mapping[str, str]) -> dict[str, Any]:
    """Describe the machine as a child with these variables sees it. `cuda` is False without a usable GPU; `why` says why.

    Raises:
        RuntimeError: the child gave no answer, for example because torch is not installed.
    """
    command = [sys.executable, "-m", "benchmarks.gpu.machine"]
    child = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ, "PYTHONPATH": python_path()}, capture_output=True, text=True
    )
    if child.returncode:
        raise RuntimeError((child.stderr.strip().splitlines() or ["no message"])[-1])
    answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return answer


def python_path() -> str:
    """The checkout, then what is there already."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def describe() -> dict[str, Any]:
    """Device, memory in bytes, driver, and the version of every package that a figure depends on."""
    import torch

    versions = {"python": platform.python_version(), "CUDA": torch.version.cuda, "driver": driver()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    result: dict[str, Any] = {"cuda": torch.cuda.is_available(), "versions": versions, "platform": platform.platform()}
    if result["cuda"]:
        properties = torch.cuda.get_device_properties(0)
        free, total = torch.cuda.mem_get_info(0)
        result |= {"device": properties.name, "capability": f"{properties.major}.{properties.minor}"}
        return result | {"memory": total, "free": free, "processors": properties.multi_processor_count}
    why = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no CUDA device"
    return result | {"device": f"{platform.machine()} CPU, {os.cpu_count()} cores", "why": why}


def driver() -> str | None:
    """The version of NVIDIA's driver; None without one."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return None
    match = re.search(r"\b(\d+\.\d+(?:\.\d+)?)\b", text)
    return match[1] if match else None


def slug(device: str) -> str:
    """A file name made of a device's name: `NVIDIA H200` gives `nvidia-h200`."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "device"


if __name__ == "__main__":
    print(json.dumps(describe()))
