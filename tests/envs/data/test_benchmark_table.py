"""Rows of our own in every upstream schema, and the upstream samples themselves where they are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import simko.envs
from simko.envs.audit.rows import audit
from simko.envs.data import overlaps
from simko.envs.data.benchmark_table import TABLE, after_answer, in_box, joined
from simko.envs.data.benchmarks import MATH, SimKOMixture
from simko.envs.data.loading import dig, last_boxed, present
from simko.envs.data.solutions import UnclearError
from simko.errors import UserError

BOX = "Twice three is $6$, so the answer is $\\boxed{6}$."
CHAT = [{"role": "user", "content": "Twice three?"}]


def simko_row(source: str, truth: Any, **more: Any) -> dict[str, Any]:
    """A row of SimKO's parquet files."""
    reward = {"style": "rule", "ground_truth": truth}
    extra = {"split": "train", "index": 0}
    return {
        "data_source": source,
        "prompt": CHAT,
        "ability": "math",
        "reward_model": reward,
        "extra_info": extra,
        **more,
    }


TRUTH = {"question": "Twice three?", "target": "6"}
OLYMPIAD = {
    "id": 7,
    "subfield": "Algebra",
    "context": None,
    "question": "Solve.",
    "solution": ["Long."],
    "final_answer": ["$1$,$2$"],
    "is_multiple_answer": True,
    "unit": None,
    "answer_type": "Numerical",
    "error": None,
    "modality": "Text-only",
}
NORMALISED = {"id": "x-0", "problem": "Twice three?", "answer": "6", "source": "s"}
# id, split, row, task id, problem, gold, level
ROWS: list[tuple[str, str, dict[str, Any], str, str, str, str]] = [
    ("GSM8K", "eval", {"question": "q", "answer": "2*3=<<2*3=6>>6\n#### 1,006"}, "gsm8k-eval-1", "q", "1006", ""),
    (
        "MATH",
        "train",
        {"problem": "Twice three?", "level": "Level 5", "type": "Algebra", "solution": BOX},
        *("math-train-1", "Twice three?", "6", "5"),
    ),
    (
        "MATH",
        "eval",
        simko_row("TianHongZXY/MATH", {**TRUTH, "solution": BOX}, level="Level ?", type="Algebra"),
        *("math-eval-1", "Twice three?", "6", "?"),
    ),
    (
        "MATH500",
        "eval",
        {
            "problem": "p",
            "solution": BOX,
            "answer": "6",
            "subject": "Algebra",
            "level": 2,
            "unique_id": "test/a/1.json",
        },
        *("test/a/1.json", "p", "6", "2"),
    ),
    ("AIME24", "eval", {"id": 60, "problem": "p", "solution": "\\boxed{025}", "url": "u"}, "60", "p", "025", ""),
    ("AIME25", "eval", {"problem": "p", "answer": "336^\\circ", "id": "3"}, "3", "p", "336^\\circ", ""),
    ("AIME25", "eval", simko_row("TianHongZXY/AIME2025", TRUTH), "aime25-eval-1", "Twice three?", "6", ""),
    ("AMC23", "eval", {"id": 0, "question": "q", "answer": 27.0, "url": "u"}, "0", "q", "27", ""),
    ("AMC23", "eval", {"id": 1, "question": "q", "answer": "-1", "url": "u"}, "1", "q", "-1", ""),
    ("AMC23", "eval", simko_row("TianHongZXY/amc23", TRUTH, id=5, url="u"), "5", "Twice three?", "6", ""),
    ("Minerva", "eval", {"question": "q", "answer": "4.5e33"}, "minerva-eval-1", "q", "4.5e33", ""),
    ("OlympiadBench", "eval", OLYMPIAD, "7", "Solve.", "$1$,$2$", ""),
    ("OlympiadBench", "eval", {**OLYMPIAD, "context": "Let."}, "7", "Let.\nSolve.", "$1$,$2$", ""),
    (
        "SimKO-GSM8K-L1",
        "train",
        simko_row("simplelr_abel", "6", target="...\n\n# Answer\n\n6"),
        *("simko-gsm8k-l1-train-1", "Twice three?", "6", ""),
    ),
    *((name, "eval", NORMALISED, "x-0", "Twice three?", "6", "") for name in ("GSM8K", "AIME24", "AMC23", "Minerva")),
]


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("name", "split", "row", "id", "problem", "gold", "level"), ROWS)
def test_every_schema(
    tmp_path: Path, name: str, split: str, row: dict[str, Any], id: str, problem: str, gold: str, level: str
) -> None:
    env = simko.envs.make(f"simko/{name}-v0", split=split, data=write(tmp_path / "rows.jsonl", row))
    (task,) = env.source.tasks(None, 0)
    assert (task.id, task.problem, task.gold, task.level) == (id, problem, gold, level)
    assert env.grade(f"The answer is ${gold.strip('$')}$.", task).correct
    assert not env.grade("\\boxed{77}", task).correct


def test_parquet_of_simko(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    row = simko_row("TianHongZXY/AIME2025", TRUTH)
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "simko_aime2025_test.parquet")
    env = simko.envs.make("simko/AIME25-v0", split="eval", data=tmp_path)
    assert env.source.tasks(None, 0)[0].gold == "6"


def test_the_hub_is_asked_for_every_config(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    asked = []

    def load(*place: Any, split: str) -> list[dict[str, Any]]:
        asked.append((*place, split))
        return [{"problem": f"{place[1]}?", "level": "Level 1", "type": "a", "solution": BOX}]

    module = types.ModuleType("datasets")
    module.load_dataset = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.delenv("SIMKO_DATA", raising=False)
    assert MATH("train").size == 7 == len(asked)
    assert asked[0] == ("EleutherAI/hendrycks_math", "algebra", "train")
    with pytest.raises(UserError, match=r"not on the Hub but in the repository CLR-Lab/SimKO.*give data="):
        SimKOMixture("train")


def test_a_copy_of_the_hubs_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for subject in TABLE["math"].configs:
        (tmp_path / "hendrycks_math" / subject).mkdir(parents=True)
        row = {"problem": subject, "level": "Level 1", "type": "a", "solution": BOX}
        write(tmp_path / "hendrycks_math" / subject / "train.jsonl", row)
    assert [t.problem for t in MATH("train", data=tmp_path / "hendrycks_math").tasks(None, 0)] == list(
        TABLE["math"].configs
    )
    monkeypatch.setenv("SIMKO_DATA", str(tmp_path))
    assert MATH("train").size == 7
    (tmp_path / "hendrycks_math" / "algebra" / "train.jsonl").unlink()
    with pytest.raises(UserError, match=r"has no math_train\.jsonl\.gz"):
        MATH("train", data=tmp_path)
    (tmp_path / "amc").mkdir()
    write(tmp_path / "amc" / "test.jsonl", {"id": 0, "question": "q", "answer": 27.0, "url": "u"})
    assert simko.envs.make("simko/AMC23-v0", split="eval", data=tmp_path / "amc").source.size == 1


@pytest.mark.parametrize("name", ["AIME24", "AIME25", "AMC23", "Minerva", "OlympiadBench", "MATH500"])
def test_evaluation_sets_have_no_training_split(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="for evaluation; use split 'eval', and another data set to train on"):
        simko.envs.make(f"simko/{name}-v0", split="train", data=write(tmp_path / "a.jsonl", NORMALISED))


def test_the_mixture_has_no_evaluation_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it is for training; evaluate on another data set"):
        SimKOMixture("eval", data=write(tmp_path / "a.jsonl", NORMALISED))


def test_known_bad_rows_are_skipped_by_id_and_others_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {"id": "math-train-5341", "problem": "Known?", "answer": "", "solution": "\\boxed{}"}
    path = write(tmp_path / "a.jsonl", NORMALISED, bad)
    with pytest.raises(UserError, match=r"a\.jsonl:2: column 'answer' is ''; it must be text, not blank"):
        MATH("train", data=path)
    good = MATH("train", data=path, keep_good_rows=True)
    assert (good.size, good.rows, len(good.left_out)) == (1, 2, 1)
    known_bad = TABLE["math"].known_bad | {overlaps.digest("Known?"): "math-train-5341: no answer"}
    monkeypatch.setattr("simko.envs.data.benchmarks.TABLE", {**TABLE, "math": _replace(known_bad)})
    made = MATH("train", data=path)
    assert made.size == 1
    assert made.left_out == ("math-train-5341: no answer",)
    assert "1 rows without answer as published are skipped: math-train-5341" in made.notes[0]


def _replace(known_bad: dict[str, str]) -> Any:
    import dataclasses

    return dataclasses.replace(TABLE["math"], known_bad=known_bad)


def test_the_mixtures_test_problems_are_flagged_and_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert overlaps.count() == 351
    monkeypatch.setattr(overlaps, "_DIGESTS", frozenset([overlaps.digest("In both?")]))
    both = {"id": "t-1", "problem": "In  both?", "answer": "6"}
    path = write(tmp_path / "a.jsonl", NORMALISED, both)
    assert [t.extra.get("math_test", False) for t in SimKOMixture("train", data=path).tasks(None, 0)] == [False, True]
    held_out = MATH("eval", data=path)
    assert [t.id for t in held_out.tasks(None, 0)] == ["x-0"]
    assert held_out.excluded == 1
    assert "1 test problems are kept out" in held_out.notes[0]
    assert MATH("eval", data=path, trained_rows=True).size == 2
    assert (
        simko.envs.make("simko/MATH-v0", split="eval", data=path, source_options={"trained_rows": True}).source.size
        == 2
    )
    assert MATH("train", data=path).size == 2


@pytest.mark.parametrize(
    ("about", "gold", "right", "wrong"),
    [
        ({"unit": "km"}, "$\\frac{41}{12}$", ["\\frac{41}{12}", "41/12 km"], ["41/12 m", "3"]),
        ({"unit": "$cm^2$"}, "$166$", ["166", "166 \\text{ cm}^2"], ["166 \\text{ cm}^3"]),
        ({"unit": "%", "error": "1e-1"}, "4.2", ["4.2", "4.2\\%", "4.25", "x = 4.1"], ["4.4", "5", "4.31"]),
        ({"is_multiple_answer": True}, "$69$,$84$", ["84, 69", "\\{69, 84\\}"], ["69", "84", "69, 84, 1", "69, 83"]),
        ({"is_multiple_answer": True}, "$(\\frac{1}{4}, \\frac{1}{27})$", ["1/27, 1/4"], ["1/4"]),
        (
            {"is_multiple_answer": True, "answer_type": "Tuple"},
            "$(1,2),(3,4)$",
            ["(3,4),(1,2)"],
            ["(2,1),(3,4)", "(1,2)"],
        ),
        ({"answer_type": "Tuple"}, "$(3,2)$", ["(3,2)"], ["(2,3)", "[3,2]"]),
        ({"answer_type": "Interval"}, "$t(0,4]$", ["(0,4]", "t \\in (0,4]"], ["[0,4]", "(0,4)", "4"]),
        ({"answer_type": "Expression"}, "$f(x)=2 x$", ["2x", "f(x) = x + x"], ["f(x) = x", "2"]),
        ({"is_multiple_answer": True, "answer_type": "Expression"}, "$f(x)=x,f(x)=-x$", ["-x, x"], ["f(x)=-x", "x"]),
    ],
)
def test_olympiadbench_answer_forms(
    tmp_path: Path, about: dict[str, Any], gold: str, right: list[str], wrong: list[str]
) -> None:
    row = {**OLYMPIAD, "is_multiple_answer": False, "final_answer": [gold], **about}
    env = simko.envs.make("simko/OlympiadBench-v0", split="eval", data=write(tmp_path / "a.jsonl", row))
    (task,) = env.source.tasks(None, 0)
    assert [text for text in right if not env.grade(f"\\boxed{{{text}}}", task).correct] == []
    assert [text for text in wrong if env.grade(f"\\boxed{{{text}}}", task).correct] == []
    assert env.grade(env.source.answer(task), task).correct  # type: ignore[attr-defined]


def test_minerva_alternatives(tmp_path: Path) -> None:
    quoted = "Final answer: The final answer is 9. I hope it is correct.\n\nSubproblem 1: and now?"
    rows = [
        {**NORMALISED, "answer": "0.01", "extra": {"alt_answers": ["0.02", "0.01"]}},
        {**NORMALISED, "id": "x-1", "problem": quoted, "answer": "7", "extra": {"alt_answers": ["9", "7.0"]}},
    ]
    env = simko.envs.make("simko/Minerva-v0", split="eval", data=write(tmp_path / "a.jsonl", *rows))
    free, later = env.source.tasks(None, 0)
    assert json.loads(free.gold) == {"answer": "0.01", "accepted": ["0.02"]}
    assert env.grade("\\boxed{0.02}", free).correct
    assert not env.grade("\\boxed{0.03}", free).correct
    assert later.gold == "7"
    assert not env.grade("\\boxed{9}", later).correct
    kinds = {(p.kind, p.correct) for p in env.source.pairs()}  # type: ignore[attr-defined]
    assert {("alt_answers", True), ("alt_answers, of an earlier subproblem", False)} <= kinds


def test_values_out_of_rows() -> None:
    row = {"a": [{"b": None}]}
    assert dig(row, "a.0.b") is None
    assert present(row, ("a.1", "x", "a.0.b")) == "a.0.b"
    assert present(row, ("a.b",)) is None
    assert last_boxed("\\boxed{1} then \\boxed{\\frac{1}{2}}.") == "\\frac{1}{2}"
    assert last_boxed("$\\boxed 7$") == "7"
    assert last_boxed("\\boxed{1") is None is last_boxed("none")
    assert in_box("$x=-\\,\\boxed{7}$") == "-7"
    assert in_box("It is $\\boxed{2}$ or $\\boxed{3}$.") == "2, 3"
    assert in_box("This yields $\\boxed{x+11}$ or $\\boxed{11+x}$.") == "11+x"
    with pytest.raises(UnclearError, match="column 'answer'"):
        in_box("So $11\\cdot\\boxed{2}$")
    assert in_box("\\boxed{}") is None is joined([]) is joined("6") is joined(["1", None])
    assert joined(["1", 2]) == "1, 2"
    assert after_answer("80 square m, # Answer\n\n64") == "64"


# What is upstream's own, where it is at hand.
BESIDE = Path(__file__).resolve().parents[3].parent / "shared" / "data"
DATA = Path(os.environ.get("SIMKO_DATA") or BESIDE)
needs_data = pytest.mark.skipif(not (DATA / "raw").is_dir(), reason="needs SIMKO_DATA=<folder of the normalised files>")
RAW = {
    "openai_gsm8k_main_train.jsonl": "GSM8K",
    "openai_gsm8k_main_test.jsonl": "GSM8K",
    "HuggingFaceH4_MATH-500_test.jsonl": "MATH500",
    "EleutherAI_hendrycks_math_train.jsonl": "MATH",
    "simko_math_train.parquet": "MATH",
    "simko_gsm8k_level1_train.parquet": "SimKO-GSM8K-L1",
    "simko_aime2025_test.parquet": "AIME25",
    "simko_amc23_test.parquet": "AMC23",
    "math-ai_aime24_test.jsonl": "AIME24",
    "math-ai_aime25_test.jsonl": "AIME25",
    "math-ai_amc23_test.jsonl": "AMC23",
    "math-ai_minervamath_test.jsonl": "Minerva",
    "math-ai_olympiadbench_test.jsonl": "OlympiadBench",
}


@needs_data
@pytest.mark.parametrize("file", RAW)
def test_upstream_samples(file: str) -> None:
    split = "train" if "train" in file else "eval"
    if file.endswith("parquet"):
        pytest.importorskip("pyarrow")
    env = simko.envs.make(f"simko/{RAW[file]}-v0", split=split, data=DATA / "raw" / file)
    tasks = env.source.tasks(None, 0)
    assert len(tasks) == 20
    by_folder = simko.envs.make(f"simko/{RAW[file]}-v0", split=split, data=DATA / "raw").source.tasks(None, 0)
    assert [t.problem for t in by_folder] == [t.problem for t in tasks]
    normalised = simko.envs.make(f"simko/{RAW[file]}-v0", split=split, data=DATA, source_options=None)
    golds = {t.problem: t for t in normalised.source.tasks(None, 0)}
    for task in tasks:
        same = golds.get(task.problem)
        assert env.grade(env.source.answer(task), task).correct  # type: ignore[attr-defined]
        assert same is None or env.grade(env.source.answer(task), same).correct  # type: ignore[attr-defined]


@needs_data
@pytest.mark.parametrize("name", ["MATH500", "AIME24", "AIME25", "AMC23", "OlympiadBench"])
def test_the_audit_passes(name: str) -> None:
    (entry,) = audit(f"simko/{name}-v0", str(DATA), checks=False)
    assert entry.passed, entry.findings


@needs_data
def test_rows_left_out() -> None:
    train, test = MATH("train", data=DATA), MATH("eval", data=DATA)
    assert (train.rows, train.size) == (7500, 7498)
    assert [line.split(":")[0] for line in train.left_out] == ["math-train-5341", "math-train-5343"]
    assert test.excluded == 353
    mixed = SimKOMixture("train", data=DATA)
    assert mixed.size == 8388
    assert sum(bool(t.extra.get("math_test")) for t in mixed.tasks(None, 0)) == 351
    assert all(t.gold.strip() for t in mixed.tasks(None, 0))


def test_a_solution_whose_answer_cannot_be_told_is_refused_by_row(tmp_path: Path) -> None:
    rows = [{"problem": f"Find {n}.", "solution": f"So $x=-\\boxed{{{n}}}$."} for n in (6, 7)]
    bad = {"problem": "Find it.", "solution": "Thus $22 = 11\\cdot\\boxed{2}$."}
    whole = MATH("train", data=write(tmp_path / "a.jsonl", *rows))
    assert [task.gold for task in whole.tasks(None, 0)] == ["-6", "-7"]
    path = write(tmp_path / "b.jsonl", *rows, bad)
    with pytest.raises(UserError, match=r"b\.jsonl:3: column 'solution' boxes only a part"):
        MATH("train", data=path)
    assert MATH("train", data=path, keep_good_rows=True).size == 2
    mended = write(tmp_path / "c.jsonl", {**bad, "answer": "2"})
    assert [task.gold for task in MATH("train", data=mended).tasks(None, 0)] == ["2"]
