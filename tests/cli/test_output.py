"""Output that nobody takes: a full disk, a reader that left, an encoding that lacks the letters."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path

import pytest

from simko.cli import run
from simko.cli.output import flush, never_fail, print_json, terminal
from simko.reward_parts import Parts


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_the_output_does_not_end_a_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched, open("/dev/full", "w") as full:
        patched.setattr("sys.stdout", full)
        console = terminal()
        for _ in range(3):
            console.print("step 1")
        flush()
        assert "going on without it" in capfd.readouterr().err
        console.print("step 2")
    assert capfd.readouterr().err == ""


def test_a_reader_that_left_ends_a_command_with_141(monkeypatch: pytest.MonkeyPatch) -> None:
    for act in (lambda: run(["algorithms"]), lambda: terminal().print("x")):
        reader, writer = os.pipe()
        os.close(reader)
        with monkeypatch.context() as patched, open(writer, "w", buffering=1) as nobody:
            patched.setattr("sys.stdout", nobody)
            with contextlib.suppress(BrokenPipeError):
                assert act() == 141
            patched.undo()
            os.dup2(os.open(os.devnull, os.O_WRONLY), writer)


def test_letters_that_the_terminal_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", plain)
    never_fail()
    print("π = 3", flush=True)
    print_json({"a": "π"})
    plain.flush()
    lines = plain.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert lines.startswith("? = 3\n")
    assert json.loads(lines.partition("\n")[2]) == {"a": "π"}


def test_json_takes_mappings_and_sets(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"parts": Parts({"format": 0.5}), "needs": frozenset(("b", "a"))})
    assert json.loads(capsys.readouterr().out) == {"parts": {"format": 0.5}, "needs": ["a", "b"]}
    with pytest.raises(TypeError, match="object is not JSON"):
        print_json({"x": object()})
