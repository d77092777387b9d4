"""A whole training step, rollout and update, of ours and of TRL's GRPOTrainer: same model, data, LoRA, groups and lengths.

Every answer has exactly `new` tokens (EOS is suppressed, or does not stop). This is the worst case for ours, since neither pads.
The reward is a function of the text that splits groups about evenly. Both compute in float32 on CPU and in bfloat16 on CUDA,
train all linear layers with rank 16, and take one AdamW step. TRL takes micro-batches of `rows` sequences, and recomputes
activations, which is its default. "ours, small" recomputes activations, too, with few tokens a forward, and decodes with the
live adapter: this saves memory and costs time. "ours, fast" has the settings that the planner chooses if memory is plenty.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import Case, Options, Result, compare

TITLE = "a whole training step against TRL's GRPOTrainer"
TEMPERATURE = 4.0  # answers differ whatever the model, so that nearly every group has a gradient in both
MODELS = {"tiny": "tiny", "smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}
SIZES = {
    "tiny": {"prompts": 16, "group": 16, "prompt_words": 24, "new": 32, "rows": 64},
    "smollm2": {"prompts": 2, "group": 8, "prompt_words": 40, "new": 24, "rows": 8},
    "cuda": {"prompts": 8, "group": 8, "prompt_words": 40, "new": 256, "rows": 16},
}
_WORDS = ("the", "cat", "saw", "a", "red", "bird", "under", "some", "old", "tree", "while", "men", "ran", "rain")  # fmt: skip


def run(options: Options) -> Result:
    """Run the cases of SIMKO_STEP_MODEL: tiny (default), smollm2, or a model folder, which has the sizes of smollm2.

    On CUDA a model folder has more and longer answers.
    """
    import torch

    cuda = torch.cuda.is_available()
    model = os.environ.get("SIMKO_STEP_MODEL", "tiny")
    sizes = dict(SIZES.get(model, SIZES["cuda" if cuda else "smollm2"]))
    if options.quick:
        sizes |= {"prompts": 2, "group": 4, "new": 8, "rows": 8}
    where = (
        str(Path(__file__).resolve().parent.parent / "agents" / "tiny") if model == "tiny" else MODELS.get(model, model)
    )
    common = {"model": where, "threads": options.threads, **sizes}
    small = common | {"recompute": True, "decode": "live", "tokens": 2048 if model == "tiny" or cuda else 256}
    trl = {"trl": "trl==1.16.0", "peft": "peft"}
    cases = [
        Case("ours, small", "benchmarks.step:ours", small, "ours"),
        Case("ours, fast", "benchmarks.step:ours", common | {"recompute": False}, "other"),
        Case("ours, NF4", "benchmarks.step:ours", small | {"quantization": "nf4"}, "other"),
        Case("trl", "benchmarks.step:trl", common | {"recompute": True}, needs=trl),
        Case("trl, activations kept", "benchmarks.step:trl", common | {"recompute": False}, needs=trl),
    ]
    if model != "tiny" and not cuda:  # a case takes minutes: only those that the goals need
        cases = [case for case in cases if case.role != "other"]
    targets = {
        f"{metric}/{peer}": goal
        for metric, goal in (("wall_s", 0.6), ("peak_mib", 0.5))
        for peer in ("trl", "trl, activations kept")
    }
    return compare("step", f"{TITLE}, {model}", cases, options, repeats=3, targets=targets, setting=sizes)


def questions(count: int, words: int) -> list[str]:
    """Make prompts of `words` words each, all different."""
    return [
        " ".join(_WORDS[(i * 7 + j * (i % 5 + 1)) % len(_WORDS)] for j in range(words)) + f" {i}:" for i in range(count)
    ]


def reward(text: str) -> float:
    """Return 1 for an even sum of bytes: half of all answers."""
    return float(sum(text.encode()) % 2 == 0)


@dataclass
class _Answer:
    """An episode of exactly `length` tokens."""

    task: Any
    prompt_ids: list[int]
    decode: Callable[[list[int]], str]
    length: int
    ids: list[int] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return len(self.ids) == self.length

    @property
    def truncated(self) -> bool:
        return self.done

    @property
    def budget_left(self) -> int:
        return self.length - len(self.ids)

    @property
    def sampled(self) -> list[bool]:
        return [True] * len(self.ids)

    @property
    def text(self) -> str:
        return self.decode(self.ids)

    def extend(self, tokens: Sequence[int]) -> int:
        self.ids += tokens
        return len(tokens)


class _Environment:
    """The environment that `simko.rollout` needs: answers of fixed length, and `reward`."""

    stop: tuple[str, ...] = ()

    def __init__(self, tokenizer: Any, new: int, never: int) -> None:
        self.tokenizer, self.max_new_tokens, self.stop_ids = tokenizer, new, frozenset((never,))

    def begin(self, task: Any) -> _Answer:
        return _Answer(task, self.tokenizer.encode(task.problem), self.tokenizer.decode, self.max_new_tokens)

    def grade(self, text: str, task: Any) -> Any:
        from simko.types import Verdict

        return Verdict("correct" if reward(text) else "incorrect", reward(text), text)


def ours(
    model: str, threads: int, prompts: int, group: int, prompt_words: int, new: int, rows: int, recompute: bool,
    quantization: str = "none", decode: str = "auto", tokens: int = 0,
) -> Callable[[], dict[str, float]]:  # fmt: skip
    """Run simko's rollout and update."""
    import time

    import torch

    from simko import algorithms
    from simko.advantages import make_batch
    from simko.agents import LoraPolicy
    from simko.micro_batch import TokenBudget
    from simko.rollout import rollout
    from simko.types import Sampling, Task
    from simko.update import accumulate_gradients, apply_gradients

    torch.set_num_threads(threads)
    policy = LoraPolicy.from_pretrained(
        model,
        quantization,
        lora_rank=16,
        seed=0,
        gradient_checkpointing=recompute,
        decode_weights=decode,  # type: ignore[arg-type]
    )
    optimizer = torch.optim.AdamW([p for _, p in policy.trainable_parameters()], lr=1e-5)
    method, step = algorithms.get("grpo"), 0
    env = _Environment(policy.tokenizer, new, policy.lm_head().weight.shape[0])  # no such token
    tasks = [Task(str(i), question, "") for i, question in enumerate(questions(prompts, prompt_words))]
    longest = max(len(policy.tokenizer.encode(task.problem)) for task in tasks) + new
    budget = TokenBudget(tokens or rows * longest)

    def once() -> dict[str, float]:
        nonlocal step
        step += 1
        began = time.perf_counter()
        groups = rollout(policy.engine, env, tasks, group, Sampling(TEMPERATURE), seed=0, step=step)
        sampled = time.perf_counter()
        batch = make_batch(groups, method)
        accumulate_gradients(
            policy, method, batch, temperature=TEMPERATURE, micro_batch_tokens=budget, max_new_tokens=new
        )
        apply_gradients(policy, optimizer, 1.0)
        assert all(len(c.ids) == new for g in groups for c in g.completions)
        return {"trained": len(batch), "rollout_s": sampled - began, "update_s": time.perf_counter() - sampled}

    return once


def trl(
    model: str, threads: int, prompts: int, group: int, prompt_words: int, new: int, rows: int, recompute: bool
) -> Callable[[], None]:
    """Run TRL's trainer in its own thread, which stops between steps."""
    import tempfile

    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(), max_steps=10**6, report_to=[], save_strategy="no", logging_steps=10**6,
        disable_tqdm=True, use_cpu=not cuda, bf16=cuda, learning_rate=1e-5, lr_scheduler_type="constant",
        per_device_train_batch_size=rows, gradient_accumulation_steps=prompts * group // rows, num_generations=group,
        max_completion_length=new, temperature=TEMPERATURE, beta=0.0, gradient_checkpointing=recompute,
        generation_kwargs={"suppress_tokens": [tokenizer.eos_token_id], "min_new_tokens": new},
        model_init_kwargs={"dtype": "bfloat16" if cuda else "float32"},
    )  # fmt: skip
    go: queue.Queue[None] = queue.Queue()
    step_ends: queue.Queue[BaseException | None] = queue.Queue()  # the error that ended the step, or None

    class Gate(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            go.get()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            step_ends.put(None)

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [reward(text) for text in completions],
        args=config,
        train_dataset=Dataset.from_list([{"prompt": q} for q in questions(prompts, prompt_words)]),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[Gate()],
    )

    def train() -> None:
        torch.set_num_threads(threads)
        try:
            trainer.train()
        except BaseException as error:
            step_ends.put(error)

    thread = threading.Thread(target=train, daemon=True)

    def once() -> None:
        if not thread.is_alive():
            thread.start()
        go.put(None)
        if error := step_ends.get():
            raise error

    return once
