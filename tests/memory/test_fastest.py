"""Live or merged weights by measured speed: asked for, or on CUDA; stored, so that a resumed run decodes alike."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from test_burn_in import QUICK, config_of

from simko.build import make_policy
from simko.memory import burn_in, fastest
from simko.memory.forecast import Job
from simko.run.folder import RunFolder
from simko.train import train

JOB = Job("cpu", "nf4", 4, prompts=2, group_size=4, longest_prompt=12, max_new_tokens=33)
SECONDS = {"live": (1.0, 9.0), "merged": (2.0, 6.0)}  # of 1 and of 9 tokens


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A fake clock: it returns the times in this mapping. `asked` lists the weights that were measured."""
    times: dict[str, Any] = {**SECONDS, "asked": []}

    def seconds(policy: Any, prompts: list[list[int]], n: int, tokens: int, temperature: float) -> float:
        times["asked"].append((policy.decode_weights, len(prompts), n, tokens))
        taken = times[policy.decode_weights][tokens > 1]
        if taken is None:
            raise torch.OutOfMemoryError("full")
        return float(taken)

    monkeypatch.setattr(fastest, "_seconds", seconds)
    return times


def choice(policy: Any, slots: int = 8, job: Job = JOB) -> tuple[str, dict[str, float | None]]:
    return fastest.fastest(policy, job, slots, lambda count: burn_in._dull_ids(policy, count), 1.0)


def test_a_start_and_as_many_steps_as_a_rollout_has(clock: dict[str, Any]) -> None:
    policy = make_policy(config_of())
    assert choice(policy) == ("merged", {"live": 1 + 32 * 1.0, "merged": 2 + 32 * 0.5})
    assert policy.decode_weights == "merged"
    assert clock["asked"] == [(kind, 2, 4, tokens) for kind in ("live", "merged") for tokens in (1, 9)]
    # short answers do not earn the copy back; waves of slots do
    short = replace(JOB, max_new_tokens=2)
    assert choice(policy, job=short)[0] == "live"
    assert choice(policy, slots=2, job=short)[0] == "merged"


def test_what_memory_does_not_hold_is_not_chosen(clock: dict[str, Any]) -> None:
    policy = make_policy(config_of())
    clock["merged"] = (2.0, None)
    assert choice(policy) == ("live", {"live": 33.0, "merged": None})
    clock |= {"live": (None, 1.0), "merged": (2.0, 9.0)}
    assert choice(policy)[0] == "merged"


def test_the_clock_decodes_every_token_that_it_counts() -> None:
    policy = make_policy(config_of())
    assert fastest._seconds(policy, [[5, 6], [7, 8]], 3, 9, 1.0) > 0
    assert policy.engine.stats.generated_tokens == 2 * 3 * 9


@pytest.mark.parametrize("faster", ["live", "merged"])
def test_a_run_keeps_what_was_measured(clock: dict[str, Any], tmp_path: Path, faster: str) -> None:
    clock |= {"live": (1.0, 1.0), "merged": (2.0, 2.0)} if faster == "live" else SECONDS
    out = io.StringIO()
    config = config_of(out=str(tmp_path / "run"), decode_weights="measured")
    run = train(config, console=Console(file=out, width=300))
    assert RunFolder.open(run.path).config.decode_weights == faster
    assert json.loads((run.path / "manifest.json").read_text())["decode_weights"]["chosen"] == faster
    assert f"; {faster} it is" in out.getvalue()
    clock["asked"].clear()
    opened = RunFolder.open(run.path)
    train(replace(opened.config, steps=2), resume=opened, console=Console(quiet=True))
    assert clock["asked"] == []


def test_a_cpu_has_no_clock_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU equal seeds give equal bytes."""
    assert burn_in.planned(config_of()).decode_weights == "merged"
    assert burn_in.planned(config_of(decode_weights="measured")).decode_weights == "measured"
    tight = {"model": "Qwen2.5-1.5B", "memory": "6GB", "decode_weights": "measured"}
    assert burn_in.planned(config_of(**tight)).decode_weights == "live"
    monkeypatch.setattr(burn_in, "pick_device", lambda _: torch.device("cuda"))
    settings = QUICK | {"device": "auto"}
    assert burn_in.planned(config_of(**settings)).decode_weights == "measured"
    assert burn_in.planned(config_of(**settings, burn_in=False)).decode_weights == "merged"
    assert burn_in.planned(config_of(**settings, decode_weights="live")).decode_weights == "live"
    assert burn_in.planned(config_of(**settings, engine="generate_batch")).decode_weights == "merged"


@pytest.mark.gpu
def test_on_a_gpu_one_of_them_is_chosen() -> None:
    policy = make_policy(config_of(device="cuda"))
    chosen, seconds = choice(policy)
    assert chosen in ("live", "merged")
    assert all(taken is not None and taken > 0 for taken in seconds.values())
    assert policy.generate([[5, 6]], 2, max_new_tokens=3)
