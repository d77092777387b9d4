"""The built-in policy: small, loaded by plain transformers, and a start from which RL can get better and lose diversity."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from simko.agents import LoraPolicy
from simko.envs.prompts import PromptFormat
from simko.envs.puzzles.countdown import Countdown
from simko.envs.verifiers.expression import expression
from simko.types import Sampling

TINY = Path(str(resources.files("simko.agents"))) / "tiny"
PROMPT = PromptFormat(AutoTokenizer.from_pretrained(TINY))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(TINY)


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)


def solved(policy: LoraPolicy, split: str, problems: int, n: int) -> list[int]:
    """Count the correct ones of `n` answers at temperature 1, for each of the first problems of level 2."""
    tasks = Countdown(split, 2).tasks(problems, seed=11)
    prompts = [PROMPT.prompt_ids(task.problem) for task in tasks]
    answers = policy.engine.generate(prompts, n, Sampling(max_new_tokens=32), seeds=list(range(problems * n)))
    return [
        sum(expression(policy.tokenizer.decode(a.ids, skip_special_tokens=True), task.gold).correct for a in group)
        for task, group in zip(tasks, answers, strict=True)
    ]


def test_it_is_small(model: Any, tokenizer: Any) -> None:
    assert isinstance(model, LlamaForCausalLM)
    assert sum(p.numel() for p in model.parameters()) < 3e6
    assert len(tokenizer) == model.config.vocab_size <= 512
    files = {path.name: path.stat().st_size for path in TINY.iterdir()}
    assert sum(files.values()) < 4e6
    assert {name.rsplit(".", 1)[-1] for name in files} <= {"json", "jinja", "safetensors", "md"}


def test_widths_fit_the_blocks_of_four_bit_quantisation(model: Any) -> None:
    layers = [m for m in model.model.modules() if isinstance(m, torch.nn.Linear)]
    assert len(layers) == 4 * 7
    assert all(width % 64 == 0 for layer in layers for width in layer.weight.shape)


def test_weights_are_finite(model: Any) -> None:
    assert all(torch.isfinite(p).all() for p in model.parameters())


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(text: str) -> None:
    ids = PROMPT.tokenizer.encode(text, add_special_tokens=False)
    assert PROMPT.tokenizer.decode(ids) == text


@given(st.text("0123456789+-*/()", min_size=1))
def test_expressions_are_one_token_a_character(text: str) -> None:
    tokens = PROMPT.tokenizer.convert_ids_to_tokens(PROMPT.tokenizer.encode(text))
    assert tokens == list(text)


def test_digits_and_punctuation_are_in_no_longer_token_but_those_of_the_sentence(tokenizer: Any) -> None:
    longer = [tokenizer.decode([i]) for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    longer = [text for text in longer if len(text) > 1 and not text.replace(" ", "").replace("\n", "").isalpha()]
    assert not [text for text in longer if any(char.isdigit() for char in text)]
    middle = " exactly once with + - * / and parentheses, write an expression that equals "
    assert all(text in middle or text == ", " for text in longer if "\ufffd" not in text)


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_prompts_are_few_tokens(tokenizer: Any, level: int) -> None:
    lengths = [len(PROMPT.prompt_ids(task.problem)) for task in Countdown("eval", level).tasks(20, seed=0)]
    assert max(lengths) <= 25
    assert max(lengths) <= 13 or level > 2


def test_the_chat_template_ends_turns_as_the_format_does(tokenizer: Any) -> None:
    talk = [
        {"role": "user", "content": "a?"},
        {"role": "assistant", "content": "1+2"},
        {"role": "user", "content": "no"},
    ]
    assert tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True) == "a?\n1+2<eos>no\n"
    assert tokenizer.decode(PROMPT.reply_ids("no")) == "no\n"
    assert PROMPT.stop_ids == {tokenizer.eos_token_id}
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)


def test_special_tokens_in_a_problem_are_plain_text() -> None:
    ids = PROMPT.prompt_ids("What is <eos> + <pad>?")
    assert not {PROMPT.tokenizer.eos_token_id, PROMPT.tokenizer.pad_token_id} & set(ids)
    assert PROMPT.tokenizer.decode(ids) == "What is <eos> + <pad>?\n"


def test_it_starts_where_there_is_room_to_learn_and_to_lose() -> None:
    """It is tried in 4 bits, as in training, on held-out problems. A random policy solves no sample of these."""
    policy = LoraPolicy.from_pretrained("tiny", quantization="nf4", seed=0)
    counts = np.array(solved(policy, "eval", problems=24, n=64))
    assert 0.10 < counts.mean() / 64 < 0.40
    assert (counts > 0).mean() > 0.80


def test_it_knows_held_out_problems_as_well_as_those_of_its_training() -> None:
    policy = LoraPolicy.from_pretrained("tiny", quantization="none", seed=0)
    trained, unseen = (np.mean(solved(policy, split, problems=48, n=16)) / 16 for split in ("train", "eval"))
    assert abs(trained - unseen) < 0.10
