"""Replies of a server that lies, is broken, or is no vLLM: refused in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simko.agents.engine.requests import Request
from simko.agents.engine.vllm_http import Reply
from simko.agents.engine.vllm_reply import (
    Card,
    base_card,
    cards,
    completion,
    completion_request,
    reply_limit,
    start_command,
)
from simko.errors import UserError
from simko.types import Sampling

GOOD = {
    "token_ids": [3, 4],
    "prompt_token_ids": [1, 2],
    "logprobs": {"token_logprobs": [-0.5, 0], "tokens": ["token_id:3", "token_id:4"]},
    "finish_reason": "length",
}


def read(choice: Any, budget: int = 2, **content: Any) -> Any:
    """Read a reply as it comes off the wire."""
    body = json.loads(json.dumps({"model": "lora", "choices": [choice]} | content))
    return completion(Reply(200, body), "lora", [1, 2], budget, 9)


def test_a_good_reply_is_read() -> None:
    assert read(GOOD) == ([3, 4], [-0.5, 0.0], "length")
    assert read(GOOD | {"finish_reason": "stop"}, budget=5) == ([3, 4], [-0.5, 0.0], "stop")
    rounded = {"token_logprobs": [1e-6, -1.0]}  # rounding, and a server that names no tokens
    assert read(GOOD | {"logprobs": rounded, "prompt_token_ids": None}) == ([3, 4], [0.0, -1.0], "length")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"token_ids": [3, 9]}, r"outside 0\.\.8"),
        ({"token_ids": [3, -1]}, r"outside 0\.\.8"),
        ({"token_ids": [3, 4.0]}, r"outside 0\.\.8"),
        ({"token_ids": [3, True]}, r"outside 0\.\.8"),
        ({"token_ids": [3, "4"]}, r"outside 0\.\.8"),
        ({"token_ids": []}, "0 tokens where 1 to 2 were asked"),
        ({"token_ids": [1, 2, 3]}, "3 tokens where 1 to 2 were asked"),
        ({"token_ids": None}, "no token ids"),
        ({"prompt_token_ids": [0, 1, 2]}, "another prompt"),
        ({"logprobs": None}, "no log-probs of 2 tokens"),
        ({"logprobs": {"token_logprobs": [-1.0]}}, "1 log-probs of 2 tokens"),
        ({"logprobs": {"token_logprobs": [-1.0, None]}}, "the log-prob None"),
        ({"logprobs": {"token_logprobs": [-1.0, float("nan")]}}, "the log-prob nan"),
        ({"logprobs": {"token_logprobs": [-1.0, float("-inf")]}}, "the log-prob -inf"),
        ({"logprobs": {"token_logprobs": [-1.0, -9999.0]}}, "the log-prob -9999"),
        ({"logprobs": {"token_logprobs": [-1.0, 0.1]}}, "the log-prob 0.1"),
        ({"logprobs": {"token_logprobs": [-1.0, True]}}, "the log-prob True"),
        ({"logprobs": {"token_logprobs": [-1.0, "\x1b[31m\nred"]}}, "the log-prob"),
        ({"logprobs": GOOD["logprobs"] | {"tokens": ["token_id:3", "token_id:5"]}}, "of other tokens"),  # type: ignore[operator]
        ({"finish_reason": "abort"}, "ended by 'abort'"),
        ({"finish_reason": None}, "ended by 'None'"),
        (
            {"token_ids": [3], "logprobs": {"token_logprobs": [-1.0]}},
            "cut after 1 of 2 tokens; .*--generation-config vllm",
        ),
    ],
)
def test_what_was_not_asked_for_is_refused(change: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line) as refusal:
        read(GOOD | change)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"choices": [GOOD, GOOD]}, "2 choices"),
        ({"choices": {}}, "no choices"),
        ({"choices": [None]}, "1 choices where one was asked|no choices"),
        ({"model": "other\n"}, "an answer of model 'other' where 'lora' was asked"),
    ],
)
def test_another_shape_is_refused(content: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        read(GOOD, **content)


@pytest.mark.parametrize(
    "content", ["<html>", None, [], 3, {"error": {"message": "boom\n\x1b[2J" * 99}}, {"error": "x"}]
)
def test_an_error_is_one_short_line(content: Any) -> None:
    with pytest.raises(UserError, match="/v1/completions answers 500") as refusal:
        completion(Reply(500, content), None, [1], 1, 9)
    assert len(str(refusal.value)) < 350
    assert str(refusal.value).isprintable()
    with pytest.raises(UserError, match="is it a vLLM server"):
        cards(Reply(200, content))


def test_the_base_model_is_found_by_id_root_or_folder() -> None:
    adapter = Card("base", "/a", "m", None)
    for card in (Card("org/m", "org/m", None, 9), Card("x", "/models/m/", None, 9), Card("m", "/y", None, 9)):
        assert base_card([adapter, card], ["org/m", "/cache/m"]) is card
    with pytest.raises(
        UserError, match=r"the trainer's model is 'org/m', and the server's is '/q'; .*--served-model-name org/m"
    ):
        base_card([Card("q", "/q", None, 1)], ["org/m"])
    with pytest.raises(UserError, match="the server's is none"):
        base_card([adapter], ["org/m"])


def test_the_request_leaves_nothing_to_the_models_generation_config() -> None:
    body = completion_request("m", (1, 2), 5, 2**64 + 3, Sampling(0.5, 0.9, 7, stop=("a",)), [4])
    assert json.loads(json.dumps(body)) == body
    for name in (
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repetition_penalty",
        "presence_penalty",
        "frequency_penalty",
    ):
        assert body[name] is not None
    assert 0 <= body["seed"] < 2**63
    assert (body["stop"], body["stop_token_ids"], body["ignore_eos"]) == (["a"], [4], True)
    assert reply_limit(Request(0, (1,) * 100, 1000, 0)) > 1000 * 500


def test_the_command_quotes_names() -> None:
    command = start_command("/my models/a;b", 20, 100)
    assert "vllm serve '/my models/a;b' --enable-lora --max-lora-rank 32 " in command
    assert command.endswith("--max-model-len 100")
