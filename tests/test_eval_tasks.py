"""Problems of an evaluation: how many, of which part, and none that the run has seen."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eval_fakes import FakeEnv, a_run

import simko.envs
from simko.envs.split import is_tuning
from simko.errors import UserError
from simko.eval_tasks import choose_tasks, count_overlap
from simko.types import Task


def test_how_many_problems() -> None:
    asked: list[int | None] = []

    def tasks(count: int | None, seed: int) -> list[Task]:
        asked.append(count)
        return [Task("a", "problem 1", "")]

    env: Any = FakeEnv()
    for size, problems in ((500, None), (None, None), (500, 20), (None, 20)):
        env.source = SimpleNamespace(size=size, tasks=tasks)
        choose_tasks(env, problems, 0)
    assert asked == [None, 100, 20, 20]


def test_a_split_with_fewer_problems_is_measured_whole(tmp_path: Path) -> None:
    """It is not refused at the end of a training run, for a number that nobody chose."""
    rows = [{"problem": f"1 + {n}", "answer": str(1 + n)} for n in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = simko.envs.make("simko/JSONL-v0", split="eval", data=str(tmp_path / "rows.jsonl"))
    assert 0 < len(choose_tasks(few, 128, 0)) == few.source.size < 60
    generated = simko.envs.make("simko/Arithmetic-v0", split="eval", level=1)
    assert 0 < len(choose_tasks(generated, 10_000, 0)) < 10_000


def test_a_prompt_that_is_too_long_is_found_before_sampling() -> None:
    env: Any = FakeEnv()
    env.source.tasks = lambda count, seed: [Task("a", "problem 1", ""), Task("b", "problem 2", "too long")]
    with pytest.raises(UserError, match="'b' is too long"):
        choose_tasks(env, None, 0)


def test_no_problem_is_an_error() -> None:
    env: Any = FakeEnv()
    env.source.tasks = lambda count, seed: []
    with pytest.raises(UserError, match="no problem"):
        choose_tasks(env, None, 0)


GSM = "A shop sold {} pens and then 2 more. How many pens?"


def test_training_rows_of_another_data_set_are_refused_by_their_text(tmp_path: Path) -> None:
    """GSM8K-train-like rows in an evaluation file: other ids, columns, spacing and case, the same problems."""
    run = a_run(tmp_path / "run", [GSM.format(n) for n in range(40)], env="simko/GSM8K-v0")
    rows = [{"id": f"own-{n}", "problem": GSM.format(n).upper().replace(" ", "  "), "answer": n + 2} for n in (3, 90)]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tasks = simko.envs.make(f"jsonl:{path}", split="all").source.tasks(None, 0)
    with pytest.raises(UserError, match=r"1 of 2 problems are among the training prompts .* one is task 'own-3'"):
        count_overlap(run, tasks, allow=False)
    assert count_overlap(run, tasks[1:], allow=False) == 0


def made(env: str, **options: Any) -> Any:
    return simko.envs.make(env, split="eval", **options)


def texts(tasks: list[Task]) -> list[str]:
    return [task.problem for task in tasks]


@pytest.mark.parametrize("env", ["simko/Countdown-v0", "simko/Arithmetic-v0", "simko/KnightsKnaves-v0"])
def test_generated_parts_share_nothing_and_keep_the_order(env: str) -> None:
    of = {part: choose_tasks(made(env), 40, 3, part) for part in ("all", "tuning", "final")}
    assert all(len(tasks) == 40 for tasks in of.values())
    assert not {t.id for t in of["tuning"]} & {t.id for t in of["final"]}
    final = {t.id for t in of["final"]}
    assert [t.id for t in of["all"] if t.id in final] == [t.id for t in of["final"]][
        : len(final & {t.id for t in of["all"]})
    ]
    assert choose_tasks(made(env), 20, 3, "tuning") == of["tuning"][:20]
    assert of["tuning"] != choose_tasks(made(env), 40, 4, "tuning")


def test_the_key_of_a_generated_problem_decides_its_part() -> None:
    """Countdown shows the same numbers in any order: both orders are one problem."""
    source = made("simko/Countdown-v0", level=1).source
    tasks = choose_tasks(SimpleNamespace(source=source, begin=id), 60, 0, "tuning")
    assert all(is_tuning(source.content(task)) for task in tasks)
    assert not all(is_tuning(task.problem) for task in tasks)


def test_the_parts_of_a_data_set(tmp_path: Path) -> None:
    rows = [{"problem": f"{n} + 1", "answer": str(n + 1)} for n in range(400)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    env = made("simko/JSONL-v0", data=str(tmp_path / "rows.jsonl"))
    every, tuning, final = (choose_tasks(env, None, 0, part) for part in ("all", "tuning", "final"))
    assert sorted(texts(tuning) + texts(final)) == sorted(texts(every))
    assert 0.15 < len(tuning) / len(every) < 0.35
    assert tuning == [task for task in every if is_tuning(task.problem)]
    order = env.source.tasks(env.source.size, 5)
    assert choose_tasks(env, 7, 5, "final") == [task for task in order if not is_tuning(task.problem)][:7]
    assert len(choose_tasks(env, 400, 5, "tuning")) == len(tuning)


def test_a_part_without_a_problem_is_an_error() -> None:
    env: Any = FakeEnv()
    env.source.tasks = lambda count, seed: [Task("a", "problem 1", "")]
    empty = "final" if is_tuning("problem 1") else "tuning"
    with pytest.raises(UserError, match=f"the {empty} part of the evaluation split has no problem"):
        choose_tasks(env, None, 0, empty)  # type: ignore[arg-type]


def test_the_only_problem_is_in_every_part() -> None:
    env = made("simko/TreeMDP-v0")
    assert choose_tasks(env, None, 0, "tuning") == choose_tasks(env, None, 0, "final") == choose_tasks(env, None, 0)


def test_a_small_space_gives_all_that_it_has() -> None:
    env = made("simko/Arithmetic-v0", level=1)
    tuning, final = (choose_tasks(env, 10_000, 0, part) for part in ("tuning", "final"))
    assert 0 < len(tuning) < len(final) < 10_000
