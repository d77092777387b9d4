from __future__ import annotations

import gzip
import json
import os
import pickle
import sys
import types
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import simko.envs
from simko.envs import grade
from simko.envs.data.synlogic import SynLogic, stored_answer
from simko.envs.split import is_eval
from simko.errors import UserError


def game(numbers: list[int], result: int, **extra: Any) -> dict[str, Any]:
    state = {
        "trace_id": "t",
        "numbers": numbers,
        "operators": ["+", "-", "*", "/"],
        "result": result,
        "solutions": [f"nums: {tuple(numbers)}, ops: ('+', '*')"],
        "thoughts": ["long"] * 100,
    }
    return {"question": "q", "answer": "", "metadata": state, "gpt_response": "", **extra}


def hub_row(key: str = "mathador", state: Any = None, **changes: Any) -> dict[str, Any]:
    state = game([1, 2, 8], 24) if state is None else state
    return {
        "data_source": key,
        "prompt": [{"role": "user", "content": "Make 24 of 1, 2 and 8."}],
        "ability": "logic",
        "reward_model": {"answer": "", "solution": "", "style": "rule"},
        "extra_info": {"game_data_str": json.dumps(state), "index": 0, "split": "validation"},
        **changes,
    }


def our_row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"synlogic-gen-game_of_24-{number}",
        "problem": f"Make {3 * number} of 1, 2 and {number}.",
        "answer": f"(1 + 2) * {number}",
        "subject": "mathador",
        "level": "{}",
        "extra": {
            "language": "en",
            "accepted_response": f"```python\n(1 + 2) * {number}\n```",
            "game_data_str": json.dumps(game([1, 2, number], 3 * number)),
        },
        **changes,
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture(autouse=True)
def _no_data_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMKO_DATA", raising=False)


def test_rows_of_the_hub_are_graded_by_the_state_in_them(tmp_path: Path) -> None:
    file = write(tmp_path / "MiniMaxAI_SynLogic_validation.jsonl", [hub_row(), hub_row()])
    source = SynLogic("eval", data=tmp_path)
    assert source.size == 2
    task = source.get("synlogic-validation-1")
    assert (task.problem, task.level) == ("Make 24 of 1, 2 and 8.", "mathador")
    assert json.loads(task.gold)["game"]["metadata"]["numbers"] == [1, 2, 8]
    assert grade("```python\n8 * (2 + 1)\n```", task.gold, "synlogic").correct
    assert grade(source.answer(task), task.gold, "synlogic").correct
    assert SynLogic("train", data=file).size == 2  # a file is the split that is asked for
    assert pickle.loads(pickle.dumps(source)).get(task.id) == task


def test_gold_answers_leave_out_what_no_checker_reads(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [hub_row()])
    game = json.loads(SynLogic("eval", data=file).tasks(None, 0)[0].gold)["game"]
    assert not {"question", "gpt_response"} & set(game)
    assert not {"thoughts", "trace_id"} & set(game["metadata"])


def test_normalised_rows_are_split_by_content(tmp_path: Path) -> None:
    file = write(tmp_path / "synlogic_generated.jsonl.gz", [our_row(n) for n in range(3, 43)])
    train, held, every = (SynLogic(split, data=file) for split in ("train", "eval", "all"))
    assert train.size + held.size == every.size == 40
    assert all(is_eval(t.problem) for t in held.tasks(None, 0))
    assert not any(is_eval(t.problem) for t in train.tasks(None, 0))
    assert SynLogic("train", data=tmp_path).size == train.size


def test_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, config: str, split: str) -> list[dict[str, Any]]:
        asked.append((name, config, split))
        return [hub_row("val/game_of_24")]

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    assert SynLogic("eval").published == 270
    assert SynLogic("train", config="hard").published == 32840
    assert asked == [("MiniMaxAI/SynLogic", "easy", "validation"), ("MiniMaxAI/SynLogic", "hard", "train")]
    assert SynLogic("train").tasks(None, 0)[0].level == "mathador"


def test_a_puzzle_without_checker_is_refused_by_name_or_counted(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [hub_row(), hub_row("norinori"), hub_row("mathadore")])
    with pytest.raises(UserError, match=r"a\.jsonl:2: .*no rule checker for the puzzle 'norinori'"):
        SynLogic("eval", data=file)
    source = SynLogic("eval", data=file, keep_good_rows=True)
    assert (source.size, source.rows, len(source.left_out)) == (1, 3, 2)
    assert "did you mean 'mathador'" in source.left_out[1]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (hub_row(extra_info={"index": 0}), "no column 'extra_info.game_data_str'"),
        (hub_row(extra_info={"game_data_str": "{"}), "is not JSON"),
        (hub_row(extra_info={"game_data_str": "[1]"}), "must be a JSON object with metadata"),
        (hub_row(extra_info={"game_data_str": '{"metadata": 3}'}), "must be a JSON object with metadata"),
        (hub_row(prompt=[]), "no text in 'prompt'"),
        (hub_row(prompt=[{"role": "assistant", "content": "24"}]), "no text in 'prompt'"),
        (hub_row(data_source=None), "no text in 'data_source'"),
        (our_row(3, problem=" "), "no text in 'problem'"),
        (our_row(3, subject=None), "no text in 'subject'"),
    ],
)
def test_a_row_of_another_form_is_refused_or_counted(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    file = write(tmp_path / "a.jsonl", [row, hub_row()])
    with pytest.raises(UserError) as error:
        SynLogic("all", data=file)
    assert f"{file}:1: " in str(error.value)
    assert says in str(error.value)
    source = SynLogic("all", data=file, keep_good_rows=True)
    assert (source.size, len(source.left_out)) == (1, 1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"level": "sudoku"}, "no row of sudoku in split 'eval'; it has: mathador"),
        ({"split": "test"}, "split is 'test'"),
        ({"config": "medium"}, "config is 'medium'"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        SynLogic(**{"split": "eval", "data": write(tmp_path / "a.jsonl", [hub_row()]), **settings})


def test_a_system_message_stays_one(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Answer in tags."}, {"role": "user", "content": "Make 24."}]
    file = write(tmp_path / "a.jsonl", [hub_row(prompt=messages), hub_row(prompt="Make 24.")])
    tasks = SynLogic("eval", data=file).tasks(None, 0)
    assert [(t.problem, t.system) for t in tasks] == [("Make 24.", "Answer in tags."), ("Make 24.", None)]


@pytest.mark.parametrize(
    ("key", "state", "answer"),
    [
        ("sudoku", {"answer": "((1,))"}, "((1,))"),
        ("kukurasu", {"answer": "", "metadata": {"solution": [["X"]]}}, '[["X"]]'),
        ("math_path", {"answer": "1 + 1 = 2"}, "[[1 + 1 = 2]]"),
        ("mathador", {"metadata": {"solutions": ["nums: (5, 7, 2), ops: ('+', '*')"]}}, "((5) + 7) * 2"),
        ("skyscraper_puzzle", {"answer": "", "metadata": {"solved_grid": [[1]]}}, "[[1]]"),
        ("star_placement_puzzle", {"answer": "[[A(1,1)(3,1)\n\nB(5,4)]]"}, "{'A': [(1, 1), (3, 1)], 'B': [(5, 4)]}"),
        ("space_reasoning_tree", {"answer": "a, b"}, r"\boxed{a, b}"),
        ("campsite", {}, ""),
    ],
)
def test_the_stored_answer(key: str, state: dict[str, Any], answer: str) -> None:
    assert stored_answer(key, state) == answer


def test_a_state_that_no_checker_can_use_is_refused(tmp_path: Path) -> None:
    lacking, wrong = our_row(8), our_row(9)
    lacking["extra"] = {"game_data_str": '{"metadata": {"numbers": [1]}}'}
    wrong["extra"] = {**wrong["extra"], "accepted_response": "```python\n1 + 2\n```"}
    rows = [our_row(n) for n in range(3, 8)]
    for row, says in ((lacking, "lacks what its checker needs"), (wrong, "the accepted_response of this mathador")):
        file = write(tmp_path / "a.jsonl", [*rows, row])
        with pytest.raises(UserError, match=rf"a\.jsonl:6: .*{says}"):
            simko.envs.make("simko/SynLogic-v0", data=file, split="all")
        env = simko.envs.make("simko/SynLogic-v0", data=file, split="all", source_options={"keep_good_rows": True})
        assert (env.source.size, len(env.source.left_out)) == (5, 1)


def test_a_stored_solution_that_breaks_the_rules_is_counted(tmp_path: Path) -> None:
    state = {"metadata": {"row_sums": [1], "col_sums": [1], "solution": [["X"]]}}
    file = write(tmp_path / "a.jsonl", [hub_row("kukurasu", state), hub_row()])
    env = simko.envs.make("simko/SynLogic-v0", data=file, split="eval")
    assert env.source.size == 2
    assert "1 puzzles have a stored solution that breaks their rules" in env.source.notes[0]


def test_the_environment_and_its_pairs(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [our_row(n) for n in range(3, 43)])
    env = simko.envs.make("simko/SynLogic-v0", data=file, split="train", source_options={"keep_good_rows": True})
    assert env.verifier_name == "synlogic"
    task = env.source.tasks(1, 0)[0]
    assert env.grade(task.extra["accepted_response"], task).correct
    assert not env.grade("```python\n1 + 2\n```", task).correct
    pairs = list(SynLogic("train", data=file).pairs())
    assert {p.kind for p in pairs} == {"accepted_response", "in answer tags"}
    assert [p for p in pairs if grade(p.response, p.task.gold, "synlogic").correct != p.correct] == []


SHARED = Path(os.environ.get("SIMKO_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (SHARED / "synlogic_generated.jsonl.gz").is_file(), reason="needs SIMKO_DATA")


@needs_data
def test_every_accepted_response_at_hand_is_correct() -> None:
    source = SynLogic("all", data=SHARED, keep_good_rows=True)
    levels = Counter(task.level for task in source.tasks(None, 0))
    assert all(levels[key] >= 10 for key in levels)
    assert source.size + len(source.left_out) == 675
    wrong = [p for p in source.pairs() if grade(p.response, p.task.gold, "synlogic").correct != p.correct]
    assert [(p.task.id, p.kind) for p in wrong] == []


@needs_data
def test_the_sample_of_the_hub() -> None:
    source = SynLogic("eval", data=SHARED / "raw", keep_good_rows=True)
    assert source.size + len(source.left_out) == 20
    wrong = [t.id for t in source.tasks(None, 0) if not grade(source.answer(t), t.gold, "synlogic").correct]
    assert wrong == []
