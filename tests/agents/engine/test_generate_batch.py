"""transformers' continuous batching: the same greedy tokens as ours; EOS, stop strings and budgets end a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from random_models import EOS, character_tokenizer, random_model
from test_local import PROMPTS, engine_of, head_of

from simko.agents.engine.generate_batch import ContinuousEngine
from simko.errors import UserError
from simko.types import Sampling


@pytest.fixture(scope="module")
def model() -> Any:
    return random_model("llama", initializer_range=0.05)


def continuous(model: Any, eos: tuple[int, ...] = (EOS,)) -> ContinuousEngine:
    return ContinuousEngine(lambda: model, lambda: head_of(model), eos, character_tokenizer())


def test_greedy_tokens_and_logprobs_are_the_local_engines(model: Any) -> None:
    sampling, budgets = Sampling(temperature=0, max_new_tokens=12), [12, 5, 0, 1, 8]
    expected = engine_of(model).generate(PROMPTS, 2, sampling, range(10), budgets)
    rows: list[int] = []
    got = continuous(model).generate(PROMPTS, 2, sampling, range(10), budgets, lambda row, _: rows.append(row))
    for ours, theirs in zip(got, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert (a.ids.tolist(), a.finish) == (b.ids.tolist(), b.finish)
            assert np.allclose(a.logprobs, b.logprobs, atol=1e-4)
    assert sorted(rows) == list(range(10))


def test_samples_end_at_eos_or_a_stop_string_with_logprobs_of_the_tempered_distribution(model: Any) -> None:
    before = torch.get_rng_state()
    sampling = Sampling(temperature=0.7, max_new_tokens=20, stop=("e",), stop_ids=(EOS, 7))
    [group] = continuous(model).generate([[5, 6]], 12, sampling, range(12))
    e = character_tokenizer().convert_tokens_to_ids("e")
    for answer in group:
        ends = [token in (EOS, 7, e) for token in answer.ids.tolist()]
        assert ends == [False] * (len(ends) - 1) + [answer.finish == "stop"]
        ids = torch.tensor([[5, 6, *answer.ids.tolist()]])
        with torch.no_grad():
            logp = torch.log_softmax(model(input_ids=ids).logits[0, 1:-1] / 0.7, -1)
        assert np.allclose(answer.logprobs, logp.gather(-1, ids[0, 2:, None])[:, 0], atol=1e-4)
    assert len({tuple(answer.ids) for answer in group}) > 6
    assert torch.equal(before, torch.get_rng_state())


def test_what_a_user_can_mend_is_said(model: Any) -> None:
    with pytest.raises(UserError, match="prompt 1 has no tokens"):
        continuous(model).generate([[3], []], 1, Sampling(), [0, 1])
    assert continuous(model).generate([], 3, Sampling(), []) == []
