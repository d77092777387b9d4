from __future__ import annotations

import gzip
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simko.envs
from simko.envs import grade
from simko.envs.data.bbh import BBH, ROWS, TASKS
from simko.errors import UserError

HUB = {  # one row of each answer form, in the Hub's columns
    "boolean_expressions": ("not True is", "False"),
    "dyck_languages": ("Complete the rest of the sequence. Input: { [ <", "> ] }"),
    "formal_fallacies": ("Is the argument valid or invalid?", "invalid"),
    "multistep_arithmetic_two": ("(2 - 9) =", "-7"),
    "navigate": ("Do you return?\nOptions:\n- Yes\n- No", "Yes"),
    "snarks": ("Which is sarcastic?\nOptions:\n(A) one\n(B) two", "(B)"),
    "sports_understanding": ("Is the sentence plausible?", "no"),
    "word_sorting": ("Sort: pear apple Ivy-Lane", "apple Ivy-Lane pear"),
}


@pytest.fixture(autouse=True)
def _no_data_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMKO_DATA", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (problem, target) in HUB.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"input": problem, "target": target}) + "\n")
    return tmp_path


def normalised(path: Path, **changes: Any) -> Path:
    rows = [
        {"id": f"bbh-{name}-0", "problem": p, "answer": a, "source": "lukaemon/bbh", "subject": name, **changes}
        for name, (p, a) in HUB.items()
    ]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def test_the_27_tasks_and_their_rows() -> None:
    assert len(TASKS) == len(set(TASKS)) == 27
    assert sum(ROWS.get(name, 250) for name in TASKS) == 6511


def test_a_folder_in_the_columns_of_the_hub(folder: Path) -> None:
    source = BBH(data=folder)
    assert (source.size, source.published, source.left_out) == (len(HUB), 6511, ())
    task = source.get("bbh-snarks-0")
    assert (task.problem, task.gold, task.level) == (*HUB["snarks"], "snarks")
    assert "19 of the 27 tasks" in source.notes[0]


@pytest.mark.parametrize("place", ["lukaemon_bbh", "bbh"])
def test_a_folder_that_holds_the_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory, place: str) -> None:
    outer = tmp_path_factory.mktemp("outer")
    folder.rename(outer / place)
    assert BBH(data=outer).size == len(HUB)


def test_the_normalised_file_and_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = normalised(tmp_path / "bbh.jsonl.gz")
    assert {t.id for t in BBH(data=file).tasks(None, 0)} == {f"bbh-{name}-0" for name in HUB}
    monkeypatch.setenv("SIMKO_DATA", str(tmp_path))
    assert BBH(level="navigate").tasks(None, 0)[0].gold == "Yes"


def test_a_file_of_one_task(folder: Path) -> None:
    assert BBH(data=folder / "navigate.jsonl").tasks(None, 0)[0].id == "bbh-navigate-0"
    (folder / "navigate.jsonl").rename(folder / "mine.jsonl")
    with pytest.raises(UserError, match=r"mine\.jsonl:1: '' is not one of the 27 tasks"):
        BBH(data=folder / "mine.jsonl")


def test_a_file_as_the_authors_publish_it(tmp_path: Path) -> None:
    examples = [{"input": "q1", "target": "(A)"}, {"input": "q2", "target": "(B)"}]
    (tmp_path / "hyperbaton.json").write_text(json.dumps({"canary": "x", "examples": examples}))
    assert [t.gold for t in BBH(data=tmp_path, level="hyperbaton").tasks(None, 0)] == ["(A)", "(B)"]


def test_the_hub_is_asked_for_every_task(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, config: str, split: str) -> list[dict[str, str]]:
        asked.append((name, config, split))
        return [{"input": f"of {config}", "target": "(A)"}]

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    source = BBH()
    assert asked == [("lukaemon/bbh", name, "test") for name in TASKS]
    assert source.get("bbh-web_of_lies-0").level == "web_of_lies"
    assert source.notes == []
    asked.clear()
    assert BBH(level="snarks").published == 178
    assert asked == [("lukaemon/bbh", "snarks", "test")]


def test_training_on_it_is_refused_with_the_reason(folder: Path) -> None:
    with pytest.raises(UserError, match="never appear in training corpora"):
        BBH("train", data=folder)
    assert BBH("all", data=folder).size == len(HUB)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"input": "q", "target": " "}, "snarks.jsonl:1: column 'target' is ' '"),
        ({"input": "q"}, "snarks.jsonl:1: no column 'target'"),
        ({"target": "(A)"}, "snarks.jsonl:1: no column 'input'"),
        ({"input": "q", "target": "(A)", "subject": "snark"}, "did you mean 'snarks'"),
    ],
)
def test_a_bad_row_is_refused_or_counted(tmp_path: Path, row: dict[str, str], says: str) -> None:
    file = tmp_path / "snarks.jsonl"
    file.write_text(json.dumps(row) + "\n" + json.dumps({"input": "fine", "target": "(B)"}) + "\n")
    with pytest.raises(UserError) as error:
        BBH(data=file)
    assert says in str(error.value)
    source = BBH(data=file, keep_good_rows=True)
    assert (source.size, len(source.left_out)) == (1, 1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"level": "navigates"}, "did you mean 'navigate'"),
        ({"split": "test"}, "split is 'test'"),
        ({"level": "ruin_names"}, "ruin_names"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        BBH(data=folder, **settings)


@pytest.mark.parametrize(
    ("response", "gold"),
    [
        ("(A)", "(A)"),
        ("A", "(A)"),
        ("a", "(A)"),
        ("The answer is (A).", "(A)"),
        ("So the answer is A.", "(A)"),
        (r"\boxed{\text{(A)}}", "(A)"),
        (r"\boxed{A}", "(A)"),
        ("(R)", "(R)"),
        ("true", "True"),
        ("The answer is False.", "False"),
        ("Yes, because it is so.", "yes"),
        ("YES", "Yes"),
        ("The argument is invalid.", "invalid"),
        (r"\boxed{\text{valid}}", "valid"),
        ("So the answer is deductively valid.", "valid"),
        (r"\boxed{-7}", "-7"),
        ("The answer is 1,024.", "1024"),
        ("] ) >", "] ) >"),
        ("])>", "] ) >"),
        (r"\boxed{] ) >}", "] ) >"),
        (r"\boxed{) \} ]}", ") } ]"),
        (r"\boxed{)}}", ") }"),
        (r"\boxed{\texttt{x}} no: \boxed{] >}. Done.", "] >"),
        ("We close it.\nSo the answer is ] ] }.", "] ] }"),
        ("The answer is: `> ]`", "> ]"),
        ("<answer>> ]</answer>", "> ]"),
        ("apple banana pear", "apple banana pear"),
        ("Apple, banana, pear", "apple banana pear"),
        (r"\boxed{\text{apple banana pear}}", "apple banana pear"),
        ("They are sorted by letter.\nAnswer: apple banana pear", "apple banana pear"),
        ("dearth wind & fire", "dearth, wind, & fire"),
    ],
)
def test_right_in_whatever_form(response: str, gold: str) -> None:
    assert grade(response, gold, "bbh").correct


@pytest.mark.parametrize(
    ("response", "gold"),
    [
        ("(B)", "(A)"),
        ("(A) or (B)", "(A)"),
        (r"\boxed{A} or \boxed{B}", "(A)"),
        ("Yes or no", "Yes"),
        ("Yes, no", "Yes"),
        ("Yes, or no.", "Yes"),
        ("invalid", "valid"),
        ("not valid", "valid"),
        ("The answer is not valid.", "valid"),
        ("no", "Yes"),
        ("7", "-7"),
        ("] > )", "] ) >"),
        ("] )", "] ) >"),
        (r"\boxed{]}", "] ) >"),
        (r"\boxed{[ ] ) >}", "] ) >"),
        ("banana apple pear", "apple banana pear"),
        ("apple banana", "apple banana pear"),
        ("applebanana pear", "apple banana pear"),
        ("", "(A)"),
        ("", "] >"),
        ("<think>(A)", "(A)"),
        ("<think>] ></think>", "] >"),
    ],
)
def test_wrong_in_whatever_form(response: str, gold: str) -> None:
    assert grade(response, gold, "bbh").outcome in ("incorrect", "no_answer")


@given(
    response=st.text(max_size=60) | st.text("()[]{}<>\\boxedABC$ .\n", max_size=60),
    gold=st.sampled_from([target for _, target in HUB.values()]),
)
def test_no_response_raises(response: str, gold: str) -> None:
    assert grade(response, gold, "bbh").outcome in ("correct", "incorrect", "no_answer")


def test_its_own_pairs_and_the_contract(folder: Path) -> None:
    source = BBH(data=folder)
    pairs = list(source.pairs())
    assert [p for p in pairs if grade(p.response, p.task.gold, "bbh").correct != p.correct] == []
    assert len(pairs) > 2 * len(HUB)
    env = simko.envs.make("simko/BBH-v0", data=folder, split="eval")
    for task in source.tasks(None, 0):
        assert env.grade(source.answer(task), task).correct
        other = next(t for t in source.tasks(None, 0) if t.gold.lower() != task.gold.lower())
        assert not env.grade(source.answer(other), task).correct


SHARED = Path(os.environ.get("SIMKO_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


@pytest.mark.skipif(not (SHARED / "bbh.jsonl.gz").is_file(), reason="needs the benchmark files")
def test_every_row_at_hand_verifies() -> None:
    source = BBH(data=SHARED)
    assert (source.size, len({t.level for t in source.tasks(None, 0)})) == (4261, 18)
    assert [p for p in source.pairs() if not grade(p.response, p.task.gold, "bbh").correct] == []
    raw = BBH(data=SHARED / "raw")
    assert raw.size == 360
    golds = {t.problem: t.gold for t in source.tasks(None, 0)}
    assert all(golds[t.problem] == t.gold for t in raw.tasks(None, 0))
