"""Twenty thousand mutated answers through the verifiers, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from faultkit.lab import Lab, Result
from faultkit.runs import Server

PER_CHILD, LIMIT_SECONDS = 1000, 400.0


def mutated(lab: Lab) -> Result:
    """No answer raises, hangs, executes or takes more than a second. None whose value has changed is correct."""
    total = 600 if lab.quick else 20_000
    size = min(PER_CHILD, total)
    slowest: list[float] = []
    failures: list[str] = []

    def trial(_: Server, cwd: Path, first: int) -> str | None:
        command = [sys.executable, "-P", str(Path(__file__).with_name("answers_child.py")), str(lab.seed), str(first)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [*command, str(size)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS
        )
        if done.returncode or done.stderr:
            return f"exit {done.returncode}: {done.stderr.strip()[-300:]}"
        report: dict[str, Any] = json.loads(done.stdout)
        slowest.append(report["slowest"])
        failures.extend(report["failures"])
        failures.extend(f"executed: {what}" for what in report["executions"])
        return None if report["correct"] else "no answer was correct at all"

    batches = lab.each("mutated answers through the verifiers", trial, range(0, total, size))
    tried = batches.tried * size
    failures += [f"{failure} (a whole batch of {size})" for failure in batches.failures]
    return Result(batches.name, tried, failures, note=f"slowest {max(slowest, default=0):.2f} s of the processor")
