"""Pretrain the built-in policy `tiny`: the recipe behind the weights in `agents/tiny`.

    python -m studies.pretrain_tiny --out agents/tiny --steps 5500
    python -m studies.evaluate_tiny agents/tiny

It makes a byte-level BPE tokenizer of 512 ids and a Llama of 0.9 M parameters, trained from nothing on Countdown. The prompt
is the problem in the environment's words; the completion is a **random** correct expression and the end token. All problems
are of the train split, so the model never sees the evaluation split. A problem gets a new random expression each time, so the
model learns to spread its probability over many solutions: RL has something to sharpen, and to lose.

It runs on one thread of one core, in float32. The same seed, steps and library versions give the same weights. Licence of the
weights: Apache-2.0.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from simko.envs.puzzles.arithmetic import Arithmetic
from simko.envs.puzzles.countdown import draw_problem, gold_text, problem_text
from simko.envs.puzzles.guess_number import GuessNumber, reply
from simko.envs.puzzles.knights import KnightsKnaves
from simko.envs.puzzles.tree_mdp import TreeMDP
from simko.envs.registry import BUNDLED
from simko.envs.split import is_eval
from simko.types import Task, TaskSource

VOCABULARY = 512
EOS, PAD = "<eos>", "<pad>"
MIX = {2: 0.85, 1: 0.10, 3: 0.05}  # level of Countdown to its share of the Countdown examples
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{{- message['content'] + eos_token -}}"
    "{%- else -%}{{- message['content'] + '\\n' -}}{%- endif -%}"
    "{%- endfor -%}"
)
# Each digit and each punctuation mark is a single token, but in two places that no expression has: the ", " of a list, and
# the middle of the Countdown sentence. Words merge across blanks, so that the fixed text is few tokens.
MIDDLE = problem_text([], 0).split("numbers ")[1].rsplit("0", 1)[0]
PIECES = rf"\d|{re.escape(MIDDLE)}|, |[^\w\s]|_"


def add_up(task: Task, rng: random.Random) -> tuple[str, str]:
    """Return the prompt of an arithmetic task, and its result."""
    return f"{task.problem}{ARITHMETIC_INSTRUCTION}\n", task.gold


def guess(task: Task, rng: random.Random) -> tuple[str, str]:
    """Return a game under way and a random guess: the first guess, or the second one after a wrong guess and its hint."""
    low, high = map(int, re.findall(r"\d+", task.problem)[:2])
    first = rng.randint(low, high)
    hint = reply(task, [str(first)])
    if hint is None or rng.random() < 0.5:
        return f"{task.problem}\n", str(first)
    second = rng.randint(first + 1, high) if "higher" in hint else rng.randint(low, first - 1)
    return f"{task.problem}\n{first}{EOS}{hint}\n", str(second)


def path(task: Task, rng: random.Random) -> tuple[str, str]:
    """Return the prompt of a tree, and any path in it, rewarded or not."""
    length = int(re.findall(r"\d+", task.problem)[0])
    return f"{task.problem}\n", "".join(rng.choices("ABCD", k=length))


# A few examples of the other bundled tasks, so that they start above zero: source, example, share of the examples.
ARITHMETIC_INSTRUCTION = next(info.instruction for info in BUNDLED if info.id == "simko/Arithmetic-v0")
OTHERS: tuple[tuple[TaskSource, Callable[[Task, random.Random], tuple[str, str]], float], ...] = (
    (Arithmetic("train"), add_up, 0.04),
    (GuessNumber("train"), guess, 0.02),
    (TreeMDP("train"), path, 0.01),
)


def corpus(count: int = 2000) -> list[str]:
    """Make the texts for learning the merges: prompts of the bundled environments, most of them Countdown's."""
    rng, draws = random.Random(0), np.random.default_rng(0)
    texts = [problem_text(*draw_problem(2, rng.randrange)[:2]) for _ in range(count)]
    for source, example, _ in OTHERS:
        texts += [example(source.draw(draws), rng)[0].replace(EOS, "\n") for _ in range(count // 10)]
    return texts + [KnightsKnaves("train").draw(draws).problem for _ in range(count // 10)]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer. Any text encodes, and decodes to itself."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=EOS,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Make the untrained model. Widths are multiples of 64, the block size of 4-bit quantisation."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


class Examples:
    """Endless batches of (problem, random correct expression) of the train split, as ids."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.tokenizer = tokenizer
        self.rng = random.Random(seed)
        self.draws = np.random.default_rng(seed)
        self.held_out: dict[str, bool] = {}
        before, after = problem_text([], 0).split(MIDDLE + "0")

        def encode(text: str) -> list[int]:
            return tokenizer.encode(text, add_special_tokens=False)

        self.before, self.middle, self.end = encode(before), encode(MIDDLE), encode(after + "\n")
        self.comma = encode(", ")
        self.ids = {char: encode(char)[0] for char in "0123456789+-*/()"}
        numbers, target, _ = draw_problem(2, random.Random(0).randrange)
        message = [{"role": "user", "content": problem_text(numbers, target)}]
        text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        if encode(text) != self.prompt(numbers, target):
            raise AssertionError("the fast encoding of a prompt differs from the tokenizer's")

    def prompt(self, numbers: list[int], target: int) -> list[int]:
        """Join the ids of a problem's chat prompt from parts, in a tenth of the tokenizer's time."""
        ids = list(self.before)
        for index, number in enumerate(numbers):
            ids += self.comma if index else []
            ids += [self.ids[char] for char in str(number)]
        return ids + self.middle + [self.ids[char] for char in str(target)] + self.end

    def one(self) -> tuple[list[int], list[int]]:
        """Draw one example: prompt ids and completion ids."""
        place = self.rng.random()
        for source, example, share in OTHERS:
            if (place := place - share) < 0:
                prompt, completion = (
                    self.tokenizer.encode(text) for text in example(source.draw(self.draws), self.rng)
                )
                return prompt, [*completion, self.tokenizer.eos_token_id]
        level = self.rng.choices(list(MIX), list(MIX.values()))[0]
        while True:
            numbers, target, expression = draw_problem(level, self.rng.randrange)
            key = gold_text(numbers, target)
            if key not in self.held_out:
                self.held_out[key] = is_eval(key)
            if not self.held_out[key]:
                answer = [self.ids[char] for char in expression]
                return self.prompt(numbers, target), [*answer, self.tokenizer.eos_token_id]

    def batch(self, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Draw `size` examples as two right-padded blocks: the longest eighth is one. In one block padding would cost a third.

        A block is inputs (rows, T), and labels (rows, T) for the next token: -100 outside the completion.
        """
        rows = sorted((self.one() for _ in range(size)), key=lambda row: len(row[0]) + len(row[1]))
        cut = size - size // 8
        return [self._pad(rows[:cut]), self._pad(rows[cut:])]

    def _pad(self, rows: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
        length = max(len(prompt) + len(completion) for prompt, completion in rows)
        ids = np.full((len(rows), length), self.tokenizer.pad_token_id, dtype=np.int64)
        labels = np.full((len(rows), length), -100, dtype=np.int64)
        for row, (prompt, completion) in enumerate(rows):
            end = len(prompt) + len(completion)
            ids[row, :end] = prompt + completion
            labels[row, len(prompt) : end] = completion
        return torch.from_numpy(ids[:, :-1]), torch.from_numpy(labels[:, 1:])


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Return the rate at a step: linear warm-up over 100 steps, then a cosine to zero."""
    return peak * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))


def pretrain(out: Path, steps: int, batch_size: int, peak: float, seed: int) -> None:
    """Train and save tokenizer and model (float16) to `out`."""
    torch.set_num_threads(1)
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(out)
    model = build_model(tokenizer, seed).train()
    examples = Examples(tokenizer, seed)
    decay = [p for p in model.parameters() if p.ndim > 1]
    other = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.01}, {"params": other, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98))
    start, data_seconds, total = time.process_time(), 0.0, 0.0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        data_start = time.process_time()
        blocks = examples.batch(batch_size)
        data_seconds += time.process_time() - data_start
        hidden = torch.cat([model.model(ids, use_cache=False).last_hidden_state[y != -100] for ids, y in blocks])
        labels = torch.cat([y[y != -100] for _, y in blocks])
        loss = nn.functional.cross_entropy(model.lm_head(hidden), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
        if step % 100 == 99:
            spent = time.process_time() - start
            print(
                f"step {step + 1} loss {total / 100:.4f} core seconds {spent:.0f} data {data_seconds / spent:.0%}",
                flush=True,
            )
            total = 0.0
        if step % 1000 == 999 or step == steps - 1:
            save(model, out)


def save(model: LlamaForCausalLM, out: Path) -> None:
    """Write the weights in float16: half the size, and still far finer than the 4 bits of later use."""
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.float16).save_pretrained(out)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, help="folder to write")
    parser.add_argument("--steps", type=int, default=5500)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.out:
        pretrain(arguments.out, arguments.steps, arguments.batch_size, arguments.lr, arguments.seed)


if __name__ == "__main__":
    main()
