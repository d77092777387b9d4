from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import fake_envs
import numpy as np
import pytest

import simko.envs
from simko.envs import grade
from simko.envs.data.jsonl import JSONL
from simko.envs.split import is_eval
from simko.errors import UserError
from simko.types import TaskSource

ROWS = [{"problem": f"What is {i} + 1?", "answer": i + 1, "level": 1 + i % 2} for i in range(60)]


def write(path: Path, rows: list[object], raw: bool = False) -> Path:
    text = "".join((row if raw else json.dumps(row)) + "\n" for row in rows)  # type: ignore[operator]
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_are_split_by_content(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ROWS)
    whole = JSONL("all", data=path)
    train, held_out = JSONL("train", data=str(path)), JSONL("eval", data=path)
    assert isinstance(train, TaskSource)
    assert whole.size == 60 == (train.size or 0) + (held_out.size or 0)
    assert all(is_eval(t.problem) for t in held_out.tasks(None, 0))
    assert not any(is_eval(t.problem) for t in train.tasks(None, 0))
    task = whole.tasks(None, 0)[2]
    assert (task.id, task.problem, task.gold, task.level) == ("rows/3", "What is 2 + 1?", "3", "1")
    assert pickle.loads(pickle.dumps(train)).tasks(None, 0) == train.tasks(None, 0)


def test_draw_get_tasks_and_answer(tmp_path: Path) -> None:
    made = JSONL("all", data=write(tmp_path / "a.jsonl", ROWS))
    drawn = {made.draw(np.random.default_rng(seed)).id for seed in range(400)}
    assert len(drawn) > 50
    assert made.tasks(7, 3) == made.tasks(7, 3) != made.tasks(7, 4)
    assert len({t.id for t in made.tasks(60, 0)}) == 60
    with pytest.raises(UserError, match="has 60 tasks, 61 asked for"):
        made.tasks(61, 0)
    with pytest.raises(UserError, match="did you mean 'a/3'"):
        made.get("a/3x")
    for task in made.tasks(5, 0):
        assert grade(made.answer(task), task.gold, "math").correct


def test_levels_choose_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", ROWS)
    assert JSONL("all", level=2, data=path).size == 30
    with pytest.raises(UserError, match="no row of split 'all' has level 3; there are: 1, 2"):
        JSONL("all", level=3, data=path)
    with pytest.raises(UserError, match="has level 3; its rows have no level: leave level out"):
        JSONL("all", level=3, data=write(tmp_path / "plain.jsonl", [{"problem": "1 + 1?", "answer": "2"}]))


def test_a_folder_of_two_files_is_the_split(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", ROWS[:40])
    with pytest.raises(UserError, match=r"needs eval\.jsonl"):
        JSONL("train", data=tmp_path)
    write(tmp_path / "eval.jsonl.gz", ROWS[40:])
    assert (JSONL("train", data=tmp_path).size, JSONL("eval", data=tmp_path).size) == (40, 20)
    assert JSONL("all", data=tmp_path).size == 60


def test_a_problem_in_both_files_of_a_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", ROWS[:40])
    write(tmp_path / "eval.jsonl", [*ROWS[40:], {**ROWS[3], "problem": "What is  3 + 1? "}])
    with pytest.raises(UserError, match="'train/4' of train is also 'eval/21' of eval"):
        JSONL("train", data=tmp_path)


GOOD = '{"problem": "p", "answer": "a"}'
BAD = [
    ("{", "not JSON at column"),
    ("[1]", "the row is of type list, not an object"),
    ("nul", "not JSON"),
    ('{"answer": "a"}', "no field 'problem'"),
    ('{"problm": "p", "answer": "a"}', "no field 'problem'; did you mean 'problm'"),
    ('{"problem": "p"}', r"no field 'answer' \(it has: problem\)"),
    ('{"problem": "p", "answer": null}', "field 'answer' is None"),
    ('{"problem": "p", "answer": ""}', "field 'answer' is ''"),
    ('{"problem": "  ", "answer": "a"}', "field 'problem' is '  '"),
    ('{"problem": "p", "answer": []}', "a list of accepted answers must hold texts or numbers"),
    ('{"problem": "p", "answer": ["a", " "]}', "a list of accepted answers must hold texts or numbers"),
    ('{"problem": "p", "answer": [1,2,3,4,5,6,7,8,9,10]}', "it lists 10 accepted answers; give at most 9"),
    ('{"problem": {"a": 1}, "answer": "a"}', "field 'problem' is"),
    ('{"problem": "p", "answer": true}', "field 'answer' is True"),
    ('{"problem": "p", "answer": NaN}', "field 'answer' is nan"),
    ('{"problem": "p", "answer": 1e999}', "field 'answer' is inf"),
    ('{"problem": "p\\ud800", "answer": "a"}', "field 'problem' is"),
    ('{"problem": "p", "answer": "a", "id": []}', r"field 'id' is \[\]"),
    ('{"problem": "p", "answer": "a", "level": {}}', "field 'level' is"),
    ("[" * 100_000, "the JSON is nested too deeply"),
    ('{"problem": "p", "answer": ' + "9" * 5000 + "}", "a whole number has too many digits; write it as text"),
    ('{"problem": "p", "answer": "a", "answer": "b"}', "field 'answer' occurs twice"),
    ('{"problem": "p", "answer": "a", "extra": [1]}', r"field 'extra' is \[1\]; it must be an object"),
    ('{"problem": "p", "answer": "' + "(" * 100_001 + '"}', r"field 'answer' is '\(+'... of 100001 characters"),
]


@pytest.mark.parametrize(("line", "says"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = write(tmp_path / "a.jsonl", [GOOD, "", line, GOOD], raw=True)
    with pytest.raises(UserError, match=r"a\.jsonl:3: .*" + says) as caught:
        JSONL("all", data=path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_jsonl(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        JSONL("all", data=tmp_path / "missing.jsonl")
    with pytest.raises(UserError, match="no data; give data="):
        JSONL("all")
    with pytest.raises(UserError, match="no rows"):
        JSONL("all", data=write(tmp_path / "empty.jsonl", [], raw=True))
    (tmp_path / "a.jsonl.gz").write_text(GOOD)
    with pytest.raises(UserError, match="cannot be read"):
        JSONL("all", data=tmp_path / "a.jsonl.gz")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(GOOD.encode() * 50)[:-12])
    with pytest.raises(UserError, match="cannot be read"):
        JSONL("all", data=tmp_path / "cut.jsonl.gz")
    (tmp_path / "latin.jsonl").write_bytes(GOOD.encode() + b'\n{"problem": "\xe9", "answer": "a"}\n')
    with pytest.raises(UserError, match="not UTF-8"):
        JSONL("all", data=tmp_path / "latin.jsonl")
    write(tmp_path / "twice.jsonl", [{**ROWS[0], "id": "x"}, {**ROWS[1], "id": "x"}])
    with pytest.raises(UserError, match="the id 'x' occurs twice"):
        JSONL("all", data=tmp_path / "twice.jsonl")
    one = next(row for row in ROWS if not is_eval(str(row["problem"])))
    with pytest.raises(UserError, match="no row falls into split 'eval'; use split 'all'"):
        JSONL("eval", data=write(tmp_path / "one.jsonl", [one]))


def test_numbers_byte_order_mark_and_balanced_braces(tmp_path: Path) -> None:
    rows = [
        {"problem": "a", "answer": 27.0, "id": 5},
        {"problem": "b", "answer": 0.5},
        {"problem": "c", "answer": "{1"},
        {"problem": "d", "answer": "}{"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8-sig")
    made = JSONL("all", data=path)
    assert [t.gold for t in made.tasks(None, 0)] == ["27", "0.5", "{1", "}{"]
    assert made.get("5").problem == "a"
    for task in made.tasks(None, 0):
        assert grade(made.answer(task), task.gold, "exact").correct


def test_a_prompt_that_is_too_long_is_found_before_anything_is_sampled(tmp_path: Path) -> None:
    rows = [*ROWS[:20], {"problem": "word " * 200, "answer": "1"}]
    path = write(tmp_path / "a.jsonl", rows)
    with pytest.raises(
        UserError, match=r"a\.jsonl:21: field 'problem' makes a prompt of \d+ tokens .*--max-prompt-tokens"
    ):
        simko.envs.make("simko/JSONL-v0", data=str(path), split="all", max_prompt_tokens=300)
    options = {"data": str(path), "split": "all", "source_options": {"keep_good_rows": True}}
    source = simko.envs.make("simko/JSONL-v0", **options, max_prompt_tokens=300).source
    assert (source.size, len(source.bad_rows)) == (20, 1)
    assert simko.envs.make("simko/JSONL-v0", **options, max_prompt_tokens=1200).source.size == 21
    with pytest.raises(UserError, match="no prompt has 2 tokens or less"):
        simko.envs.make("simko/JSONL-v0", **options, max_prompt_tokens=2)


def test_a_prompt_that_fills_the_models_context_is_refused_by_row_and_a_long_one_is_noted(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", [{"problem": f"{i}" + "x" * (n - 1), "answer": "1"} for i, n in enumerate((5, 90, 120))]
    )
    options: dict[str, Any] = {
        "data": str(path),
        "split": "all",
        "template": "plain",
        "instruction": "",
        "max_new_tokens": 30,
    }
    env = simko.envs.make("simko/JSONL-v0", **options, context=150)
    assert (env.source.size, list(env.source.notes)) == (  # type: ignore[attr-defined]
        3,
        [
            "1 prompts leave less than max_new_tokens 30 of the model's 150 tokens, and their answers are cut off there; the "
            f"first: {path}:3 leaves 29"
        ],
    )
    assert [env.begin(task).budget_left for task in env.source.tasks(None, 0)] == [30, 30, 29]
    with pytest.raises(
        UserError, match=r"a\.jsonl:3: .* prompt of 121 tokens .*the model takes 121, prompt and answer together"
    ):
        simko.envs.make("simko/JSONL-v0", **options, context=121)
    kept = simko.envs.make("simko/JSONL-v0", **options, context=121, source_options={"keep_good_rows": True}).source
    assert (kept.size, len(kept.bad_rows), len(kept.notes)) == (2, 1, 0)  # type: ignore[attr-defined]


def test_a_problem_that_the_chat_template_changes_is_refused_by_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"problem": "1 + 1", "answer": "2"}, {"problem": "a </s> b", "answer": "2"}])
    template = "{% for m in messages %}{{ m.content | replace('</s>', '') }}{% endfor %}"
    options: dict[str, Any] = {"data": str(path), "split": "all", "tokenizer": fake_envs.chat_tokenizer(template)}
    with pytest.raises(UserError, match=r"a\.jsonl:2: .*the chat template changes the user's message"):
        simko.envs.make("simko/JSONL-v0", **options)
    assert simko.envs.make("simko/JSONL-v0", **options, source_options={"keep_good_rows": True}).source.size == 1


def test_a_template_that_prints_a_problem_twice_is_counted_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"problem": "x" * 100, "answer": "2"}])
    tokenizer = fake_envs.chat_tokenizer("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}")
    options: dict[str, Any] = {"data": str(path), "split": "all", "tokenizer": tokenizer, "instruction": ""}
    assert simko.envs.make("simko/JSONL-v0", **options, max_prompt_tokens=200).source.size == 1
    with pytest.raises(UserError, match="makes a prompt of 200 tokens"):
        simko.envs.make("simko/JSONL-v0", **options, max_prompt_tokens=199)
