"""The plan: arithmetic held against autograd, the engine and the policy; settings that fit; what a model's files say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simko.agents import LoraPolicy
from simko.agents.engine.local import cache_bytes_per_token
from simko.config import TrainConfig
from simko.errors import UserError
from simko.memory import forecast as forecasting
from simko.memory import lookup
from simko.memory.forecast import Job, Settings, forecast
from simko.memory.planner import choose
from simko.memory.shapes import BUILT_IN, Shape, built_in
from simko.packing import pack
from simko.settings import train_config
from simko.types import Completion, Verdict

CUDA = Job("cuda", "nf4", 16, prompts=8, group_size=8, longest_prompt=256, max_new_tokens=1024)
CPU = replace(CUDA, device="cpu")
SMALL = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "vocab_size": 512,
}


def folder(tmp_path: Path, family: str, **sizes: Any) -> Path:
    """A small random model on disk."""
    import transformers

    from simko.agents.quiet import quiet

    config, model = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
        "qwen3-moe": (transformers.Qwen3MoeConfig, transformers.Qwen3MoeForCausalLM),
    }[family]
    path = tmp_path / f"{family}-{sizes.get('num_hidden_layers', 2)}"
    with quiet(), torch.random.fork_rng(devices=[]):
        model(config(**{"num_hidden_layers": 2, **SMALL, **sizes})).save_pretrained(path)
        transformers.AutoTokenizer.from_pretrained("agents/tiny").save_pretrained(path)
    return path


# Shapes


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_shape_counts_the_models_parameters(tmp_path: Path, family: str, tied: bool) -> None:
    path = folder(tmp_path, family, tie_word_embeddings=tied)
    shape = lookup.facts(str(path)).shape
    policy = LoraPolicy.from_pretrained(path, quantization="none", lora_rank=4, device="cpu")
    plain = sum(p.numel() for name, p in policy.model.named_parameters() if ".lora_" not in name)
    adapter = sum(p.numel() for _, p in policy.trainable_parameters())
    assert (shape.parameters, shape.adapter_parameters(4), shape.tied) == (plain, adapter, tied)
    model = policy.model.get_base_model()
    assert forecasting.kv_bytes(shape, 4) == cache_bytes_per_token(model)


def test_quantised_weights_take_what_is_forecast(tmp_path: Path) -> None:
    path = folder(tmp_path, "llama")
    policy = LoraPolicy.from_pretrained(path, lora_rank=4, device="cpu")
    held = 0
    for layer in policy.model.get_base_model().modules():
        state = getattr(getattr(layer, "weight", None), "quant_state", None)
        if state is not None and not hasattr(layer, "base_layer"):
            tensors = (layer.weight, state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code)
            held += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    assert held == pytest.approx(lookup.facts(str(path)).shape.quantised_bytes("nf4", 4), rel=0.02)


@pytest.mark.parametrize(
    ("name", "billions"), [("Qwen2.5-1.5B", 1.54), ("Llama-3.2-1B", 1.24), ("Qwen2.5-7B", 7.62), ("Qwen3-0.6B", 0.60)]
)
def test_built_in_shapes_have_their_published_size(name: str, billions: float) -> None:
    assert pytest.approx(billions, abs=0.006) == BUILT_IN[name].parameters / 1e9
    assert built_in(f"someone/{name}-Instruct") is BUILT_IN[name]
    assert built_in(f"{name}-mine") is None


def test_models_for_code_and_mathematics_have_the_shape_of_their_base() -> None:
    assert built_in("Qwen/Qwen2.5-Coder-1.5B-Instruct") is BUILT_IN["Qwen2.5-1.5B"]
    assert built_in("Qwen/Qwen2.5-Math-7B") == replace(BUILT_IN["Qwen2.5-7B"], context=4096)
    assert built_in("someone/Other-Math-7B") is None


def test_shapes_that_cannot_be_planned_are_refused() -> None:
    base = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 100}
    assert Shape.from_config("m", base).intermediate == 256
    for wrong, message in (
        ({"num_experts": 8}, "num_experts_per_tok"),
        ({"hidden_size": None}, "hidden_size"),
        ({"vocab_size": 0}, "vocab"),
    ):
        with pytest.raises(UserError, match=message):
            Shape.from_config("m", {**base, **wrong})


# Activations


def saved_bytes(policy: LoraPolicy, prompts: int, group: int, prompt: int, new: int) -> tuple[float, int]:
    """Bytes that autograd keeps of a packed forward beside weights, and its tokens."""
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(prompts):
        ids = rng.integers(2, 100, prompt)
        for _ in range(group):
            answer = rng.integers(2, 100, new)
            verdict = Verdict("correct", 1.0)
            flags = np.ones(new, bool)
            answers.append(Completion(ids, answer, np.zeros(new, np.float32), flags, "", "length", verdict))
    rows, _ = pack(answers)
    weights = {t.untyped_storage().data_ptr() for t in [*policy.model.parameters(), *policy.model.buffers()]}
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in weights:
            saved[pointer] = tensor
        return tensor

    assert policy.packs
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        policy.hidden_packed(rows)
    return float(sum(t.untyped_storage().nbytes() for t in saved.values())), len(rows.ids)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_activations_are_what_autograd_saves(tmp_path: Path, dtype: str, quantization: Any) -> None:
    job = replace(CPU, prompts=2, group_size=3, longest_prompt=40, max_new_tokens=60)
    totals = []
    for layers in (2, 4):
        path = folder(tmp_path, "qwen2", num_hidden_layers=layers)
        policy = LoraPolicy.from_pretrained(path, quantization, lora_rank=8, dtype=dtype, device="cpu")
        held, tokens = saved_bytes(policy, job.prompts, job.group_size, job.longest_prompt, job.max_new_tokens)
        totals.append(held)
    a_layer = (totals[1] - totals[0]) / 2 / tokens
    shape = lookup.facts(str(path)).shape
    item = 4 if dtype == "float32" else 2
    assert forecasting.activation_bytes(shape, 8, item, forecasting.key_share(job)) == pytest.approx(a_layer, rel=0.05)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("experts", [{"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 96}])
def test_activations_of_a_mixture(tmp_path: Path, dtype: str, experts: dict[str, int]) -> None:
    job = replace(CPU, prompts=2, group_size=3, longest_prompt=40, max_new_tokens=60)
    path = folder(tmp_path, "qwen3-moe", head_dim=32, **experts)
    policy = LoraPolicy.from_pretrained(path, "none", lora_rank=8, dtype=dtype, device="cpu")
    held, tokens = saved_bytes(policy, job.prompts, job.group_size, job.longest_prompt, job.max_new_tokens)
    shape, item = lookup.facts(str(path)).shape, 4 if dtype == "float32" else 2
    a_layer = forecasting.activation_bytes(shape, 8, item, forecasting.key_share(job))
    assert a_layer == pytest.approx(held / tokens / 2, rel=0.12)
    items = {entry.name: entry.bytes for entry in forecast(shape, job, Settings(8192, False, "live", 2**30)).items}
    assert items["experts"] == 4 * 2 * 6 * 192 * (3 * 96 + 1)
    plan = choose(shape, job, 8e9)
    assert plan.fits


@pytest.mark.parametrize(
    ("changes", "dense", "shared"),
    [
        ({}, 0, 0), ({"first_k_dense_replace": 1, "n_shared_experts": 2}, 1, 64), ({"mlp_only_layers": [0, 3]}, 2, 0),
        ({"decoder_sparse_step": 2}, 3, 0), ({"mlp_layer_types": ["dense", *["sparse"] * 5]}, 1, 0),
        ({"shared_expert_intermediate_size": 50}, 0, 50),
    ],
)  # fmt: skip
def test_which_layers_of_a_mixture_have_experts(changes: dict[str, Any], dense: int, shared: int) -> None:
    base = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 6, "vocab_size": 100}
    mixed = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    shape = Shape.from_config("m", {**base, **mixed, **changes})
    assert (shape.dense_layers, shape.shared_width, shape.experts, shape.active) == (dense, shared, 8, 2)
    assert sum(count for count, _ in shape.blocks) == 6
    assert Shape.from_config("m", {**base, "num_experts": 0}).experts == 0


# The engine


@given(cache=st.integers(2**20, 2**32), prompt=st.integers(1, 3000), new=st.integers(1, 3000))
def test_slots_are_those_of_the_engine(cache: int, prompt: int, new: int) -> None:
    shape = BUILT_IN["SmolLM2-135M"]
    job = replace(CPU, longest_prompt=prompt, max_new_tokens=new, prompts=10**4, group_size=100)
    slots = forecast(shape, job, Settings(8192, False, "merged", cache)).slots
    per_token = 2 * 30 * 3 * 64 * 4
    assert slots == max(1, cache // ((prompt + new) * per_token + 32 * 49_152))


def test_the_engine_takes_the_budget_of_the_plan(tmp_path: Path) -> None:
    policy = LoraPolicy.from_pretrained(folder(tmp_path, "llama"), device="cpu")
    shape = lookup.facts(str(tmp_path / "llama-2")).shape
    job = replace(CPU, prompts=4, group_size=4, longest_prompt=9, max_new_tokens=7)
    policy.engine.cache_bytes = 5 * forecasting.slot_bytes(shape, job)
    from simko.types import Sampling

    policy.engine.generate([[5] * 9] * 4, 4, Sampling(max_new_tokens=7), list(range(16)))
    assert policy.engine.stats.slots == 5


# Choosing


def test_a_1_5b_model_with_64_answers_of_1024_tokens_fits_6_gb() -> None:
    plan = choose(BUILT_IN["Qwen2.5-1.5B"], CUDA, 6e9)
    assert plan.fits
    assert plan.forecast.slots == 64
    assert plan.forecast.peak < 6e9
    assert plan.settings.gradient_checkpointing


def test_a_merged_copy_in_half_precision_keeps_adapters_apart_and_8_bit_layers_as_they_are() -> None:
    shape, settings = BUILT_IN["Qwen2.5-1.5B"], Settings(2048, True, "merged", 2**26)

    def items(job: Job, settings: Settings = settings) -> dict[str, float]:
        return {item.name: item.bytes for item in forecast(shape, job, settings).items}

    merged, live = items(CUDA), items(CUDA, replace(settings, decode_weights="live"))
    assert merged["prefill"] == live["prefill"]  # the adapter computes in float32 in both
    assert merged["merged copy"] == 2 * shape.linear_parameters
    # a small cache does not cover what merging holds, a large one does
    assert merged["merging a layer"] > 0
    assert "merging a layer" not in items(CUDA, replace(settings, cache_bytes=2**32))
    assert "merging a layer" not in live
    eight = items(replace(CUDA, quantization="int8"))
    assert not {"merged copy", "merging a layer"} & eight.keys()
    on_cpu = items(replace(CUDA, device="cpu", quantization="int8"))
    assert on_cpu["merged copy"] == 4 * shape.linear_parameters
    assert "merging a layer" not in on_cpu


@given(
    name=st.sampled_from(sorted(BUILT_IN)), memory=st.floats(1e9, 100e9), new=st.integers(16, 4096),
    device=st.sampled_from(["cpu", "cuda"]),
)  # fmt: skip
def test_choices(name: str, memory: float, new: int, device: Any) -> None:
    """A plan that fits does fit; one that does not says what would; more memory never fits less."""
    job = replace(CUDA, device=device, max_new_tokens=new)
    plan = choose(BUILT_IN[name], job, memory)
    held = forecast(BUILT_IN[name], job, plan.settings)
    assert held == plan.forecast
    assert plan.fits == (held.peak <= forecasting.USABLE[device] * memory)
    assert plan.fits or plan.advice
    assert not plan.fits or choose(BUILT_IN[name], job, 2 * memory).fits
    assert plan.forecast.slots >= 1
    if not plan.fits:
        enough = float(plan.advice[-1].removeprefix("--memory ").removesuffix("GB or more")) * 1e9
        assert choose(BUILT_IN[name], job, enough * 1.02).fits


def test_what_is_given_is_kept_and_named_where_it_does_not_fit() -> None:
    shape = BUILT_IN["Qwen2.5-1.5B"]
    plan = choose(shape, CUDA, 6e9, micro_batch_tokens=8192, gradient_checkpointing=False, decode_weights="merged")
    assert (plan.settings.micro_batch_tokens, plan.settings.gradient_checkpointing) == (8192, False)
    assert not plan.fits
    assert "--gradient-checkpointing" in plan.advice[0]
    assert choose(shape, CUDA, 1e12).settings.decode_weights == "merged"
    assert choose(shape, replace(CUDA, max_new_tokens=3000), 7e9).forecast.slots < 64


def test_memory_shrinks_what_is_held_and_never_the_longest_row() -> None:
    shape, job = BUILT_IN["SmolLM2-135M"], replace(CPU, max_new_tokens=3000)
    tight = forecast(shape, job, Settings(256, True, "live", 1))
    activations = next(item for item in tight.items if item.name == "activations")
    assert tight.slots == 1
    assert activations.bytes == 30 * 576 * 4 * job.capacity


# What files say


def test_a_folder_is_planned_from_its_config_alone(tmp_path: Path) -> None:
    config = {
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "vocab_size": 100,
        "intermediate_size": 96,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    facts = lookup.facts(str(tmp_path))
    assert (facts.shape.hidden, facts.shape.kv_width, facts.download) == (64, 64, 0.0)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json"):
        lookup.facts(str(tmp_path))


@pytest.mark.parametrize("model", ["Qwen2.5-1.5", "nobody/nothing", "./nowhere"])
def test_models_that_are_nowhere(model: str) -> None:
    with pytest.raises(UserError, match=r"(folder|config\.json)"):
        lookup.facts(model)


def test_out_of_reach_of_the_hub_the_table_answers() -> None:
    facts = lookup.facts("Qwen/Qwen2.5-1.5B-Instruct")
    assert facts.shape == BUILT_IN["Qwen2.5-1.5B"]
    assert facts.download == pytest.approx(3.09e9, rel=0.01)


def test_longrope_counts_with_its_original_context() -> None:
    config = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 99}
    config |= {"max_position_embeddings": 131_072, "original_max_position_embeddings": 4096}
    for rope in ({"rope_scaling": {"type": "longrope"}}, {"rope_parameters": {"rope_type": "longrope"}}):
        assert Shape.from_config("phi3", config | rope).context == 4096
    assert Shape.from_config("phi3", config | {"rope_scaling": None}).context == 131_072


def test_prompts_are_as_long_as_those_drawn() -> None:
    tiny = train_config({})
    drawn = lookup.job(tiny, "cpu", lookup.facts("tiny"))
    assert drawn.longest_prompt < 150
    assert lookup.job(replace(tiny, max_prompt_tokens=20), "cpu").longest_prompt == 20
    unread = lookup.job(TrainConfig(env="simko/GSM8K-v0", model="tiny"), "cpu")
    assert (unread.longest_prompt, unread.max_new_tokens) == (1536, 512)
    context = lookup.job(replace(tiny, env="simko/JSONL-v0", max_new_tokens=2000), "cpu", lookup.facts("tiny"))
    assert context.capacity == 2048  # the model's own
    again = lookup.job(replace(tiny, attempts=2), "cpu")
    assert again.max_new_tokens > 2 * drawn.max_new_tokens
    with pytest.raises(UserError, match="Countdown"):
        lookup.job(replace(tiny, env="simko/Cuntdown-v0"), "cpu")


# What a method asks for


def held(name: str, shape: Shape, job: Job, settings: Settings, **values: Any) -> dict[str, float]:
    """Bytes of each item of the update, with the needs of a method."""
    needs = lookup.job(train_config({"algorithm": name, **values}), job.device).needs
    return {item.name: item.bytes for item in forecast(shape, replace(job, needs=needs), settings).items}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_plan_counts_what_a_method_asks_for(device: Any) -> None:
    shape, job = BUILT_IN["SmolLM2-135M"], replace(CUDA, device=device, prompts=512, quantization="none")
    settings = Settings(8192, False, "live", 2**30)  # here the head takes more than the backward of a layer
    plain = held("grpo", shape, job, settings)
    assert held("simko", shape, job, settings) == plain
    sums = 4 * 8192 * shape.hidden
    for name in ("entropy_bonus", "aer", "siren"):
        more = held(name, shape, job, settings)["loss head"] - plain["loss head"]
        assert more >= sums
        assert more < 3 * sums + 2**27
    settings = replace(settings, gradient_checkpointing=True)
    step = 512 * 8 * 1024 * shape.hidden * job.item
    thr = held("thr", shape, job, settings)
    assert thr["hidden states of the step"] + thr["activations"] == step
    assert "hidden states of the step" not in held("grpo", shape, job, settings)
    few = replace(job, prompts=1, group_size=2)
    assert "hidden states of the step" not in held("thr", shape, few, settings)  # the activations take more


def test_the_head_keeps_what_is_forecast_for_the_gradient_of_the_entropy() -> None:
    """What autograd saves of the loss head, (N, D) for each running sum."""
    from simko.head import token_statistics

    hidden, weight = torch.randn(37, 16, requires_grad=True), torch.randn(50, 16)
    ids = torch.randint(50, (37,))
    owners = {weight.untyped_storage().data_ptr(), ids.untyped_storage().data_ptr()}

    def saved(extra: Any) -> int:
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in owners and tensor.shape[-1:] == (16,):
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            token_statistics(hidden, weight, ids, extra=frozenset(extra))
        return sum(kept.values())

    plain, grad = saved(()), saved({"entropy_grad"})
    assert plain == 4 * 37 * 16
    assert grad - plain == 4 * 37 * 16
    assert saved({"nucleus_entropy"}) >= plain


def test_hidden_states_do_not_outlive_their_pass() -> None:
    from fakes import FakePolicy, random_groups

    from simko import algorithms
    from simko.advantages import make_batch
    from simko.step_stats import prepare

    method = algorithms.get("thr")
    batch = make_batch(random_groups(0), method)
    for several in (False, True):
        stats, prepared = prepare(FakePolicy(), method, batch, temperature=1.0, micro_batch_tokens=64, several=several)
        assert prepared.advantage is not None
        assert stats.hidden is None
        assert stats.head is None
