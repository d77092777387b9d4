"""Small environments for the tests of the machinery, and a chat tokenizer built on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import simko.envs
from simko.errors import UserError
from simko.types import Task


@simko.envs.verifier("fake_last_word")
def last_word(response: str, gold: str) -> bool | None:
    words = response.split()
    return words[-1] == gold if words else None


@simko.envs.task("fake/Double-v0", verifier="fake_last_word", levels={1: "small", 2: "large"}, max_new_tokens=8)
def double(rng: np.random.Generator, level: int) -> tuple[str, int]:
    """Twice a number."""
    n = int(rng.integers(100 * level))
    return f"What is twice {n}?", 2 * n


def again(task: Task, turns: Sequence[str]) -> str | None:
    return "Again!" if len(turns) == 1 else None


@simko.envs.task("fake/Twice-v0", verifier="fake_last_word", reply=again, stop=(";",), max_new_tokens=32)
def twice(rng: np.random.Generator, level: int) -> tuple[str, str, str]:
    n = int(rng.integers(1000))
    return f"What is twice {n}?", str(2 * n), f"It is {2 * n}"


class Sums:
    """A source written by hand: `i + i`, ten tasks."""

    name = "sums"
    size: int | None = 10

    def __init__(self, split: str = "train", level: Any = None, data: str | None = None) -> None:
        self.first = 0 if split == "train" else 100

    def draw(self, rng: np.random.Generator) -> Task:
        return self.get(str(self.first + int(rng.integers(10))))

    def get(self, task_id: str) -> Task:
        if not task_id.isdigit() or not self.first <= int(task_id) < self.first + 10:
            raise UserError(f"sums: no task '{task_id}'")
        return Task(task_id, f"{task_id} + {task_id} =", str(2 * int(task_id)))

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        return [self.get(str(self.first + i)) for i in range(count or 10)]


CHAT = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat_tokenizer(template: str | None = CHAT) -> Any:
    """A byte-level transformers tokenizer: `<s>` before any text, `<|im_end|>` marked special, `<|call|>` not."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<s>", "</s>", "<|im_start|>", "<|im_end|>"])
    core.add_tokens([AddedToken("<|call|>", special=False)])
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = template
    return tokenizer
