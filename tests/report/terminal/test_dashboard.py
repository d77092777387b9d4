"""The dashboard at several widths, of runs that begin, run, stand still, die, and of a comparison."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from simko.files import locked
from simko.report.terminal.dashboard import dashboard
from simko.report.terminal.events import Steps, as_line, runs_event, state_event, step_event
from simko.report.terminal.follow import Line
from simko.report.terminal.history import History
from simko.report.terminal.runs import Runs, runs_view
from simko.report.terminal.state import State

HOSTILE = "\x1b]0;t\x07\x1b[2J\u202e\u200b\ud800x"


def drawn(view: RenderableType, width: int = 100) -> str:
    console = Console(file=(out := io.StringIO()), width=width)
    console.print(view)
    return out.getvalue()


def line(step: int, **more: float | None) -> Line:
    return {
        "step": float(step), "reward": 0.5, "solve_rate": step / 100, "entropy": 1.0, "informative": 1.0,
        "seconds_rollout": 2.0, "seconds_update": 1.0, **more,
    }  # fmt: skip


def history(steps: int, **more: float | None) -> History:
    past = History()
    past.extend(line(step, **more) for step in range(1, steps + 1))
    return past


def shown(state: State, past: History, width: int = 100, now: float | None = None) -> str:
    console = Console(file=io.StringIO(), width=width)
    return drawn(dashboard(state, past, console, now), width)


def running(path: Path, **config: Any) -> State:
    settings = {"steps": 100, "algorithm": "simko", "env": "e", "model": "m/tiny", "logger": "tensorboard", **config}
    return State(path, "running", config=settings, checkpoints=(25,), best=25)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_it_fits_the_terminal(width: int, tmp_path: Path) -> None:
    text = shown(running(Path("run")), history(300, logp_rank1=-0.5, heldout_pass_8=0.5), width)
    assert max(map(len, text.splitlines())) <= width
    assert "logp_rank1" in text


def test_how_far_it_is_and_what_it_reaches(tmp_path: Path) -> None:
    text = shown(
        running(tmp_path), history(40, logp_rank1=-0.5, logp_rank2=None, heldout_pass_1=0.25, heldout_pass_16=0.75)
    )
    assert "step 40 of 100  3 s a step  3 min 00 s left" in text
    assert "solve_rate" in text
    assert "40.0 %" in text
    assert "1.0 to 40.0 %" in text
    assert "logp_rank2" not in text  # no step has it
    assert "held-out, step 40" in text
    assert "pass@16              75.0 %" in text
    assert "checkpoint: step 25, best: step 25" in text
    assert "tensorboard --logdir" in text
    assert "docs/reference/metrics.md" in text


def test_alarms_stand_with_their_remedy(tmp_path: Path) -> None:
    past = history(20)
    past.extend(line(step, entropy=0.001) for step in range(21, 30))
    assert [alarm.name for alarm in past.alarms] == ["collapse"]
    text = shown(running(tmp_path), past, 200)
    assert "collapse: entropy" in text
    assert "take --algorithm simko" in text
    assert "no alarm" in shown(running(tmp_path), history(3))


def test_a_run_that_stands_still_is_told(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    written = (tmp_path / "metrics.jsonl").stat().st_mtime
    assert "no step for" not in shown(running(tmp_path), history(5), now=written + 50)
    assert "no step for 5 min 00 s; one usually takes 3 s" in shown(running(tmp_path), history(5), now=written + 300)


def test_states_without_a_step(tmp_path: Path) -> None:
    assert "no such folder yet" in shown(State(tmp_path / "x", "waiting"), History())
    assert "the model loads" in shown(State(tmp_path, "starting"), History())
    assert "killed, or worse" in shown(State(tmp_path, "died", "killed, or worse"), history(3))


def test_a_terminal_without_unicode_gets_letters(tmp_path: Path) -> None:
    class Ascii(io.StringIO):
        encoding = "ascii"

    console = Console(file=Ascii(), width=100)
    console.print(dashboard(running(Path("r")), history(50), console))
    console.file.getvalue().encode("ascii")  # type: ignore[attr-defined]


def test_nothing_in_a_folder_drives_the_terminal() -> None:
    config = {"algorithm": HOSTILE, "env": HOSTILE, "model": HOSTILE, "logger": "wandb"}
    text = shown(State(Path(f"a{HOSTILE}"), "failed", HOSTILE * 99, config, (1,)), history(2), 200)
    assert not set(HOSTILE[:-1]) & set("\x1b\x07\u202e\u200b\ud800") & set(text)
    text.encode()


def test_a_program_gets_each_step_once_and_ascii() -> None:
    steps, past = Steps(), History()
    lines = [line(1), line(2), line(3), line(4)]
    assert [steps.is_new(each) for each in lines] == [True] * 4
    again = [line(1), line(2), line(3, reward=0.75), line(4)]  # after a resume from step 2
    assert [steps.is_new(each) for each in again] == [False, False, True, True]
    past.extend(lines[:3])
    state = State(Path(f"a{HOSTILE}"), "failed", HOSTILE, {"steps": 10}, (2,), 2)
    event = json.loads(as_line(step_event(state, past, [])))
    assert (event["event"], event["step"], event["steps"], event["seconds_left"]) == ("step", 3, 10, 21.0)
    assert event["metrics"]["solve_rate"] == 0.03
    text = as_line(state_event(state, past, "end"))
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["checkpoint"] == 2


def make_comparison(folder: Path) -> Path:
    (folder / "plan.yaml").parent.mkdir(parents=True)
    (folder / "plan.yaml").write_text("arms: {grpo: {}, simko: {}}\nseeds: [0, 1]\n")
    for arm, seed, status in (("simko", 0, "finished"), ("grpo", 10, "stopped")):
        run = folder / "runs" / arm / f"seed-{seed}"
        (run / "checkpoints").mkdir(parents=True)
        (run / "config.yaml").write_text("steps: 2\n")
        (run / "manifest.json").write_text(json.dumps({"status": status}))
        (run / "metrics.jsonl").write_text("".join(json.dumps({**line(step), "step": step}) + "\n" for step in (1, 2)))
    (folder / "runs" / "simko" / "seed-0.train.yaml").touch()
    (folder / "runs" / "link").symlink_to(folder / "runs" / "grpo")
    return folder


def test_the_runs_of_a_comparison(tmp_path: Path) -> None:
    folder = make_comparison(tmp_path / "study")
    assert Runs.is_comparison(folder)
    assert not Runs.is_comparison(folder / "runs" / "simko" / "seed-0")
    runs = Runs(folder)
    listed = runs.look()
    assert [(run.arm, run.seed, run.state.status) for run in listed] == [
        ("grpo", 10, "stopped"),
        ("simko", 0, "finished"),
    ]
    assert [(run.history.step, run.state.steps) for run in listed] == [(2, 2)] * 2
    assert not runs.goes_on(listed)
    with locked(folder):
        assert runs.goes_on(listed)
    assert runs.planned() == 4
    text = drawn(runs_view(folder, listed, 4, Console(file=io.StringIO(), width=100)))
    assert "1 of 4 runs finished" in text
    listed[0].arm = "[red]grpo"  # a folder's name is text, no mark-up
    assert "[red]grpo" in drawn(runs_view(folder, listed, 4, Console(file=io.StringIO(), width=100)))
    listed[0].arm = "grpo"
    event = runs_event(listed, 4, "end")
    assert [run["arm"] for run in event["runs"]] == ["grpo", "simko"]
