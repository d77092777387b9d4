"""Shell completion: what a TAB gives, by the words that a shell hands over, and without loading torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simko import algorithms
from simko.cli import run
from simko.cli.complete import completer_of, methods, run_folders, templates, verifiers
from simko.envs import specs
from simko.envs.verifiers import verifier_names

pytestmark = pytest.mark.usefixtures("default_signals")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two runs, a comparison and something else under runs/."""
    monkeypatch.chdir(tmp_path)
    for name, file in (("a", "config.yaml"), ("b", "config.yaml"), ("study", "plan.yaml"), ("other", "notes.txt")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / file).touch()
    return tmp_path


def tab(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str, shell: str = "bash"
) -> list[str]:
    """What a TAB behind `simko WORDS` gives; the last word is being typed."""
    monkeypatch.setenv("_SIMKO_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "\n".join(("simko", *(word or "''" for word in words))))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(("simko", *words)))
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run([])
    assert not ended.value.code
    return capsys.readouterr().out.split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("tr",), ["train"]),
        (("env", "sh"), ["show"]),
        (("train", "--quanti"), ["--quantization"]),
        (("train", "--quantization", ""), ["nf4", "int8", "none"]),
        (("train", "--algorithm", "simko_"), ["simko_pass_at_k"]),
        (("train", "--alpha", "0.3", "--env", "simko/Cou"), ["simko/Countdown-v0"]),
        (("train", "--model", ""), ["tiny"]),
        (("train", "--template", "q"), ["qwen", "qwen3_no_thinking"]),
        (("train", "--verifier", "math"), ["math", "math_row"]),
        (("train", "--resume", "runs/"), ["runs/a", "runs/b", "runs/study/"]),
        (("eval", ""), ["runs/a", "runs/b", "runs/study/"]),
        (("report", "runs/a", "runs/b"), ["runs/b"]),
        (("verify", "rescore", "runs/a"), ["runs/a"]),
        (("env", "show", "simko/Kn"), ["simko/KnightsKnaves-v0"]),
        (("compare", "--algorithms", "grpo,simko_"), ["grpo,simko_pass_at_k"]),
        (("algorithms", "simko_"), ["simko_pass_at_k"]),
        (("export", "runs/a", "--gguf", "q"), ["q8_0", "q4_k_m"]),
        (("eval", "tiny", "--data", "row"), []),  # nothing: the shell gives names of files
    ],
)
def test_what_a_tab_gives(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    words: tuple[str, ...],
    given: list[str],
) -> None:
    assert [line for line in tab(capsys, monkeypatch, *words) if line] == given


def test_zsh_gets_no_help_that_it_would_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It evaluates the answer: a backtick in a help would run a command."""
    (line,) = tab(capsys, monkeypatch, "train", "--algor", shell="zsh")
    assert line == """_arguments '*: :(("--algorithm":"training method see simko algorithms simko"))'"""
    for command in ("train", "eval", "export", "results"):
        assert not set("".join(tab(capsys, monkeypatch, command, "--", shell="zsh"))) & set("`$\\")


def test_names_are_those_that_the_commands_take() -> None:
    """They are read from source, so that torch is not loaded: all of them, and no other."""
    assert methods("") == [name for name in algorithms.names() if ":" not in name]
    assert set(verifiers("")) == set(verifier_names())
    assert {"chat", "plain", "qwen", "simple", "llama"} <= set(templates(""))
    assert completer_of("env") is completer_of("id")
    assert completer_of("env")("") == [info.id for info in specs()]  # type: ignore[misc]
    assert completer_of("steps") is None


def test_runs_elsewhere_are_found_by_what_was_typed(folder: Path) -> None:
    (folder / "mine" / "checkpoints").mkdir(parents=True)
    (folder / "mine" / "config.yaml").touch()
    assert run_folders("mi") == ["mine"]
    assert run_folders(str(folder / "runs" / "")) == []
    assert run_folders(f"{folder}/runs/a") == [f"{folder}/runs/a"]
    assert run_folders("absent/x") == []


def test_a_name_that_a_shell_would_run_is_left_to_the_shell(folder: Path) -> None:
    """Bash puts an answer into the line as it is, and zsh evaluates it: run folders may come from somebody else."""
    for name in ("$(touch x)", "a b", "`x`", "\\$(x)", "*", "a;x", "a\nb", "a\x1b[2J", "'", "(x)"):
        (folder / "runs" / name).mkdir()
        (folder / "runs" / name / "config.yaml").touch()
    for name in ("-rf", "~x", "=ls"):
        (folder / name).mkdir()
        (folder / name / "config.yaml").touch()
    assert run_folders("") == ["runs/a", "runs/b", "runs/study/"]
    (folder / "runs" / "qwen3-0.6b,lr=1e-5_seed0").mkdir()
    (folder / "runs" / "qwen3-0.6b,lr=1e-5_seed0" / "config.yaml").touch()
    assert run_folders("runs/q") == ["runs/qwen3-0.6b,lr=1e-5_seed0"]


def test_completion_loads_no_torch(folder: Path) -> None:
    code = (
        "import os, sys\n"
        "os.environ |= {'_SIMKO_COMPLETE': 'complete_bash', 'COMP_CWORD': '3', 'COMP_WORDS': 'simko train --algorithm s'}\n"
        "from simko.cli import run\n"
        "try: run([])\n"
        "finally: print([m for m in ('torch', 'transformers', 'matplotlib') if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "simko" in done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("_SIMKO_COMPLETE", f"source_{shell}")
    with pytest.raises(SystemExit):
        run([])
    assert "_SIMKO_COMPLETE=complete_" in capsys.readouterr().out
