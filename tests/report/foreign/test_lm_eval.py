"""lm-evaluation-harness: its scores by filter, or its responses graded by us."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign_files import jsonl, logged, refusal

from simko.report.foreign import read

NAME = "samples_gsm8k_2026-01-02T03-04-05.678901.jsonl"


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Two documents, two filters, two responses a document."""
    rows = [
        logged(doc, name, value, [f"#### {doc + 1}", "#### 7"])
        for name, values in (("strict-match", (1.0, 0.0)), ("flexible-extract", (1.0, 1.0)))
        for doc, value in enumerate(values)
    ]
    return jsonl(tmp_path / "org__model" / NAME, rows)


def test_each_filter_is_an_arm(samples: Path) -> None:
    strict, flexible = read(samples)
    assert (strict.arm, flexible.arm) == ("org__model:strict-match", "org__model:flexible-extract")
    assert strict.counts == {"0": (1, 1), "1": (1, 0)}
    assert flexible.counts == {"0": (1, 1), "1": (1, 1)}
    assert (strict.source, strict.foreign) == ("lm-eval", True)
    facts = {"env": "lm-eval/gsm8k", "verifier": "exact_match", "temperature": 0.7, "max_new_tokens": 256, "n": 1}
    assert facts.items() <= strict.facts.items()
    assert (strict.facts["model"], strict.facts["partial"]) == ("org__model", 0)


def test_a_filter_can_be_chosen(samples: Path) -> None:
    (arm,) = read(samples, filter="flexible-extract", arm="theirs")
    assert (arm.arm, arm.facts["verifier"]) == ("theirs", "exact_match (flexible-extract)")
    assert "no row of filter 'loose'; it has: flexible-extract, strict-match" in refusal(samples, filter="loose")


def test_graded_by_us_every_response_is_a_sample(samples: Path, tmp_path: Path) -> None:
    (arm,) = read(samples, verifier="math")
    assert arm.counts == {"0": (2, 1), "1": (2, 1)}
    assert (arm.source, arm.facts["verifier"], arm.facts["temperature"], arm.facts["n"]) == (
        "completions",
        "math",
        0.7,
        2,
    )
    problems = [{"id": f"p{i}", "problem": f"What is {i} + 1?", "answer": i + 1} for i in range(2)]
    jsonl(tmp_path / "set" / "eval.jsonl", problems)
    jsonl(tmp_path / "set" / "train.jsonl", [{"problem": "What is 10 + 1?", "answer": 11}])
    (arm,) = read(samples, env="simko/JSONL-v0", data=str(tmp_path / "set"))
    assert arm.counts == {"p0": (2, 1), "p1": (2, 1)}
    assert arm.facts["env"] == "simko/JSONL-v0"


def test_the_metric_is_named_where_there_are_several(tmp_path: Path) -> None:
    names = ["bleu", "f1"]
    rows = [logged(0, "none", 1.0, ["a"], metrics=names, bleu=0.3, f1=1.0)]
    path = jsonl(tmp_path / NAME, rows)
    assert "its metrics are bleu, f1; name one that is 0 or 1 with --metric" in refusal(path)
    assert "no metric 'acc'" in refusal(path, metric="acc")
    assert read(path, metric="f1")[0].counts == {"0": (1, 1)}
    (arm,) = read(path, metric="bleu")
    assert (arm.counts, arm.facts["partial"]) == ({"0": (1, 0)}, 1)


def test_a_document_without_a_score_is_not_counted(tmp_path: Path) -> None:
    rows = [logged(0, "none", 1.0, ["a"]), logged(1, "none", float("nan"), ["a"]), logged(2, "none", True, ["a"])]
    (arm,) = read(jsonl(tmp_path / NAME, rows))
    assert arm.counts == {"0": (1, 1), "1": (0, 0), "2": (1, 1)}
    assert arm.facts["ungraded"] == 1


def test_what_is_no_run_of_one_task_is_refused(tmp_path: Path) -> None:
    row = logged(0, "none", 1.0, ["a"])
    assert f"{NAME}:2: doc_id 0 with filter 'none' stands in " in refusal(jsonl(tmp_path / NAME, [row, row]))
    choices = {**row, "resps": [[["-1.5", "False"]], [["-2.5", "False"]]]}
    assert "holds no generated texts" in refusal(jsonl(tmp_path / NAME, [choices]), verifier="exact")
