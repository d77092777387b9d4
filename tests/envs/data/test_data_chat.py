"""Rows in chat form: one question, with or without a system message. Anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import simko.envs
from simko.envs.data.chat import Asked, asked
from simko.envs.data.jsonl import JSONL
from simko.errors import UserError

SYSTEM, USER = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}
BOTH = Asked("2 + 2?", "Be brief.")
ALONE = Asked("2 + 2?")
IMAGE = {"type": "image_url", "image_url": {"url": "a.png"}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2 + 2?", ALONE),
        (4, Asked("4")),
        ([USER], ALONE),
        (USER, ALONE),
        ([SYSTEM, USER], BOTH),
        ([{"role": "developer", "content": "Be brief."}, USER], BOTH),
        ([{"role": " System", "content": "Be brief."}, {"role": "USER", "content": "2 + 2?"}], BOTH),
        ([{"role": "system", "content": ""}, USER], Asked("2 + 2?", "")),
        ([{"from": "system", "value": "Be brief."}, {"from": "human", "value": "2 + 2?"}], BOTH),
        ([{"from": "user", "value": "2 + 2?", "weight": 1}], ALONE),
        # the fields of a parquet file that a row does not use are None
        (
            [{"role": None, "content": None, "from": "human", "value": "2 + 2?", "tool_calls": None, "images": []}],
            ALONE,
        ),
        (json.dumps([SYSTEM, USER]), BOTH),
        ("\n " + json.dumps([USER], indent=1), ALONE),
        (json.dumps(USER), ALONE),
        (json.dumps([{"name": "a", **SYSTEM}, {"id": 1, **USER}]), BOTH),
        (json.dumps({"messages": [SYSTEM, USER]}), BOTH),
        ({"messages": [SYSTEM, USER]}, BOTH),
        ({"role": ["system", "user"], "content": ["Be brief.", "2 + 2?"]}, BOTH),  # as `datasets` gives a Sequence
        ({"from": ["human"], "value": ["2 + 2?"]}, ALONE),
        ([{"role": "user", "content": [{"type": "text", "text": "2 + 2?"}]}], ALONE),
        (
            [{"role": "user", "content": [{"type": "text", "text": "2", "image_url": None}, {"text": "+ 2?"}]}],
            Asked("2\n+ 2?"),
        ),
        ([{"role": "user", "content": ["2 + 2?"]}], ALONE),
        ([SYSTEM, {"role": "user", "content": '[{"role": "user"}]'}], Asked('[{"role": "user"}]', "Be brief.")),
        ('["role", "user"]', Asked('["role", "user"]')),
        ("{role: x}", Asked("{role: x}")),
        (None, None),
        ({"a": 1}, None),
        (" ", None),
        (True, None),
    ],
)
def test_one_question(value: Any, expected: Asked | None) -> None:
    assert asked(value, {}) == expected


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "the chat has no message"),
        ([SYSTEM], "the chat has no user message"),
        ([USER, {"role": "assistant", "content": "4"}], "message 2 of the chat at the end is of role 'assistant'"),
        ([USER, {"role": "assistant", "content": "4"}, USER], "message 2 of the chat is of role 'assistant'"),
        ([{"from": "human", "value": "2?"}, {"from": "gpt", "value": "4"}], "is of role 'gpt'"),
        ([USER, USER], "the messages of the chat are user, user"),
        ([USER, SYSTEM], "the messages of the chat are user, system"),
        ([SYSTEM, SYSTEM, USER], "are system, system, user"),
        ([{"role": "tool", "content": "x"}, USER], "is of role 'tool'"),
        ([{"content": "2 + 2?"}], "is of role None"),
        ([{"role": 3, "content": "x"}], "is of role 3"),
        (["2 + 2?"], "message 1 is '2 .* not an object of role and content"),
        ([{"role": "user"}], "message 1 of the chat is None; it must be text"),
        ([{"role": "user", "content": "  "}], "the user message is '  '; it must be text, not blank"),
        ([{"role": "user", "content": []}], "the user message is ''"),
        ([{"role": "user", "content": 4}], "message 1 of the chat is 4"),
        ([{"role": "user", "content": "\ud800"}], "has half of a character"),
        ([{"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]}], "has a part of type 'image_url'"),
        ([{"role": "user", "content": [{"type": "image"}]}], "has a part of type 'image'"),
        ([{**USER, "images": ["a.png"]}], "has 'images', which no prompt can hold"),
        ([{**USER, "tool_calls": [{}]}], "has 'tool_calls'"),
        ("<|im_start|>user\n2 + 2?<|im_end|>\n", "a chat template has rendered it already"),
        ("[{'role': 'user', 'content': '2 + 2?'}]", "it looks like a chat, but it is not JSON"),
        ('[{"role": "user", "content": ', "it is not JSON; write the messages as JSON"),
    ],
)
def test_anything_else_is_refused_with_the_mend(value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        asked(value, {})
    assert "\n" not in str(caught.value)


def test_other_columns_of_the_row() -> None:
    assert asked("2 + 2?", {"system": "Be brief.", "images": [], "image": None}) == BOTH
    assert asked([USER], {"system_prompt": "Be brief."}) == BOTH
    assert asked([SYSTEM, USER], {"system": "Be brief.", "tools": None}) == BOTH
    assert asked("2 + 2?", {"system": "", "tools": [{}]}) == ALONE
    for row, says in (
        ({"system": "Be long."}, "the system message and the column 'system' differ"),
        ({"system": 3}, "column 'system' is 3; it must be text"),
        ({"images": ["a.png"]}, "the row has 'images', which no prompt can hold"),
        ({"tools": [{"name": "f"}]}, "the row has 'tools'"),
    ):
        with pytest.raises(ValueError, match=says):
            asked([SYSTEM, USER], row)


def verl(number: int, *messages: dict[str, str], **more: Any) -> dict[str, Any]:
    """A row as verl writes it."""
    question = {"role": "user", "content": f"{number} + {number}?"}
    truth = {"style": "rule", "ground_truth": str(2 * number)}
    return {"data_source": "own", "prompt": [*messages, question], "reward_model": truth, **more}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        import pyarrow

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
@pytest.mark.parametrize("env_id", ["simko/AIME25-v0", "simko/JSONL-v0", "simko/MATH-v0"])
def test_rows_of_verl_in_every_loader(tmp_path: Path, name: str, env_id: str) -> None:
    path = write(tmp_path / name, [verl(1, SYSTEM), verl(2)])
    split = "all" if "JSONL" in env_id else "eval"
    env = simko.envs.make(env_id, data=path, split=split)
    first, second = env.source.tasks(None, 0)
    assert (first.problem, first.system, first.gold) == ("1 + 1?", "Be brief.", "2")
    assert (second.problem, second.system, second.gold) == ("2 + 2?", None, "4")
    _, info = env.reset(options={"task": first.id})
    assert info["text"].startswith("Be brief.\n\n1 + 1?")
    assert not env.describe(second)["text"].startswith("Be brief.")


@pytest.mark.parametrize("column", ["problem", "prompt", "messages", "conversations", "conversation"])
def test_columns_of_a_chat(tmp_path: Path, column: str) -> None:
    rows = [{column: [SYSTEM, USER], "answer": "4"}, {column: json.dumps([SYSTEM, USER]), "answer": "4"}]
    for task in JSONL("all", data=write(tmp_path / "a.jsonl", rows)).tasks(None, 0):
        assert (task.problem, task.system) == BOTH


def test_a_row_with_more_in_it_is_refused_or_counted(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    path = write(tmp_path / "a.jsonl", [verl(1, SYSTEM), verl(2, *turns), verl(3), verl(4, images=["a.png"])])
    with pytest.raises(
        UserError, match=r"a\.jsonl:2: column 'prompt' is .*: message 2 of the chat is of role 'assistant'; give"
    ):
        simko.envs.make("simko/AIME25-v0", data=path, split="eval")
    with pytest.raises(UserError, match=r"a\.jsonl:2: field 'prompt' is .*--keep-good-rows"):
        JSONL("all", data=path)
    env = simko.envs.make("simko/AIME25-v0", data=path, split="eval", source_options={"keep_good_rows": True})
    assert [task.problem for task in env.source.tasks(None, 0)] == ["1 + 1?", "3 + 3?"]
    assert [line.split(": ")[0][-1] for line in env.source.bad_rows] == ["2", "4"]  # type: ignore[attr-defined]
