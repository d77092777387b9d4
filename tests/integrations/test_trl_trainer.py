"""SimKO's loss inside TRL's trainer: the gradient of our own trainer on the same batch, and three real steps."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

trl = pytest.importorskip("trl")

from simko import algorithms  # noqa: E402
from simko.agents import LoraPolicy  # noqa: E402
from simko.errors import UserError  # noqa: E402
from simko.integrations.trl import PassAtK, SimKOTrainer, dataset, environment, reward  # noqa: E402
from simko.micro_batch import TokenBudget  # noqa: E402
from simko.step_stats import step_stats  # noqa: E402
from simko.types import Batch, Completion, Verdict  # noqa: E402
from simko.update import accumulate_gradients  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
ENV = "simko/Countdown-v0"
SIMKO = {"alpha": 0.3, "top_k": 2, "entropy_quantile": 0.5, "top1_penalty": 1.5}
ROWS, WIDTH = 6, 9


@pytest.fixture(scope="module")
def policy() -> LoraPolicy:
    """The built-in policy in float64, with an adapter that does something."""
    policy = LoraPolicy.from_pretrained("tiny", quantization="none", lora_rank=4, dtype="float64", device="cpu")
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in policy.trainable_parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=rng, dtype=parameter.dtype)
    return policy


def config(folder: Path, **options: Any) -> Any:
    """A `GRPOConfig` for a CPU and a few steps."""
    settings: dict[str, Any] = {
        "output_dir": str(folder), "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 32,
        "max_steps": 3, "logging_steps": 1, "report_to": [], "use_cpu": True, "bf16": False, "save_strategy": "no",
        "activation_checkpointing": False, "learning_rate": 1e-3, "disable_tqdm": True,
    }  # fmt: skip
    return trl.GRPOConfig(**(settings | options))


def batch(first_prompt: int) -> Batch:
    """Answers of made-up tokens to two prompts of `first_prompt` and 8: right and wrong, of every length up to `WIDTH`."""
    rng = np.random.default_rng(1)
    prompts = [rng.integers(2, 200, first_prompt), rng.integers(2, 200, 8)]
    rows = []
    for row in range(ROWS):
        length = WIDTH - row
        rows.append(
            Completion(
                prompts[row % 2], rng.integers(2, 200, length), np.full(length, -1.0, np.float32), np.ones(length, bool),
                "", "stop", Verdict("correct" if row % 3 else "incorrect", float(row % 3 > 0)),
            )
        )  # fmt: skip
    advantage = np.array([-1.2, 0.7, 0.4, -0.9, 0.8, 1.1])
    correct = np.array([row.verdict.correct for row in rows])
    tokens = sum(len(row.ids) for row in rows)
    return Batch(tuple(rows), np.arange(ROWS) % 2, advantage, correct, tokens, ROWS)


def as_inputs(step: Batch, old: Tensor) -> dict[str, Tensor]:
    """The batch as TRL has it: prompts padded on the left, answers on the right."""
    inputs = {name: torch.zeros(ROWS, width, dtype=torch.int64) for name, width in
              (("prompt_ids", 8), ("prompt_mask", 8), ("completion_ids", WIDTH), ("completion_mask", WIDTH))}  # fmt: skip
    for i, row in enumerate(step.completions):
        inputs["prompt_ids"][i, -len(row.prompt_ids) :] = torch.from_numpy(row.prompt_ids)
        inputs["prompt_mask"][i, -len(row.prompt_ids) :] = 1
        inputs["completion_ids"][i, : len(row.ids)] = torch.from_numpy(row.ids)
        inputs["completion_mask"][i, : len(row.ids)] = 1
    return inputs | {
        "advantages": torch.from_numpy(step.advantage),
        "correct": torch.from_numpy(step.correct),
        "num_items_in_batch": torch.tensor(float(step.step_tokens)),
        "old_per_token_logps": old,
    }


@pytest.mark.parametrize(
    ("loss_type", "aggregation", "settings", "first_prompt", "precision"),
    [
        ("dapo", "token_mean", SIMKO, 8, 1e-9),
        ("grpo", "sequence_mean", SIMKO, 8, 1e-9),
        ("dr_grpo", "constant_length", SIMKO, 8, 1e-9),
        ("dapo", "token_mean", {"alpha": 0.0, "top1_penalty": 1.0}, 8, 1e-9),
        ("dapo", "token_mean", SIMKO, 5, 1e-4),  # padded on the left, a row has other angles, which are float32
    ],
)
def test_the_gradient_is_that_of_our_own_trainer(
    policy: LoraPolicy, tmp_path: Path, loss_type: str, aggregation: str, settings: Mapping[str, Any], first_prompt: int,
    precision: float,
) -> None:  # fmt: skip
    step = batch(first_prompt)
    stats = step_stats(policy, step, frozenset(("logp",)), temperature=0.8, budget=TokenBudget(1000))
    assert stats.logp is not None
    moved = stats.logp + 0.3 * torch.randn(
        stats.logp.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    parameters = [parameter for _, parameter in policy.trainable_parameters()]

    def taken() -> list[Tensor]:
        gradients = [parameter.grad for parameter in parameters]
        for parameter in parameters:
            parameter.grad = None
        assert all(gradient is not None for gradient in gradients)
        return [gradient for gradient in gradients if gradient is not None]

    method = algorithms.get("simko", **settings, aggregation=aggregation)
    metrics = accumulate_gradients(
        policy, method, step, temperature=0.8, micro_batch_tokens=1000, max_new_tokens=32,
        step=replace(stats, logp=moved),
    )  # fmt: skip
    ours = taken()

    trainer = SimKOTrainer(
        model=policy.model, reward_funcs=lambda completions, **_: [0.0] * len(completions), processing_class=policy.tokenizer,
        args=config(tmp_path, loss_type=loss_type, temperature=0.8), train_dataset=dataset(ENV, count=8), simko=settings,
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = trainer.args.steps_per_generation = 1
    trainer.model.train()
    loss = trainer._compute_loss(trainer.model, as_inputs(step, moved))
    loss.backward()
    theirs = taken()
    assert loss.item() == pytest.approx(metrics["loss"], rel=precision)
    largest = max(float(gradient.abs().max()) for gradient in ours)
    assert largest > 1e-4
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=100 * precision * largest)  # RMSNorm is float32


@pytest.mark.parametrize(("loss_type", "is_corrected"), [("dapo", True), ("grpo", False), ("dr_grpo", True)])
def test_without_our_terms_the_loss_is_that_of_trl(
    policy: LoraPolicy, tmp_path: Path, loss_type: str, is_corrected: bool
) -> None:
    """With KL, a tool's tokens, vLLM's ratio and accumulation."""
    trainer = SimKOTrainer(
        model=policy.model, reward_funcs=lambda completions, **_: [0.0] * len(completions), processing_class=policy.tokenizer,
        args=config(tmp_path, loss_type=loss_type, temperature=0.8, use_bias_correction_kl=is_corrected),
        train_dataset=dataset(ENV, count=8), simko={"alpha": 0.0, "top1_penalty": 1.0},
    )  # fmt: skip
    trainer.beta = 0.3  # by hand: the trainer would keep a second adapter in the policy that others test
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = True
    trainer.current_gradient_accumulation_steps, trainer.args.steps_per_generation = 2, 4
    trainer.model.train()
    rng = torch.Generator().manual_seed(3)
    logps = [torch.randn(ROWS, WIDTH, generator=rng, dtype=torch.float64) - 5 for _ in range(2)]
    inputs = as_inputs(batch(8), logps[0]) | {
        "ref_per_token_logps": logps[1],
        "tool_mask": (torch.rand(ROWS, WIDTH, generator=rng) > 0.3).long(),
        "importance_sampling_ratio": torch.rand(ROWS, 1, generator=rng, dtype=torch.float64) + 0.5,
    }
    ours = trainer._compute_loss(trainer.model, inputs).item()
    theirs = trl.GRPOTrainer._compute_loss(trainer, trainer.model, inputs).item()
    assert ours == pytest.approx(theirs, rel=1e-6)
    told = trainer._metrics["train"]
    assert [told[name][0] for name in ("kl", "entropy")] == pytest.approx(
        [told[name][1] for name in ("kl", "entropy")], rel=1e-4
    )


def test_a_look_samples_the_distribution_itself(tmp_path: Path) -> None:
    """Whatever the model's own settings say: with these, every answer would repeat the most probable token."""
    policy = LoraPolicy.from_pretrained("tiny", quantization="none", lora_rank=4, device="cpu")
    trainer = trl.GRPOTrainer(
        model=policy.model, reward_funcs=reward(ENV, level=1), args=config(tmp_path), processing_class=policy.tokenizer,
        train_dataset=dataset(ENV, count=8, level=1),
    )  # fmt: skip
    look = PassAtK(trainer, ENV, problems=1, samples=4, level=1)
    plain = [text for _, text in look._answers(0)]
    settings = trainer.model.generation_config
    settings.repetition_penalty, settings.top_k, settings.min_p, settings.temperature = 0.01, 1, 0.9, 0.1
    assert [text for _, text in look._answers(0)] == plain


def test_three_steps_with_our_reward_loss_and_pass_at_k(tmp_path: Path) -> None:
    policy = LoraPolicy.from_pretrained("tiny", quantization="none", lora_rank=4, device="cpu")
    before = [parameter.detach().clone() for _, parameter in policy.trainable_parameters()]
    trainer = SimKOTrainer(
        model=policy.model, reward_funcs=reward(ENV, level=1), args=config(tmp_path, gradient_accumulation_steps=2),
        train_dataset=dataset(ENV, count=32, level=1), processing_class=policy.tokenizer, simko={"alpha": 0.2},
    )  # fmt: skip
    trainer.add_callback(PassAtK(trainer, ENV, every=2, problems=3, samples=4, level=1))
    trainer.train()
    log = trainer.state.log_history
    losses = [line for line in log if "loss" in line]
    assert len(losses) == 3
    assert all({"reward", "simko/gate_fraction", "entropy", "verifier_failed"} <= line.keys() for line in losses)
    curves = [line for line in log if "pass@4" in line]
    assert [line["step"] for line in curves] == [0, 2, 3]
    assert all(0 <= line["pass@1"] <= line["pass@2"] <= line["pass@4"] <= 1 for line in curves)
    files = sorted((tmp_path / "pass_at_k").iterdir())
    assert [file.name for file in files] == [f"step-{step:06d}.jsonl" for step in (0, 2, 3)]
    rows = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert [row["n"] for row in rows] == [4, 4, 4]
    assert curves[0]["pass@1"] == pytest.approx(sum(row["c"] for row in rows) / 12, abs=1e-6)
    after = [parameter for _, parameter in policy.trainable_parameters()]
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_looks_do_not_change_the_training(tmp_path: Path) -> None:
    trained = []
    for every in (0, 1):
        policy = LoraPolicy.from_pretrained("tiny", quantization="none", lora_rank=4, device="cpu")
        trainer = SimKOTrainer(
            model=policy.model, reward_funcs=reward(ENV, level=1), args=config(tmp_path / str(every), max_steps=2),
            train_dataset=dataset(ENV, count=32, level=1), processing_class=policy.tokenizer,
        )  # fmt: skip
        if every:
            trainer.add_callback(PassAtK(trainer, ENV, every=every, problems=2, samples=2, level=1))
        trainer.train()
        trained.append([parameter.detach().clone() for _, parameter in policy.trainable_parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*trained, strict=True))


def test_what_the_loss_has_no_place_for_is_refused(tmp_path: Path, policy: LoraPolicy) -> None:
    for options, says in (
        ({"loss_type": "cispo"}, "loss_type='cispo'"),
        ({"top_entropy_quantile": 0.2}, "top_entropy"),
        ({"entropy_coef": 0.01}, "an entropy bonus"),
    ):
        with pytest.raises(UserError, match=f"SimKOTrainer has no place for {says}"):
            SimKOTrainer(
                model=policy.model, reward_funcs=reward(ENV), args=config(tmp_path, **options),
                train_dataset=dataset(ENV, count=8), processing_class=policy.tokenizer,
            )  # fmt: skip


def test_the_policy_answers_through_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    policy = LoraPolicy.from_pretrained("tiny", quantization="none", lora_rank=4, device="cpu")
    template = Path(os.path.dirname(trl.__file__)) / "chat_templates" / "qwen2_5.jinja"
    tokenizer = policy.tokenizer
    tokenizer.chat_template = template.read_text()
    rows = dataset("simko/GuessNumber-v0", count=4, level=1)
    trainer = trl.GRPOTrainer(
        model=policy.model, environment_factory=environment("simko/GuessNumber-v0", level=1), processing_class=tokenizer,
        args=config(tmp_path, per_device_train_batch_size=2, num_generations=2, max_steps=1, max_completion_length=400),
        train_dataset=rows.select([0]),
    )  # fmt: skip
    gold = int(rows[0]["gold"])
    turns = iter([gold + 1, gold])

    def scripted(
        prompt_ids: list[list[int]], *_args: Any, **_options: Any
    ) -> tuple[list[list[int]], list[list[float]]]:
        guess = next(turns, None)
        call = f'<tool_call>\n{{"name": "answer", "arguments": {{"text": "{guess}"}}}}\n</tool_call>'
        ids = [*tokenizer.encode("done" if guess is None else call, add_special_tokens=False), tokenizer.eos_token_id]
        return [list(ids) for _ in prompt_ids], [[0.0] * len(ids) for _ in prompt_ids]

    monkeypatch.setattr(trainer, "_generate_single_turn", scripted)
    trainer.train()
    line = trainer.state.log_history[0]
    assert (line["tools/call_frequency"], line["tools/failure_frequency"], line["reward"]) == (2.0, 0.0, 1.0)
