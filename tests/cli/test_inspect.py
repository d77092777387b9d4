"""`simko inspect`: the right group, at any width, and nothing in it drives the terminal."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from simko.cli import run
from simko.cli.output import terminal
from simko.report.forks import Answer, ForkGroup, Forks, Token, write_forks

HOSTILE = "\x1b]0;t\x07\x1b[2J\x1b]8;;http://x\x1b\\y\x1b]8;;\x1b\\\x1b]52;c;aGk=\x07\x9b31m\u202ertl\u2066\u200bz\u200dw\ufeff\ud800\r"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def row(task: str, sample: int, text: str, right: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "step": 1, "task": task, "level": "", "problem": f"problem {task}", "gold": "7", "sample": sample, "text": text,
        "finish": "stop", "outcome": "correct" if right else "incorrect", "reward": float(right), "extracted": text[:5],
        "ids": list(range(len(text[:50]))), "sampled": None, "logprobs": [-1.0] * len(text[:50]), **more,
    }  # fmt: skip


def record(folder: Path, step: int, rows: list[dict[str, Any]]) -> Path:
    (folder / "rollouts").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("model: no/such-model\n")
    text = "".join(json.dumps(each) + "\n" for each in rows)
    (folder / "rollouts" / f"{step:06d}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return folder


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Two steps; in the second `b/2` is the most mixed."""
    record(tmp_path / "run", 1, [row("old/1", 0, "first", True)])
    rows = [
        row("a/1", 0, "no"),
        row("a/1", 1, "nope"),
        row("b/2", 0, "yes", True),
        row("b/2", 1, "bad"),
        row("b/3", 0, "x"),
    ]
    return record(tmp_path / "run", 2, rows)


def inspected(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    code = run(["inspect", *arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert run(["inspect", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


def test_the_most_mixed_group_of_the_last_step(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = inspected(capsys, str(recorded))
    assert "step 2 problem b/2" in " ".join(text.split())
    assert "1 of 2 right" in text
    assert "✓ correct" in text
    assert "✗ incorrect" in text
    assert "surprisal" in text
    others = text.split("other problems")[1]
    assert others.index("a/1") < others.index("b/3")
    assert "0/2" in others
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("arguments", "step", "task"),
    [
        (["--problem", "a/1"], 2, "a/1"), (["--problem", "b/"], 2, "b/2"), (["--problem", "NOPE"], 2, "a/1"),
        (["--problem", "old"], 1, "old/1"), (["--step", "1"], 1, "old/1"), ([], 2, "b/2"),
    ],
)  # fmt: skip
def test_what_is_asked_for(
    arguments: list[str], step: int, task: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(inspected(capsys, str(recorded), "--json", *arguments))
    assert (content["step"], content["problem"]["task"], content["shaded_by"]) == (step, task, "surprisal")


def test_json_has_everything(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(inspected(capsys, str(recorded), "--json"))
    assert content["problem"] == {"task": "b/2", "level": "", "problem": "problem b/2", "system": None, "gold": "7"}
    assert content["samples"][0] == {
        "sample": 0, "outcome": "correct", "reward": 1.0, "extracted": "yes", "finish": "stop", "text": "yes",
        "pieces": [{"text": "yes", "nats": 1.0}],
    }  # fmt: skip
    assert content["others"] == [
        {"task": "a/1", "correct": 0, "samples": 2}, {"task": "b/3", "correct": 0, "samples": 1},
    ]  # fmt: skip


def test_stored_entropy_goes_before_surprisal(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = tuple(Token(i, entropy, 0.0, 0.5, 0.5, ()) for i, entropy in enumerate((0.25, 3.0, 0.0)))
    answers = (Answer(0, "correct", 1.0, None, (0, 1, 2), tokens), Answer(1, "incorrect", 0.0, None, (9, 9, 9), tokens))
    groups = (ForkGroup("step", 2, "b/2", "problem b/2", "7", answers),)
    write_forks(recorded, Forks("0" * 64, 25, "m", "simko", 1.0, groups, {}))
    content = json.loads(inspected(capsys, str(recorded), "--json"))
    assert content["shaded_by"] == "entropy"
    assert content["shaded_by_what"].startswith("entropy of the policy at step 25, stored for 1 of 2 answers")
    assert [[piece["nats"] for piece in sample["pieces"]] for sample in content["samples"]] == [[3.0], [None]]
    assert json.loads(inspected(capsys, str(recorded), "--json", "--problem", "a/1"))["shaded_by"] == "surprisal"


def test_refusals_name_what_helps(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "it has no rollouts/" in refusal(capsys, str(tmp_path / "nothing"))
    assert "has no such step; give one of its 2, from 1 to 2" in refusal(capsys, str(recorded), "--step", "9")
    assert "no problem of the last 2 steps has such an id or text" in refusal(
        capsys, str(recorded), "--problem", "kiwi"
    )
    assert "no problem of step 1" in refusal(capsys, str(recorded), "--step", "1", "--problem", "kiwi")
    (tmp_path / "empty" / "rollouts").mkdir(parents=True)
    assert "no step is recorded yet" in refusal(capsys, str(tmp_path / "empty"))
    (recorded / "rollouts" / "000002.jsonl.gz").write_bytes(b"not packed")
    assert "damaged" in refusal(capsys, str(recorded))


@pytest.mark.parametrize("width", [30, 80, 160])
@pytest.mark.parametrize("colour", [True, False])
def test_columns_go_by_the_width(
    width: int, colour: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name in ("FORCE_COLOR", "COLORTERM"):
        monkeypatch.setenv(name, "1") if colour else monkeypatch.delenv(name, raising=False)
    folder = record(tmp_path / "run", 1, [row("a", i, f"answer {i} " * 9, i % 2 == 0) for i in range(8)])
    text = inspected(capsys, str(folder))
    plain = re.sub("\x1b\\[[0-9;]*m", "", text)
    assert (plain != text) == colour
    assert max(map(len, plain.splitlines())) <= width
    titles = [line.count("─ sample ") for line in plain.splitlines() if "─ sample " in line]
    assert titles[0] == {30: 1, 80: 2, 160: 4}[width]
    assert ("▄" in plain) != colour  # bars stand in for shades


def test_no_color_is_heard(recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal().no_color
    text = inspected(capsys, str(recorded))
    assert not re.search("\x1b\\[[0-9;]*(3|4|9)[0-7]", text)
    assert "bars:" in text


def test_what_a_model_wrote_drives_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = row(
        HOSTILE, 0, HOSTILE, outcome=HOSTILE, extracted=HOSTILE, problem=HOSTILE, gold=HOSTILE, system=HOSTILE
    )
    folder = record(tmp_path / "run", 1, [hostile, row(HOSTILE + "2", 0, HOSTILE, problem=HOSTILE)])
    for arguments in ([], ["--full"], ["--json"], ["--problem", HOSTILE.encode("utf-8", "replace").decode()[:4]]):
        text = inspected(capsys, str(folder), *arguments)
        assert not FORBIDDEN.search(text)
        text.encode()
    content = json.loads(inspected(capsys, str(folder), "--json"))
    assert content["samples"][0]["text"] == HOSTILE  # a program gets it whole


def test_a_very_long_answer_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "start " + "x" * 10**6 + " end"
    folder = record(tmp_path / "run", 1, [row("a", 0, long, extracted=long, problem=long, gold=long)])
    text = inspected(capsys, str(folder))
    assert len(text) < 30_000
    assert "start" in text
    assert "characters are not shown" in text


@pytest.mark.parametrize(
    "odd",
    [{"reward": float("nan")}, {"reward": 10**400}, {"parts": {"a": float("inf")}}, {"finish": None}, {"ids": [2**70]}],
)
def test_odd_values_are_shown(odd: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record(tmp_path / "run", 1, [row("a", 0, "x") | odd])
    inspected(capsys, str(folder))
    json.loads(inspected(capsys, str(folder), "--json"))
