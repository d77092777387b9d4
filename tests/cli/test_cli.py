"""The command line: flags are the config's fields, a mistake is one line and exit code 2, and help is cheap."""

from __future__ import annotations

import io
import json
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from timing import HANGS

from simko import algorithms
from simko.algorithms import registry
from simko.cli import run
from simko.cli.examples import RUN, examples_of
from simko.cli.flags import extra_settings, flag
from simko.config import EvalConfig, TrainConfig, as_dict
from simko.console import clean
from simko.errors import UserError
from simko.settings import train_config

pytestmark = pytest.mark.usefixtures("default_signals")

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--steps", "1", "--prompts-per-step", "2", "--group-size", "4", "--preflight-prompts", "0", "--logger", "none"]


class Ran:
    """Exit code and output of one command."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        capsys.readouterr()
        self.code = run(arguments)
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """The one line of a user's mistake."""
        assert (self.code, self.out) == (2, "")
        (line,) = self.err.splitlines()
        assert line.startswith("simko: error: ")
        return line.removeprefix("simko: error: ")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMKO_DATA", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.fixture
def finished(folder: Path) -> Path:
    """A run folder as `simko train` leaves it, without checkpoints."""
    (folder / "run" / "checkpoints").mkdir(parents=True)
    config = train_config({"steps": 5, "seed": 3, "alpha": 0.2})
    (folder / "run" / "config.yaml").write_text(yaml.safe_dump(as_dict(config)))
    return folder / "run"


def listen(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Lines that a person types before Ctrl-D."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


# Start-up and help


@pytest.mark.parametrize("arguments", [["train", "--help"], ["env", "list", "--json"]])
def test_help_and_listings_load_neither_torch_nor_transformers(arguments: list[str]) -> None:
    code = (
        f"import sys; from simko.cli import run; code = run({arguments}); "
        "heavy = [m for m in ('torch', 'transformers', 'matplotlib', 'pandas') if m in sys.modules]; "
        "print(heavy, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
    assert done.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"], ["env"], ["-h"]])
def test_help_shows_commands(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    ran = Ran(capsys, *arguments)
    assert (ran.code, ran.err) == (0, "")
    for command in ("list", "show", "check", "play", "new") if arguments == ["env"] else ("train", "eval", "doctor"):
        assert re.search(rf"^  {command}  ", ran.out, re.MULTILINE)


@pytest.mark.parametrize(("command", "config"), [("train", TrainConfig), ("eval", EvalConfig)])
def test_every_field_is_a_flag_with_its_help(capsys: pytest.CaptureFixture[str], command: str, config: type) -> None:
    shown = Ran(capsys, command, "--help").out
    words = " ".join(shown.split())
    for entry in fields(config):
        if entry.name in ("method", "target"):
            continue
        assert re.search(rf"{flag(entry.name)}\b", shown), entry.name
        assert " ".join(entry.metadata["help"].split()) in words, entry.name


@pytest.mark.parametrize("command", ["eval", "sample", "chat", "export"])
def test_what_reads_a_run_takes_its_best_checkpoint(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert re.search(r"^  --best / --no-best ", Ran(capsys, command, "--help").out, re.MULTILINE)


@pytest.mark.parametrize("command", [[str(ROOT / "cli.py")], ["-m", "simko"]])
def test_other_ways_to_call_it(folder: Path, command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command, "train", "--help"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: simko train [OPTIONS]")


# The resolved configuration


def test_dry_run_resolves_and_reads_back(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    arguments = ["train", "--dry-run", "--alpha", "0.3", "--top-k=5", "--steps", "7", "--gradient-checkpointing"]
    ran = Ran(capsys, *arguments)
    resolved = yaml.safe_load(ran.out)
    assert resolved == as_dict(train_config({"alpha": 0.3, "top_k": 5, "steps": 7, "gradient_checkpointing": True}))
    assert Ran(capsys, *arguments, "--json").json == resolved
    Path("run.yaml").write_text(ran.out)
    assert yaml.safe_load(Ran(capsys, "train", "--dry-run", "--config", "run.yaml").out) == resolved
    assert list(folder.iterdir()) == [folder / "run.yaml"]


def test_flags_go_over_the_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    Path("run.yaml").write_text("steps: 9\nforce: true\nalpha: 0.2\nmethod: {top_k: 4}\nlora_rank: 8\n")
    resolved = Ran(
        capsys, "train", "--dry-run", "--json", "--config", "run.yaml", "--no-force", "--alpha", "0.4", "--steps", "2"
    ).json
    assert (resolved["steps"], resolved["force"], resolved["lora_rank"]) == (2, False, 8)
    assert (resolved["method"]["alpha"], resolved["method"]["top_k"]) == (0.4, 4)


def test_another_algorithm_over_a_file_leaves_out_what_it_lacks(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    Path("run.yaml").write_text(Ran(capsys, "train", "--dry-run", "--clip-low", "0.1").out)
    ran = Ran(capsys, "train", "--dry-run", "--json", "--config", "run.yaml", "--algorithm", "grpo")
    assert ran.json["method"]["clip_low"] == 0.1
    assert "alpha" not in ran.json["method"]
    assert "grpo has no alpha" in ran.err
    assert ran.err.count("\n") == 1


def test_another_algorithm_over_a_file_leaves_out_its_parts(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    Path("run.yaml").write_text("algorithm: simko\nadvantage: maxrl\nalpha: 0.5\nlearning_rate: 0.001\n")
    ran = Ran(capsys, "train", "--dry-run", "--json", "--config", "run.yaml", "--algorithm", "grpo")
    assert "advantage" not in ran.json["method"]
    assert ran.json["learning_rate"] == 0.001
    assert (
        ran.err == "simko: run.yaml is for simko; grpo has no alpha, and its advantage is a part of simko: left out\n"
    )
    kept = Ran(
        capsys, "train", "--dry-run", "--json", "--config", "run.yaml", "--algorithm", "grpo", "--advantage", "nsr"
    )
    assert kept.json["method"]["advantage"] == "nsr"


def test_the_tiny_preset_is_for_tiny_alone(capsys: pytest.CaptureFixture[str]) -> None:
    tiny = Ran(capsys, "train", "--dry-run", "--json").json
    other = Ran(capsys, "train", "--dry-run", "--json", "--model", "some/model").json
    assert tiny["group_size"] != other["group_size"] == TrainConfig().group_size
    assert other["method"]["alpha"] == 0.01


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]+(-[a-z0-9]+)?", fullmatch=True).filter(lambda name: not name.startswith("no")),
        st.from_regex(r"-?[a-z0-9.][a-z0-9.= ]*", fullmatch=True),
    ),
    st.booleans(),
)
def test_extra_settings_reads_what_was_written(settings: dict[str, str], joined: bool) -> None:
    written = (
        [f"--{k}={v}" for k, v in settings.items()]
        if joined
        else [x for k, v in settings.items() for x in (f"--{k}", v)]
    )
    assert extra_settings(written) == {key.replace("-", "_"): value for key, value in settings.items()}


def test_extra_settings_switches() -> None:
    assert extra_settings(["--no-x", "--y-z", "--a", "-0.5"]) == {"x": False, "y_z": True, "a": "-0.5"}
    for wrong in (["x"], ["-x"], ["--"], ["--a", "1", "2"], ["--=3"]):
        with pytest.raises(UserError):
            extra_settings(wrong)


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "train"),
        (["env", "shwo"], "show"),
        (["env", "show"], "simko env show --help"),
        (["train", "--step", "7"], "did you mean 'steps'"),
        (["train", "--alhpa", "0.3"], "did you mean 'alpha'"),
        (["train", "--seed", str(2**64)], "seed is 1.84467e+19; it must be <="),
        (["train", "--threads", "100000"], "threads is 100000; it must be <= 1024"),
        (["train", "--steps", "x"], "steps is 'x'; it must be a whole number"),
        (["train", "--steps", "-1"], "steps is -1; it must be >= 0"),
        (["train", "--alpha", "7"], "alpha is 7; it must be <= 1"),
        (["train", "--alpha", "nan"], "alpha is nan"),
        (["train", "--algorithm", "simk"], "did you mean 'simko'"),
        (["train", "--quantization", "nf5"], "did you mean 'nf4'"),
        (["train", "stray"], "unexpected 'stray'"),
        (["train", "--steps"], "--steps"),
        (["train", "--config", "absent.yaml"], "absent.yaml"),
        (["train", "--env", "simko/Countdwn-v0"], "did you mean 'simko/Countdown-v0'"),
        (["eval", "absent"], "'absent' is not a run folder"),
        (["train", "--resume", "absent"], "absent is not a run folder"),
        (["eval", "tiny", "-n", "0"], "n is 0; it must be >= 1"),
        (["eval", "tiny", "--nn", "3"], "--nn"),
        (["eval"], "simko eval --help"),
        (
            ["eval", "tiny", "--samples", "8"],
            "--samples is a switch and takes no value; leave out '8'; see `simko eval",
        ),
        (["eval", "tiny", "8"], "extra argument(s) (8); see `simko eval"),
        (["env", "show", "simko/Countdwn-v0"], "did you mean 'simko/Countdown-v0'"),
        (["env", "show", "absent_module:my/X-v0"], "absent_module"),
        (["env", "show", "simko/Countdown-v0", "--level", "many"], "--level"),
        (["env", "check", "simko/JSONL-v0"], "--data"),
        (["env", "check", "simko/JSONL-v0", "--data", "absent.jsonl"], "absent.jsonl"),
        (["env", "new", "json"], "json"),
        (["env", "new", "3x"], "3x"),
        (["env", "new", "class"], "class"),
        (["sample", "./absent"], "absent"),
        (["train", "--model", "./absent"], "model './absent': no such folder"),
        (["train", "--env", "jsonl:absent.jsonl", "--out", "run"], "absent.jsonl"),
        (
            ["train", "--env", "jsonl:a.jsonl", "--data", "b.jsonl", "--out", "run"],
            "names its data, and data is 'b.jsonl'",
        ),
        (["train", "--adapter", "absent", "--out", "run"], "adapter 'absent'"),
        (["train", "--updates-per-batch", "8", "--prompts-per-step", "2"], "updates_per_batch is 8"),
        (["sample", "tiny", "--training-sampling"], "training_sampling is that of a run"),
        (["sample", "tiny", "--model", "tiny"], "tiny is a model"),
        (["export", "absent", "--adapter", "x", "--dtype", "float16"], "--dtype is for merged weights"),
        (["export", "absent", "--adapter", "x", "--quantization", "none"], "--quantization is for merged weights"),
        (["export", "absent", "--merged", "x", "--public"], "--public is for a repository"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], folder: Path, arguments: list[str], message: str
) -> None:
    assert message in Ran(capsys, *arguments).refusal
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("steps: 3\nseed: 1\nsteps: 4\n", 3),
        ('steps: 3\n"steps": 3\n', 2),
        ("seed: 1\nmethod:\n  alpha: 0.1\n  top_k: 2\n  alpha: 0.2\n", 5),
        ("<<: {steps: 3}\nsteps: 4\n", 2),
        ("<<: [{steps: 3}, {steps: 4}]\n", 1),
        ('{"steps": 3,\n "method": {"alpha": 0.1, "alpha": 0.1}}', 2),
    ],
)
@pytest.mark.parametrize("command", [["train", "--dry-run"], ["eval", "tiny"]])
def test_a_key_that_stands_twice_is_refused_with_its_line(
    capsys: pytest.CaptureFixture[str], folder: Path, content: str, line: int, command: list[str]
) -> None:
    Path("twice.yaml").write_text(content)
    refusal = Ran(capsys, *command, "--config", "twice.yaml").refusal
    assert refusal.startswith(f"config twice.yaml, line {line}: ")
    assert "keep one of the two" in refusal


def test_a_setting_that_a_file_or_a_command_gives_twice_is_refused(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    Path("run.yaml").write_text("alpha: 0.3\nmethod: {alpha: 0.1}\n")
    assert "alpha stands alone and under method, too" in Ran(capsys, "train", "--config", "run.yaml").refusal
    Path("eval.yaml").write_text("target: runs/other\n")
    assert "leave one out" in Ran(capsys, "eval", "tiny", "--config", "eval.yaml").refusal
    Path("merged.yaml").write_text("<<: {steps: 3}\nseed: 2\n")
    assert Ran(capsys, "train", "--dry-run", "--json", "--config", "merged.yaml").json["steps"] == 3


@pytest.mark.parametrize("content", ["steps: [", "- 1\n- 2\n", "stepz: 3\n", "method: 3\n"])
@pytest.mark.parametrize("command", [["train"], ["eval", "tiny"]])
def test_a_bad_file_is_one_line(
    capsys: pytest.CaptureFixture[str], folder: Path, content: str, command: list[str]
) -> None:
    Path("bad.yaml").write_text(content)
    assert "config bad.yaml" in Ran(capsys, *command, "--config", "bad.yaml").refusal


@pytest.mark.parametrize("command", [["train", "--dry-run"], ["plan"], ["eval", "tiny"]])
def test_the_file_is_named_if_the_mistake_is_in_it(
    capsys: pytest.CaptureFixture[str], folder: Path, command: list[str]
) -> None:
    Path("run.yaml").write_text("seed: -1\n")
    assert Ran(capsys, *command, "--config", "run.yaml").refusal == "config run.yaml: seed is -1; it must be >= 0"
    assert Ran(capsys, *command, "--config", "run.yaml", "--seed", "x").refusal.startswith("config: seed is 'x'")
    Path("run.yaml").write_text("seed: 1\n")
    assert (
        Ran(capsys, *command, "--config", "run.yaml", "--seed", "-2").refusal == "config: seed is -2; it must be >= 0"
    )


@pytest.mark.parametrize("arguments", [["--debug", "train", "--steps", "x"], ["train", "--steps", "x", "--debug"]])
def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    ran = Ran(capsys, *arguments)
    assert ran.code == 2
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1].startswith("simko: error: config: steps is 'x'")


def test_control_c_exits_130(folder: Path) -> None:
    player = subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "cli.py"), "env", "play", "simko/Countdown-v0"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip
    assert player.stdout is not None
    while player.stdout.read(2) != "> ":
        pass
    player.send_signal(signal.SIGINT)
    _, err = player.communicate(timeout=HANGS)
    assert (player.returncode, err.strip()) == (130, "simko: interrupted")


def test_what_the_disk_refuses_is_one_line(folder: Path) -> None:
    """A file size limit of 0 stands for a full disk: both are an OSError in the midst of a write."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        "from simko.cli import run; sys.exit(run(['env', 'new', 'cli_too_large']))"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"simko: error: .*File too large; .*\n", done.stderr)


# Resume


def test_resume_keeps_the_run_and_takes_more_steps(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    same = ["--alpha", "0.2", "--seed", "3", "--out", str(finished)]
    resolved = Ran(
        capsys, "train", "--resume", str(finished), "--steps", "9", "--eval-samples", "8", "--dry-run", "--json", *same
    ).json
    assert resolved == {**as_dict(train_config({"seed": 3, "alpha": 0.2})), "steps": 9, "eval_samples": 8}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alpha", "0.3"], "--alpha is 0.3, the run has 0.2"),
        (["--seed", "4"], "--seed is 4, the run has 3"),
        (["--algorithm", "grpo"], "--algorithm is grpo, the run has simko"),
        (["--out", "elsewhere"], "--out is"),
        (["--stpes", "9"], "did you mean 'steps'"),
        (["--steps", "-2"], "it must be >= 0"),
    ],
)
def test_resume_refuses_what_makes_another_run(
    capsys: pytest.CaptureFixture[str], finished: Path, arguments: list[str], message: str
) -> None:
    assert message in Ran(capsys, "train", "--resume", str(finished), *arguments).refusal


# Listings


def test_algorithms(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"grpo", "simko"} <= {entry["name"] for entry in Ran(capsys, "algorithms", "--json").json}
    lines = Ran(capsys, "algorithms").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == algorithms.names()
    assert max(map(len, lines)) < 120


def test_one_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Ran(capsys, "algorithms", "simko").out
    assert re.search(r"^  --top1-penalty +.*\[1\.1\]$", shown, re.MULTILINE)
    assert re.search(r"^  parts +advantage grpo, loss simko, sampling plain, auxiliary none$", shown, re.MULTILINE)
    assert re.search(r"^  presets +math, logic, code$", shown, re.MULTILINE)
    assert re.search(r"^  no effect +--clip-low, .*with one update a batch", shown, re.MULTILINE)
    assert "  needs" not in shown
    assert re.search(r"^  needs +old:hidden, old:logp$", Ran(capsys, "algorithms", "thr").out, re.MULTILINE)
    assert "--alpha" in Ran(capsys, "algorithms", "simko:logic").out
    assert Ran(capsys, "algorithms", "simko:logic", "--json").json["defaults"]["alpha"] == 0.005
    assert "did you mean 'simko'" in Ran(capsys, "algorithms", "simkoo").refusal


def test_a_method_in_a_file_of_the_working_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of examples/04_own_method.py."""
    registry.load()
    tables = registry.PARTS, registry.METHODS
    before = [dict(table) for table in tables]
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(Path(__file__).resolve().parents[2] / "examples")
    assert "REINFORCE" in Ran(capsys, "algorithms", "04_own_method:leave_one_out").out
    config = Ran(capsys, "train", "--algorithm", "04_own_method:leave_one_out", "--dry-run", "--json").json
    assert config["algorithm"] == "04_own_method:leave_one_out"
    out = str(tmp_path / "run")
    own = [*TINY, "--algorithm", "04_own_method:leave_one_out", "--eval-problems", "0", "--out", out]
    assert Ran(capsys, "train", *own).code == 0
    _forget("04_own_method", tables, before)
    again = Ran(capsys, "train", "--resume", out, "--steps", "2", "--dry-run")
    assert again.code == 0, again.err
    _forget("04_own_method", tables, before)


def _forget(module: str, tables: tuple[dict[Any, Any], ...], before: list[dict[Any, Any]]) -> None:
    """As in a new process."""
    sys.path[:] = [folder for folder in sys.path if folder != str(Path.cwd())]
    sys.modules.pop(module)
    for table, kept in zip(tables, before, strict=True):
        table.clear()
        table.update(kept)


def test_env_list(capsys: pytest.CaptureFixture[str]) -> None:
    listed = {entry["id"]: entry for entry in Ran(capsys, "env", "list", "--json").json}
    assert listed["simko/Countdown-v0"]["verifier"] == "expression"
    assert listed["simko/GSM8K-v0"]["source"] == "openai/gsm8k"
    shown = Ran(capsys, "env", "list").out.splitlines()
    assert [line.split()[0] for line in shown[1:]] == list(listed)


def test_env_show(capsys: pytest.CaptureFixture[str]) -> None:
    about = Ran(capsys, "env", "show", "simko/Arithmetic-v0", "--level", "1", "--seed", "4", "--json").json
    assert about["problem"] in about["prompt"]
    assert about["level"] == "1"
    again = Ran(capsys, "env", "show", "simko/Arithmetic-v0", "--task", about["task"])
    assert about["problem"] in again.out
    assert re.search(rf"^gold +{re.escape(about['gold'])}$", again.out, re.MULTILINE)


def test_env_show_has_the_system_message(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]
    Path("rows.jsonl").write_text(json.dumps({"prompt": chat, "answer": "2"}) + "\n")
    about = Ran(capsys, "env", "show", "simko/AIME25-v0", "--data", "rows.jsonl", "--json").json
    assert (about["problem"], about["system"]) == ("1 + 1?", "Be brief.")
    assert about["prompt"].startswith("Be brief.\n\n1 + 1?")
    assert "system" not in Ran(capsys, "env", "show", "simko/Arithmetic-v0", "--json").json


def test_env_show_of_what_has_no_training_split(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Without --split the evaluation problems are shown where there are no others."""
    row = {"problem": "1 + 1?", "solution": "\\boxed{2}", "answer": "2", "subject": "a", "level": 1, "unique_id": "t/1"}
    Path("rows.jsonl").write_text(json.dumps(row) + "\n")
    assert Ran(capsys, "env", "show", "simko/MATH500-v0", "--data", "rows.jsonl", "--json").json["gold"] == "2"
    assert "train" in Ran(capsys, "env", "show", "simko/MATH500-v0", "--data", "rows.jsonl", "--split", "train").refusal


# A person at the terminal


def test_play(capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ["simko/Arithmetic-v0", "--level", "1"]
    golds = [Ran(capsys, "env", "show", *ids, "--seed", seed, "--json").json["gold"] for seed in ("7", "8")]
    listen(monkeypatch, golds[0], golds[1] + "1")
    played = Ran(capsys, "env", "play", *ids, "--seed", "7")
    assert played.code == 0
    assert "correct, reward 1" in played.out
    assert f"incorrect, reward 0, read as '{golds[1]}1'; gold: {golds[1]}" in played.out
    assert played.out.rstrip().endswith("solved 1 of 2")


def test_play_two_turns(capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gold = Ran(capsys, "env", "show", "simko/GuessNumber-v0", "--json").json["gold"]
    listen(monkeypatch, "0", gold)
    played = Ran(capsys, "env", "play", "simko/GuessNumber-v0")
    assert "higher" in played.out.split("> ")[1]
    assert re.search(r"^> correct, reward 1", played.out, re.MULTILINE)


def test_new_environment_runs(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """The file that is written registers, passes the checker and its own test; a second writing is refused."""
    made = Ran(capsys, "env", "new", "cli_made_task", "--single")
    assert made.code == 0
    written = Path("cli_made_task.py").read_text()
    env_id = "cli_made_task:my/CliMadeTask-v0"
    assert made.out.count(env_id) == 3
    problem = Ran(capsys, "env", "show", env_id, "--json").json
    assert problem["verifier"] == "cli_made_task"
    checked = Ran(capsys, "env", "check", env_id, "--json").json
    assert checked["passed"]
    assert len(checked["checks"]) > 5
    assert "exists" in Ran(capsys, "env", "new", "cli_made_task", "--single").refusal
    assert Path("cli_made_task.py").read_text() == written
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "cli_made_task.py"],
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout


def test_check_fails_with_exit_code_1(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    Path("cli_broken_task.py").write_text(
        "import simko.envs\n\n\n@simko.envs.task('my/CliBroken-v0', verifier='exact')\ndef broken(rng, level):\n"
        "    n = int(rng.integers(1000))\n    return f'{n}?', '' if n % 2 else str(n)\n"
    )
    ran = Ran(capsys, "env", "check", "cli_broken_task:my/CliBroken-v0")
    assert ran.code == 1
    assert "FAIL  " in ran.out


def test_a_module_here_never_stands_in_for_an_installed_one(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    Path("yaml.py").write_text("raise RuntimeError('the wrong yaml')\n")
    before = list(sys.path)
    assert "no environment" in Ran(capsys, "env", "show", "yaml:my/X-v0").refusal
    assert sys.path == before


def test_clean_keeps_the_terminal_safe() -> None:
    """Escape sequences, carriage returns and bells of a model are shown as what they are."""
    assert clean("a\x1b[2Jb\r\n\tc\x07") == "a?[2Jb?\n\tc?".replace("?", "\N{REPLACEMENT CHARACTER}")


# The whole way, with the built-in policy


def test_train_eval_sample_chat(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Ran(capsys, "train", *TINY, "--eval-problems", "0", "--out", "run", "--json")
    facts = trained.json
    assert (facts["run"], facts["steps"], facts["planned_steps"]) == ("run", 1, 1)
    assert facts["next"] == ["simko eval run", "simko train --resume run --steps 2", "simko report run"]
    assert facts["peak_memory_bytes"] > 1e8
    assert "step 1/1" in trained.err
    assert {path.name for path in Path("run").iterdir()} >= {"config.yaml", "manifest.json", "metrics.jsonl"}
    assert "not empty" in Ran(capsys, "train", *TINY, "--out", "run").refusal

    more = Ran(capsys, "train", "--resume", "run", "--steps", "2", "--eval-problems", "0")
    assert (more.code, more.err) == (0, "")
    assert re.search(r"^  run: +run$", more.out, re.MULTILINE)
    assert more.out.splitlines()[-1] == "  simko report run"
    assert "all 2 steps are done" in Ran(capsys, "train", "--resume", "run", "--steps", "2").out
    assert [json.loads(line)["step"] for line in Path("run/metrics.jsonl").read_text().splitlines()] == [1, 2]

    result = Ran(capsys, "eval", "run", "-n", "4", "--problems", "3", "--json").json
    assert set(result["pass_at_k"]) == {"1", "2", "4"}
    assert [count["samples"] for count in result["counts"].values()] == [4, 4, 4]

    for name in ("watch", "inspect", "results", "verify rescore"):
        for example in examples_of(f"simko {name}"):
            words = shlex.split(example.line.replace(RUN, "run"))[1:]
            shown = Ran(capsys, *words)
            assert (shown.code, bool(shown.out) or "-o" in words) == (0, True), example.line

    rows = Ran(capsys, "sample", "run", "-n", "2", "--problems", "2", "--json").json
    assert len(rows) == 4
    assert {"text", "outcome", "gold", "task"} <= set(rows[0])
    shown = Ran(capsys, "sample", "run", "-n", "2", "--problems", "2").out
    assert all(f"    {row['text']}" in shown for row in rows)

    listen(monkeypatch, "hello", "/new", "", "again")
    talked = Ran(capsys, "chat", "run", "--max-new-tokens", "8")
    assert (talked.code, talked.err) == (0, "")
    assert talked.out.count("you> ") == 5


def test_doctor(capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {entry["name"]: entry for entry in Ran(capsys, "doctor", "--json").json}
    assert {"python", "packages", "gpu", "4-bit", "avx512", "verifier", "sandbox", "memory", "disk"} <= set(entries)
    assert [name for name, entry in entries.items() if entry["status"] == "fail"] == []
    assert all(entry["mend"] for entry in entries.values() if entry["status"] != "ok")
    monkeypatch.setenv("SIMKO_DATA", str(folder / "absent"))
    broken = Ran(capsys, "doctor")
    assert broken.code == 1
    assert re.search(r"^fail  data .*absent", broken.out, re.MULTILINE)
