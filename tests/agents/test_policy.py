"""The policy: loading and its errors, hidden states, acting, solving, saving, merging, continuing."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from peft import PeftModel
from random_models import FAMILIES, character_tokenizer
from safetensors.torch import load_file, save_file
from test_quantize import IDS, gradients, load, loss, train_a_little
from transformers import AutoModelForCausalLM, AutoTokenizer

from simko.agents import LoraPolicy
from simko.agents.loading import Source, find_model
from simko.agents.quiet import quiet
from simko.errors import UserError
from simko.head import token_statistics
from simko.types import Engine, Policy, Task

Folder = Callable[..., Path]


def state(policy: LoraPolicy) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in policy.trainable_parameters()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def observation(ids: list[int], length: int = 40) -> dict[str, Any]:
    return {"tokens": np.array([*ids, *[0] * (length - len(ids))], dtype=np.int64), "length": len(ids)}


# --- loading -----------------------------------------------------------------------------------------------------------


def test_a_policy_is_what_the_pipeline_asks_for(model_folder: Folder) -> None:
    policy: Policy = load(model_folder())
    engine: Engine = policy.engine
    assert engine is policy.engine
    assert policy.tokenizer.eos_token_id == 1


def test_fresh_adapter_is_the_base_model_and_depends_on_the_seed_alone(model_folder: Folder) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = LoraPolicy.from_pretrained(model_folder(), seed=3, device="cpu")
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())
    torch.manual_seed(2)
    again = LoraPolicy.from_pretrained(model_folder(), seed=3, device="cpu")
    other = LoraPolicy.from_pretrained(model_folder(), seed=4, device="cpu")
    assert equal(state(first), state(again))
    assert not equal(state(first), state(other))
    with torch.no_grad(), first.base():
        base = first.hidden(IDS)
    assert torch.equal(first.hidden(IDS), base)


def test_adapter_covers_every_linear_layer_but_the_head(model_folder: Folder) -> None:
    policy = LoraPolicy.from_pretrained(model_folder("llama-tied"), lora_rank=3, device="cpu")
    names = [name for name, _ in policy.trainable_parameters()]
    assert names == sorted(names)
    assert len(names) == 2 * 2 * 7  # A and B of seven layers in two blocks
    assert not any("lm_head" in name or "embed" in name for name in names)
    assert {p.dtype for _, p in policy.trainable_parameters()} == {torch.float32}
    trained = {id(p) for p in policy.model.parameters() if p.requires_grad}
    assert trained == {id(p) for _, p in policy.trainable_parameters()}
    config = policy.model.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (3, 6, 0.0)
    few = LoraPolicy.from_pretrained(model_folder(), target_modules=["q_proj", "v_proj"], lora_alpha=5, device="cpu")
    assert len(few.trainable_parameters()) == 8
    assert few.model.peft_config["default"].lora_alpha == 5


@pytest.mark.slow
def test_the_terminal_stays_clean(model_folder: Folder) -> None:
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from simko.agents import LoraPolicy\n"
        "policy = LoraPolicy.from_pretrained(sys.argv[1], device='cpu')\n"
        "policy.generate([[3, 4]], 2, max_new_tokens=3); policy.save(sys.argv[2]); policy.merge(sys.argv[3])\n"
        "LoraPolicy.from_pretrained(sys.argv[1], 'int8', adapter=sys.argv[2], device='cpu').generate([[3]], 1)\n"
    )
    out = model_folder().parent / "clean"
    run = subprocess.run(
        [sys.executable, "-c", code, str(model_folder()), str(out / "adapter"), str(out / "merged")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere/at/all", "no such folder; give a model folder"),
        ("nowhere", "no such folder"),
        ("some-org/some-model-that-is-not-cached", "not in the cache.*HF_HUB_OFFLINE.*local folder"),
    ],
)
def test_models_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        LoraPolicy.from_pretrained(name)
    assert "\n" not in str(caught.value)


class FakeHub:
    """The Hub's API: it raises `error`, or finds every model."""

    error: Exception | None = None

    def model_info(self, name: str, timeout: float) -> None:
        if FakeHub.error is not None:
            raise FakeHub.error


def hub_error(kind: Any) -> Exception:
    return kind.__new__(kind, "no")  # its own constructor wants an HTTP response


@pytest.mark.parametrize(
    ("error", "cached", "message"),
    [
        (hub_error(RepositoryNotFoundError), True, "neither a folder nor on the Hub"),
        (hub_error(GatedRepoError), True, "is gated; accept its terms"),
        (ConnectionError("no route"), False, "out of reach .no route."),
        (ConnectionError("no route"), True, None),
        (None, False, None),
    ],
)
def test_what_the_hub_says(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, cached: bool, message: str | None
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: "config.json" if cached else None)
    monkeypatch.setattr(FakeHub, "error", error)
    if message is None:
        assert find_model("org/name") == Source("org/name", "org/name", cached_only=error is not None)
    else:
        with pytest.raises(UserError, match=message):
            find_model("org/name")


def damaged(source: Path, target: Path, file: str, content: bytes | None) -> Path:
    target.mkdir()
    for path in source.iterdir():
        if path.name != file:
            (target / path.name).write_bytes(path.read_bytes())
    if content is not None:
        (target / file).write_bytes(content)
    return target


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "no config.json"),
        ("config.json", b"{", "cannot be loaded"),
        ("config.json", b'{"model_type": "made-up"}', "cannot be loaded"),
        ("config.json", b'{"model_type": "made-up", "auto_map": {"AutoConfig": "x.Y"}}', "never runs"),
        ("model.safetensors", None, "cannot be loaded"),
        ("model.safetensors", b"\x08\0\0\0\0\0\0\0garbage", "cannot be loaded"),
        ("tokenizer.json", b"{", "tokenizer .* cannot be loaded"),
    ],
)
def test_damaged_model_folders(
    model_folder: Folder, tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        LoraPolicy.from_pretrained(damaged(model_folder(), tmp_path / "m", file, content), device="cpu")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_lacks_weights_is_refused(model_folder: Folder, tmp_path: Path) -> None:
    folder = damaged(model_folder(), tmp_path / "m", "model.safetensors", None)
    weights = load_file(model_folder() / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 weights .*layers\.1\.mlp\.up_proj"):
        LoraPolicy.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"quantization": "nf8"}, "quantization is 'nf8'"),
        ({"device": "warp"}, "device 'warp'"),
        ({"dtype": "float7"}, "dtype 'float7'"),
        ({"dtype": "float64", "quantization": "nf4"}, "not in float64; use dtype float32"),
        ({"lora_rank": 0}, "lora_rank is 0"),
        ({"target_modules": ["no_such_layer"]}, "no linear layer is called 'no_such_layer'"),
        ({"target_modules": ["q_proj", "v_porj"]}, "'v_porj'; there are .*; did you mean 'v_proj'"),
        ({"target_modules": "no_such_layer"}, "adapter cannot be made"),
    ],
)
def test_settings_that_cannot_be_used(model_folder: Folder, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LoraPolicy.from_pretrained(model_folder(), **{"device": "cpu", **setting})


# --- hidden states and the head ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantization", ["nf4", "int8", "none"])
@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_times_head_is_the_models_logits(model_folder: Folder, family: str, quantization: str) -> None:
    policy = load(model_folder(family), quantization)
    hidden = policy.hidden(IDS)
    expected = policy.model(input_ids=IDS, use_cache=False).logits
    assert torch.allclose(policy.lm_head().logits(hidden.flatten(0, 1)), expected.flatten(0, 1), atol=1e-4)


def test_padding_on_the_right_changes_nothing_on_the_left(model_folder: Folder) -> None:
    policy = load(model_folder())
    padded = torch.cat([IDS[:, :10], torch.zeros(4, 14, dtype=torch.long)], 1)
    assert torch.allclose(policy.hidden(padded)[:, :10], policy.hidden(IDS)[:, :10], atol=1e-5)


def test_recomputing_activations_changes_no_gradient_and_no_decoding(model_folder: Folder) -> None:
    # attention dropout in the config must not come alive where checkpointing needs training mode
    folder = model_folder("llama", attention_dropout=0.5)
    plain, checkpointed = load(folder), load(folder, gradient_checkpointing=True)
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t.numel()), t)[1], lambda t: t):
        checkpointed.hidden(IDS)
        few = sum(saved)
        saved.clear()
        plain.hidden(IDS)
    assert few < sum(saved) / 3
    assert torch.allclose(gradients(plain), gradients(checkpointed), atol=1e-7)
    a, b = (p.generate([[3, 4, 5]], 2, max_new_tokens=8) for p in (plain, checkpointed))
    assert [x.ids.tolist() for x in a[0]] == [x.ids.tolist() for x in b[0]]


@pytest.mark.parametrize("decode_weights", ["live", "merged"])
@pytest.mark.parametrize("quantization", ["nf4", "int8", "none"])
def test_decoded_logprobs_equal_the_heads(model_folder: Folder, quantization: str, decode_weights: Any) -> None:
    policy = load(model_folder(), quantization, decode_weights=decode_weights)
    prompt = [3, 4, 5, 6]
    for answer in policy.generate([prompt], 4, max_new_tokens=20, temperature=0.8)[0]:
        ids = torch.tensor([[*prompt, *answer.ids.tolist()]])
        head = policy.lm_head()
        with torch.no_grad():
            hidden = policy.hidden(ids)[0, len(prompt) - 1 : -1]
        expected = token_statistics(hidden, head.weight, ids[0, len(prompt) :], temperature=0.8).logp
        assert np.allclose(answer.logprobs, expected.numpy(), atol=1e-4)


# --- decoding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decode_weights", ["auto", "live", "merged"])
def test_a_trained_adapter_changes_what_the_engine_samples(model_folder: Folder, decode_weights: Any) -> None:
    policy = LoraPolicy.from_pretrained(model_folder(), device="cpu", decode_weights=decode_weights)

    def first_logprobs() -> np.ndarray:
        groups = policy.generate([[3, 4, 5]], 6, max_new_tokens=1, seed=1)
        return np.array([answer.logprobs[0] for answer in groups[0]])

    fresh = first_logprobs()
    train_a_little(policy)
    trained = first_logprobs()
    assert np.abs(fresh - trained).max() > 0.1
    with policy.base():
        assert np.allclose(first_logprobs(), fresh, atol=1e-5)
    assert np.allclose(first_logprobs(), trained, atol=1e-6)
    assert all(p.requires_grad for _, p in policy.trainable_parameters())


def test_generate_takes_text_or_ids_and_repeats_itself(model_folder: Folder) -> None:
    policy = load(model_folder())
    ids = policy.tokenizer.encode("1+1=")
    by_text = policy.generate(["1+1=", "x"], 3, max_new_tokens=12, seed=5)
    by_ids = policy.generate([ids, policy.tokenizer.encode("x")], 3, max_new_tokens=12, seed=5)
    assert [[a.text for a in group] for group in by_text] == [[a.text for a in group] for group in by_ids]
    other = policy.generate(["1+1=", "x"], 3, max_new_tokens=12, seed=6)
    assert [a.text for a in by_text[0]] != [a.text for a in other[0]]
    stop = by_text[0][0].text[4]
    for answer in policy.generate(["1+1="], 3, max_new_tokens=12, seed=5, stop=[stop])[0]:
        assert stop not in answer.text[:-1]


def test_act_keeps_its_cache_and_follows_the_engines_greedy_tokens(model_folder: Folder) -> None:
    policy = load(model_folder(), decode_weights="live")
    policy.engine.eos_ids = frozenset()
    expected = policy.generate([[3, 4, 5]], 1, max_new_tokens=10, temperature=0)[0][0].ids.tolist()
    fed: list[int] = []
    handle = policy.model.get_base_model().model.register_forward_pre_hook(
        lambda _, __, kw: fed.append(kw["input_ids"].shape[1]), with_kwargs=True
    )
    ids = [3, 4, 5]
    for _ in range(10):
        ids.append(policy.act(observation(ids), temperature=0))
    assert ids[3:] == expected
    assert fed == [3, *[1] * 9]
    # an environment may add tokens of its own; another episode or the same observation again starts afresh
    fed.clear()
    policy.act(observation([*ids, 7, 8]), temperature=0)
    policy.act(observation([3, 9]), temperature=0)
    again = [policy.act(observation([3, 9]), temperature=0) for _ in range(2)]
    assert again[0] == again[1]
    assert fed == [3, 2, 2, 2]
    handle.remove()


def test_act_notices_that_the_adapter_has_changed(model_folder: Folder) -> None:
    policy = load(model_folder())
    policy.engine.eos_ids = frozenset()
    policy.act(observation([3, 4, 5]), temperature=0)
    train_a_little(policy, seed=9)
    expected = policy.generate([[3, 4, 5, 6]], 1, max_new_tokens=1, temperature=0)[0][0].ids[0]
    assert policy.act(observation([3, 4, 5, 6]), temperature=0) == expected
    with policy.base():
        expected = policy.generate([[3, 4, 5, 6, 7]], 1, max_new_tokens=1, temperature=0)[0][0].ids[0]
        assert policy.act(observation([3, 4, 5, 6, 7]), temperature=0) == expected


def test_act_samples_from_a_stream_of_its_own(model_folder: Folder) -> None:
    policy = load(model_folder())

    def episode(**kw: Any) -> list[int]:
        ids = [3, 4, 5]
        for step in range(8):
            ids.append(policy.act(observation(ids), **(kw if step == 0 else {})))
        return ids

    torch.manual_seed(0)
    first = episode(seed=1)
    torch.manual_seed(1)
    assert episode(seed=1) == first
    assert episode() != first
    with pytest.raises(UserError, match="length 0"):
        policy.act(observation([]))


class FakeEpisode:
    """An episode of one turn that ends at a newline."""

    def __init__(self, tokenizer: Any, prompt_ids: list[int]) -> None:
        self.prompt_ids = prompt_ids
        self.ids: list[int] = []
        self._tokenizer = tokenizer

    def extend(self, ids: list[int]) -> None:
        self.ids += ids

    @property
    def text(self) -> str:
        return self._tokenizer.decode(self.ids, skip_special_tokens=True).split("\n")[0]


class FakeEnv:
    """The part of a `TokenEnv` that `solve` uses."""

    stop = ("\n",)
    stop_ids = frozenset[int]()
    max_new_tokens = 2
    single_turn = True

    def __init__(self, tokenizer: Any = None) -> None:
        self.unwrapped = self
        self._tokenizer = tokenizer or character_tokenizer()
        self.asked: list[Task] = []

    def begin(self, task: Task) -> FakeEpisode:
        self.asked.append(task)
        return FakeEpisode(self._tokenizer, self._tokenizer.encode(f"Q: {task.problem}"))


def test_solve_counts_answers_to_the_users_question(model_folder: Folder) -> None:
    policy, env = load(model_folder()), FakeEnv()
    counted = policy.solve("2+2", env, n=40, temperature=0.3)
    assert sum(count for _, count in counted) == 40
    assert [count for _, count in counted] == sorted((count for _, count in counted), reverse=True)
    assert len({text for text, _ in counted}) == len(counted)
    assert env.asked[0].problem == "2+2"
    assert all(len(text) <= 2 for text, _ in counted)
    assert policy.solve("2+2", env, n=40, temperature=0.3) == counted
    env.single_turn = False
    with pytest.raises(UserError, match="single-turn"):
        policy.solve("2+2", env)
    with pytest.raises(UserError, match="no environment 'simko/Nowhere-v0'"):
        policy.solve("2+2", "simko/Nowhere-v0")


def test_the_built_in_policy_answers() -> None:
    policy = LoraPolicy.from_pretrained("tiny", device="cpu")
    assert sum(p.numel() for p in policy.model.get_base_model().parameters()) < 3_000_000
    assert policy.engine.eos_ids == {policy.tokenizer.eos_token_id}
    counted = policy.solve("Compute 1+1.", FakeEnv(policy.tokenizer), n=4)
    assert sum(count for _, count in counted) == 4


# --- saving ------------------------------------------------------------------------------------------------------------


def test_save_and_load_bit_for_bit(model_folder: Folder, tmp_path: Path) -> None:
    policy = load(model_folder())
    policy.save(tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "simko_base.json",
    ]
    again = LoraPolicy.from_pretrained(model_folder(), adapter=tmp_path / "a", lora_rank=99, device="cpu")
    assert equal(state(policy), state(again))
    assert again.model.peft_config["default"].r == 4
    again.save(tmp_path / "b")
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    other = LoraPolicy.from_pretrained(model_folder(), lora_rank=4, device="cpu")
    other.load_adapter(tmp_path / "a")
    assert equal(state(policy), state(other))
    one, two = (p.generate([[3, 4]], 4, max_new_tokens=8, seed=2)[0] for p in (policy, other))
    assert [a.ids.tolist() for a in one] == [a.ids.tolist() for a in two]
    assert all(np.array_equal(a.logprobs, b.logprobs) for a, b in zip(one, two, strict=True))


def test_a_saved_adapter_loads_with_peft_alone(model_folder: Folder, tmp_path: Path) -> None:
    policy = load(model_folder(), "none")
    policy.save(tmp_path / "a")
    with quiet():
        plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_folder()), tmp_path / "a").eval()
    with torch.no_grad():
        assert torch.allclose(plain(input_ids=IDS).logits, policy.model(input_ids=IDS).logits, atol=1e-6)


def test_an_adapter_saved_by_peft_can_be_continued(model_folder: Folder, tmp_path: Path) -> None:
    policy = load(model_folder())
    with quiet():
        policy.model.save_pretrained(tmp_path / "a")
    again = LoraPolicy.from_pretrained(model_folder(), adapter=tmp_path / "a", device="cpu")
    assert equal(state(policy), state(again))


def test_continuing_trains_on(model_folder: Folder, tmp_path: Path) -> None:
    load(model_folder()).save(tmp_path / "a")
    policy = LoraPolicy.from_pretrained(model_folder(), adapter=tmp_path / "a", device="cpu")
    optimizer = torch.optim.SGD([p for _, p in policy.trainable_parameters()], lr=1.0)
    before, value = state(policy), loss(policy.hidden(IDS))
    value.backward()
    optimizer.step()
    assert all(not torch.equal(before[name], p) for name, p in policy.trainable_parameters())
    assert loss(policy.hidden(IDS)) < value


def edit(folder: Path, **values: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"base_model_name_or_path": "org/other"},
            None,
        ),  # folders move: a name that is a folder here tells nothing
        ({"use_dora": True}, "only plain LoRA.*use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"r": 8}, "rank 8 is not that of"),
        ({"target_modules": ["q_proj"]}, "differ by name"),
        ({"r": "many"}, "rank .many. is not that of"),
        ({"lora_alpha": "many"}, "give a number"),
    ],
)
def test_adapters_that_do_not_fit(
    model_folder: Folder, tmp_path: Path, values: dict[str, Any], message: str | None
) -> None:
    load(model_folder()).save(tmp_path / "a")
    edit(tmp_path / "a", **values)
    if message is None:
        LoraPolicy.from_pretrained(model_folder(), adapter=tmp_path / "a", device="cpu")
    else:
        with pytest.raises(UserError, match=message) as caught:
            LoraPolicy.from_pretrained(model_folder(), adapter=tmp_path / "a", device="cpu")
        assert "\n" not in str(caught.value)


def test_damaged_adapters_are_refused_and_change_nothing(model_folder: Folder, tmp_path: Path) -> None:
    policy = load(model_folder())
    before = state(policy)
    with pytest.raises(UserError, match=r"no adapter_config.json"):
        policy.load_adapter(tmp_path)
    load(model_folder("llama", hidden_size=96)).save(tmp_path / "wide")
    (tmp_path / "wide" / "simko_base.json").unlink()
    with pytest.raises(UserError, match="another base model or rank"):
        policy.load_adapter(tmp_path / "wide")
    LoraPolicy.from_pretrained(model_folder(), lora_rank=5, device="cpu").save(tmp_path / "five")
    with pytest.raises(UserError, match="r is 5, this policy's is 4"):
        policy.load_adapter(tmp_path / "five")
    policy.save(tmp_path / "a")
    weights = tmp_path / "a" / "adapter_model.safetensors"
    whole = weights.read_bytes()
    for broken in (whole[:-100], b"", b"junk" * 10):
        weights.write_bytes(broken)
        with pytest.raises(UserError, match="damaged"):
            policy.load_adapter(tmp_path / "a")
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # a bit, which safetensors cannot see
    with pytest.raises(UserError, match="not what was saved: damaged or swapped"):
        policy.load_adapter(tmp_path / "a")
    (tmp_path / "a" / "simko_base.json").unlink()
    tensors = {name: p.clone() for name, p in before.items()}
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, weights)
    with pytest.raises(UserError, match="NaN"):
        policy.load_adapter(tmp_path / "a")
    weights.unlink()
    with pytest.raises(UserError, match=r"no adapter_model.safetensors"):
        policy.load_adapter(tmp_path / "a")
    (tmp_path / "a" / "adapter_config.json").write_text("{")
    with pytest.raises(UserError, match="not the configuration"):
        policy.load_adapter(tmp_path / "a")
    assert equal(before, state(policy))


@pytest.mark.parametrize(("family", "quantization"), [("llama", "nf4"), ("llama-tied", "nf4"), ("qwen2", "int8")])
def test_merge_writes_a_plain_model(model_folder: Folder, tmp_path: Path, family: str, quantization: str) -> None:
    policy = load(model_folder(family), quantization)
    before = policy.hidden(IDS)
    policy.merge(tmp_path / "m")
    assert torch.equal(policy.hidden(IDS), before)
    assert "quantization_config" not in json.loads((tmp_path / "m" / "config.json").read_text())
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert tokenizer.encode("1+1") == policy.tokenizer.encode("1+1")
    with torch.no_grad():
        assert torch.allclose(plain(input_ids=IDS).logits, policy.model(input_ids=IDS).logits, atol=1e-4)
    with pytest.raises(UserError, match="not an empty folder"):
        policy.merge(tmp_path / "m")
