"""pass@K on held-out problems while TRL trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainerCallback

from simko.envs import make
from simko.errors import UserError
from simko.eval_tasks import choose_tasks
from simko.files import write_atomically
from simko.grading import Grading
from simko.report.passk import k_grid, pass_matrix
from simko.schedule import stream_seed
from simko.types import Task

_PLAIN = {
    "do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None, "typical_p": 1.0, "num_beams": 1,
    "repetition_penalty": 1.0, "no_repeat_ngram_size": 0,
}  # fmt: skip
"""Samples of the distribution itself: what is left out here, the model's own `generation_config` sets (Qwen2.5: penalty 1.1)."""


class PassAtK(TrainerCallback):  # type: ignore[misc]
    """Look at held-out problems before training, every `every` steps and at the end; log `pass@K` for K = 1, 2, 4 ...

    The largest K is `samples`.

    Each look writes `pass_at_k/step-000100.jsonl` into the trainer's output folder: a line a problem, `{"id", "c", "n"}`. So
    `simko compare OUT/pass_at_k/*.jsonl --reference step-000000` says what is more than noise.

        trainer.add_callback(PassAtK(trainer, "simko/GSM8K-v0", every=100))

    Samples are drawn at temperature 1 without truncation. Training draws the same numbers with looks and without. Answers whose
    verifier fails are left out of `n`.

    Args:
        trainer: a TRL trainer, with a model that has `generate` and a tokenizer.
        env: an environment's id with held-out problems and a single turn.
        every: steps between looks; 0: only before and after.
        problems: how many held-out problems.
        samples: answers a problem, the largest K.
        batch: answers that are sampled at a time.
        part: `tuning`, `final` or `all`; the tuning problems are not those that `simko eval --part final` measures.
        seed: of the problems and samples.
        settings: of the environment, as `data=`, `level=`.

    Raises:
        UserError: the environment cannot be made, has no held-out problems, or answers back.
    """

    def __init__(
        self, trainer: Any, env: str, *, every: int = 100, problems: int = 32, samples: int = 16, batch: int = 64,
        part: Any = "tuning", seed: int = 0, **settings: Any,
    ) -> None:  # fmt: skip
        tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
        self._env = make(env, split="eval", tokenizer=tokenizer, **settings)
        if not self._env.single_turn:
            raise UserError(f"PassAtK: {env} answers back; take an environment of one turn")
        self._trainer, self._every, self._samples, self._batch, self._seed = trainer, every, samples, batch, seed
        self._tasks = choose_tasks(self._env, problems, seed, part)
        self._last = -1

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look before the first step."""
        self._look(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look after each `every` steps."""
        if self._every and state.global_step % self._every == 0:
            self._look(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look after the last step."""
        self._look(state.global_step)

    def _look(self, step: int) -> None:
        if step == self._last or not self._trainer.accelerator.is_main_process:
            return
        self._last = step
        counts = {task.id: [0, 0] for task in self._tasks}
        with Grading(self._env.grade) as grading:
            answers = list(self._answers(step))
            for task, text in answers:
                grading.submit(task, text)
            for task, text in answers:
                verdict = grading.verdict(task, text)
                counts[task.id][0] += verdict.correct
                counts[task.id][1] += verdict.valid
        lines = [json.dumps({"id": id, "c": int(c), "n": int(n)}) for id, (c, n) in counts.items()]
        folder = Path(self._trainer.args.output_dir) / "pass_at_k"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"step-{step:06d}.jsonl", "\n".join(lines) + "\n")
        known = [(n, c) for c, n in counts.values() if n]
        if known:
            ks = k_grid(min(n for n, _ in known))
            means = pass_matrix([n for n, _ in known], [c for _, c in known], ks).mean(0)
            scores = {f"pass@{k}": round(float(mean), 6) for k, mean in zip(ks, means, strict=True)}
            control, due = self._trainer.control, self._trainer.control.should_log
            Trainer.log(
                self._trainer, scores
            )  # not TRL's own `log`, which would spend the metrics of the step under way
            control.should_log = due  # a line that is logged clears it

    def _answers(self, step: int) -> Any:
        """Task and text of every sample. The random state of training is put back afterwards."""
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        rows = [task for task in self._tasks for _ in range(self._samples)]
        was_training, devices = model.training, [model.device] if model.device.type == "cuda" else []
        model.eval()
        try:
            with torch.random.fork_rng(devices=devices), torch.no_grad():
                torch.manual_seed(stream_seed("pass@k", self._seed, step) % 2**63)
                for start in range(0, len(rows), self._batch):
                    yield from self._sample(model, rows[start : start + self._batch])
        finally:
            model.train(was_training)

    def _sample(self, model: Any, tasks: Sequence[Task]) -> list[tuple[Task, str]]:
        episodes = [self._env.begin(task) for task in tasks]
        width = max(len(episode.prompt_ids) for episode in episodes)
        ids = np.zeros((len(tasks), width), dtype=np.int64)
        attention = np.zeros_like(ids)
        for row, episode in enumerate(episodes):
            ids[row, width - len(episode.prompt_ids) :] = episode.prompt_ids
            attention[row, width - len(episode.prompt_ids) :] = 1
        stops = sorted(self._env.stop_ids)
        generated = model.generate(
            input_ids=torch.from_numpy(ids).to(model.device), attention_mask=torch.from_numpy(attention).to(model.device),
            max_new_tokens=self._env.max_new_tokens, **_PLAIN,
            eos_token_id=stops or None, pad_token_id=stops[0] if stops else 0,
        )[:, width:].tolist()  # fmt: skip
        for episode, answer in zip(episodes, generated, strict=True):
            episode.extend(answer)
        return [(task, episode.text) for task, episode in zip(tasks, episodes, strict=True)]
