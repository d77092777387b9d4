"""Bad rows: refused with file, line, field and mend, or left out and counted."""

from __future__ import annotations

import gzip
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

import simko.envs
from simko.envs.data.benchmarks import GSM8K
from simko.envs.data.jsonl import JSONL
from simko.envs.data.rows import Sieve, boxed, read_jsonl
from simko.errors import UserError

GOOD = [{"problem": f"{i} + 1?", "answer": str(i + 1), "id": f"r{i}"} for i in range(6)]
LINES = [json.dumps(row).encode() for row in GOOD]
BAD: list[tuple[bytes, str]] = [
    (b'{"answer": "1"}', r"a\.jsonl:4: no field 'problem'"),
    (b'{"problem": "p", "answer": " "}', r"a\.jsonl:4: field 'answer' is ' '; it must be text"),
    (b'{"problem": "p", "answer": "1"', r"a\.jsonl:4: not JSON at column"),
    (b'{"problem": "\xff", "answer": "1"}', r"a\.jsonl:4: not UTF-8 .*save the file as UTF-8"),
    (b"[1]", r"a\.jsonl:4: the row is of type list, not an object"),
    (LINES[1], r"a\.jsonl:4: the id 'r1' occurs twice \(first in .*a\.jsonl:2\)"),
]


def write(path: Path, lines: list[bytes]) -> Path:
    text = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
@pytest.mark.parametrize(("line", "says"), BAD, ids=range(len(BAD)))
def test_refused_or_left_out(tmp_path: Path, line: bytes, says: str, ending: str) -> None:
    path = write(tmp_path / f"a.{ending}", [*LINES[:3], line, *LINES[3:]])
    with pytest.raises(UserError, match=says.replace("jsonl:", f"{ending}:")) as caught:
        JSONL("all", data=path)
    assert "\n" not in str(caught.value)
    good = JSONL("all", data=path, keep_good_rows=True)
    assert [t.id for t in good.tasks(None, 0)] == [row["id"] for row in GOOD]
    assert len(good.left_out) == 1
    assert f"a.{ending}:4: " in good.left_out[0]
    assert pickle.loads(pickle.dumps(good)).left_out == good.left_out


@pytest.mark.parametrize("gold", ["\\boxed{1", "$"])
def test_a_gold_that_does_not_verify_against_itself(tmp_path: Path, gold: str) -> None:
    bad = json.dumps({"problem": "p", "answer": gold}).encode()
    path = write(tmp_path / "a.jsonl", [*LINES, bad])
    with pytest.raises(UserError, match=r"a\.jsonl:7: field 'answer' is .*which 'math' does not verify against itself"):
        simko.envs.make("simko/JSONL-v0", split="all", data=path)
    env = simko.envs.make("simko/JSONL-v0", split="all", data=path, source_options={"keep_good_rows": True})
    assert env.source.size == 6
    assert len(env.source.left_out) == 1  # type: ignore[attr-defined]
    only = write(tmp_path / "b.jsonl", [bad])
    with pytest.raises(UserError, match="no row has an answer that 'math' verifies"):
        simko.envs.make("simko/JSONL-v0", split="all", data=only, source_options={"keep_good_rows": True})


def test_golds_of_puzzles_are_not_responses(tmp_path: Path) -> None:
    row = {"problem": "p", "answer": '{"numbers": [1, 2], "target": 3}'}
    path = write(tmp_path / "a.jsonl", [json.dumps(row).encode()])
    assert simko.envs.make("simko/JSONL-v0", split="all", data=path, verifier="expression").source.size == 1


def test_many_rows_are_checked_quickly(tmp_path: Path) -> None:
    lines = [json.dumps({"problem": f"{i}?", "answer": i if i % 3 else f"{i}/7"}).encode() for i in range(20_000)]
    path = write(tmp_path / "a.jsonl", lines)
    begun = time.process_time()
    assert simko.envs.make("simko/JSONL-v0", split="all", data=path).source.size == 20_000
    assert time.process_time() - begun < 10


def test_options_of_a_source(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", LINES)
    with pytest.raises(UserError, match=r"takes no option 'keep_good_row'; did you mean 'keep_good_rows'"):
        simko.envs.make("simko/JSONL-v0", data=path, source_options={"keep_good_row": True})
    with pytest.raises(UserError, match="takes no option"):
        simko.envs.make("simko/Countdown-v0", source_options={"keep_good_rows": True})
    with pytest.raises(UserError, match="give a mapping"):
        simko.envs.make("simko/JSONL-v0", data=path, source_options=["x"])


def test_ids_of_a_benchmark_are_unique(tmp_path: Path) -> None:
    row: dict[str, Any] = {"question": "q", "answer": "#### 5", "id": "x"}
    path = write(tmp_path / "a.jsonl", [json.dumps(row).encode()] * 2)
    with pytest.raises(UserError, match=r"a\.jsonl:2: the id 'x' occurs twice \(first in .*a\.jsonl:1\)"):
        GSM8K("train", data=path)
    assert GSM8K("train", data=path, keep_good_rows=True).size == 1


def test_reading_goes_on_behind_a_bad_line(tmp_path: Path) -> None:
    sieve = Sieve(keep_good=True)
    path = write(tmp_path / "a.jsonl", [b"\xef\xbb\xbf" + LINES[0], b"{", b"", b"\xff", LINES[1]])
    assert [number for number, _ in read_jsonl(path, sieve)] == [1, 5]
    assert [text.split(": ")[0].rpartition(":")[2] for text in sieve.bad] == ["2", "4"]


def test_boxed() -> None:
    assert boxed("{1}") == "\\boxed{{1}}"
    assert boxed("}{") == "Answer: }{"


def noted(path: Path, rows: list[dict[str, Any]], **settings: Any) -> list[str]:
    write(path, [json.dumps(row).encode() for row in rows])
    return simko.envs.make("simko/JSONL-v0", split="all", data=path, **settings).source.notes  # type: ignore[attr-defined]


def test_one_problem_with_several_golds_is_told_and_counted(tmp_path: Path) -> None:
    golds = [
        ("p", "1"),
        ("p", "2"),
        ("q", "0.5"),
        ("q", "1/2"),
        (" p ", "1"),
        ("r", "7"),
        ("r", "7"),
        ("s", "3"),
        ("s", "4"),
    ]
    rows = [{"problem": problem, "answer": gold} for problem, gold in golds]
    (note,) = noted(tmp_path / "a.jsonl", rows)
    assert note.startswith(
        "jsonl: 2 problems have several gold answers (5 rows), as 'a/1' ('1') and 'a/2' ('2'); correct"
    )
    (note,) = noted(tmp_path / "a.jsonl", rows, verifier="exact")
    assert "3 problems have several gold answers (7 rows)" in note
    assert noted(tmp_path / "a.jsonl", rows[2:4] + rows[5:7]) == []  # equal values, and the same row twice
    (note,) = noted(tmp_path / "a.jsonl", rows[:2])
    assert "1 problem has several gold answers (2 rows)" in note
    for problem in ("find P?", "find\u00a0p?", "find p\uff1f"):  # case, blank, Unicode form
        pair = [{"problem": "find p?", "answer": "1"}, {"problem": problem, "answer": "2"}]
        assert len(noted(tmp_path / "a.jsonl", pair)) == 1
    other = {**rows[1], "system": "Count from zero."}
    assert noted(tmp_path / "a.jsonl", [rows[0], other]) == []


def test_files_of_other_encodings(tmp_path: Path) -> None:
    text = "\r\n".join(line.decode() for line in LINES) + "\r\n"
    path = tmp_path / "a.jsonl"
    path.write_bytes(text.encode("utf-8-sig"))
    assert JSONL("all", data=path).size == len(GOOD)
    for encoding in ("utf-16", "utf-32"):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(UserError, match=r"a\.jsonl: it is UTF-16 or UTF-32; save the file as UTF-8"):
            JSONL("all", data=path, keep_good_rows=True)
