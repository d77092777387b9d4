"""Steps on the wheel as a user has it: in a clean environment, with the oldest dependencies, and with other Pythons."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from studies.release.tree import version_of
from studies.release.work import FailedError, SkippedError, Work

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
NEED_TORCH = ("torch", "peft", "bitsandbytes")
"""Left out where another Python is tried: their wheels for CUDA have gigabytes."""
UNBOUND = ("torch",)
"""Taken as in constraints.txt, not at the oldest version: an index may have none of that age for this machine."""
TRAIN = ("train", "--steps", "2", "--prompts-per-step", "4", "--group-size", "4", "--eval-problems", "0", "--logger", "none",
         "--preflight-prompts", "0", "--out", "run")  # fmt: skip
DEPRECATED = ("-o", "filterwarnings=default")
"""Old packages warn of new ones: that is no failure of ours."""
QUICK = (
    "tests/test_config.py", "tests/test_fields.py", "tests/agents/test_adapter.py", "tests/agents/test_quantize.py",
    "tests/envs/test_token_env.py", "tests/envs/verifiers/math/test_right.py", "tests/envs/data/test_jsonl.py",
    "tests/cli/test_cli.py", "tests/report/test_plot.py", "tests/run/test_folder.py",
)  # fmt: skip
"""Tests that touch each dependency."""
BESIDE = ("pytest", "hypothesis", "pyarrow", "jinja2")
"""What those tests need, too; jinja2 comes with torch."""
WITHOUT_TORCH = ("tests/envs/puzzles", "tests/envs/verifiers/math", "tests/envs/verifiers/reading", "tests/envs/data")
"""Tests that import neither torch nor a fixture of tests/conftest.py, which imports it."""


def clean(work: Work) -> str:
    """The wheel in a clean environment, with the versions of constraints.txt: the command line works far from the checkout."""
    python = work.venv("clean")
    _pip(work, python, "-c", work.root / "constraints.txt", work.wheel)
    return f"simko {', '.join(_tried(work, python, 'clean'))} on Python {_version(work, python)}"


def _tried(work: Work, python: Path, name: str) -> Iterator[str]:
    place = work.folder / f"place-{name}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    simko = python.with_name("simko")
    if (said := work.run([simko, "--version"], place).strip()) != f"simko {version_of(work)}":
        raise FailedError(f"simko --version says '{said}'")
    yield "--version"
    work.run([simko, "train", "--recipe", "countdown", "--dry-run"], place)
    yield "train --recipe"
    work.run([simko, "env", "check", "simko/Countdown-v0"], place)
    yield "env check"
    work.run([simko, *TRAIN], place)
    yield "train --steps 2"
    if not (place / "run" / "metrics.jsonl").read_text().count("\n") == 2:
        raise FailedError("simko train --steps 2 recorded other than two steps")


def oldest(work: Work) -> str:
    """Each dependency at its lower bound, but for `UNBOUND`; a quick part of the tests."""
    bounds = list(work.project()["dependencies"])
    pins = lowest(bounds)
    newest = [line for line in work.text("constraints.txt").splitlines() if line.split("==")[0] in UNBOUND]
    constraints = work.folder / "oldest.txt"
    constraints.write_text("\n".join([*pins, *newest]) + "\n", encoding="utf-8")
    python = work.venv("oldest")
    test = [
        line
        for line in work.project()["optional-dependencies"]["test"]
        if re.match(r"(pytest|hypothesis|beartype|pyarrow)\b", line)
    ]
    _pip(work, python, "-c", constraints, work.wheel, *test)
    said = work.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *DEPRECATED, *QUICK], _checkout(work))
    return f"{said.splitlines()[-1]} with {len(pins)} of {len(bounds)} dependencies at their lower bounds"


def lowest(bounds: Iterable[str]) -> list[str]:
    """Constraints that hold each dependency to the newest patch of its lower bound: `numpy>=2.0` gives `numpy==2.0.*`."""
    pins = []
    for bound in bounds:
        name, version = re.match(r"([A-Za-z0-9._-]+)>=([0-9.]+)", bound).groups()  # type: ignore[union-attr]
        if name not in UNBOUND:
            pins.append(f"{name}=={version}.*")
    return pins


def _checkout(work: Work) -> Path:
    """A copy of the commit, from which tests are run: they import its modules, beside the installed dependencies."""
    place = work.folder / "tests-alone"
    shutil.rmtree(place, ignore_errors=True)
    work.run(["git", "clone", "--quiet", "--no-hardlinks", work.root, place])
    return place


def pythons(work: Work) -> str:
    """Other interpreters: all that needs no torch, with the newest dependencies that the wheel allows."""
    found = dict(_interpreters(work.pythons))
    found.pop(f"{sys.version_info.major}.{sys.version_info.minor}", None)
    lines = [f"{version}: {_without_torch(work, version, found[version])}" for version in PYTHONS if version in found]
    if not lines:
        raise SkippedError("no other Python is at hand; name some with --pythons")
    missing = [v for v in PYTHONS if v not in found and v != f"{sys.version_info.major}.{sys.version_info.minor}"]
    return "; ".join(lines) + (f"; not at hand: {', '.join(missing)}" if missing else "")


def _interpreters(named: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(version, path) of each interpreter that runs: on the PATH, of pyenv, and those named."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    places = [*(f"python{v}" for v in PYTHONS), *(str(p) for p in sorted(pyenv.glob("3.*/bin/python"))), *named]
    for place in places:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        try:
            done = subprocess.run([place, "-c", code], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.returncode == 0 and done.stdout.strip() in PYTHONS:
            yield done.stdout.strip(), place


def _without_torch(work: Work, version: str, interpreter: str) -> str:
    python = work.venv(version, interpreter)
    light = [line for line in work.project()["dependencies"] if not line.startswith(NEED_TORCH)]
    _pip(work, python, *light, *BESIDE)
    _pip(work, python, "--no-deps", work.wheel)
    place = python.parent
    site = Path(work.run([python, "-c", "import simko; print(simko.__path__[0])"], place).strip())
    work.run([python, "-m", "compileall", "-q", site], place)
    for words in (["--help"], ["env", "list"], ["env", "check", "simko/Countdown-v0"]):
        work.run([python.with_name("simko"), *words], place)
    command: list[str | Path] = [
        python,
        "-W",
        "ignore",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        "-o",
        "filterwarnings=default",
        *WITHOUT_TORCH,
    ]
    said = work.run(command, _checkout(work)).splitlines()[-1]
    return f"byte-compiled; --help, env list and env check; tests of envs: {said.strip('= ')}; nothing that needs torch"


def _pip(work: Work, python: Path, *arguments: str | Path) -> None:
    work.run([python, "-m", "pip", "install", "--quiet", *arguments])


def _version(work: Work, python: Path) -> str:
    return work.run([python, "-c", "import platform; print(platform.python_version())"]).strip()
