"""Models whose tokenizer lacks something, or does not match the embedding; and the dtype that a card computes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import character_tokenizer, random_model
from test_quantize import load

from simko.agents import LoraPolicy
from simko.agents.engine.sampler import sample
from simko.agents.loading import native_dtype, pick_dtype
from simko.agents.quiet import quiet
from simko.build import make_env
from simko.errors import UserError
from simko.rollout import rollout
from simko.settings import train_config
from simko.types import Sampling

Folder = Callable[..., Path]


def folder_with(tmp_path: Path, edit: Callable[[Any], None], **config: Any) -> Path:
    """A random model with an edited tokenizer."""
    with quiet():
        random_model("llama", 0, **config).save_pretrained(tmp_path / "m")
        tokenizer = character_tokenizer()
        edit(tokenizer)
        tokenizer.save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def one_step(policy: LoraPolicy) -> list[Any]:
    env = make_env(train_config({"env": "simko/Arithmetic-v0"}), policy, "train")
    groups = rollout(policy.engine, env, env.source.tasks(2, 0), 4, seed=0)
    return [c for group in groups for c in group.completions]


def test_without_a_pad_token_and_without_a_chat_template(tmp_path: Path) -> None:
    def edit(tokenizer: Any) -> None:
        tokenizer.pad_token = None

    policy = load(folder_with(tmp_path, edit, pad_token_id=None))
    assert policy.tokenizer.pad_token_id == policy.tokenizer.eos_token_id
    assert policy.tokenizer.chat_template is None
    assert len(one_step(policy)) == 8


def test_without_any_eos_answers_run_to_their_budget(tmp_path: Path) -> None:
    def edit(tokenizer: Any) -> None:
        tokenizer.eos_token = tokenizer.pad_token = None

    policy = load(folder_with(tmp_path, edit, pad_token_id=None, eos_token_id=None))
    assert policy.eos_ids == set()
    assert {c.finish for c in one_step(policy)} == {"length"}


def test_with_a_chat_template(tmp_path: Path) -> None:
    def edit(tokenizer: Any) -> None:
        tokenizer.chat_template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"

    completion = one_step(load(folder_with(tmp_path, edit)))[0]
    text = character_tokenizer().decode(completion.prompt_ids.tolist())
    assert (text[0], text[-1]) == ("[", "]")


def test_rows_that_the_tokenizer_does_not_know_are_never_drawn(model_folder: Folder) -> None:
    vocabulary = len(character_tokenizer())
    folder = model_folder(vocab_size=vocabulary + 40)
    policy = load(folder)
    drawn = policy.generate([[5, 6], [7]], 40, max_new_tokens=20)
    assert max(int(a.ids.max()) for group in drawn for a in group) < vocabulary
    rows = [int(a.ids.max()) for group in drawn for a in group]
    policy.engine._vocabulary = None  # the test can fail: without the limit they are drawn
    free = policy.generate([[5, 6], [7]], 40, max_new_tokens=20)
    assert max(int(a.ids.max()) for group in free for a in group) >= vocabulary > max(rows)
    actions = {policy.act({"tokens": [5, 6], "length": 2}) for _ in range(200)}
    assert max(actions) < vocabulary


def test_the_limit_leaves_logprobs_whole() -> None:
    logits = torch.tensor([[0.0, 1.0, 5.0]])
    for temperature in (0.0, 1.0):
        ids, logp = sample(logits, torch.tensor([0.99], dtype=torch.float64), temperature, vocabulary=2)
        assert ids.tolist() == [1]
        assert torch.allclose(logp, logits.log_softmax(-1)[:, 1])


def test_a_token_added_beyond_the_embedding_is_refused_in_a_prompt_alone(tmp_path: Path) -> None:
    def edit(tokenizer: Any) -> None:
        tokenizer.add_tokens(["<more>"])

    policy = load(folder_with(tmp_path, edit, vocab_size=len(character_tokenizer())))
    assert len(one_step(policy)) == 8
    with pytest.raises(UserError, match=r"outside 0\.\."):
        policy.engine.generate([policy.tokenizer.encode("<more>")], 1, Sampling(max_new_tokens=2), [0])


def test_another_models_tokenizer_is_refused(model_folder: Folder) -> None:
    with pytest.raises(UserError, match="has 110 tokens, its embedding 50 rows"):
        load(model_folder(vocab_size=50))


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        ((7, 0), torch.float16),  # V100
        ((7, 5), torch.float16),  # T4, RTX 20
        ((8, 0), torch.bfloat16),  # A100
        ((8, 9), torch.bfloat16),  # RTX 40
        ((12, 0), torch.bfloat16),  # RTX 50
        (None, torch.bfloat16),  # ROCm
    ],
)
def test_what_a_card_computes_in(capability: tuple[int, int] | None, dtype: torch.dtype) -> None:
    assert native_dtype(capability) == dtype


def test_dtype_of_a_card_is_asked_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert pick_dtype("auto", torch.device("cuda", 0)) == torch.float16
    assert pick_dtype("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_float16_works_end_to_end(model_folder: Folder, quantization: Any) -> None:
    policy = load(model_folder(), quantization, dtype="float16")
    assert policy.dtype == torch.float16
    assert {p.dtype for _, p in policy.trainable_parameters()} == {torch.float32}
    assert len(one_step(policy)) == 8


@pytest.mark.parametrize(("family", "tied"), [("llama", False), ("llama-tied", True), ("qwen2", False)])
def test_the_output_layer_stays_plain(model_folder: Folder, family: str, tied: bool) -> None:
    model = load(model_folder(family)).model.get_base_model()
    head = model.get_output_embeddings()
    assert type(head) is torch.nn.Linear
    assert head.weight.dtype == torch.float32
    assert (head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()) == tied
