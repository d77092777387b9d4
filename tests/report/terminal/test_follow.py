"""metrics.jsonl while it grows: each step once, a rewound file from its beginning, and no more than a bite at a time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from simko.report.terminal.follow import MetricsFile
from simko.run.records import Records


def lines(*steps: int, reward: float = 0.5) -> str:
    return "".join(json.dumps({"step": step, "reward": reward}) + "\n" for step in steps)


def steps(file: MetricsFile) -> list[int]:
    return [int(line["step"] or 0) for line in file.look().lines]


def test_only_what_was_added_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    assert steps(file) == []
    path.write_text(lines(1, 2))
    assert steps(file) == [1, 2]
    assert steps(file) == []
    with path.open("a") as out:
        out.write(lines(3) + lines(4)[:10])  # as a write that is under way
    assert steps(file) == [3]
    with path.open("a") as out:
        out.write(lines(4)[10:])
    assert steps(file) == [4]


def test_a_rewound_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(1, 2, 3, 4))
    file = MetricsFile(path)
    assert not file.look().restarted
    Records(tmp_path).rewind(2)
    with path.open("a") as out:
        out.write(lines(3, 4, 5, reward=0.75))  # longer than what was read before
    news = file.look()
    assert news.restarted
    assert [(line["step"], line["reward"]) for line in news.lines][1:3] == [(2, 0.5), (3, 0.75)]


def test_a_file_that_was_written_over_in_place_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(1, 2))
    file = MetricsFile(path)
    file.look()
    path.write_text(lines(1, 2, 3, reward=0.25))
    news = file.look()
    assert news.restarted
    assert len(news.lines) == 3


def test_a_long_file_is_read_in_bites(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(*range(1, 101)))
    file, found, looks = MetricsFile(path, chunk=500), [], 0
    while True:
        news = file.look()
        found += [line["step"] for line in news.lines]
        looks += 1
        assert len(news.lines) < 25
        if not news.more:
            break
    assert found == list(range(1, 101))
    assert looks > 5


@pytest.mark.parametrize(
    "bad",
    [
        b"{", b"[1]", b'"x"', b"[" * 5000, b'{"reward": 1}', b'{"step": true}', b'{"step": -1}', b"\xff\xfe", b"x" * 3000,
        b'{"step": 1}', b'{"step": ' + b"9" * 400 + b"}", b'{"step": "2"}',
    ],
)  # fmt: skip
def test_a_line_that_no_step_wrote_is_passed_over(bad: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(lines(1).encode() + bad + b"\n" + lines(2).encode())
    file, found = MetricsFile(path, chunk=1000), []
    for _ in range(9):
        found += steps(file)
    assert found == [1, 2]
    assert file.damaged == 1


def test_what_is_not_a_finite_number_is_none(tmp_path: Path) -> None:
    huge = "9" * 400
    (tmp_path / "m").write_text(
        f'{{"step": 1, "a": NaN, "b": 1e999, "c": {huge}, "d": "x", "e": [1], "f": true, "g": 2}}\n'
    )
    (line,) = MetricsFile(tmp_path / "m").look().lines
    assert line == {"step": 1.0, **dict.fromkeys("abcdef"), "g": 2.0}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_a_link_or_a_folder_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(lines(1))
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert [steps(MetricsFile(tmp_path / name)) for name in ("link", "pipe", "folder")] == [[], [], []]
