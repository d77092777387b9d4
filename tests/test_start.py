"""What `import simko` and `simko --help` do, and what they leave unloaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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


def test_an_attribute_that_is_not_there() -> None:
    assert python("import simko\ntry: simko.nothing\nexcept AttributeError as e: print(e)").endswith("'nothing'")


@pytest.mark.parametrize("arguments", [["-c", "import simko"], ["-m", "simko", "--help"]])
def test_a_person_does_not_wait_for_torch(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "simko.envs" in loaded
    assert loaded & {"torch", "transformers", "peft", "bitsandbytes", "matplotlib", "sympy"} == set()


def test_it_imports_where_posix_is_not() -> None:
    """As on native Windows: no module, function, flag or signal that only POSIX has is used at import."""
    code = """
import importlib, os, pkgutil, signal, sys
import filelock, gymnasium, huggingface_hub, matplotlib.pyplot, psutil, safetensors.torch, torch, typer
import tensorboard.summary.writer

for name in ("fcntl", "grp", "posix", "pwd", "pty", "readline", "resource", "termios"):
    sys.modules[name] = None
for name in ("fork", "register_at_fork", "killpg", "getuid", "pidfd_open", "sched_getaffinity", "O_NOFOLLOW", "O_CLOEXEC"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGSTOP", "SIGXCPU", "SIGALRM", "SIGCHLD", "setitimer", "pidfd_send_signal"):
    if hasattr(signal, name):
        delattr(signal, name)
import simko

for room in ("cli", "envs", "memory", "report", "run"):
    package = importlib.import_module(f"simko.{room}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name != "simko.envs.code.runner":  # a program of its own, which runs in the sandbox
            importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("simko.")]) > 100, "simko.files" in sys.modules)
"""
    assert python(code) == "True True"
