"""The answers of an evaluation on disk: written as they come, whole, the same bytes each time; damage is one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simko.errors import UserError
from simko.run.samples import keeping_samples, read_samples
from simko.types import Completion, Group, Task, Verdict


def a_group(name: str, texts: Sequence[str], system: str | None = None) -> Group:
    ids, mask = np.arange(3), np.array([True, False, True])
    made = [
        Completion(
            ids, ids, np.zeros(3, np.float32), mask, text, "length", Verdict("incorrect", float("nan"), text[:2])
        )
        for text in texts
    ]
    return Group(Task(name, f"problem of {name}", "1", system=system), tuple(made))


def write(path: Path) -> None:
    with keeping_samples(path) as keep:
        keep("trained", [a_group("a", ["one", "tw\ud800\x1b[2Jo"]), a_group("b", ["three"], system="Be brief.")], 0)
        keep("trained", [a_group("b", ["four"])], 7)
        keep("base", [a_group("a", ["five"])], 0)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "x.samples.jsonl.gz")
    rows = list(read_samples(tmp_path / "x.samples.jsonl.gz"))
    assert [(r["side"], r["task"], r["sample"], r["text"]) for r in rows] == [
        ("trained", "a", 0, "one"), ("trained", "a", 1, "tw\ud800\x1b[2Jo"), ("trained", "b", 0, "three"),
        ("trained", "b", 7, "four"), ("base", "a", 0, "five"),
    ]  # fmt: skip
    assert rows[0] == {
        "side": "trained", "task": "a", "problem": "problem of a", "gold": "1", "sample": 0, "text": "one",
        "finish": "length", "tokens": 2, "outcome": "incorrect", "reward": None, "extracted": "on",
    }  # fmt: skip
    assert rows[2]["system"] == "Be brief."


def test_the_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write(path)
    before = path.read_bytes()

    def killed() -> None:
        with keeping_samples(path) as keep:
            keep("trained", [a_group("a", ["half"])], 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"side": "other"}, "side is 'other'"),
        ({"outcome": "fine"}, "outcome is 'fine'"),
        ({"finish": None}, "finish is None"),
        ({"sample": -1}, "sample is -1"),
        ({"tokens": "many"}, "tokens is 'many'"),
    ],
)
def test_a_line_of_another_form_is_refused(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    write(tmp_path / "x")
    row = next(read_samples(tmp_path / "x")) | change
    (tmp_path / "x").write_bytes(gzip.compress(json.dumps(row).encode()))
    with pytest.raises(UserError, match=f"{why}.*evaluate again"):
        list(read_samples(tmp_path / "x"))


def test_a_damaged_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    write(path)
    good = path.read_bytes()
    for damaged in (good[:-9], b"not gzip", good[:40] + b"\xff\xff" + good[42:], gzip.compress(b"[1]\n")):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged, cannot be read"):
            list(read_samples(path))
    path.write_bytes(good)
    monkeypatch.setattr("simko.run.samples._LONGEST_FILE", 100)
    with pytest.raises(UserError, match="longer than 100 bytes"):
        list(read_samples(path))
    with pytest.raises(UserError, match="No such file"):
        list(read_samples(tmp_path / "gone"))
