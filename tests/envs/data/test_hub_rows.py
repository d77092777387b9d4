"""A data set of the Hub by its name, with a stand-in for `datasets`."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

import simko.envs
from simko.envs.data.hub_rows import is_hub_id
from simko.envs.data.jsonl import JSONL
from simko.envs.split import is_eval
from simko.errors import UserError

ROWS = [{"question": f"{n} + {n}?", "answer": str(2 * n)} for n in range(12)]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The data sets of the stand-in by name, config included; filled by the test."""
    sets: dict[str, Any] = {}

    def load_dataset(name: str, config: str | None = None) -> Any:
        key = name if config is None else f"{name}:{config}"
        if key not in sets:
            raise ValueError(f"{key} does not exist\nand more lines")
        return sets[key]

    module = types.ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return sets


def source(split: str, data: str = "org/set", **options: Any) -> JSONL:
    """The tasks of a split of the stand-in."""
    return JSONL(split, data=data, columns="problem=question", **options)


def test_train_and_test_are_the_splits_and_share_no_problem(hub: dict[str, Any]) -> None:
    hub["org/set:main"] = {"train": ROWS[:8], "validation": ROWS[:1], "test": [*ROWS[8:], ROWS[0]]}
    train, held_out = source("train", "org/set:main"), source("eval", "org/set:main")
    assert [task.id for task in train.tasks(None, 0)] == [f"train/{n}" for n in range(2, 9)]
    assert [task.problem for task in held_out.tasks(None, 0)] == [row["question"] for row in [*ROWS[8:], ROWS[0]]]
    assert not train.bad_rows
    assert train.notes == [
        "1 problems of the train part are in the test part, too, and are left out of training; the first: org/set:main/train:1"
    ]
    assert source("all", "org/set:main").size == 12


def test_a_train_part_that_is_the_test_part_is_refused(hub: dict[str, Any]) -> None:
    hub["org/set"] = {"train": ROWS[:2], "test": ROWS}
    with pytest.raises(UserError, match="every problem of its train part is in its test part, too"):
        source("train")
    assert source("eval").size == len(ROWS)


def test_an_only_part_is_split_by_content(hub: dict[str, Any]) -> None:
    hub["org/set"] = {"train": ROWS}
    held_out = {row["question"] for row in ROWS if is_eval(row["question"])}
    assert 0 < len(held_out) < len(ROWS)
    assert {task.problem for task in source("eval").tasks(None, 0)} == held_out
    assert source("train").size == len(ROWS) - len(held_out)


def test_a_bad_row_of_the_hub_is_named(hub: dict[str, Any]) -> None:
    hub["org/set"] = {"train": [*ROWS, {"question": "x?", "answer": " "}]}
    with pytest.raises(UserError, match="org/set/train:13: field 'answer' is ' '"):
        source("all")
    assert source("all", keep_good_rows=True).size == len(ROWS)


def test_what_cannot_be_fetched_is_one_line(hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"data org/none: cannot be fetched from the Hub \(org/none does not exist\);"):
        source("all", "org/none")
    hub["org/odd"] = {"a": ROWS, "b": ROWS}
    with pytest.raises(UserError, match="data org/odd: its parts are a, b, and none is train or test"):
        source("all", "org/odd")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"there is no such file.*pip install 'simko\[hub\]'"):
        source("all")


def test_paths_are_no_names_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows").touch()
    for name in ("data/rows", "data/none.csv", "./a/b", "/a/b", "~/b", "a/b/c", "rows.jsonl", "a b/c"):
        assert not is_hub_id(name), name
    assert is_hub_id("openai/gsm8k")
    assert is_hub_id("openai/gsm8k:main")


def test_it_is_an_environment(hub: dict[str, Any]) -> None:
    hub["org/set"] = {"train": ROWS, "test": [{"question": "20 + 20?", "answer": ["40", "forty"]}]}
    options = {"data": "org/set", "source_options": {"columns": "problem=question"}}
    env = simko.envs.make("simko/JSONL-v0", split="eval", **options)
    (task,) = env.source.tasks(None, 0)
    assert [env.grade(f"\\boxed{{{text}}}", task).correct for text in ("40", "forty", "41")] == [True, True, False]
