from __future__ import annotations

import builtins
import gzip
import json
import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simko.envs import grade
from simko.envs.data.benchmark_table import after_hashes
from simko.envs.data.benchmarks import GSM8K, MATH500
from simko.errors import UserError
from simko.types import TaskSource

HUB_GSM = [
    {"question": "Ann has 2 pens and buys 3. How many?", "answer": "2 + 3 = <<2+3=5>>5\n#### 5"},
    {"question": "A flat costs 1,200 a month. A year?", "answer": "12 x 1200\n#### 14,400"},
]
HUB_MATH = [
    {
        "problem": "$1+1$?",
        "solution": "\\boxed{2}",
        "answer": "2",
        "subject": "Algebra",
        "level": 1,
        "unique_id": "a/1",
    },
    {
        "problem": "Half?",
        "solution": "",
        "answer": "\\frac{1}{2}",
        "subject": "Algebra",
        "level": 5,
        "unique_id": "a/2",
    },
]
OURS = [{"id": "gsm8k-test-7", "problem": "3 and 4?", "answer": "7", "source": "openai/gsm8k", "solution": "#### 7"}]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return path
    text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMKO_DATA", raising=False)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.parquet"])
def test_hub_columns_from_a_local_file(tmp_path: Path, name: str) -> None:
    made = GSM8K("train", data=write(tmp_path / name, HUB_GSM))
    assert isinstance(made, TaskSource)
    assert made.size == 2
    first, second = made.tasks(None, 0)
    assert (first.id, first.problem, first.gold) == ("gsm8k-train-1", HUB_GSM[0]["question"], "5")
    assert second.gold == "14400"
    assert pickle.loads(pickle.dumps(made)).tasks(None, 0) == [first, second]
    assert made.draw(np.random.default_rng(0)) in (first, second)
    for task in (first, second):
        assert grade(made.answer(task), task.gold).correct


def test_math_rows_have_levels_and_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", HUB_MATH)
    made = MATH500("eval", data=str(path))
    assert [t.id for t in made.tasks(None, 0)] == ["a/1", "a/2"]
    assert MATH500("eval", level=5, data=path).size == 1
    with pytest.raises(UserError, match="no row of level 3; there are: 1, 5"):
        MATH500("eval", level=3, data=path)
    with pytest.raises(UserError, match="its rows have no level"):
        GSM8K("train", level=3, data=write(tmp_path / "g.jsonl", HUB_GSM))


def test_math500_has_no_train_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="math500: has no split 'train', it is for evaluation; use split 'eval'"):
        MATH500("train", data=write(tmp_path / "m.jsonl", HUB_MATH))
    with pytest.raises(UserError, match="use 'train' or 'eval'"):
        MATH500("test")


@pytest.mark.parametrize("name", ["gsm8k_test.jsonl.gz", "gsm8k_test.jsonl", "openai_gsm8k_main_test.jsonl"])
def test_a_folder_is_searched_by_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / name, OURS)
    assert GSM8K("eval", data=tmp_path).get("gsm8k-test-7").gold == "7"
    monkeypatch.setenv("SIMKO_DATA", str(tmp_path))
    assert GSM8K("eval").size == 1
    with pytest.raises(UserError, match=r"has no gsm8k_train\.jsonl\.gz; give data="):
        GSM8K("train", data=tmp_path)


def test_rows_of_another_form_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"m\.jsonl:1: no column 'problem' \(it has: a\); is this openai/gsm8k\?"):
        GSM8K("train", data=write(tmp_path / "m.jsonl", [{"a": 1}]))
    with pytest.raises(UserError, match=r"m\.jsonl:2: column 'answer' is ''"):
        GSM8K("train", data=write(tmp_path / "m.jsonl", [OURS[0], {"problem": "p", "answer": ""}]))
    with pytest.raises(UserError, match="column 'answer' is 'x ####'"):
        GSM8K("train", data=write(tmp_path / "m.jsonl", [{"question": "p", "answer": "x ####"}]))
    with pytest.raises(UserError, match="no rows"):
        GSM8K("train", data=write(tmp_path / "m.jsonl", []))
    (tmp_path / "m.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="not a list of objects"):
        GSM8K("train", data=tmp_path / "m.json")
    (tmp_path / "m.parquet").write_text("not parquet")
    with pytest.raises(UserError, match="cannot be read as parquet"):
        GSM8K("train", data=tmp_path / "m.parquet")
    with pytest.raises(UserError, match="cannot be read"):
        GSM8K("train", data=tmp_path / "none.jsonl")


def fake_datasets(load: Any) -> types.ModuleType:
    module = types.ModuleType("datasets")
    module.load_dataset = load  # type: ignore[attr-defined]
    return module


def test_the_hub_is_asked_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(*place: Any, split: str) -> list[dict[str, Any]]:
        asked.append((*place, split))
        return HUB_GSM if "gsm8k" in place[0] else HUB_MATH

    monkeypatch.setitem(sys.modules, "datasets", fake_datasets(load))
    monkeypatch.setenv("SIMKO_DATA", str(tmp_path))
    assert GSM8K("eval").size == 2
    assert MATH500("eval").size == 2
    assert asked == [("openai/gsm8k", "main", "test"), ("HuggingFaceH4/MATH-500", None, "test")]
    write(tmp_path / "gsm8k_train.jsonl", HUB_GSM)
    assert GSM8K("train").size == 2
    assert len(asked) == 2


def test_without_data_every_mend_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "datasets", fake_datasets(offline))
    monkeypatch.setenv("SIMKO_DATA", str(tmp_path))
    with pytest.raises(
        UserError, match=r"cannot be fetched .*no route.*has no gsm8k_test.*data=.*SIMKO_DATA"
    ) as caught:
        GSM8K("eval")
    assert "\n" not in str(caught.value)

    real = builtins.__import__

    def without_datasets(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "datasets")
    monkeypatch.setattr(builtins, "__import__", without_datasets)
    with pytest.raises(UserError, match=r"no data at hand.*data=.*SIMKO_DATA.*pip install 'simko\[hub\]'"):
        GSM8K("eval")


def test_gsm8k_answers() -> None:
    assert after_hashes("a #### 1\n#### -1,234 ") == "-1234"
    assert after_hashes(18) == "18"
    assert after_hashes("####") is None
    assert after_hashes(None) is None


REAL = os.environ.get("SIMKO_DATA")


@pytest.mark.skipif(not REAL, reason="needs SIMKO_DATA=<folder of the normalised files>")
@pytest.mark.parametrize(("source", "split"), [(GSM8K, "train"), (GSM8K, "eval"), (MATH500, "eval")])
def test_real_rows_grade_their_own_answer(source: Any, split: str) -> None:
    made = source(split, data=REAL)
    tasks = made.tasks(200, 0)
    assert all(grade(made.answer(task), task.gold).correct for task in tasks)
    answers = [t.gold for t in tasks]
    pairs = [(t, other) for t, other in zip(tasks, answers[1:] + answers[:1], strict=True) if t.gold != other]
    assert sum(grade(f"\\boxed{{{other}}}", t.gold).correct for t, other in pairs) <= len(pairs) // 100
