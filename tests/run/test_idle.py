"""What has no effect is said in words, once somebody has set it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from simko import algorithms
from simko.run.idle import idle_settings
from simko.settings import train_config


def lines(start: int = 0, **settings: Any) -> list[str]:
    config = train_config(settings)
    return idle_settings(config, algorithms.get(config.algorithm, **config.method), start)


@pytest.mark.parametrize(
    "settings", [{}, {"model": "org/name"}, {"algorithm": "grpo"}, {"clip_low": 0.2}, {"eval_problems": 0}]
)
def test_a_default_is_not_worth_a_line(settings: dict[str, Any]) -> None:
    assert lines(**settings) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"clip_high": 0.3}, "--clip-high: no effect, since nothing is clipped"),
        ({"top1_penalty_on": "ratio"}, "--top1-penalty-on: no effect, since nothing is clipped"),
        ({"entropy_quantile": 1.0}, "--entropy-quantile.*no effect, beside"),
        ({"alpha": 0.0, "top_k": 5}, "--top-k, --smoothing: no effect, beside"),
        (
            {"algorithm": "gspo"},
            "gspo differs from the plain policy gradient only in later updates .* --updates-per-batch",
        ),
        ({"algorithm": "kl_cov"}, "kl_cov differs"),
        ({"eval_problems": 0, "eval_samples": 3}, "--eval-samples: no effect, since --eval-problems is 0"),
        ({"model": "org/name", "eval_top_p": 0.5}, "--eval-top-p: no effect"),
        ({"engine": "generate_batch", "cache_bytes": 9}, "--cache-bytes: no effect, since it is of --engine local"),
        ({"engine": "vllm", "decode_weights": "live"}, "--decode-weights: no effect"),
        ({"engine_url": "http://a:1"}, "--engine-url: no effect, since --engine is local"),
        ({"engine": "vllm-server", "engine_url": "http://a:1", "engine_share": 0.2}, "--engine-share: no effect"),
        ({"solve_samples": 4}, "--solve-samples: no effect without --keep-solved"),
        ({"warmup_steps": 20, "steps": 5}, "--warmup-steps 20 is more than --steps 5: .* ends at 25%"),
    ],
)
def test_what_somebody_has_set_in_vain(settings: dict[str, Any], words: str) -> None:
    (line,) = lines(**settings)
    assert re.search(words, line)


def test_what_has_an_effect_is_not_named() -> None:
    assert lines(clip_high=0.3, updates_per_batch=2) == []
    assert lines(top1_penalty_on="ratio", top1_penalty=0.5) == []
    assert lines(eval_samples=3) == []
    assert lines(preflight_prompts=3) == []
    assert lines(start=4, preflight_prompts=3) == ["--preflight-prompts: no effect, since the run has begun"]


def test_a_method_that_needs_several_updates_and_has_them_is_fine() -> None:
    assert lines(algorithm="gspo", updates_per_batch=2) == []
