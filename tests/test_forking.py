"""The forking pass: candidates of base and trained policy, what the method did, and what is kept of it."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import FakePolicy

from simko import algorithms
from simko.agents import LoraPolicy
from simko.config import TrainConfig
from simko.errors import UserError
from simko.fork_choice import Chosen, choose
from simko.forking import fork, run_forks
from simko.report.forks import Answer, Branch, ForkGroup, branches, chosen_answers, newest_forks, read_forks
from simko.run.folder import RunFolder
from simko.token_text import token_text
from simko.types import Completion, Group, Task, Verdict

PROMPT = (3, 4, 5)


def completion(ids: list[int], correct: bool, sampled: list[int] | None = None) -> Completion:
    mask = np.ones(len(ids), dtype=np.bool_) if sampled is None else np.array(sampled, dtype=np.bool_)
    verdict = Verdict("correct" if correct else "incorrect", float(correct))
    return Completion(np.array(PROMPT), np.array(ids), np.zeros(len(ids), np.float32), mask, "", "stop", verdict)


def group(*completions: Completion) -> Group:
    return Group(Task("t", "problem", "gold"), completions)


@pytest.fixture(scope="module")
def tiny() -> LoraPolicy:
    policy = LoraPolicy.from_pretrained("tiny", lora_rank=4, device="cpu", seed=1)
    rng = torch.Generator().manual_seed(0)
    for _, weight in policy.trainable_parameters():  # B of a fresh adapter is zero: it would be the base model
        weight.data += 0.2 * torch.randn(weight.shape, generator=rng)
    return policy


def settings(**changes: Any) -> TrainConfig:
    return TrainConfig(algorithm="simko", **changes)


def method(**changes: Any) -> Any:
    return algorithms.of(replace(TrainConfig(algorithm="simko"), method={**TrainConfig().method, **changes}))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_probabilities_are_those_of_a_softmax_over_all_logits(tiny: LoraPolicy, temperature: float) -> None:
    answers = [completion([7, 8, 9, 12], True), completion([7, 11, 9], False, [1, 0, 1])]
    entry = Chosen(group(*answers), (0, 1))
    [forks], _ = fork(tiny, method(), [entry], settings(temperature=temperature), 64)
    for answer, source in zip(forks.answers, answers, strict=True):
        ids = torch.tensor([[*PROMPT, *source.ids.tolist()]])
        with torch.no_grad():
            trained = tiny.model(ids).logits[0].double()
            with tiny.base():
                base = tiny.model(ids).logits[0].double()
        assert [token.place for token in answer.tokens] == np.flatnonzero(source.sampled).tolist()
        for token in answer.tokens:
            at = len(PROMPT) + token.place - 1
            new, old = (torch.softmax(logits[at] / temperature, -1) for logits in (trained, base))
            id = int(source.ids[token.place])
            assert token.p == pytest.approx(float(new[id]), abs=1e-5)
            assert token.base_p == pytest.approx(float(old[id]), abs=1e-5)
            assert token.entropy == pytest.approx(float(-(new * new.log()).sum()), abs=1e-5)
            assert token.base_entropy == pytest.approx(float(-(old * old.log()).sum()), abs=1e-5)
            top = {*new.topk(5).indices.tolist(), *old.topk(5).indices.tolist()}
            assert {id for id, _, _ in token.candidates} == top
            for id, before, after in token.candidates:
                assert before == pytest.approx(float(old[id]), abs=1e-5)
                assert after == pytest.approx(float(new[id]), abs=1e-5)
            assert abs(token.p - token.base_p) > 0


def test_what_the_method_did_is_what_its_loss_says(tiny: LoraPolicy) -> None:
    step = [group(completion([7, 8, 9, 12, 13], True), completion([9, 11, 9, 8], False))]
    [forks], _ = fork(tiny, method(entropy_quantile=0.5), [choose(step[0])], settings(), 64, step, 3)
    right, wrong = forks.answers
    assert right.moved
    assert wrong.moved
    for answer, sign in ((right, 1), (wrong, -1)):
        threshold = np.quantile([token.entropy for token in answer.tokens], 0.5)
        for token in answer.tokens:
            likeliest = max(token.candidates, key=lambda c: c[2])[0]
            gate = token.entropy > threshold + 1e-6
            assert np.sign(token.advantage) == sign
            assert ("gate" in token.did) == gate
            assert ("shared" in token.did) == (gate and sign > 0)
            assert ("punished" in token.did) == (gate and sign < 0 and answer.ids[token.place] == likeliest)


def test_without_a_difference_nothing_is_moved(tiny: LoraPolicy) -> None:
    step = [group(completion([7, 8], True), completion([9, 8], True))]
    [forks], _ = fork(tiny, method(), [choose(step[0])], settings(), 64, step)
    assert not any(answer.moved or token.did for answer in forks.answers for token in answer.tokens)
    assert all(token.advantage == 0 for answer in forks.answers for token in answer.tokens)


def test_tokens_are_bounded_and_ids_are_kept(tiny: LoraPolicy) -> None:
    step = [group(completion([7, 8, 9], True), completion([9, 8, 7], False))]
    [forks], texts = fork(tiny, method(), [choose(step[0])], settings(), 64, step, tokens=4)
    assert [len(answer.tokens) for answer in forks.answers] == [3, 0]
    assert forks.answers[1].ids == (9, 8, 7)
    assert {7, 8, 9} <= set(texts)


def test_any_policy_will_do() -> None:
    policy = FakePolicy()
    policy.tokenizer = object()
    step = [group(completion([1, 2], True), completion([3, 2], False))]
    [forks], texts = fork(policy, method(), [choose(step[0])], settings(), 64, step)
    assert forks.answers[0].tokens[0].candidates
    assert texts[1] == "<id 1>"


def test_branches_follow_equal_beginnings() -> None:
    answers = [
        Answer(0, "correct", 1.0, None, (1, 2, 3)),
        Answer(1, "incorrect", 0.0, None, (1, 2, 4)),
        Answer(2, "correct", 1.0, None, (1, 5)),
        Answer(3, "correct", 1.0, None, (6, 2, 3)),
    ]
    found = branches(ForkGroup("step", 1, "t", "p", "g", tuple(answers)), answers[0])
    assert found == [
        [Branch(1, 3, 2), Branch(6, 1, 1)],
        [Branch(2, 2, 1), Branch(5, 1, 1)],
        [Branch(3, 1, 1), Branch(4, 1, 0)],
    ]


def test_both_sides_of_a_fork_are_chosen() -> None:
    right, wrong = "correct", "incorrect"
    assert chosen_answers([right] * 5 + [wrong] * 5, 4) == [0, 1, 5, 6]
    assert chosen_answers([wrong] * 5, 4) == [0, 1, 2, 3]
    assert chosen_answers([right] * 5 + [wrong], 4) == [0, 1, 2, 5]
    assert chosen_answers([right] + [wrong] * 5, 4) == [0, 1, 2, 3]


class Pieces:
    """A tokenizer of the byte-level kind."""

    pieces = ("Ġa", "âĤ", "<0xE2>", "<s>", "▁the")

    def convert_ids_to_tokens(self, id: int) -> str | None:
        return self.pieces[id] if id < len(self.pieces) else None

    def decode(self, ids: list[int], **_: Any) -> str:
        return [" a", "\ufffd", "\ufffd", "<s>", "the"][ids[0]]


def test_a_token_that_is_no_character_shows_its_bytes() -> None:
    texts = [token_text(Pieces(), id) for id in range(6)]
    assert texts == [" a", "\\xe2\\x82", "\\xe2", "<s>", " the", "<id 5>"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    from rich.console import Console

    from simko.settings import train_config
    from simko.train import train

    out = tmp_path_factory.mktemp("forking") / "run"
    config = train_config(
        {"steps": 1, "prompts_per_step": 4, "group_size": 8, "eval_problems": 4, "eval_samples": 4, "logger": "none",
         "preflight_prompts": 0, "out": str(out)}
    )  # fmt: skip
    return train(config, console=Console(quiet=True))


def test_forks_of_a_run_are_kept_and_read_again_without_a_model(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    forks = run_forks(trained)
    assert {group.source for group in forks.groups} == {"step", "evaluation"}
    first = forks.groups[0]
    assert first.step == 1
    assert {answer.outcome == "correct" for answer in first.answers if answer.tokens} == {True, False}
    assert all(id in forks.texts for answer in first.answers for id in answer.ids)
    monkeypatch.setattr("simko.forking.make_policy", None)
    assert run_forks(trained) == forks
    path = newest_forks(trained.path)
    assert path is not None
    assert read_forks(path) == forks


def test_a_damaged_file_of_forks_is_computed_again(trained: RunFolder) -> None:
    forks = run_forks(trained)
    path = newest_forks(trained.path)
    assert path is not None
    path.write_bytes(path.read_bytes()[:100])
    lines: list[str] = []
    assert run_forks(trained, lines.append) == forks
    assert "damaged" in lines[0]


@pytest.mark.parametrize(
    "change", [{"schema": "x"}, {"texts": {"1": 2}}, {"groups": [{}]}, {"temperature": True}, {"groups": None}]
)
def test_foreign_content_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    content = {"schema": "simko.forks/1", "adapter_sha256": "a", "step": 1, "model": "m", "algorithm": "simko"}
    content |= {"temperature": 1.0, "groups": [], "texts": {}}
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    assert read_forks(path).model == "m"
    path.write_bytes(gzip.compress(json.dumps({**content, **change}).encode()))
    with pytest.raises(UserError, match="damaged"):
        read_forks(path)


def test_a_run_whose_model_is_gone_is_one_line(trained: RunFolder) -> None:
    moved = RunFolder(trained.path, replace(trained.config, model="/nowhere/model"))
    path = newest_forks(trained.path)
    if path:
        path.unlink()
    with pytest.raises(UserError, match="is not there"):
        run_forks(moved)
    with pytest.raises(UserError, match="no model may be loaded"):
        run_forks(moved, stored_only=True)
