"""`simko env new`: what is written installs, passes its own tests and the checker, and is trained on."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from simko.cli import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def python(*arguments: str, at: Path, path: tuple[Path, ...] = (), code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=at,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    assert run(["env", "new", "sum_of_some"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("wrote sum_of_some/")
    assert "    simko env check sum_of_some:sum_of_some/Env-v0" in lines
    yield folder / "sum_of_some"
    for name in [name for name in sys.modules if name.partition(".")[0] == "sum_of_some"]:
        del sys.modules[name]


def test_the_package_passes_its_own_tests(project: Path) -> None:
    passed = python("-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", at=project)
    assert "10 passed" in passed
    for broken in ("== wanted", "sum(numbers) =="):  # and its tests are tests
        source = project / "sum_of_some" / "verifier.py"
        text = source.read_text()
        source.write_text(text.replace(broken, broken.replace("==", ">=")))
        assert "failed" in python("-m", "pytest", "-q", "-k", "verifier", at=project, code=1)
        source.write_text(text)


def test_the_package_is_made_by_gymnasium_elsewhere(project: Path, tmp_path: Path) -> None:
    code = "import gymnasium; e = gymnasium.make('sum_of_some:sum_of_some/Env-v0', level=2); print(e.reset(seed=0)[1]['text'])"
    output = python("-W", "error", "-c", code, at=tmp_path, path=(project,))
    assert output.startswith("Write 3 different whole numbers")


def test_the_command_line_finds_it_inside_the_project(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    arguments = {
        "env": "sum_of_some:sum_of_some/Env-v0", "steps": "1", "prompts-per-step": "2", "group-size": "2",
        "preflight-prompts": "0", "eval-problems": "0", "logger": "none", "out": "run",
    }  # fmt: skip
    assert run(["train", *(word for name, value in arguments.items() for word in (f"--{name}", value))]) == 0
    assert "step 1/1" in capsys.readouterr().out
    assert list((project / "run" / "checkpoints").iterdir())


def test_what_is_built_is_the_package_alone(project: Path, tmp_path: Path) -> None:
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    python("-c", code, str(tmp_path), at=project)
    [wheel] = tmp_path.glob("sum_of_some-0.1.0-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if ".dist-info/" not in name]
        [meta] = [archive.read(n).decode() for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
    assert sorted(files) == [f"sum_of_some/{name}.py" for name in ("__init__", "tasks", "verifier")]
    assert "Requires-Dist: simko" in meta


def test_what_is_written_is_well_formed(project: Path) -> None:
    bare = ("--isolated", "--no-cache", "--line-length", "120", ".")
    python("-m", "ruff", "check", "--select", "E,F,I,B,UP,RUF,SIM", *bare, at=project)
    python("-m", "ruff", "format", "--check", *bare, at=project)
    assert not [path for path in project.rglob("*") if path.is_file() and "$" in path.read_text()]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("3x", "is not a Python name"),
        ("class", "is not a Python name"),
        ("a-b", "is not a Python name"),
        ("json", "exists already"),
        ("tests", "tests"),
        ("_hidden", "cannot name a package"),
        ("trailing_", "cannot name a package"),
    ],
)
def test_what_is_refused(folder: Path, capsys: pytest.CaptureFixture[str], name: str, message: str) -> None:
    assert run(["env", "new", name]) == 2
    assert message in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_what_is_there_is_left_as_it_is(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert run(["env", "new", "sum_of_some"]) == 2
    assert "sum_of_some exists and is left as it is" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_a_single_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["env", "new", "one_file_task", "--single"]) == 0
    output = capsys.readouterr().out
    assert output.count("one_file_task:my/OneFileTask-v0") == 3
    assert [path.name for path in folder.iterdir()] == ["one_file_task.py"]
    assert "1 passed" in python("-m", "pytest", "-q", "-p", "no:cacheprovider", "one_file_task.py", at=folder)
