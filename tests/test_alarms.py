"""Alarms on made-up runs: each where it should sound, once in an episode, and none in a healthy run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from simko.alarms import REST, RULES, WINDOW, Alarm, Watch, alarms
from simko.settings import train_config

HEALTHY = [json.loads(line) for line in (Path(__file__).parent / "healthy_run.jsonl").read_text().splitlines()]
"""A run of GRPO on Countdown with the built-in policy: 40 steps, every number rounded."""


def run(steps: int = 40, **changes: Any) -> list[dict[str, Any]]:
    """The healthy run, in which each named metric is a function of the step and of its healthy value."""
    lines = [{**HEALTHY[i % 40], "step": i + 1} for i in range(steps)]
    return [
        line | {name: change(line["step"], line.get(name)) for name, change in changes.items()} for line in lines
    ]  # fmt: skip


def sounded(lines: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(alarm.name, alarm.step, alarm.since) for alarm in alarms(lines)]


def test_a_healthy_run_is_silent() -> None:
    assert alarms(HEALTHY) == []


def test_a_run_without_the_metrics_is_silent() -> None:
    assert alarms([{"step": i + 1} for i in range(30)]) == []
    assert alarms([{**line, "entropy": None, "grad_norm": None} for line in HEALTHY]) == []


@pytest.mark.parametrize(
    ("name", "step", "since", "changes"),
    [
        ("collapse", 22, 18, {"entropy": lambda s, x: x if s < 20 else 0.01}),
        ("collapse", 34, 30, {"top1_fraction": lambda s, x: x if s < 30 else 0.995}),
        ("collapse", 5, 1, {"entropy": lambda s, x: 0.001}),
        ("collapse", 39, 35, {"entropy": lambda s, x: 0.6 * 0.96 ** (s - 1)}),
        ("explosion", 23, 19, {"entropy": lambda s, x: x if s < 20 else 1.5}),
        ("explosion", 32, 28, {"grad_norm": lambda s, x: x if s < 30 else 5.0}),
        ("truncation", 31, 27, {"truncated": lambda s, x: 0.0 if s < 30 else 0.7}),
        ("dead_groups", 24, 20, {"informative": lambda s, x: x if s < 20 else 0.1}),
        ("length", 24, 20, {"completion_tokens": lambda s, x: 100 if s < 20 else 210, "reward": lambda s, x: 0.3}),
        ("length", 24, 20, {"completion_tokens": lambda s, x: 100 if s < 20 else 45, "reward": lambda s, x: 0.3}),
        ("length", 24, 20, {"completion_tokens": lambda s, x: 100 if s < 20 else 420, "reward": lambda s, x: 0.02 * s}),
        ("template", 3, 1, {"truncated": lambda s, x: 0.9}),
        ("template", 3, 1, {"no_answer": lambda s, x: 0.85}),
    ],
)
def test_an_alarm_sounds_once(name: str, step: int, since: int, changes: dict[str, Any]) -> None:
    assert sounded(run(**changes)) == [(name, step, since)]


@pytest.mark.parametrize(
    "changes",
    [
        {"completion_tokens": lambda s, x: 100 if s < 20 else 210},  # the healthy run's reward rises
        {"completion_tokens": lambda s, x: 4 if s < 20 else 9, "reward": lambda s, x: 0.3},
        {"truncated": lambda s, x: 0.2},
        {"informative": lambda s, x: 0.2},
        {"grad_norm": lambda s, x: 50.0 if s == 30 else x},
        {"entropy": lambda s, x: 0.02 if s == 30 else x},
        {"entropy": lambda s, x: 0.6 - 0.008 * s},
        {"entropy": lambda s, x: 0.05 if s < 20 else 0.2},
    ],
)
def test_what_is_not_alarming(changes: dict[str, Any]) -> None:
    assert alarms(run(**changes)) == []


def looks(scores: list[float], name: str = "heldout_pass_1", every: int = 10) -> list[dict[str, Any]]:
    lines = run(every * len(scores))
    for i, score in enumerate(scores, start=1):
        lines[every * i - 1][name] = score
    for line in lines:
        line["reward"] = 0.2 + 0.005 * line["step"]
    return lines


@pytest.mark.parametrize("name", ["heldout_pass_1", "heldout_pass_16"])
def test_reward_and_held_out_score_part(name: str) -> None:
    assert [(n, s, since) for n, s, since in sounded(looks([0.3, 0.4, 0.28, 0.27, 0.1], name)) if n == "parting"] == [
        ("parting", 40, 20)
    ]
    assert not [a for a in alarms(looks([0.3, 0.4, 0.28, 0.33], name)) if a.name == "parting"]
    falling = [{**line, "reward": 0.4 - 0.001 * line["step"]} for line in looks([0.3, 0.4, 0.2, 0.2], name)]
    assert not [a for a in alarms(falling) if a.name == "parting"]


def test_an_episode_ends_after_some_silent_steps() -> None:
    def dead(step: int, value: float) -> float:
        return 0.0 if 10 < step <= 20 or 22 + WINDOW < step <= 30 or step > 60 else 1.0

    found = sounded(run(80, informative=dead))
    assert [name for name, *_ in found] == ["dead_groups", "dead_groups"]
    assert found[0][1] < 20
    assert found[1][1] > 60 > found[0][1] + REST


def test_a_watch_that_begins_in_the_middle_agrees() -> None:
    lines = run(entropy=lambda s, x: x if s < 20 else 0.01, truncated=lambda s, x: 0.0 if s < 30 else 0.7)
    whole = alarms(lines)
    assert {alarm.name for alarm in whole} == {"collapse", "truncation"}
    for cut in (0, 10, 23, 24, 25, 33, 39):
        watch = Watch(lines[:cut])
        later = [alarm for line in lines[cut:] for alarm in watch.step(line)]
        assert later == [alarm for alarm in whole if alarm.step > cut]


def test_numbers_of_a_foreign_file_raise_nothing() -> None:
    strange: list[Any] = [1e308, -1e308, 10**400, float("nan"), float("inf"), True, None, "x"]
    lines = [
        {"step": i + 1, **dict.fromkeys(HEALTHY[0], strange[i % len(strange)]), "heldout_pass_1": strange[-i % 8]}
        | {"step": i + 1, "heldout_pass_" + "9" * 5000: 1.0}
        for i in range(60)
    ]
    assert isinstance(alarms(lines), list)


def test_an_alarm_is_one_line_with_a_remedy() -> None:
    line = str(Alarm("collapse", 31, 27, "entropy fell from 0.60 to 0.10 nats", RULES["collapse"][1]))
    assert line.startswith(
        "alarm: collapse: entropy fell from 0.60 to 0.10 nats (since step 27); take --algorithm simko"
    )


@pytest.mark.parametrize("name", RULES)
def test_every_flag_of_a_remedy_exists(name: str) -> None:
    flags = re.findall(r"--([a-z-]+)(?: ([\w.:]*[\w]))?", RULES[name][1])
    settings = {flag.replace("-", "_"): value for flag, value in flags}
    values = {
        name: value if re.search(r"[_\d]|^(chat|simple|dapo|simko|refill)$", value) else "1"
        for name, value in settings.items()
    }
    assert values
    for setting, value in values.items():
        train_config({setting: "2" if setting == "group_size" else value})
