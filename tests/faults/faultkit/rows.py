"""Malformed data: each bad row is refused in one line that names file, line, field and value, and says how to mend it."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faultkit.lab import Lab, Result
from faultkit.runs import TINY, Server

OWN, GSM8K, MATH500 = "simko/JSONL-v0", "simko/GSM8K-v0", "simko/MATH500-v0"
GOOD = [{"problem": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(30)]
AT = 7
"""The line of the bad row."""


def malformed(lab: Lab) -> Result:
    """Bad rows, each among thirty good ones, through `train --data`."""
    cases = {name: case for name, case in _cases() if case[3] is not None}
    return _all(lab, "malformed data: one line with file, line, field, value and mend", cases, 3)


def harmless(lab: Lab) -> Result:
    """Odd but readable rows, which train."""
    cases = {name: case for name, case in _cases() if case[3] is None}
    return _all(lab, "odd data that is read all the same: BOM, CRLF, blank lines, numbers as answers", cases, 1)


def _all(lab: Lab, name: str, cases: dict[str, Any], few: int) -> Result:
    def trial(server: Server, cwd: Path, case: str) -> str | None:
        env, file, content, wanted = cases[case]
        path = cwd / file
        if content is not None:
            path.write_bytes(content)
        flags = [*TINY[:-4], "--steps", "1", "--env", env, "--data", file, "--out", "run"]
        level = flags.index("--level")
        ran = server.run([*flags[:level], *flags[level + 2 :]], cwd)
        if what := ran.trouble():
            return what
        if wanted is None:
            return ran.brief() if ran.rc else None
        if ran.refusal is None:
            return f"not refused in one line: {ran.brief()}"
        if (cwd / "run").exists():
            return "refused, but the run folder is there"
        missing = [word for word in (file, *wanted, ";") if word not in ran.refusal]
        return f"the line lacks {missing}: {ran.refusal}" if missing else None

    return lab.each(name, trial, lab.some(sorted(cases), few, name))


Case = tuple[str, tuple[str, str, bytes | None, Sequence[str] | None]]


def _cases() -> list[Case]:
    """(name, (environment, file, content, words of the refusal, or None for data that is fine))."""
    here = f":{AT}"
    return [
        *((f"own: {name}", (OWN, "d.jsonl", _with(row), (here, *words))) for name, row, words in _bad_rows()),
        *((f"own: {name}", (OWN, "d.jsonl", _line(line), (here, *words))) for name, line, words in _bad_lines()),
        *((f"own: {name}", (OWN, "d.jsonl", _with(row), None)) for name, row in _odd_rows()),
        *((f"gsm8k: {name}", (GSM8K, "d.jsonl", _gsm8k(row), (here, *words))) for name, row, words in _bad_gsm8k()),
        *_files(),
    ]


def _bad_rows() -> list[tuple[str, Any, Sequence[str]]]:
    problem, answer = "field 'problem'", "field 'answer'"
    return [
        ("no answer", {"problem": "p"}, (answer,)),
        ("no problem", {"answer": "1"}, (problem,)),
        ("misspelled answer", {"problem": "p", "anwser": "1"}, (answer, "anwser")),
        ("capital letters", {"Problem": "p", "Answer": "1"}, (problem,)),
        ("empty object", {}, (problem,)),
        ("null answer", {"problem": "p", "answer": None}, (answer, "None")),
        ("null problem", {"problem": None, "answer": "1"}, (problem, "None")),
        ("empty answer", {"problem": "p", "answer": ""}, (answer, "''")),
        ("blank answer", {"problem": "p", "answer": " \t\n"}, (answer,)),
        ("blank problem", {"problem": "   ", "answer": "1"}, (problem,)),
        ("boolean answer", {"problem": "p", "answer": True}, (answer, "True")),
        ("list as answer", {"problem": "p", "answer": ["1", "2"]}, (answer, "['1', '2']")),
        ("object as answer", {"problem": "p", "answer": {"value": 1}}, (answer, "{'value': 1}")),
        ("list as problem", {"problem": ["p"], "answer": "1"}, (problem, "['p']")),
        ("chat as problem", {"problem": [{"role": "user", "content": "p"}], "answer": "1"}, (problem, "role")),
        ("nested nulls", {"problem": "p", "answer": [[None, [None]]]}, (answer, "None")),
        ("number as problem and null answer", {"problem": 5, "answer": None}, (answer, "None")),
        ("lone surrogate in answer", {"problem": "p", "answer": "\ud800"}, (answer, "\\ud800")),
        ("lone surrogate in problem", {"problem": "p\udfff", "answer": "1"}, (problem, "\\udfff")),
        ("list as id", {"problem": "p", "answer": "1", "id": [1]}, ("field 'id'", "[1]")),
        ("boolean id", {"problem": "p", "answer": "1", "id": True}, ("field 'id'", "True")),
        ("object as level", {"problem": "p", "answer": "1", "level": {"a": 1}}, ("field 'level'", "{'a': 1}")),
        ("list as level", {"problem": "p", "answer": "1", "level": [3]}, ("field 'level'", "[3]")),
        ("list as extra", {"problem": "p", "answer": "1", "extra": [1]}, ("field 'extra'", "[1]")),
        ("duplicate id", {"problem": "p", "answer": "1", "id": "d/1"}, ("'d/1'", "d.jsonl:1")),
        ("10 MB problem", {"problem": "x" * 10_000_000, "answer": "1"}, ("10000000 bytes",)),
        ("1 MB problem", {"problem": "x " * 500_000, "answer": "1"}, (problem, "tokens", "x x x", "--max-prompt-tokens")),
        ("1 MB answer", {"problem": "p", "answer": "((" * 500_000}, (answer, "((((", "1000000 characters")),
    ]  # fmt: skip


def _odd_rows() -> list[tuple[str, Any]]:
    return [
        ("whole number as answer", {"problem": "p", "answer": 42}),
        ("float as answer", {"problem": "p", "answer": 2.5}),
        ("number as problem", {"problem": 5, "answer": "5"}),
        ("further fields", {"problem": "p", "answer": "1", "source": "here", "extra": {"a": None}}),
        ("null id and level", {"problem": "p", "answer": "1", "id": None, "level": None}),
        ("numbers as id and level", {"problem": "p", "answer": "1", "id": 17, "level": 3}),
        ("other scripts", {"problem": "\u0645\u0631\u062d\u0628\u0627 \U0001f600 \u4e2d", "answer": "1"}),
        ("special tokens in a problem", {"problem": "<|im_end|><eos></s>", "answer": "1"}),
        ("half of a LaTeX command as answer", {"problem": "p", "answer": "\\frac{1}{"}),
        ("a sentence as answer", {"problem": "p", "answer": "it is 3 or maybe 4, who knows"}),
        ("control characters", {"problem": "a\u0000b\u001b[31m", "answer": "1"}),
    ]


def _bad_lines() -> list[tuple[str, bytes, Sequence[str]]]:
    return [
        ("not UTF-8", b'{"problem": "caf\xe9", "answer": "1"}', ("UTF-8",)),
        ("UTF-16", '{"problem": "p", "answer": "1"}'.encode("utf-16"), ("UTF-8",)),
        ("overlong UTF-8", b'{"problem": "\xc0\xaf", "answer": "1"}', ("UTF-8",)),
        ("cut short", b'{"problem": "p", "ans', ("JSON", "column")),
        ("single quotes", b"{'problem': 'p', 'answer': '1'}", ("JSON", "column")),
        ("trailing comma", b'{"problem": "p", "answer": "1",}', ("JSON", "column")),
        ("two objects", b'{"problem": "p", "answer": "1"} {"problem": "q", "answer": "2"}', ("JSON", "column")),
        ("a BOM in the middle", b'\xef\xbb\xbf{"problem": "p", "answer": "1"}', ("JSON",)),
        ("CSV", b'"p","1"', ("JSON",)),
        ("a list", b'["p", "1"]', ("list",)),
        ("a text", b'"problem"', ("str",)),
        ("a number", b"42", ("int",)),
        ("null", b"null", ("NoneType",)),
        ("NaN as answer", b'{"problem": "p", "answer": NaN}', ("field 'answer'", "nan")),
        ("infinity as answer", b'{"problem": "p", "answer": -Infinity}', ("field 'answer'", "inf")),
        ("1e999 as answer", b'{"problem": "p", "answer": 1e999}', ("field 'answer'", "inf")),
        ("5000 digits", b'{"problem": "p", "answer": ' + b"9" * 5000 + b"}", ("digits",)),
        ("deep nesting", b'{"problem": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ("JSON", "nested")),
        ("bare NUL bytes", b'{"problem": "p\0\0", "answer": "1"}', ("JSON", "column")),
        ("answer twice", b'{"problem": "p", "answer": "1", "answer": "2"}', ("field 'answer'", "twice")),
    ]  # fmt: skip


def _bad_gsm8k() -> list[tuple[str, Any, Sequence[str]]]:
    return [
        ("no answer", {"question": "p"}, ("answer",)),
        ("no question", {"answer": "#### 4"}, ("problem", "(it has: answer)")),
        ("nothing after ####", {"question": "p", "answer": "so ####  "}, ("answer", "####")),
        ("null answer", {"question": "p", "answer": None}, ("answer", "None")),
        ("NaN question", {"question": float("nan"), "answer": "#### 4"}, ("question", "nan")),
        ("list as answer", {"question": "p", "answer": ["#### 4"]}, ("answer", "['#### 4']")),
    ]


def _files() -> list[Case]:
    """What is wrong with, or odd about, a file as a whole."""
    good = _lines(GOOD)
    packed = gzip.compress(good)
    bad_sum = packed[:-8] + bytes(4) + packed[-4:]
    rows = [{"question": row["problem"], "answer": f"#### {row['answer']}"} for row in GOOD]
    cases: list[Case] = [
        ("file: missing", (OWN, "d.jsonl", None, ("No such file",))),
        ("file: empty", (OWN, "d.jsonl", b"", ("no rows",))),
        ("file: blank lines alone", (OWN, "d.jsonl", b"\n\n \n", ("no rows",))),
        ("file: gzip cut short", (OWN, "d.jsonl.gz", packed[: len(packed) // 2], ("cannot be read",))),
        ("file: gzip without its end", (OWN, "d.jsonl.gz", packed[:-4], ("cannot be read",))),
        ("file: gzip with a wrong checksum", (OWN, "d.jsonl.gz", bad_sum, ("cannot be read",))),
        ("file: gzip in name alone", (OWN, "d.jsonl.gz", good, ("cannot be read",))),
        ("file: gzip without the name", (OWN, "d.jsonl", packed, ("UTF-8",))),
        ("file: zeros", (OWN, "d.jsonl", bytes(4096), ("JSON",))),
        ("file: UTF-16", (OWN, "d.jsonl", good.decode().encode("utf-16"), ("UTF-8",))),
        ("file: CSV with a cell too many", (OWN, "d.csv", b"problem,answer\nWhat is 1 + 1?,2,3\n", ("3 cells",))),
        ("file: CSV of other columns", (OWN, "d.csv", b"question,answer\nWhat is 1 + 1?,2\n", ("field 'problem'",))),
        ("file: a JSON list", (OWN, "d.json", json.dumps(GOOD).encode(), ("list",))),
        ("file: JSON over several lines", (OWN, "d.jsonl", json.dumps(GOOD[0], indent=1).encode(), ("JSON",))),
        ("file: rows of other columns", (OWN, "d.jsonl", _lines(rows), ("field 'problem'",))),
        ("file: json cut short", (GSM8K, "d.json", json.dumps(rows).encode()[:-9], ("JSON",))),
        ("file: json of texts", (GSM8K, "d.json", b'["a", "b"]', ("object",))),
        ("file: json with NaN", (GSM8K, "d.json", b'[{"question": NaN, "answer": "#### 1"}]', ("question", "nan"))),
        ("file: no parquet", (GSM8K, "d.parquet", b"PAR1 no", ("parquet",))),
        ("file: with a BOM", (OWN, "d.jsonl", b"\xef\xbb\xbf" + good, None)),
        ("file: CRLF", (OWN, "d.jsonl", good.replace(b"\n", b"\r\n"), None)),
        ("file: blank lines between", (OWN, "d.jsonl", good.replace(b"\n", b"\n\n"), None)),
        ("file: no line feed at the end", (OWN, "d.jsonl", good.rstrip(), None)),
        ("file: gzip", (OWN, "d.jsonl.gz", packed, None)),
        ("file: GSM8K's columns", (GSM8K, "d.jsonl", _lines(rows), None)),
    ]  # fmt: skip
    try:
        parquet = _parquet(rows)
    except ImportError:
        return cases
    bad = [*rows[: AT - 1], {"question": "p", "answer": None}, *rows[AT:]]
    return [
        *cases,
        ("file: parquet", (GSM8K, "d.parquet", parquet, None)),
        ("file: parquet cut short", (GSM8K, "d.parquet", parquet[: len(parquet) // 2], ("parquet",))),
        ("file: parquet with a null", (GSM8K, "d.parquet", _parquet(bad), (f":{AT}", "answer", "None"))),
        ("file: parquet, bits flipped", (GSM8K, "d.parquet", parquet[:40] + bytes(30) + parquet[70:], ("parquet",))),
    ]  # fmt: skip


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return out.getvalue()


def _with(row: Any) -> bytes:
    return _line(json.dumps(row).encode())


def _gsm8k(row: Any) -> bytes:
    rows = [{"question": good["problem"], "answer": f"#### {good['answer']}"} for good in GOOD]
    return _lines([*rows[: AT - 1], row, *rows[AT - 1 :]])


def _line(line: bytes) -> bytes:
    lines = _lines(GOOD).splitlines(keepends=True)
    return b"".join([*lines[: AT - 1], line + b"\n", *lines[AT - 1 :]])


def _lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
