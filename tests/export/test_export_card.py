"""Cards: what was measured with its bands, the exact command, and nothing of this machine or of a hostile file."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from export_fakes import evaluation

from simko.config import EvalConfig
from simko.export.card import evaluations, licence_of, write_card
from simko.export.command import train_command
from simko.files import digest
from simko.run.target import Target, resolve
from simko.settings import train_config


def source_of(run: Path) -> Target:
    return resolve(EvalConfig(target=str(run)))


def card_of(folder: Path, source: Target, **facts: Any) -> tuple[dict[str, Any], str]:
    write_card(folder, "adapter", source, facts, evaluations(source), "mit")
    text = (folder / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_a_card_says_what_was_measured_and_how(trained_run: Path, tmp_path: Path) -> None:
    front, body = card_of(tmp_path, source_of(trained_run), lost="Nothing was lost.")
    assert front == {
        "library_name": "peft",
        "license": "mit",
        "pipeline_tag": "text-generation",
        "tags": ["simko", "rlvr", "reinforcement-learning"],
    }
    assert "![pass@K against K](pass_at_k.png)" in body
    assert (tmp_path / "pass_at_k.png").read_bytes().startswith(b"\x89PNG")
    assert "6 problems x 4 samples, temperature 0.6, top-p 0.95, seed 0" in body
    assert "| K | simko pass@K | base pass@K | difference | majority@K (base) |" in body
    assert "95 % band over problems, at all K at once; other training seeds are not in it" in body
    assert "One training run was measured." in body
    assert "- Nothing was lost." in body
    assert "licence mit" in body
    command = next(line for line in body.splitlines() if line.startswith("simko train"))
    assert "--lora-rank 4" in command
    assert str(tmp_path) not in body
    assert str(trained_run) not in body


def test_only_clean_evaluations_of_these_weights_are_shown(trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    source = source_of(run)
    assert [result["step"] for result in evaluations(source)] == [7]
    sha = digest(source.adapter / "adapter_model.safetensors") if source.adapter else ""
    for name, result in {
        "other": evaluation("0b"),
        "seen": evaluation(sha, overlap=2),
        "tuned": evaluation(sha, part="tuning"),
        "torn": {"adapter_sha256": sha, "pass_at_k": 3},
    }.items():
        (run / "eval" / f"{name}.json").write_text(json.dumps(result))
    (run / "eval" / "deep.json").write_text("[" * 100_000)
    assert len(evaluations(source)) == 1
    (run / "eval" / "gsm8k.json").unlink()
    _, body = card_of(tmp_path, source)
    assert "Not measured for these weights." in body
    assert not (tmp_path / "pass_at_k.png").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 3, "lora_rank": 8, "seed": 5},
        {"algorithm": "grpo", "env": "simko/Arithmetic-v0", "level": 2, "keep_good_rows": True},
        {"algorithm": "simko", "alpha": 0.4, "model": "org/name", "template": "Q: {problem}\nA:"},
    ],
)
def test_the_command_repeats_the_run(settings: dict[str, Any]) -> None:
    from simko.cli.flags import extra_settings

    config = train_config(settings)
    words = shlex.split(train_command(config))
    assert words[:2] == ["simko", "train"]
    assert train_config(extra_settings(words[2:])) == config


def test_a_path_of_this_machine_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    config = train_config({"env": "simko/JSONL-v0", "data": str(tmp_path / "rows.jsonl"), "out": str(tmp_path)})
    command = train_command(config)
    assert "--data rows.jsonl" in command
    assert str(tmp_path) not in command


def test_the_licence_is_that_of_the_bases_card(tmp_path: Path) -> None:
    assert licence_of(None) is licence_of(str(tmp_path)) is None
    for text, expected in {
        "---\nlicense: apache-2.0\n---\n# Model": "apache-2.0",
        "---\nlicense: [a]\n---\n": None,
        "---\nlicense: {{\n---\n": None,
        "# no front\n---\nlicense: mit\n---\n": None,
        "---\nlicense: a\x1bb\n---\n": None,
    }.items():
        (tmp_path / "README.md").write_text(text)
        assert licence_of(str(tmp_path)) == expected
