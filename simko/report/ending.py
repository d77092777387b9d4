"""How a run ended, as facts: what it did, whether that is more than noise, what it cost, what to do next. No torch.

`simko.report.ending_words` says them; `simko train --json` prints them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from simko.alarms import Alarm, alarms
from simko.config import TrainConfig
from simko.report.bands import decide, words
from simko.report.gain import Gain, looks_band, recent_gain, training_gain
from simko.report.parting import look_score
from simko.run.records import Look, Records

_UNFIT = {
    "refill": "this method trains only on problems whose answers differ, so its reward stays near the middle",
    "self": "this method trains only on problems that greedy decoding gets wrong, and these get fewer and harder",
    "eepo": "half of the answers come from a policy that was made to forget the other half",
}
"""Ways to sample after which the training reward is no measure, and why."""


@dataclass(frozen=True)
class HeldOut:
    """pass@1 on held-out problems before and after, and what the band decides.

    Attributes:
        at: the step that was measured.
        decided: "better", "worse" or "not decided", at K = 1.
        in_words: what the band decides at each K.
        source: the result's file, or heldout.jsonl.
    """

    before: float
    after: float
    at: int
    problems: int
    samples: int
    decided: str
    in_words: str
    source: str


@dataclass(frozen=True)
class Ending:
    """The facts. `unfit` says why the training reward of this run is no measure; empty where it is one.

    Attributes:
        steps, planned: steps that are recorded, and steps that were asked for.
        updates: optimizer steps that were taken; a step may have several.
        idle: steps that say that they took none.
        rewards: of the first and the last step.
        gain: from the first tenth of the steps to the last.
        still_rises: whether the reward still rose at the end, by more than noise; None if the steps are too few.
        evaluated: whether a result of `simko eval` is of the last step.
        seconds, decoding: of all steps, and the part of it that decoded.
        alarms: each name once: its last alarm, and the steps at which it sounded.
        python: the interpreter that the run was given, which its folder does not name.
    """

    path: Path
    steps: int
    planned: int
    updates: int
    idle: int
    rewards: tuple[float, float] | None
    gain: Gain | None
    still_rises: bool | None
    unfit: str
    held_out: HeldOut | None
    evaluated: bool
    seconds: float
    decoding: float
    alarms: tuple[tuple[Alarm, tuple[int, ...]], ...]
    checkpoint: str | None
    best: str | None
    python: str | None = None

    @property
    def learned_nothing(self) -> bool:
        """Whether steps were done, and none of them changed the policy."""
        return 0 < self.steps <= self.idle

    def next_commands(self) -> list[tuple[str, str]]:
        """The three commands that are of most use now, each with its reason."""
        run = quote(str(self.path))
        python = f" --python {quote(self.python)}" if self.python else ""
        resume = f"simko train --resume {run}{python}"
        look = (f"simko inspect {run}", "read the answers to one problem of the last step")
        evaluate = (f"simko eval {run}{python}", "measure it on held-out problems, beside its base model")
        page = (f"simko report {run}", "see what it did, on one page")
        more = (f"{resume} --steps {2 * max(self.steps, 1)}", "train on, for twice as many steps")
        if self.steps < self.planned:
            return [(resume, "go on where it stopped"), look if self.steps else evaluate, page]
        if self.learned_nothing:
            return [
                look,
                (f"simko sample {run} --split train{python}", "sample the problems again, with verdicts"),
                page,
            ]
        goes_on = self.still_rises or not (self.alarms or (self.gain and self.gain.rises))
        worse = self.held_out is not None and self.held_out.decided == "worse"
        merged = quote(f"{self.path.name}-merged")
        wanted = [
            (not self.evaluated, evaluate),
            (bool(self.alarms) or worse, look),
            (
                worse and self.best not in (None, self.checkpoint),
                (f"simko eval {run} --best{python}", "measure the best checkpoint"),
            ),
            (goes_on and not worse, more),
            (True, page),
            (not worse, (f"simko export {run} --merged {merged} --check", "one model for other programs, checked")),
            (True, look),
            (True, ("simko algorithms", "other methods, a line each")),
        ]
        return list(dict.fromkeys(command for is_wanted, command in wanted if is_wanted))[:3]

    def facts(self) -> dict[str, Any]:
        """The same as values for JSON."""
        gain = self.gain and {**asdict(self.gain), "more_than_noise": self.gain.is_more_than_noise}
        return {
            "run": str(self.path),
            "steps": self.steps,
            "planned_steps": self.planned,
            "updates": self.updates,
            "training_reward": gain,
            "training_reward_unfit": self.unfit or None,
            "still_rises": self.still_rises,
            "held_out": self.held_out and asdict(self.held_out),
            "seconds": self.seconds,
            "alarms": [
                {"name": alarm.name, "steps": list(steps), "seen": alarm.seen, "remedy": alarm.remedy}
                for alarm, steps in self.alarms
            ],
            "checkpoint": self.checkpoint,
            "best_checkpoint": self.best,
            "next": [line for line, _ in self.next_commands()],
        }


def ending_of(path: Path, config: TrainConfig, sampling: str = "plain") -> Ending:
    """The facts of the run in `path`. `sampling` is the part of its method that chooses answers.

    Raises:
        UserError: a file of the run is damaged.
    """
    records = Records(path)
    lines = records.metrics()
    last = int(lines[-1]["step"]) if lines else 0
    rewards = [float(line["reward"]) for line in lines if line.get("reward") is not None]
    result = _result(path, last)
    looks = records.looks()
    unfit = _unfit(config, sampling)
    recent = recent_gain(rewards)
    return Ending(
        path=path,
        steps=last,
        planned=config.steps,
        updates=int(_total(lines, "updates")),
        idle=sum(line.get("updates") == 0 for line in lines),
        rewards=(rewards[0], rewards[-1]) if rewards else None,
        gain=None if unfit else training_gain(rewards),
        still_rises=None if unfit or recent is None else recent.rises,
        unfit=unfit,
        held_out=result or _of_looks(looks, str(records.looks_path)),
        evaluated=result is not None,
        seconds=sum(_total(lines, name) for name in ("seconds_rollout", "seconds_update", "seconds_heldout")),
        decoding=_total(lines, "seconds_rollout"),
        alarms=_by_name(alarms(lines)),
        checkpoint=_checkpoint(path),
        best=_best(path),
        python=config.python,
    )


def _unfit(config: TrainConfig, sampling: str) -> str:
    if config.random_rewards is not None:
        return "a coin gave the rewards (--random-rewards)"
    return _UNFIT.get(sampling, "")


def _total(lines: Sequence[Mapping[str, Any]], name: str) -> float:
    return sum(float(line.get(name) or 0.0) for line in lines)


def _by_name(sounded: Sequence[Alarm]) -> tuple[tuple[Alarm, tuple[int, ...]], ...]:
    newest = {alarm.name: alarm for alarm in sounded}
    steps = {name: tuple(alarm.step for alarm in sounded if alarm.name == name) for name in newest}
    return tuple((alarm, steps[name]) for name, alarm in newest.items())


def _result(path: Path, step: int) -> HeldOut | None:
    """The newest result of `simko eval` of this step that has a base model beside it."""
    for file in sorted((path / "eval").glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            content = json.loads(file.read_bytes())
            if content["step"] != step or not content["base"]:
                continue
            before, after = (float(side["pass_at_k"]["1"]) for side in (content["base"], content))
            sizes = int(content["problems"]), int(content["n"])
            verdict, in_words = str(content["verdicts"]["1"]), str(content["in_words"])
        except (ValueError, KeyError, TypeError, RecursionError):  # an older result, or another program's
            continue
        return HeldOut(before, after, step, *sizes, verdict, in_words, str(file))
    return None


def _of_looks(looks: Sequence[Look], source: str) -> HeldOut | None:
    change = looks_band(looks)
    if change is None:
        return None
    before, after = (look_score(look, 1) or 0.0 for look in (looks[0], looks[-1]))
    samples = max(n for n, _ in looks[-1].counts.values())
    verdict = decide(change)[0]
    return HeldOut(before, after, looks[-1].step, change.problems, samples, verdict, words(change), source)


def _checkpoint(path: Path) -> str | None:
    found = sorted((path / "checkpoints").glob("step-*"), key=lambda folder: (len(folder.name), folder.name))
    return str(found[-1]) if found else None


def _best(path: Path) -> str | None:
    try:
        name = json.loads((path / "checkpoints" / "best").read_bytes())["checkpoint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    folder = path / "checkpoints" / str(name)
    return str(folder) if folder.is_dir() else None
