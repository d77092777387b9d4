"""`.eval_results`: what the Hub reads back, and which evaluations are worth a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml

from simko.report.hub_results import data_set, of_evaluation, of_run

RESULT = {
    "env": "simko/GSM8K-v0", "adapter_sha256": "0a", "pass_at_k": {"1": 0.41237, "2": 0.5}, "n": 8, "problems": 1319,
    "level": None, "temperature": 0.6, "top_p": 0.95, "max_new_tokens": 512, "verifier": "math", "quantization": "nf4",
    "overlap": 0,
}  # fmt: skip


def put(folder: Path, name: str, **changes: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps({**RESULT, **changes}), encoding="utf-8")


def test_an_entry_has_the_form_of_the_hub() -> None:
    (entry,) = yaml.safe_load(of_evaluation(RESULT) or "")
    assert entry["dataset"] == {"id": "openai/gsm8k", "task_id": "default"}
    assert entry["value"] == 41.24
    assert entry["notes"] == (
        "pass@1 in percent by simko: mean of 8 samples of each of 1319 problems; temperature 0.6, top-p 0.95, at most 512 "
        "tokens, verifier math, weights nf4"
    )


@pytest.mark.skipif(not hasattr(huggingface_hub, "parse_eval_result_entries"), reason="an older huggingface_hub")
def test_the_hubs_own_reader_takes_it() -> None:
    parsed = huggingface_hub.parse_eval_result_entries(yaml.safe_load(of_evaluation(RESULT) or ""))
    assert [(entry.dataset_id, entry.task_id, entry.value) for entry in parsed] == [("openai/gsm8k", "default", 41.24)]
    assert huggingface_hub.eval_result_entries_to_yaml(parsed) == yaml.safe_load(of_evaluation(RESULT) or "")


def test_only_public_data_sets_have_one() -> None:
    assert data_set("simko/MATH500-v0") == "HuggingFaceH4/MATH-500"
    for env in ("simko/Countdown-v0", "simko/JSONL-v0", "jsonl:/a/b", "no/Such-v0"):
        assert data_set(env) is None
        assert of_evaluation({**RESULT, "env": env}) is None


def test_only_clean_evaluations_of_the_exported_adapter_are_taken(tmp_path: Path) -> None:
    assert of_run(tmp_path, "0a") == ({}, "the run has no evaluation of it; measure it with `simko eval`")
    put(tmp_path, "other", adapter_sha256="0b")
    put(tmp_path, "base", adapter_sha256=None)
    assert of_run(tmp_path, "0a")[0] == {}
    assert of_run(tmp_path, None)[0] == {}
    put(tmp_path, "puzzle", env="simko/Countdown-v0")
    assert of_run(tmp_path, "0a") == ({}, "simko/Countdown-v0 is of no public data set on the Hub")
    put(tmp_path, "seen", overlap=3)
    put(tmp_path, "tuned", part="tuning")
    assert "problems that training or tuning has seen" in of_run(tmp_path, "0a")[1]
    put(tmp_path, "t1", temperature=1.0)
    put(tmp_path, "t2")
    (tmp_path / "x.json").write_text("[" * 100_000)
    put(tmp_path, "y", pass_at_k=5)
    files, why = of_run(tmp_path, "0a")
    assert (sorted(files), why) == (["t1.yaml", "t2.yaml"], "")
