"""Every Eval Ever records: their form, their links, and that the counts can be had back from the samples."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from eval_schema import AGGREGATE, INSTANCE, faults

from simko.errors import UserError
from simko.report.foreign import every_eval_ever
from simko.report.foreign.every_eval_ever import Record, default_model_id, record
from simko.report.measured import Measured
from simko.types import Task

FACTS = {
    "env": "simko/GSM8K-v0", "verifier": "math", "temperature": 0.6, "top_p": 0.95, "max_new_tokens": 64, "model": "org/base",
    "level": None, "step": 3, "quantization": "nf4",
}  # fmt: skip
ARM = Measured(
    "simko",
    1,
    {"a": (4, 3), "b": (8, 0), "failed": (0, 0)},
    {"a": {"5": (2, 2), "6": (1, 1)}},
    FACTS,
    "simko",
    "/home/me/x.json",
)
TASKS = {"a": Task("a", "What is 2 + 3?", "5")}


def made(arm: Measured = ARM, timestamp: float = 1.5, **more: Any) -> Record:
    return record(
        arm, timestamp, **{"model_id": "org/m", "organization": "us", "tasks": TASKS, "hub": "openai/gsm8k", **more}
    )


def test_both_files_have_the_form_of_the_schema() -> None:
    result = made()
    lines = [json.loads(line) for line in result.samples.splitlines()]
    assert faults(json.loads(result.aggregate), AGGREGATE) == []
    assert [fault for line in lines for fault in faults(line, INSTANCE)] == []
    for more in ({"tasks": None, "hub": None}, {"arm": Measured("x", None, {"1": (1, 1)}, source="lm-eval")}):
        other = made(**more)
        assert faults(json.loads(other.aggregate), AGGREGATE) == []
        assert faults(json.loads(other.samples.splitlines()[0]), INSTANCE) == []


def test_the_checker_finds_faults() -> None:
    """Otherwise the test above could not fail."""
    aggregate = json.loads(made().aggregate)
    for key in ("schema_version", "model_info", "evaluation_results"):
        assert faults({name: value for name, value in aggregate.items() if name != key}, AGGREGATE)
    assert faults({**aggregate, "more": 1}, AGGREGATE) == ["record.more is unknown"]
    details = aggregate["detailed_evaluation_results"] | {"file_path": "x.jsonl", "total_rows": "12"}
    assert len(faults({**aggregate, "detailed_evaluation_results": details}, AGGREGATE)) == 2


def test_the_counts_can_be_had_back() -> None:
    lines = [json.loads(line) for line in made().samples.splitlines()]
    counts = Counter((line["sample_id"], line["evaluation"]["is_correct"]) for line in lines)
    assert counts == {("a", True): 3, ("a", False): 1, ("b", False): 8}
    answers = Counter(
        (line["answer_attribution"][0]["extracted_value"], line["evaluation"]["score"])
        for line in lines
        if line["answer_attribution"]
    )
    assert answers == {("5", 1.0): 2, ("6", 1.0): 1}
    assert lines[0]["input"] == {"raw": "What is 2 + 3?", "reference": ["5"]}
    assert lines[-1]["input"] == {"raw": "", "reference": []}
    expected = sha256(b'{"raw":"What is 2 + 3?","reference":["5"]}').hexdigest()
    assert (lines[0]["sample_hash"], lines[-1]["sample_hash"]) == (expected, None)


def test_the_files_name_each_other() -> None:
    result = made()
    aggregate, lines = json.loads(result.aggregate), [json.loads(line) for line in result.samples.splitlines()]
    details = aggregate["detailed_evaluation_results"]
    assert result.path.startswith("data/gsm8k-v0/org/m/")
    assert (details["file_path"], result.samples_path) == (result.path.replace(".json", "_samples.jsonl"),) * 2
    assert (details["total_rows"], details["checksum"]) == (12, sha256(result.samples.encode()).hexdigest())
    assert {line["evaluation_id"] for line in lines} == {aggregate["evaluation_id"]}
    assert {line["model_id"] for line in lines} == {aggregate["model_info"]["id"]}
    results = {entry["evaluation_result_id"] for entry in aggregate["evaluation_results"]}
    assert {line["evaluation_result_id"] for line in lines} < results


def test_a_result_for_each_k_that_all_problems_can_show() -> None:
    results = json.loads(made().aggregate)["evaluation_results"]
    assert [entry["metric_config"]["metric_parameters"]["k"] for entry in results] == [1, 2, 4]
    assert [entry["score_details"]["score"] for entry in results] == [pytest.approx(0.375), 0.5, 0.5]
    assert results[0]["source_data"]["hf_repo"] == "openai/gsm8k"
    assert results[0]["generation_config"]["generation_args"] == {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64}


def test_the_same_arm_replaces_its_own_record() -> None:
    assert made(timestamp=9.0).path == made().path
    assert made(replace(ARM, seed=2)).path != made().path


def test_no_path_of_this_machine_is_told() -> None:
    facts = {**FACTS, "env": "jsonl:/home/me/set.jsonl", "model": "/home/me/model", "data_sha256": "0a"}
    arm = replace(ARM, facts=facts)
    result = made(arm, model_id=default_model_id(arm))
    assert "/home/me" not in result.aggregate + result.samples + result.path
    assert result.path.startswith("data/set.jsonl/unknown/model-simko/")


def test_a_trained_model_is_not_called_its_base() -> None:
    assert default_model_id(ARM) == "unknown/base-simko"
    assert default_model_id(replace(ARM, arm="base")) == "org/base"
    assert default_model_id(replace(ARM, source="lm-eval")) == "org/base"
    assert default_model_id(replace(ARM, arm="base", facts={"model": "tiny"})) == "unknown/tiny"
    assert default_model_id(replace(ARM, arm="../../x", facts={})) == "unknown/unknown-..-..-x"


def test_foreign_verdicts_are_marked() -> None:
    aggregate = json.loads(made(replace(ARM, source="lm-eval")).aggregate)
    assert aggregate["source_metadata"]["additional_details"] == {"verdicts": "foreign", "source": "lm-eval"}
    assert aggregate["eval_library"] == {"name": "lm_eval", "version": "unknown"}


def test_answers_that_contradict_the_counts_are_left_out() -> None:
    for answers in ({"5": (9, 0)}, {"5": (4, 4)}, {"5": (3, 0)}):
        lines = [json.loads(line) for line in made(replace(ARM, answers={"a": answers})).samples.splitlines()]
        assert (len(lines), sum(line["evaluation"]["is_correct"] for line in lines)) == (12, 3)


def test_what_cannot_be_a_record_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("m", "a/b/c", "../m", "a b/c", "/m"):
        with pytest.raises(UserError, match="is not developer/model"):
            made(model_id=name)
    with pytest.raises(UserError, match="has 0 samples"):
        made(replace(ARM, counts={"a": (0, 0)}))
    monkeypatch.setattr(every_eval_ever, "MOST_SAMPLES", 11)
    with pytest.raises(UserError, match="use --format counts"):
        made()
