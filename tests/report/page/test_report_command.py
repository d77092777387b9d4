"""`simko report`: the file it writes, what it says, and that a model that is not there is a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pages import forks, write_run

from simko.cli.commands import run as simko
from simko.cli.report import _mark
from simko.errors import UserError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def test_it_writes_one_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.html"
    assert simko(["report", str(run), "-o", str(out), "--no-model"]) == 0
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert str(out) in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path != run] == ["out.html"]


def test_json_says_what_is_missing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "manifest.json").unlink()
    out = tmp_path / "out.html"
    assert simko(["report", str(run), "-o", str(out), "--no-model", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["report"] == str(out)
    assert said["bytes"] == out.stat().st_size
    assert any("manifest.json" in line for line in said["missing"])


@pytest.mark.parametrize(
    "error",
    [
        UserError("the model /x is not there"),
        RuntimeError("CUDA out of memory"),
        OSError(28, "full"),
        KeyError("layers"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_a_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("simko.forking.run_forks", refuse)
    monkeypatch.setattr("simko.run.folder.RunFolder.open", lambda path: path)
    monkeypatch.setattr("simko.cli.modules.reach_of", lambda *_: None)
    out = tmp_path / "out.html"
    assert simko(["report", str(run), "-o", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "No forking map" in page
    assert str(error.args[-1]) in page


def test_without_a_model_a_stored_map_is_shown(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    assert simko(["report", str(run), "-o", str(out), "--no-model"]) == 0
    assert 'class="tokens"' in out.read_text(encoding="utf-8")
    for file in (run / "forks").iterdir():
        file.unlink()
    assert simko(["report", str(run), "-o", str(out), "--no-model"]) == 0
    assert "--no-model was given" in out.read_text(encoding="utf-8")
    assert forks().groups


@pytest.mark.parametrize("arguments", [["nowhere"], ["RUN", "-o", "no/such/folder/x.html", "--no-model"], []])
def test_mistakes_are_one_line(run: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert simko(["report", *(str(run) if word == "RUN" else word for word in arguments)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_served_run_is_read_again_when_it_has_gone_on(run: Path) -> None:
    before = _mark([run])
    assert _mark([run]) == before
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9}\n')
    assert _mark([run]) != before
