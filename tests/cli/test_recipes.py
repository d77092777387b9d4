"""`simko recipes` and `--recipe`: every file loads as it is, says what it gives, and its forecasts are those of today."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from pathlib import Path

import gymnasium
import pytest
import yaml

import simko.envs  # noqa: F401  # registers the environments
from simko import algorithms
from simko.cli import run
from simko.config import read_yaml
from simko.errors import UserError
from simko.recipes import About, names, path_of, recipe, split_about
from simko.settings import schema, train_config
from studies import recipe_times
from studies.pages.recipes import pages

ROOT = Path(__file__).resolve().parents[2]
FORECASTS = [name for name in names() if not recipe(name).about.measured]


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of data would make prompts shorter than the forecast takes them."""
    monkeypatch.delenv("SIMKO_DATA", raising=False)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command is refused with."""
    assert run(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("name", names())
def test_a_recipe_is_whole(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--dry-run` gives what `--config` with its file gives, of an environment and a method that there are."""
    assert run(["train", "--recipe", name, "--dry-run"]) == 0
    by_name = capsys.readouterr().out
    assert run(["train", "--config", str(path_of(name)), "--dry-run"]) == 0
    assert capsys.readouterr().out == by_name
    resolved = yaml.safe_load(by_name)
    assert "about" not in resolved
    assert resolved["env"] in gymnasium.registry
    assert resolved["algorithm"] in algorithms.names()
    settings = recipe(name).settings
    assert {key: value for key, value in settings.items() if key in resolved} == {
        key: resolved[key] for key in settings if key in resolved
    }
    assert {key for key in settings if key not in resolved} <= set(resolved["method"])


@pytest.mark.parametrize("name", names())
def test_a_recipe_says_all_of_itself(name: str) -> None:
    about = asdict(recipe(name).about)
    assert [key for key, value in about.items() if value == ""] == []
    assert re.fullmatch(r"2\d{3}-\d\d-\d\d", about["when"])
    assert re.match(r"(about )?\d+ (minutes|hours|days)", about["time"]), about["time"]
    assert re.match(r"\d+\.\d GB", about["memory"]), about["memory"]
    assert name in about["command"]
    assert ("run it yet" in about["gives"] or "run it with" in about["gives"]) is not about["measured"]


@pytest.mark.parametrize("name", FORECASTS)
def test_a_forecast_is_that_of_today(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    about = recipe(name).about
    assert about.memory == recipe_times.memory_text(name)
    assert about.time == recipe_times.time_text(name)
    assert recipe_times.plan(name).fits
    assert run(["plan", "--recipe", name, "--json"]) == 0  # what the recipe names as its command
    printed = json.loads(capsys.readouterr().out)
    assert about.memory.startswith(f"{max(printed['rollout_bytes'], printed['update_bytes']) / 1e9:.1f} GB of ")
    assert printed["memory_bytes"] == recipe_times.GPUS[about.where].memory


def test_there_are_forecasts_and_measurements() -> None:
    assert "countdown" not in FORECASTS
    assert "math-paper" in FORECASTS


def test_the_paper_is_followed_where_the_file_says_so() -> None:
    """Settings of the released scripts for mathematics."""
    config = train_config(recipe("math-paper").settings)
    assert (config.prompts_per_step, config.updates_per_batch, config.group_size) == (1024, 4, 8)
    assert (config.max_prompt_tokens, config.max_new_tokens, config.temperature) == (1024, 3072, 1.0)
    assert (config.template, config.max_grad_norm, config.warmup_steps) == ("qwen", 1.0, 0)
    names = ("alpha", "top_k", "entropy_quantile", "top1_penalty", "clip_low", "clip_high", "kl_coefficient")
    assert [config.method[name] for name in names] == [0.01, 3, 0.8, 1.1, 0.2, 0.2, 0.0]
    assert config.steps == 20 * 7498 // 1024


def test_flags_go_over_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--recipe", "countdown", "--steps", "7", "--alpha", "0.3", "--dry-run", "--json"]) == 0
    resolved = json.loads(capsys.readouterr().out)
    assert (resolved["steps"], resolved["method"]["alpha"]) == (7, 0.3)
    assert resolved["learning_rate"] == recipe("countdown").settings["learning_rate"]


def test_a_wrong_name_and_two_sources_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(["train", "--recipe", "countdwon"], capsys).endswith("did you mean 'countdown'?")
    assert refused(["recipes", "zzz"], capsys).endswith(f"take one of {', '.join(names())}")
    both = refused(["train", "--recipe", "countdown", "--config", "mine.yaml"], capsys)
    assert both.endswith("--recipe countdown stands beside --config mine.yaml, and both name settings; leave one out")
    assert "--resume runs/a" in refused(["train", "--recipe", "countdown", "--resume", "runs/a"], capsys)
    assert "--config mine.yaml" in refused(["plan", "--recipe", "countdown", "--config", "mine.yaml"], capsys)


@pytest.mark.parametrize(
    ("about", "mistake"),
    [
        ("{titel: a}", "about: unknown key 'titel'; did you mean 'title'?"),
        ("{measured: 3}", "about: measured is 3; it must be true or false"),
        ("{title: [a]}", "about: title is ['a']; it must be text"),
        ("a title", "about is 'a title'; it must be a mapping, as title: ..."),
    ],
)
def test_a_wrong_about_is_told_in_one_line(
    about: str, mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"about: {about}\nsteps: 3\n", encoding="utf-8")
    assert refused(["train", "--config", str(file), "--dry-run"], capsys).endswith(f"config {file}: {mistake}")


def test_a_file_of_ones_own_may_have_an_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any part of it, for every command that takes such a file; none of it is a setting."""
    file = tmp_path / "mine.yaml"
    file.write_text("about: {title: mine, when: 2026-11-30}\nsteps: 3\n", encoding="utf-8")
    about, settings = split_about(read_yaml(file), file)
    assert about == About(title="mine", when="2026-11-30")
    assert settings == {"steps": 3}
    assert run(["train", "--config", str(file), "--dry-run"]) == 0
    assert run(["plan", "--config", str(file), "--device", "cpu"]) == 0
    file.write_text("about: {title: mine}\nn: 0\n", encoding="utf-8")
    capsys.readouterr()
    assert refused(["eval", "tiny", "--config", str(file)], capsys).endswith(f"config {file}: n is 0; it must be >= 1")
    file.write_text("steps: 3\nabout:\n", encoding="utf-8")
    assert split_about(read_yaml(file), file) == (None, {"steps": 3})


def test_no_setting_may_be_called_about() -> None:
    """Neither of a run nor of a method: the loader takes it away. Editors learn it from the schema."""
    with pytest.raises(UserError, match="unknown key 'about'"):
        train_config({"about": {"title": "a"}})
    assert "about" not in algorithms.schema()
    assert set(schema("train")["properties"]["about"]["properties"]) == {field.name for field in fields(About)}
    assert "about" in schema("eval")["properties"]


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes"]) == 0
    out = capsys.readouterr().out
    words = " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    for name in names():
        about = recipe(name).about
        assert f"start simko train --recipe {name}" in words
        for text in (about.title, about.gives, about.time, about.memory, about.where, about.needs):
            assert " ".join(text.split()) in words
        assert ("measured" if about.measured else "forecast") in words
    assert run(["recipes", "--json"]) == 0
    every = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in every] == names()
    assert every[0]["about"] == asdict(recipe(names()[0]).about)


def test_one_recipe_is_printed_as_it_is_and_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = path_of("math-paper").read_text(encoding="utf-8")
    assert run(["recipes", "math-paper"]) == 0
    assert capsys.readouterr().out == text
    assert run(["recipes", "math-paper", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["group_size"] == 8
    assert run(["recipes", "math-paper", "--out", "mine.yaml"]) == 0
    assert Path("mine.yaml").read_text(encoding="utf-8") == text
    capsys.readouterr()
    assert "mine.yaml is there already" in refused(["recipes", "countdown", "--out", "mine.yaml"], capsys)
    assert "nowhere/a.yaml cannot be written" in refused(["recipes", "countdown", "--out", "nowhere/a.yaml"], capsys)
    assert "name it" in refused(["recipes", "--out", "new.yaml"], capsys)


def test_the_page_is_up_to_date() -> None:
    for path, text in pages().items():
        assert (ROOT / "docs" / path).read_text(encoding="utf-8") == text, "python -m studies.pages writes it"


def test_the_makefile_trains_a_recipe() -> None:
    assert "train --recipe countdown" in (ROOT / "Makefile").read_text(encoding="utf-8")
