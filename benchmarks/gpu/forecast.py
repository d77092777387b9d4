"""Forecast against measured peak of a model of random weights: `python -m benchmarks.gpu.forecast SHAPE FOLDER [--small]`.

The plan is for the memory in `MEMORY`, and the process is capped at it. The worst case of both phases is tried, as before step 1
of a run (`studies.plan_check.measure`): 64 answers of 1,024 tokens, to prompts of about 250, from 8 problems.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.gpu.capped import cap
from benchmarks.gpu.random_models import write
from simko.fields import parse_bytes

MEMORY = {"0.3B": "2.5GB", "0.5B": "4GB", "1.5B": "6GB"}
JOB: dict[str, Any] = {
    "env": "simko/Arithmetic-v0",
    "template": "Work it out. " * 18 + "{problem}",
    "prompts_per_step": 8,
    "group_size": 8,
    "max_new_tokens": 1024,
    "eval_problems": 0,
}
SMALL_JOB = JOB | {"prompts_per_step": 2, "group_size": 4, "max_new_tokens": 32, "threads": 1, "device": "cpu"}


def main(shape: str, folder: Path, small: bool) -> dict[str, Any]:
    """Write the model where it is not there yet; return forecast and measured peaks in bytes, and the settings chosen."""
    parameters = write(shape, folder, small)
    from studies.plan_check import measure

    settings = {**(SMALL_JOB if small else JOB), "model": str(folder), "memory": "2GB" if small else MEMORY[shape]}
    words = cap(parse_bytes(settings["memory"]))
    return {"parameters": parameters, "memory": settings["memory"], "cap": words, **measure(settings)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), "--small" in sys.argv[3:])))
