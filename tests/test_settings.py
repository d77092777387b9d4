"""Settings that another would override: refused before anything is loaded, and never changed in silence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from simko.config import TrainConfig
from simko.errors import UserError
from simko.settings import check_end, settled, train_config


@pytest.fixture
def adapter(tmp_path: Path) -> str:
    """An adapter of rank 4, as PEFT describes it."""
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 6}))
    return str(tmp_path)


@pytest.mark.parametrize("model", ["tiny", "org/name"])
def test_an_adapter_brings_its_own_rank_and_scale(adapter: str, model: str) -> None:
    config = train_config({"model": model, "adapter": adapter})
    assert (config.lora_rank, config.lora_alpha) == (4, 6)
    config = settled(TrainConfig(model=model, adapter=adapter))
    assert (config.lora_rank, config.lora_alpha) == (4, 6)
    assert train_config({"model": model, "adapter": adapter, "lora_rank": "4", "lora_alpha": 6}) == train_config(
        {"model": model, "adapter": adapter}
    )


@pytest.mark.parametrize("setting", [{"lora_rank": 64}, {"lora_alpha": "7"}, {"lora_rank": 4, "lora_alpha": 8}])
def test_another_rank_or_scale_than_the_adapters_is_refused(adapter: str, setting: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"lora_\w+ is \d+, but that of the adapter .* is \d; leave lora_\w+ out"):
        train_config({"adapter": adapter, **setting})
    if "lora_rank" not in setting or setting["lora_rank"] == 64:
        with pytest.raises(UserError, match="but that of the adapter"):
            settled(TrainConfig(adapter=adapter, **{name: int(value) for name, value in setting.items()}))


@pytest.mark.parametrize("text", [None, "no json", "[]", '{"r": "four", "lora_alpha": 2.5}'])
def test_an_adapter_that_cannot_be_read_is_left_to_loading(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "adapter_config.json").write_text(text)
    config = train_config({"model": "org/name", "adapter": str(tmp_path)})
    assert (config.lora_rank, config.lora_alpha) == (16, None)


def test_as_many_updates_as_prompts_and_no_more() -> None:
    assert train_config({"updates_per_batch": 2, "prompts_per_step": 2}).updates_per_batch == 2
    with pytest.raises(UserError, match="updates_per_batch is 8, but a step has 2 prompts"):
        train_config({"updates_per_batch": 8, "prompts_per_step": 2})


def test_an_evaluation_at_the_end_that_would_fail_is_refused_at_the_start() -> None:
    wrong = {"eval_problems": 4, "eval_temperature": 0, "eval_samples": 2}
    with pytest.raises(UserError, match="eval_temperature 0 gives the same answer 2 times"):
        train_config(wrong)
    for right in ({"eval_samples": 1}, {"eval_problems": 0}, {"eval_temperature": 0.1}):
        train_config({**wrong, **right})


@pytest.mark.parametrize("logger", ["wandb", "trackio"])
def test_a_logger_that_is_not_installed_is_refused_at_the_start(logger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"logger {logger}: not installed; pip install 'simko\[{logger}\]'"):
        check_end(TrainConfig(logger=logger))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, logger, object())  # type: ignore[arg-type]
    check_end(TrainConfig(logger=logger))  # type: ignore[arg-type]
