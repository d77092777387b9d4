"""Names that stay open although what they name has moved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_run_folder_by_its_old_name() -> None:
    from simko.checkpoint import RunFolder
    from simko.run import folder

    assert RunFolder is folder.RunFolder


def test_the_contract_checker_by_its_public_name() -> None:
    from simko.envs.audit import contract
    from simko.envs.check import check

    assert check is contract.check


@pytest.mark.parametrize("name", ["countdown:Countdown", "benchmarks:GSM8K"])
def test_specs_that_were_saved_with_the_old_name_of_tasks(name: str) -> None:
    """In a process of its own: the file is loaded a second time, under its old name."""
    code = (
        "import simko.envs\n"
        "from simko.envs.token_env import load_object\n"
        f"task = load_object('simko.envs.tasks.{name}')\n"
        "print(task.__name__, len(simko.envs.specs()) > 15)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == ([name.partition(":")[2], "True"], "")
