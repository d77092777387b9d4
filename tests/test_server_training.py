"""Training and evaluation through a vLLM server: the stand-in decodes with the adapter that each step gives it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file
from vllm_stand_in import Handler, StandIn, serving

import simko.rollout
from simko.agents.engine import vllm_http
from simko.cli import run as command
from simko.config import EvalConfig, TrainConfig
from simko.errors import UserError
from simko.evaluate import evaluate
from simko.run.folder import RunFolder
from simko.train import train

SETTINGS: dict[str, Any] = {
    "quantization": "none", "lora_rank": 4, "prompts_per_step": 2, "group_size": 3, "max_new_tokens": 12, "learning_rate": 0.01,
    "logger": "none", "preflight_prompts": 0, "device": "cpu", "threads": 1, "burn_in": False, "algorithm": "grpo",
    "checkpoint_every": 1, "level": 1,
}  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr(vllm_http, "WAITS", (0.0, 0.01))
    real = simko.rollout.stream_seed  # vLLM takes 63 bits of a seed; the local engine now gets the same ones
    monkeypatch.setattr(simko.rollout, "stream_seed", lambda *parts: real(*parts) % 2**63)
    with serving(StandIn("tiny")) as state:
        yield state


def trained(out: Path, **settings: Any) -> tuple[RunFolder, str]:
    printed = io.StringIO()
    config = TrainConfig(**SETTINGS | {"steps": 2, "out": str(out)} | settings)
    return train(config, console=Console(file=printed, width=300)), printed.getvalue()


def adapter(run: RunFolder) -> np.ndarray[Any, Any]:
    weights = load_file(run.checkpoints()[-1] / "adapter" / "adapter_model.safetensors")
    return np.concatenate([weights[name].ravel() for name in sorted(weights)])


def test_a_run_through_a_server_is_the_run_through_our_own_engine(server: StandIn, tmp_path: Path) -> None:
    run, printed = trained(tmp_path / "server", engine="vllm-server", engine_url=server.url)
    assert "engine vllm-server samples; importance weights against it are clipped at 2 (tis_clip)" in printed
    local, _ = trained(tmp_path / "local")
    for mine, theirs in zip(run.metrics(), local.metrics(), strict=True):
        assert mine["sampler_gap_max"] < 1e-4
        assert mine["tis_weight"] == pytest.approx(1, abs=1e-4)
        assert mine["reward"] == theirs["reward"]
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-2)
    for step in (1, 2):
        ids = [[row["ids"] for row in each.records.rollouts(step)] for each in (run, local)]
        assert ids[0] == ids[1]
    np.testing.assert_allclose(adapter(run), adapter(local), atol=2e-3)
    paths = [body["lora_name"] for path, body in server.calls if path == "/v1/load_lora_adapter"]
    assert len(paths) == len(set(paths)) == 2  # one adapter a step
    assert not any(
        "engine" in line for line in (tmp_path / "local" / "config.yaml").read_text().splitlines()[1:] if "_" in line
    )

    result = evaluate(
        EvalConfig(str(run.path), n=2, problems=1, base=False, engine_url=server.url),
        console=Console(file=io.StringIO()),
    )
    own = evaluate(
        EvalConfig(str(run.path), n=2, problems=1, base=False, engine="local"), console=Console(file=io.StringIO())
    )
    assert result["counts"] == own["counts"]
    assert (result["engine"], own.get("engine")) == ("vllm-server", None)
    assert result["file"] != own["file"]


def test_a_server_that_dies_leaves_the_last_whole_step(server: StandIn, tmp_path: Path) -> None:
    asked: set[str] = set()

    def die(handler: Handler, body: dict[str, Any]) -> bool:
        asked.add(body["model"])
        handler.close_connection = len(asked) > 2  # the base model, the adapter of step 1, and that of step 2
        return handler.close_connection

    server.fault = die
    with pytest.raises(UserError, match=rf"{server.url}: no reply .* go on with --resume"):
        trained(tmp_path / "run", engine="vllm-server", engine_url=server.url, checkpoint_every=10)
    run = RunFolder.open(tmp_path / "run")
    assert [path.name for path in run.checkpoints()] == ["step-000001"]
    assert run.manifest()["status"] == "failed"
    server.fault = lambda handler, body: False
    assert command(["train", "--resume", str(run.path), "--engine-url", server.url, "--steps", "2"]) == 0
    assert len(run.metrics()) == 2
