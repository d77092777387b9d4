"""inspect logs, with a stand-in for the package: objects of the documented shapes. The package itself is not needed here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from foreign_files import refusal

from simko.report.foreign import read


def sample(id: Any, epoch: int, value: Any, text: str = "4", error: Any = None, **scores: Any) -> SimpleNamespace:
    grades = {"match": value, **scores}
    return SimpleNamespace(
        id=id, epoch=epoch, input="What is 2 + 2?", target="4", error=error,
        output=SimpleNamespace(completion=text),
        scores={name: SimpleNamespace(value=grade) for name, grade in grades.items()},
    )  # fmt: skip


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a log of these samples where `inspect_ai` would read one; returns its path."""

    def put(samples: Any, problem: Exception | None = None) -> Path:
        def read_eval_log(file: str, resolve_attachments: bool = False) -> Any:
            if problem:
                raise problem
            config = SimpleNamespace(temperature=0.6, top_p=None, max_tokens=512)
            spec = SimpleNamespace(task="gsm8k", model="openai/gpt", model_generate_config=SimpleNamespace(top_p=0.9))
            return SimpleNamespace(status="success", eval=spec, plan=SimpleNamespace(config=config), samples=samples)

        package, module = ModuleType("inspect_ai"), ModuleType("inspect_ai.log")
        module.read_eval_log = read_eval_log  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "inspect_ai", package)
        monkeypatch.setitem(sys.modules, "inspect_ai.log", module)
        path = tmp_path / "a.eval"
        path.write_bytes(b"PK")
        return path

    return put


def test_epochs_are_samples(log: Any) -> None:
    path = log([sample(1, 1, "C"), sample(1, 2, "I"), sample("b", 1, 1.0), sample("b", 2, "P"), sample("b", 3, "N")])
    (arm,) = read(path)
    assert arm.counts == {"1": (2, 1), "b": (3, 1)}
    assert (arm.arm, arm.source, arm.foreign, arm.facts["partial"]) == ("openai/gpt", "inspect", True, 1)
    facts = {"env": "inspect/gsm8k", "verifier": "match", "temperature": 0.6, "top_p": 0.9, "max_new_tokens": 512}
    assert facts.items() <= arm.facts.items()


def test_a_sample_without_a_verdict_is_not_counted(log: Any) -> None:
    path = log([sample(1, 1, "C"), sample(1, 2, float("nan")), sample(1, 3, "C", error="crashed"), sample(1, 4, [1])])
    (arm,) = read(path)
    assert (arm.counts, arm.facts["ungraded"]) == ({"1": (1, 1)}, 3)


def test_its_completions_can_be_graded_by_us(log: Any) -> None:
    path = log([sample(1, 1, "I", "\\boxed{4}"), sample(1, 2, "C", "\\boxed{5}"), sample(1, 3, "C", error="crashed")])
    (arm,) = read(path, verifier="math")
    assert (arm.counts, arm.source) == ({"1": (2, 1)}, "completions")


def test_several_scorers_need_a_choice(log: Any) -> None:
    path = log([sample(1, 1, "C", model_graded="I")])
    assert "its scorers are match, model_graded; name one with --metric" in refusal(path)
    assert "no scorer 'f1'" in refusal(path, metric="f1")
    assert read(path, metric="model_graded")[0].counts == {"1": (1, 0)}


def test_a_log_that_cannot_be_used_is_one_line(log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the log has no samples (status 'success')" in refusal(log([]))
    assert "it stands in the log twice" in refusal(log([sample(1, 1, "C"), sample("1", 1, "C")]))
    assert "the log has no scores" in refusal(log([SimpleNamespace(**{**vars(sample(1, 1, "C")), "scores": None})]))
    assert "cannot read it (ValueError: not a\\zip)" in refusal(log([], ValueError("not a\\zip\n")))
    for name in ("inspect_ai", "inspect_ai.log"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "pip install 'simko[inspect]'" in refusal(tmp_path / "a.eval")
