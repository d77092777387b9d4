"""Two steps of the tiny policy on each foreign world, and what a run folder says of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stand_ins
from rich.console import Console

from simko.cli.commands import app
from simko.config import EvalConfig, as_dict, write_yaml
from simko.envs.foreign import openenv, peer
from simko.envs.foreign.options import read_options
from simko.errors import UserError
from simko.run.folder import RunFolder, sealed
from simko.run.target import resolve
from simko.settings import train_config
from simko.train import train

SMALL = {
    "model": "tiny", "steps": 2, "prompts_per_step": 2, "group_size": 2, "lora_rank": 2, "preflight_prompts": 0,
    "force": True, "eval_problems": 0, "logger": "none", "micro_batch_tokens": 1024, "max_new_tokens": 16, "threads": 1,
}  # fmt: skip


def run_of(out: Path, **settings: Any) -> RunFolder:
    return train(train_config({**SMALL, "out": str(out), **settings}), console=Console(file=io.StringIO()))


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    peer.end_all()
    for world in openenv._worlds.values():
        world.end()
    openenv._worlds.clear()


def test_reasoning_gym_trains_and_its_run_is_evaluated(tmp_path: Path, python: str) -> None:
    world = {"env": "simko/ReasoningGym-v0", "data": "sums", "env_options": "size=60,most=60"}
    run = run_of(tmp_path / "run", python=python, **world)
    assert [line["step"] for line in run.metrics()] == [1, 2]
    stored = (run.path / "config.yaml").read_text()
    assert "env_options: size=60,most=60" in stored
    assert "python" not in stored  # whoever wrote a run folder must not choose what is started
    settings = resolve(EvalConfig(str(run.path), n=2, problems=2, python=python)).settings
    assert (settings.env_options, settings.data, settings.python) == ("size=60,most=60", "sums", python)
    assert resolve(EvalConfig(str(run.path))).settings.python is None


def test_a_taskset_trains(tmp_path: Path, python: str) -> None:
    run = run_of(tmp_path / "run", env="simko/Verifiers-v0", data="stand_in_sums", python=python)
    lines = run.metrics()
    assert [line["step"] for line in lines] == [1, 2]
    assert not any(key.startswith("fault_") for line in lines for key in line)


def test_a_server_trains_in_several_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(stand_ins.PACKAGES))
    with stand_ins.serving() as server:
        options = "turns=3,size=20,seconds=5"
        run = run_of(tmp_path / "run", env="simko/OpenEnv-v0", data=server.url, env_options=options, max_new_tokens=48)
    assert [line["step"] for line in run.metrics()] == [1, 2]
    assert any(message["type"] == "step" for message in server.messages)


def test_a_run_folder_names_no_interpreter(tmp_path: Path) -> None:
    config = train_config({**SMALL, "out": str(tmp_path), "python": "/bin/true"})
    assert "python" not in write_yaml(config)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text(sealed(f"{write_yaml(config)}python: /bin/true\n"))
    with pytest.raises(UserError, match="unknown key 'python'"):
        RunFolder.open(tmp_path)


def test_a_run_folder_takes_no_sandbox_away(tmp_path: Path) -> None:
    config = train_config({**SMALL, "out": str(tmp_path), "unsafe_no_sandbox": True})
    assert "sandbox" not in write_yaml(config)
    assert as_dict(config, stored=False)["unsafe_no_sandbox"] is True  # for the other ranks
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text(sealed(f"{write_yaml(config)}unsafe_no_sandbox: true\n"))
    assert not RunFolder.open(tmp_path).config.unsafe_no_sandbox


@pytest.mark.parametrize("command", ["train", "eval"])
@pytest.mark.parametrize(("name", "flag"), [("python", "--python"), ("unsafe_no_sandbox", "--unsafe-no-sandbox")])
def test_nor_does_a_file_of_settings(command: str, name: str, flag: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{name}: true\n")
    target = ["tiny"] if command == "eval" else ["--dry-run"]
    with pytest.raises(UserError, match=f"{name} is taken from no file; give {flag}"):
        app([command, *target, "--config", str(tmp_path / "a.yaml")], standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (None, {}),
        (" ", {}),
        ("size=5, seed=3", {"size": 5, "seed": 3}),
        (
            'names=[1,2],reset={"a": "b=c"},x=true,y=a, b',
            {"names": [1, 2], "reset": {"a": "b=c"}, "x": True, "y": "a, b"},
        ),
        ("action_field=arguments.message", {"action_field": "arguments.message"}),
    ],
)
def test_options_are_read(text: str | None, options: dict[str, Any]) -> None:
    assert read_options(text) == options
    assert read_options(text, "p") == {**options, "python": "p"}


@pytest.mark.parametrize("text", ["size", "size=1,size=2", "=3", "1a=3", "a b=3", "python=/bin/true"])
def test_other_options_are_one_line(text: str) -> None:
    with pytest.raises(UserError, match="env_options: "):
        read_options(text)
