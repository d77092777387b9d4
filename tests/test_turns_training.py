"""Training and evaluation on environments that answer back, and on every environment that there is."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import simko.envs
from simko import algorithms
from simko.advantages import make_batch
from simko.agents import LoraPolicy
from simko.config import EvalConfig
from simko.envs import TokenEnv, tool_reply
from simko.envs.audit.probe import Subject, first_split
from simko.errors import UserError
from simko.evaluate import evaluate
from simko.rollout import rollout
from simko.run.folder import RunFolder
from simko.settings import train_config
from simko.train import train
from simko.types import Generation, Group, Sampling, Task
from simko.update import accumulate_gradients

SMALL = {
    "model": "tiny", "quantization": "nf4", "steps": 2, "prompts_per_step": 2, "group_size": 2, "lora_rank": 2,
    "preflight_prompts": 1, "force": True, "eval_problems": 0, "logger": "none", "micro_batch_tokens": 1024,
}  # fmt: skip


def small_run(out: Path, **settings: Any) -> RunFolder:
    return train(train_config({**SMALL, "out": str(out), **settings}), console=Console(file=io.StringIO()))


def small_evaluation(target: Path | str, **settings: Any) -> dict[str, Any]:
    config = EvalConfig(str(target), **{"n": 2, "problems": 2, "threads": 1, **settings})
    return evaluate(config, console=Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("id", "settings"),
    [
        ("simko/GuessNumber-v0", {"level": 1, "max_new_tokens": 64}),
        ("simko/Calculator-v0", {"level": 1, "max_new_tokens": 64}),
        ("simko/Countdown-v0", {"level": 1, "attempts": 2, "group_size": 8, "prompts_per_step": 4}),
    ],
)
def test_training_and_evaluation_where_the_environment_answers(id: str, settings: dict, tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", env=id, **settings)
    assert [line["step"] for line in run.metrics()] == [1, 2]
    rows = [row for step in (1, 2) for row in run.records.rollouts(step)]
    spoken = [lp for row in rows for lp in row["logprobs"] if lp == 0.0]
    if id != "simko/Calculator-v0":  # the built-in policy never calls a tool
        assert len(spoken) > len(rows)
    if settings.get("attempts"):
        assert sum(line["updates"] for line in run.metrics()) > 0
        assert [row for row in rows if row["reward"] == 1 and 0.0 in row["logprobs"]]  # right at the second try
    result = small_evaluation(run.path)
    assert (result["env"], result["attempts"]) == (id, settings.get("attempts", 1))
    assert set(result["pass_at_k"]) == {"1", "2"}


def test_a_run_with_attempts_is_evaluated_with_them_or_as_asked(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", steps=0, attempts=2, level=1)
    twice, once = small_evaluation(run.path), small_evaluation(run.path, attempts=1)
    assert (twice["attempts"], once["attempts"]) == (2, 1)
    assert twice["max_new_tokens"] > 2 * once["max_new_tokens"] > 0
    same_budget = [small_evaluation(run.path, attempts=n, max_new_tokens=40) for n in (1, 2)]
    assert len({result["file"] for result in (twice, once, *same_budget)}) == 4
    with pytest.raises(UserError, match="answers back already"):
        small_evaluation(run.path, env="simko/GuessNumber-v0", attempts=2)
    assert small_evaluation(run.path, env="simko/GuessNumber-v0")["attempts"] == 1  # the run's belong to its own


# Whose tokens are whose: scripted turns through the rollout, the batch and the gradient


class Scripted:
    """An engine that gives prepared answers, turn by turn. A turn ends with EOS unless a stop string ends it."""

    def __init__(self, env: TokenEnv, *answers: Sequence[str]) -> None:
        self.env, self.answers, self.live, self.turn = env, answers, list(range(len(answers))), 0

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int],
        budgets: Sequence[int] | None = None,
    ) -> list[list[Generation]]:  # fmt: skip
        self.live = [a for a in self.live if len(self.answers[a]) > self.turn]
        generations = [self._generation(self.answers[a][self.turn]) for a in self.live]
        assert len(generations) == len(prompts) * n
        self.turn += 1
        return [generations[i * n : (i + 1) * n] for i in range(len(prompts))]

    def _generation(self, text: str) -> Generation:
        ids = list(self.env.tokenizer.encode(text, add_special_tokens=False))
        ids += [] if text.endswith(self.env.stop or "\0") else [min(self.env.stop_ids)]
        return Generation(np.array(ids), np.full(len(ids), -1.5, np.float32), "stop")


@pytest.fixture(scope="module")
def policy() -> LoraPolicy:
    return LoraPolicy.from_pretrained("tiny", lora_rank=2)


def scripted_group(env: TokenEnv, task: Task, *answers: Sequence[str]) -> Group:
    [group] = rollout(Scripted(env, *answers), env, [task], len(answers))
    return group


def replayed(env: TokenEnv, task: Task, sampled: Sequence[int]) -> tuple[list[int], float]:
    """The same tokens through `reset` and `step`."""
    observation, _ = env.reset(options={"task": task.id})
    reward = 0.0
    for token in sampled:
        assert reward == 0.0
        observation, reward, *_ = env.step(int(token))
    return observation["tokens"][: int(observation["length"])].tolist(), reward


@pytest.mark.parametrize(
    ("id", "settings", "wrong_first", "right_first"),
    [
        ("simko/Calculator-v0", {}, ["<calc>2*3</calc>", "<calc>)</calc>", "0"], ["Let me see <calc>1+1</calc>", "{}"]),
        ("simko/Arithmetic-v0", {"attempts": 2}, ["-1", "-2"], ["-1", "{}"]),
        ("simko/GuessNumber-v0", {}, ["0", "0"], ["0", "{}"]),
    ],
)
def test_a_rollout_marks_what_the_environment_said(
    policy: LoraPolicy, id: str, settings: dict, wrong_first: list[str], right_first: list[str]
) -> None:
    env = simko.envs.make(id, tokenizer=policy.tokenizer, **settings)
    task = env.source.tasks(1, seed=0)[0]
    answers = wrong_first, [turn.format(task.gold) for turn in right_first]
    group = scripted_group(env, task, *answers)
    for turns, completion in zip(answers, group.completions, strict=True):
        answer = policy.tokenizer.decode(completion.ids[completion.sampled].tolist(), skip_special_tokens=True)
        assert answer == "".join(turns)
        assert (completion.logprobs[completion.sampled] == -1.5).all()
        assert (completion.logprobs[~completion.sampled] == 0).all()
        assert (~completion.sampled).sum() >= 3
        tokens, reward = replayed(env, task, completion.ids[completion.sampled].tolist())
        assert tokens == [*completion.prompt_ids, *completion.ids]
        assert reward == completion.verdict.reward
    assert [c.verdict.correct for c in group.completions] == [False, True]


def say_a(text: str) -> str:
    return "A" * 40


def say_b(text: str) -> str:
    return "B" * 40


def gradient_of(policy: LoraPolicy, group: Group, sampled_anyway: bool = False) -> torch.Tensor:
    if sampled_anyway:
        for completion in group.completions:
            completion.sampled[:] = True
    method = algorithms.get("simko")
    for _, parameter in policy.trainable_parameters():
        parameter.grad = None
    accumulate_gradients(
        policy, method, make_batch([group], method), temperature=1.0, micro_batch_tokens=512, max_new_tokens=64
    )
    return torch.cat([p.grad.flatten() for _, p in policy.trainable_parameters() if p.grad is not None])


def test_what_the_environment_says_carries_no_loss(policy: LoraPolicy) -> None:
    """A reply that the budget cuts conditions nothing after it: only a loss on it could make its text matter."""

    def group_of(tool: Any) -> Group:
        env = TokenEnv(
            "simko.envs.puzzles.arithmetic:Arithmetic", "numeric", tokenizer=policy.tokenizer, max_new_tokens=24,
            reply=tool_reply({"x": tool}),
        )  # fmt: skip
        task = env.source.tasks(1, seed=0)[0]
        group = scripted_group(env, task, ["<x>1</x>"], [task.gold])
        assert [c.finish for c in group.completions] == ["length", "stop"]
        assert not group.completions[0].sampled[-1]
        return group

    said_a, said_b = group_of(say_a), group_of(say_b)
    assert not np.array_equal(said_a.completions[0].ids, said_b.completions[0].ids)
    reference = gradient_of(policy, said_a)
    assert reference.abs().max() > 0
    assert torch.equal(reference, gradient_of(policy, said_b))
    assert not torch.equal(gradient_of(policy, said_a, True), gradient_of(policy, said_b, True))


# Every environment


def rows_for(id: str) -> list[dict[str, Any]]:
    """Normalised rows of our own, enough for any share of five to be held out."""
    if id == "simko/BBH-v0":
        of = {"source": "lukaemon/bbh", "subject": "multistep_arithmetic_two"}
        return [{"id": f"own-{n}", "problem": f"(2 - {n}) =", "answer": str(2 - n), **of} for n in range(20)]
    if id == "simko/SynLogic-v0":
        return [puzzle(n) for n in range(3, 60)]
    if id == "simko/HumanEval-v0":
        test = "def check(candidate):\n    assert candidate(1) == 2\n"
        shared = {"entry_point": "f", "test": test, "canonical_solution": "    return 2 * x\n"}
        return [{"prompt": f'def f(x):\n    """{n}: twice x."""\n', **shared} for n in range(8)]
    if id == "simko/MBPP-v0":
        shared = {"code": "def f(x):\n    return 2 * x\n", "test_list": ["assert f(1) == 2"]}
        return [{"task_id": n, "text": f"{n}: twice x.", **shared} for n in (*range(11, 31), *range(601, 621))]
    if id == "simko/Code-v0":
        return [
            {"problem": f"Print the sum of the input and {n}.", "inputs": ["1"], "outputs": [str(n + 1)]}
            for n in range(40)
        ]
    return [
        {"id": f"own/{n}", "problem": f"What is {n} + {n % 7}?", "answer": str(n + n % 7), "level": str(n % 5 + 1)}
        for n in range(60)
    ]


def puzzle(number: int) -> dict[str, Any]:
    """A number game with its state, as SynLogic's rows have it."""
    state = {"numbers": [1, 2, number], "operators": ["+", "-", "*", "/"], "result": 3 * number, "solutions": []}
    game = {"question": "q", "answer": "", "metadata": state, "gpt_response": ""}
    return {
        "id": f"own-{number}", "problem": f"Make {3 * number} of 1, 2 and {number}.", "answer": f"(1 + 2) * {number}",
        "subject": "mathador", "level": "{}",
        "extra": {"accepted_response": f"(1 + 2) * {number}", "game_data_str": json.dumps(game)},
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("info", simko.envs.registry.BUNDLED, ids=[i.id for i in simko.envs.registry.BUNDLED])
def test_every_environment_trains(info: simko.envs.EnvInfo, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"env": info.id, "max_new_tokens": min(info.max_new_tokens, 24)}
    if info.verifier == "code":
        try:
            simko.envs.verifiers.warm_up("code")
        except UserError as error:
            pytest.skip(str(error))
    if info.source.startswith("data=") and info.source != "data=PATH":
        pytest.skip("tests/envs/foreign trains it, on a stand-in for what it needs")
    if info.source != "procedural":
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows_for(info.id)))
        settings["data"] = str(file)
    if first_split(Subject(info.id, {"data": settings.get("data")})) == "eval":  # a test set
        with pytest.raises(UserError, match="train"):
            small_run(tmp_path / "run", **settings)
        result = small_evaluation("tiny", **settings, out=str(tmp_path / "out"))
        assert set(result["pass_at_k"]) == {"1", "2"}
        return
    run = small_run(tmp_path / "run", **settings)
    assert [line["step"] for line in run.metrics()] == [1, 2]
    assert run.latest_checkpoint() is not None
