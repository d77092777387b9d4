"""Each program in examples/ runs as it stands, with settings of a few seconds."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from simko import algorithms
from simko.group_view import GroupView

pytestmark = pytest.mark.usefixtures("clean_registry")  # an example registers its method
ROOT = Path(__file__).resolve().parent.parent
SMALL = {
    "01_ten_line_env": ("--steps", "1", "--prompts", "4", "--out", "run"),
    "02_train_tiny": ("--steps", "1", "--prompts", "4", "--problems", "2", "--samples", "4", "--out", "run"),
    "03_compare_methods": ("--steps", "1", "--prompts", "4", "--problems", "2", "--samples", "4", "--out", "runs"),
    "04_own_method": ("--steps", "2", "--prompts", "4", "--group-size", "8"),
}
PRINTED = {
    "01_ten_line_env": ("reward 1.0", "gold answer: 154", "reward of the first step"),
    "02_train_tiny": ("pass@1", "before training", " x "),
    "03_compare_methods": ("pass@K       1      2      4\nbase", "\ngrpo", "\nsimko"),
    "04_own_method": ("step 1  reward", "step 2  reward"),
}


def test_every_example_is_here() -> None:
    assert set(SMALL) == set(PRINTED) == {path.stem for path in (ROOT / "examples").glob("*.py")}


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a program as `python examples/NAME.py ...` would, in this process: torch is imported once for all of them."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [name, *SMALL[name]])
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")


@pytest.mark.parametrize("name", [name for name in SMALL if name != "01_ten_line_env"])
def test_it_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(name, tmp_path, monkeypatch)
    printed = capsys.readouterr().out
    assert [text for text in PRINTED[name] if text not in printed] == [], printed


def test_the_environment_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    """It registers an id and a verifier, which would stay here."""
    name = "01_ten_line_env"
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *SMALL[name]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [text for text in PRINTED[name] if text not in done.stdout] == [], done.stdout


def test_the_own_method_is_what_it_says() -> None:
    """Leave-one-out by hand, and no advantage where all rewards are equal. Every command knows it by its file."""
    advantage = runpy.run_path(str(ROOT / "examples" / "04_own_method.py"))["LeaveOneOut"]()

    def group(*rewards: float) -> list[float]:
        return list(
            advantage.group(GroupView(rewards, [False] * len(rewards), [-1.0] * len(rewards), [1] * len(rewards)))
        )

    assert group(1.0, 0.0, 0.0) == pytest.approx([1.0, -0.5, -0.5])
    assert group(0.7, 0.7) == pytest.approx([0.0, 0.0])
    assert "leave_one_out" in algorithms.names()
