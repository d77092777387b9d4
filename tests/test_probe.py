"""The contamination probe: a policy that has read the problems, one that has not, and tasks that nobody can have read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import simko.envs
from simko.cli import run
from simko.config import EvalConfig
from simko.errors import UserError
from simko.probe import probe
from simko.types import Generation, Sampling

NAMES = ("Anna", "Ben", "Clara", "Dora", "Emil", "Fritz", "Gina", "Hugo")
PROBLEMS = {
    f"{name} has {n} apples and buys {n} more. How many apples has {name} now?": 2 * n
    for n, name in enumerate(NAMES, 3)
}


class Reader:
    """A policy that knows `texts` by heart, and their answers. It says so after any beginning of one; else it says nothing."""

    def __init__(self, texts: dict[str, int]) -> None:
        self.tokenizer, self.device, self.eos_ids, self.context = (
            simko.envs.ByteTokenizer(),
            "cpu",
            frozenset({256}),
            None,
        )
        self.engine, self.texts, self.asked = self, texts, [""][:0]

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int], budgets: Sequence[int]
    ) -> list[list[Generation]]:
        assert (n, sampling.temperature) == (1, 0.0)
        return [
            [self._answer(self.tokenizer.decode(ids), budget)] for ids, budget in zip(prompts, budgets, strict=True)
        ]

    def _answer(self, start: str, budget: int) -> Generation:
        self.asked.append(start)
        known = [
            text[len(start) :] + f"\n\\boxed{{{answer}}}"
            for text, answer in self.texts.items()
            if text.startswith(start)
        ]
        ids = [*self.tokenizer.encode(known[0] if known else " nothing"), 256][:budget]
        return Generation(np.array(ids), np.zeros(len(ids), np.float32), "stop")

    @contextmanager
    def base(self) -> Iterator[None]:
        before, self.texts = self.texts, {}
        yield
        self.texts = before


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"problem": p, "answer": str(a)}) + "\n" for p, a in PROBLEMS.items()))
    return path


def probed(data: Path, policy: Any, **settings: Any) -> tuple[dict[str, Any], str]:
    env = simko.envs.make(f"jsonl:{data}", split="all")
    out = Console(file=io.StringIO(), width=200)
    config = EvalConfig("tiny", env=f"jsonl:{data}", out=str(data.parent / "out"), **settings)
    result = probe(config, out, policy=policy, env=env)
    return result, out.file.getvalue()  # type: ignore[attr-defined]


def test_a_policy_that_has_read_the_problems(data: Path) -> None:
    policy = Reader(PROBLEMS)
    result, printed = probed(data, policy)
    counts = result["trained"]["0.6"]
    assert (counts["problems"], counts["exact"], counts["correct"], counts["rouge_l"]) == (8, 8, 8, 1.0)
    assert result["trained"]["0.4"]["exact"] == 8
    assert all(any(text.startswith(start) for text in PROBLEMS) for start in policy.asked)
    assert max(len(start) / 66 for start in policy.asked) < 0.7
    assert "8 of 8 problems are given word for word" in printed
    assert "100.0 [67.6, 100.0]" in printed
    assert json.loads(Path(result["file"]).read_text())["trained"]["0.6"]["rows"] == counts["rows"]
    assert Path(result["file"]).name.startswith("probe-")


def test_a_policy_that_has_read_some(data: Path) -> None:
    some = dict(list(PROBLEMS.items())[:3])
    result, _ = probed(data, Reader(some))
    assert [row["exact"] for row in result["trained"]["0.6"]["rows"]] == [True] * 3 + [False] * 5
    assert result["trained"]["0.6"]["correct"] == 3


def test_a_policy_that_has_read_none(data: Path) -> None:
    result, printed = probed(data, Reader({}))
    assert result["trained"]["0.6"]["exact"] == result["trained"]["0.6"]["correct"] == 0
    assert "none of 8 problems is given word for word: the share of such problems is below 32.4 %" in printed
    assert "cannot show that a set is clean" in printed
    again, _ = probed(data, Reader({}))
    assert again["file"] == result["file"]
    assert probed(data, Reader({}), problems=2)[0]["file"] != result["file"]


def test_the_built_in_policy_has_read_none(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held_out = data.with_name("split")
    held_out.mkdir()
    (held_out / "eval.jsonl").write_text("\n".join(data.read_text().splitlines()[:2]) + "\n")
    (held_out / "train.jsonl").write_text('{"problem": "1 + 1", "answer": "2"}\n')
    flags = ["--env", f"jsonl:{held_out}", "--max-new-tokens", "4", "--out", str(data.parent / "out"), "--threads", "1"]
    assert run(["eval", "tiny", "--probe", "--json", *flags]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [result["trained"][share]["exact"] for share in ("0.6", "0.4")] == [0, 0]
    assert result["trained"]["0.6"]["problems"] == 2


@pytest.mark.parametrize("env", ["simko/Countdown-v0", "simko/TreeMDP-v0"])
def test_generated_problems_are_refused(env: str) -> None:
    with pytest.raises(UserError, match=r"generates its problems.*leave --probe out"):
        probe(EvalConfig("tiny", env=env), policy=Reader({}), env=simko.envs.make(env, split="eval"))
