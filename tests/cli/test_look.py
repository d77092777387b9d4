"""`simko env look`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from simko.cli import run as simko

ROWS = "question,key,hard\n" + "".join(f"{n} + {n}?,{2 * n},{n % 2}\n" for n in range(1, 12))
COLUMNS = ("--columns", "problem=question,answer=key,level=hard")


def ran(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `simko env look`."""
    capsys.readouterr()
    code = simko(["env", "look", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_what_was_read_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.csv"
    path.write_text(ROWS)
    code, out, _ = ran(capsys, "--data", path, *COLUMNS, "--show", 1)
    assert code == 0
    assert "no row is refused" in out
    assert "gold: 2" in out
    code, out, _ = ran(capsys, "--data", path, *COLUMNS, "--json")
    told = json.loads(out)
    assert code == 0
    assert sum(part["rows"] for part in told["splits"].values()) == 11
    assert set(told["splits"]) == {"train", "eval"}
    assert told["verifier"] == "math"
    assert not told["refused"]
    assert sum(part["levels"].get("1", 0) for part in told["splits"].values()) == 6


def test_refused_rows_are_listed_with_their_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.csv"
    path.write_text(ROWS + "x?,,1\n" + "y?,nan\x1b[31m,1\n" + "z?,1,1,1\n" * 25)
    code, out, _ = ran(capsys, "--data", path, *COLUMNS)
    assert code == 1
    assert "27 rows are refused" in out
    assert "and 7 more" in out
    assert "\x1b" not in out
    code, out, _ = ran(capsys, "--data", path, *COLUMNS, "--json")
    assert code == 1
    assert len(json.loads(out)["refused"]) == 27


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no data; give data="),
        (["--data", "none.csv"], "none.csv: cannot be read"),
        (["simko/Countdown-v0"], "generates its problems and reads no data"),
        (["--data", "d.csv", "--columns", "problem"], "names no column"),
        (["--data", "d.csv"], "no rows .* the first: d.csv:2: no field 'problem'"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text(ROWS)
    code, out, err = ran(capsys, *arguments)
    assert code == 2
    assert not out
    assert err.count("\n") == 1
    assert re.search(says, err), err


def test_options_and_interpreter_reach_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    foreign = ("simko/ReasoningGym-v0", "--data", "chain_sum")
    code, _, err = ran(capsys, *foreign, "--python", "/absent/python")
    assert code == 2
    assert "/absent/python" in err
    code, _, err = ran(capsys, *foreign, "--env-options", "size=none")
    assert code == 2
    assert "size" in err
