"""A server's settings without a trainer, and `simko doctor --engine-url` on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vllm_stand_in import StandIn, serving

from simko.agents.engine.vllm_look import look
from simko.cli import doctor, run


@pytest.fixture
def server(model_folder: Callable[..., Path]) -> Iterator[StandIn]:
    with serving(StandIn(model_folder())) as state:
        yield state


def test_missing_settings_are_seen_and_nothing_is_loaded(server: StandIn) -> None:
    seen = look(server.url)
    assert (seen.version, seen.model, seen.max_model_len, seen.missing) == ("0.11.0", server.model, 4096, ())
    server.updating, server.logprobs_mode = False, "raw_logprobs"
    assert look(server.url).missing == (
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --enable-lora",
        "--logprobs-mode processed_logprobs",
    )
    assert not server.adapters


def test_the_doctor_tells_how_to_start_it(
    server: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", {})

    def diagnosis(code: int, url: str) -> dict[str, Any]:
        assert run(["doctor", "--engine-url", url, "--json"]) == code
        [finding] = json.loads(capsys.readouterr().out)
        return dict(finding)

    assert diagnosis(0, server.url)["status"] == "ok"
    server.updating = False
    lacking = diagnosis(1, server.url)
    assert "without VLLM_ALLOW_RUNTIME_LORA_UPDATING=1" in lacking["detail"]
    assert f"vllm serve {server.model} --enable-lora" in lacking["mend"]
    assert "nothing listens there" in diagnosis(1, "http://127.0.0.1:1")["detail"]
    assert "give an address" in diagnosis(1, "nowhere")["detail"]
