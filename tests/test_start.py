"""What `import simko` and `simko --help` do without loading what they do not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simko.cli.help import HELP
from studies.help_text import rendered

ROOT = Path(__file__).resolve().parent.parent


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.parametrize(
    "imports", ["simko, gymnasium", "gymnasium, simko", "simko.envs, gymnasium", "simko.cli, gymnasium"]
)
def test_the_environments_are_registered_whatever_comes_first(imports: str) -> None:
    code = f"import {imports}; e = gymnasium.make('simko/TreeMDP-v0'); print(e.reset(seed=0)[1]['task'].split('/')[0])"
    assert python(code) == "tree_mdp"


def test_they_are_found_through_any_part_of_gymnasium() -> None:
    code = "import simko; from gymnasium.envs.registration import registry; print('simko/TreeMDP-v0' in registry)"
    assert python(code) == "True"
    assert python("import simko; print(simko.envs.grade('\\\\boxed{3}', '3', verifier='math').outcome)") == "correct"


def test_importing_simko_loads_next_to_nothing() -> None:
    code = "import sys, simko; print([m for m in ('gymnasium', 'numpy', 'typing') if m in sys.modules])"
    listed = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert listed.stdout.strip() == "[]", listed.stderr


def test_an_attribute_that_is_not_there() -> None:
    assert python("import simko\ntry: simko.nothing\nexcept AttributeError as e: print(e)").endswith("'nothing'")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_is_stored_and_as_typer_prints_it(arguments: list[str]) -> None:
    assert rendered() == HELP, "run `python -m studies.help_text`"
    command = [sys.executable, "-X", "importtime", "-m", "simko", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"})
    assert (done.returncode, done.stdout) == (0, HELP)
    assert "typer" not in done.stderr


def test_a_narrow_terminal_gets_its_own_layout() -> None:
    command = [sys.executable, "-m", "simko", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "50"})
    assert max(map(len, done.stdout.splitlines())) <= 50
