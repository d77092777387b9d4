"""Trackers and progress lines."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from simko import algorithms
from simko.build import make_env, make_policy
from simko.errors import UserError
from simko.metrics import gap_limit
from simko.run.manifest import introduce
from simko.run.tracker import Progress, Tracker
from simko.settings import train_config


def test_tensorboard_holds_the_scalars(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = Tracker("tensorboard", tmp_path, {}, 0)
    for step in (1, 2):
        tracker.log(step, {"reward": 0.25 * step})
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("reward")
    assert [(event.step, event.value) for event in events] == [(1, 0.25), (2, 0.5)]


@pytest.mark.parametrize("extra", ["wandb", "trackio"])
def test_a_missing_extra_is_named(extra: str, tmp_path: Path) -> None:
    try:
        __import__(extra)
    except ImportError:
        with pytest.raises(UserError, match=rf"pip install 'simko\[{extra}\]'"):
            Tracker(extra, tmp_path, {}, 0)


def test_no_tracker(tmp_path: Path) -> None:
    tracker = Tracker("none", tmp_path, {}, 0)
    tracker.log(1, {"reward": 1.0})
    tracker.close()
    assert not list(tmp_path.iterdir())


def test_progress_leads_with_reward_and_tells_what_is_left() -> None:
    out = io.StringIO()
    progress = Progress(Console(file=out, width=200), 3, every_seconds=0.0)
    for step in (1, 2, 3):
        progress.step(step, {"reward": 0.25, "informative": 0.5}, 60.0)
    lines = out.getvalue().splitlines()
    assert "reward 0.250  informative  50%" in lines[0]
    assert "left 2 min 00 s" in lines[0]
    assert "left 1 min" in lines[1]
    assert "done in" in lines[2]


def test_a_sampler_that_is_not_the_trainer_is_said_once() -> None:
    out = io.StringIO()
    progress = Progress(
        Console(file=out, width=300), 9, every_seconds=99.0, gap_limit=gap_limit(torch.float32, "local")
    )
    for step, gap in enumerate((1e-5, None, 0.02, 0.3), start=2):
        progress.step(step, {"reward": 0.25, "informative": 0.5, "sampler_gap": gap}, 60.0)
    (line,) = out.getvalue().splitlines()
    assert line.startswith("step 4: sampler and trainer disagree by 0.02 nats a token")
    assert line.endswith("set tis_clip to 2, or decode_weights to live")
    assert gap_limit(torch.bfloat16, "local") == gap_limit(torch.float32, "vllm") == 0.1
    out = io.StringIO()
    beside = Progress(Console(file=out, width=300), 9, every_seconds=99.0, gap_limit=0.1, engine="vllm-server")
    beside.step(2, {"reward": 0.25, "informative": 0.5, "sampler_gap": 0.2}, 60.0)
    assert "set quantization to int8 or none" in out.getvalue()


def test_a_model_that_does_not_pack_is_said() -> None:
    config = train_config({"quantization": "none"})
    policy = make_policy(config)
    env, method = make_env(config, policy, "train"), algorithms.get(config.algorithm)
    lines = []
    for packs in (True, False):
        policy._states._packs = packs
        console = Console(file=(out := io.StringIO()))
        introduce(config, policy, env, method, 0, console)
        lines.append("padded rows" in out.getvalue())
    assert lines == [False, True]
