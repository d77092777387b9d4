"""Arms from files and folders: ours, old, damaged, and of comparisons."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_arms import a_run, arm, result_of

from simko.errors import UserError
from simko.report.arms import load, read_cell
from simko.report.comparable import one_comparison
from simko.report.comparison import results_of
from simko.report.measured import Measured


def load_quietly(*paths: Path) -> list[Measured]:
    said: list[str] = []
    measured = load(paths, said.append)
    assert not said
    return measured


def test_a_run_gives_its_arm_and_its_base(tmp_path: Path) -> None:
    base = {**result_of({f"p{i}": (16, 2) for i in range(4)}), "tokens_per_answer": 9.0}
    a_run(tmp_path / "r", seed=3, base=base)
    trained, before = load_quietly(tmp_path / "r")
    assert (trained.arm, trained.seed, before.arm, before.seed) == ("simko", 3, "base", 3)
    assert trained.counts["p1"] == (16, 8)
    assert before.counts["p1"] == (16, 2)
    assert trained.facts["training"] == {"entropy": pytest.approx(0.75), "logp_rank1": -0.5}  # of the last ten steps
    assert trained.facts["training_seconds"] == 24.0
    assert (trained.facts["tokens_per_answer"], before.facts["tokens_per_answer"]) == (7.5, 9.0)
    assert (trained.facts["trained"], before.facts["trained"]) == (True, False)
    assert before.facts.get("adapter_sha256") is None


def test_results_of_older_versions_load(tmp_path: Path) -> None:
    path = a_run(tmp_path / "r")
    old = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("part", "problem_seed")}
    path.write_text(json.dumps(old))
    (measured,) = load_quietly(path)
    assert measured.facts["part"] == "all"
    assert measured.facts["problem_seed"] is None


def test_of_several_evaluations_the_choice_is_told(tmp_path: Path) -> None:
    run = tmp_path / "r"
    a_run(run, name="a-n8.json", n=8, part="all")
    a_run(run, name="b-n16.json", part="all")
    a_run(run, name="c-n512.json", n=512, part="tuning")
    a_run(run, name="d-n512.json", n=512, env="simko/Other-v0", part="final")
    chosen = a_run(run, name="e-n16.json", step=8, part="all")
    said: list[str] = []
    (measured,) = load([run], said.append)
    assert measured.place == str(chosen)
    assert "5 evaluations; e-n16.json is compared" in said[0]
    final = a_run(run, name="f-n4.json", n=4, part="final")
    assert load([run], said.append)[0].place == str(final)


def test_equal_evaluations_are_chosen_by_their_age(tmp_path: Path) -> None:
    newer, older = a_run(tmp_path, name="a-n16.json"), a_run(tmp_path, name="b-n16.json")
    os.utime(older, (1, 1))
    assert load([tmp_path], lambda _: None)[0].place == str(newer)


def test_a_damaged_file_in_a_folder_is_one_line_and_the_others_go_on(tmp_path: Path) -> None:
    good = a_run(tmp_path, name="a-n16.json")
    (tmp_path / "eval" / "b-n16.json").write_text('{"counts": ')
    said: list[str] = []
    (measured,) = load([tmp_path], said.append)
    assert measured.place == str(good)
    assert len(said) == 1
    assert "b-n16.json: damaged" in said[0]


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({}, "no counts"),
        ({"p": {"samples": 4, "correct": 5}}, "5 correct of 4 samples"),
        ({"p": {"samples": True, "correct": 0}}, "True samples"),
        ({"p": {"samples": 1 << 40, "correct": 0}}, "samples"),
        ({"p": {"samples": 4}}, "without samples and correct"),
        ({"p": 4}, "without samples and correct"),
    ],
)
def test_a_named_file_that_is_damaged_is_refused(tmp_path: Path, counts: object, reason: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**result_of({}), "counts": counts}))
    with pytest.raises(UserError, match=f"x.json: damaged.*{reason}"):
        load([path])


@pytest.mark.parametrize("text", ["[" * 100_000, "nonsense", '{"schema": "simko.comparison/1"}', "\udcff"])
def test_files_that_are_no_json_of_ours_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match="damaged"):
        load([path])


def test_what_nobody_knows_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load([tmp_path / "none"])
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match=r"x\.json: not a result"):
        load([tmp_path / "x.json"])
    assert load([tmp_path / "x.json"], read_others=lambda path: [arm(path.name)])[0].arm == "x.json"


def test_facts_of_a_wrong_type_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(result_of({"p": (4, 1)}, temperature="hot", env=3, outcomes={"correct": "x"}, n=True)))
    text = path.read_text().replace('"tokens_per_answer": 7.5', '"tokens_per_answer": 1e999')
    path.write_text(text.replace('"env": 3', '"env": NaN'))
    (measured,) = load_quietly(path)
    assert [measured.facts[name] for name in ("temperature", "env", "outcomes", "tokens_per_answer")] == [None] * 4


def test_numbers_without_end_and_answers_without_votes_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    numbers = dict.fromkeys(("temperature", "tokens_per_answer", "truncated", "n", "seconds"), 10**400)
    votes = {"p": {"a": [0, 0], "b": [4, 1]}}
    path.write_text(json.dumps(result_of({"p": (4, 1)}, **numbers, answers=votes, majority_at_k={"1": 10**400})))
    result = results_of(one_comparison(load_quietly(path)))
    (entry,) = result["arms"]
    assert [entry[name] for name in ("tokens_per_answer", "truncated")] == [None, None]
    assert entry["majority_at_k"]["1"] == 0.25


def test_a_comparison_folder_gives_arms_by_their_folders(tmp_path: Path) -> None:
    for name, seed in (("grpo", 0), ("grpo", 1), ("mine", 0)):
        a_run(tmp_path / "runs" / name / f"seed-{seed}", seed=seed)
    a_run(tmp_path / "runs" / "grpo" / "seed-0", name="t-n16.json", temperature=0.6)
    a_run(tmp_path / "runs" / "grpo" / "seed-0", name="u-n16.json", temperature=0.6, part="tuning")
    (tmp_path / "runs" / "mine" / "seed-1").mkdir()
    for seed in (0, 1):
        folder = tmp_path / "base" / f"seed-{seed}"
        folder.mkdir(parents=True)
        plain = result_of({"p0": (16, 1)}, adapter=None, run=None, seed=seed)
        (folder / "x-n16.json").write_text(json.dumps(plain))
        (folder / "y-n16.json").write_text(json.dumps({**plain, "template": "qwen"}))
    said: list[str] = []
    measured = load([tmp_path], said.append)
    assert {(entry.arm, entry.seed) for entry in measured} == {
        ("grpo", 0), ("grpo", 1), ("grpo at T 0.6", 0), ("mine", 0), ("base", 0), ("base", 1), ("base with prompt qwen", 0),
        ("base with prompt qwen", 1),
    }  # fmt: skip
    assert next(entry for entry in measured if entry.arm == "grpo at T 0.6").facts["tuned"] == ["temperature"]
    assert not next(entry for entry in measured if entry.arm.endswith("qwen")).facts["trained"]
    assert len(said) == 1
    assert "mine/seed-1: it has no evaluation on final problems yet; go on with the comparison; left out" in said[0]


def test_a_cell_is_of_the_arm_that_the_comparison_says(tmp_path: Path) -> None:
    path = a_run(tmp_path, seed=9, base=result_of({"p0": (16, 2)}))
    assert [(entry.arm, entry.seed) for entry in read_cell(path, "mine", 2)] == [("mine", 2), ("base", 2)]
    (own,) = read_cell(path, "mine", 2, "mine at T 0.6", "temperature")
    assert (own.arm, own.facts["arm"], own.facts["tuned"]) == ("mine at T 0.6", "mine", ["temperature"])


def test_comparisons_need_no_torch() -> None:
    modules = "simko.report.arms, simko.report.comparison_folder, simko.report.comparison_table"
    code = f"import sys, {modules}; assert not {{'torch', 'transformers', 'matplotlib'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
