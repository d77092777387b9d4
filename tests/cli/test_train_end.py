"""The end of `simko train`: after a run that learned, one that was stopped, and one that was refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from simko.cli import run
from simko.cli.ending import tell_ending, tell_refused
from simko.run.faults import NothingLearnedError
from simko.run.signals import Stopped
from simko.settings import train_config

pytestmark = pytest.mark.usefixtures("default_signals")

SIZES = ("--prompts-per-step", "2", "--group-size", "4", "--logger", "none", "--eval-problems", "0")


class Screen(Console):
    """A console of 80 columns whose text can be read."""

    def __init__(self) -> None:
        super().__init__(file=io.StringIO(), width=80)

    @property
    def text(self) -> str:
        """What was printed."""
        assert isinstance(self.file, io.StringIO)
        return self.file.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder of ten steps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    line = {"reward": 0.25, "updates": 1.0, "seconds_rollout": 1.0, "seconds_update": 1.0}
    text = "".join(json.dumps({"step": step, **line}) + "\n" for step in range(1, 11))
    (tmp_path / "run" / "metrics.jsonl").write_text(text)
    return tmp_path


def test_the_facts_are_those_that_are_said(folder: Path) -> None:
    screen = Screen()
    facts = tell_ending(screen, Path("run"), train_config({"steps": 10}))
    assert (facts["run"], facts["steps"], facts["training_reward"]["more_than_noise"]) == ("run", 10, False)
    assert "steps:    10 of 10." in screen.text
    assert all(f"  {line}\n" in screen.text for line in facts["next"])
    json.dumps(facts, allow_nan=False)


def test_a_rank_that_is_silent_reads_nothing(folder: Path) -> None:
    screen = Screen()
    screen.quiet = True
    assert tell_ending(screen, Path("absent"), train_config({})) == {"run": "absent"}


def test_a_damaged_record_does_not_spoil_a_finished_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run" / "metrics.jsonl").write_text("not JSON\n{}\n")
    screen = Screen()
    assert tell_ending(screen, Path("run"), train_config({})) == {"run": "run"}
    assert screen.text == "run:    run\n"
    assert "cannot be told" in capsys.readouterr().err


def test_a_method_that_filters_answers_is_no_measure(folder: Path) -> None:
    for settings in ({"algorithm": "dapo"}, {"sampling": "refill"}):
        assert tell_ending(Screen(), Path("run"), train_config(settings))["training_reward"] is None


def test_a_stopped_run_says_what_it_has_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise Stopped(2)

    monkeypatch.setattr("simko.train.train", stopped)
    assert run(["train", *SIZES, "--steps", "40", "--out", "run"]) == 130
    told = capsys.readouterr()
    assert "steps:    10 of 40." in told.out
    assert "\nnext\n  # go on where it stopped\n  simko train --resume run\n" in told.out
    assert "stopped by SIGINT; go on with: simko train --resume run" in told.err
    assert run(["train", *SIZES, "--steps", "40", "--out", "unmade"]) == 130
    assert "what happened" not in capsys.readouterr().out


def test_a_reader_that_is_gone_changes_no_exit_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in `simko train | tee log`: Ctrl-C ends both."""

    def gone(*_: Any) -> None:
        raise BrokenPipeError

    def ends(error: Exception | Stopped) -> None:
        def train(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr("simko.train.train", train)

    monkeypatch.setattr("simko.cli.ending.say", gone)
    ends(Stopped(2))
    assert run(["train", *SIZES, "--steps", "40", "--out", "run"]) == 130
    assert "stopped by SIGINT; go on with: simko train --resume run" in capsys.readouterr().err
    for out in ("run", "unmade"):
        ends(NothingLearnedError("nothing can be learned"))
        assert run(["train", *SIZES, "--steps", "40", "--out", out]) == 2
        assert "error: nothing can be learned" in capsys.readouterr().err


def test_a_refused_run_says_how_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["train", *SIZES, "--preflight-prompts", "1", "--max-new-tokens", "2"]) == 2
    told = capsys.readouterr()
    assert "Nothing was trained, and no run folder was left. To see why:" in told.out
    assert "  simko sample tiny --env simko/Countdown-v0 --max-new-tokens 2 --split train\n" in told.out
    assert told.err.splitlines()[-1].startswith("simko: error: preflight: nothing can be learned")
    assert list(tmp_path.iterdir()) == []


def test_the_commands_of_a_refusal_name_the_task() -> None:
    screen = Screen()
    tell_refused(
        screen, train_config({"env": "simko/JSONL-v0", "data": "my rows.csv", "template": "plain", "level": 2})
    )
    assert "simko env show simko/JSONL-v0 --data 'my rows.csv' --level 2\n" in screen.text
    assert "--template plain --split train\n" in screen.text
