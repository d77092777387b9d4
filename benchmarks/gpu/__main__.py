"""The command: `python -m benchmarks.gpu [--part N] [--model FOLDER]`, which `make gpu` calls."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT
from benchmarks.gpu import page as pages
from benchmarks.gpu.machine import ask, slug
from benchmarks.gpu.parts import LIMIT_S, PARTS, Setting, title
from benchmarks.gpu.steps import run_step


def parser() -> argparse.ArgumentParser:
    """The flags."""
    lines = [f"  part {number}: {title(number)}" for number in PARTS]
    result = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Tests, benchmarks and a run on the GPU at hand, as docs/results/gpu/DEVICE.md and .json.",
        epilog="\n".join(lines),
    )  # fmt: skip
    result.add_argument(
        "--part", type=int, choices=[*PARTS], action="append", help="only this part; may be given again"
    )
    result.add_argument(
        "--device",
        choices=["cuda", "cpu"],
        help="cpu: small shapes on a stand-in (default: $SIMKO_GPU_STAND_IN, else cuda)",
    )
    result.add_argument("--model", metavar="FOLDER", help="a real model to time and train (default: $SIMKO_TEST_MODEL)")
    result.add_argument("--env", default="simko/Arithmetic-v0", help="environment of the training runs")
    result.add_argument(
        "--peer-python", action="append", default=[], metavar="PATH", help="an interpreter that has TRL"
    )
    pages = ROOT / "docs" / "results" / "gpu"
    result.add_argument("--out", type=Path, default=pages, metavar="FOLDER", help="where the page goes")
    result.add_argument("--scratch", type=Path, default=ROOT / "runs" / "gpu", metavar="FOLDER", help="models and runs")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen parts; return 0, 1 if a step failed, or 2 where there is no GPU."""
    options = parser().parse_args(arguments)
    small = (options.device or os.environ.get("SIMKO_GPU_STAND_IN") or "cuda") == "cpu"
    model = options.model or os.environ.get("SIMKO_TEST_MODEL") or None
    if model is not None and not (Path(model) / "config.json").is_file():
        print(f"gpu: '{model}' is not a model folder: it has no config.json; name another with MODEL=", file=sys.stderr)
        return 2
    environ = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if small:
        environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        machine = ask(environ)
    except RuntimeError as error:
        print(f"gpu: this interpreter cannot say which device it has ({error})", file=sys.stderr)
        return 2
    if not small and not machine["cuda"]:
        print(f"gpu: no CUDA device: {machine['why']}; --device cpu tries the script on a stand-in", file=sys.stderr)
        return 2
    machine["note"] = (
        f"Model: {Path(model).name}." if model else "No model was named: random weights, and `tiny` is trained."
    )
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    setting = Setting(
        small, model and str(Path(model).resolve()), options.scratch.resolve() / ("small" if small else "models"),
        options.scratch.resolve() / now, options.env, tuple(options.peer_python),
    )  # fmt: skip
    stem = options.out / (f"stand-in-{slug(machine['device'])}" if small else slug(machine["device"]))
    failed = False
    for part in options.part or PARTS:
        failed |= run_part(part, setting, machine, environ, stem)
    print(f"page: {stem}.md")
    return int(failed)


def run_part(part: int, setting: Setting, machine: dict[str, Any], environ: dict[str, str], stem: Path) -> bool:
    """Run a part, merge its results and render the page after each step; return whether a step failed."""
    print(f"part {part}: {title(part)}", flush=True)
    end, rows = time.monotonic() + LIMIT_S, []
    for step in PARTS[part](setting):
        row = run_step(step, end - time.monotonic(), environ)
        rows.append(json.loads(setting.portable(json.dumps(row))))
        print(f"  {row['status']:6} {row['seconds']:6.1f} s  {row['name']}  {row['message']}", flush=True)
        pages.write(pages.merged(pages.load(Path(f"{stem}.json")), part, rows, machine), stem)
    return any(row["status"] == "failed" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
