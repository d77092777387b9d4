"""A look before training: can this policy learn anything from this environment?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from rich.console import Console

from simko import algorithms
from simko.config import TrainConfig
from simko.console import say
from simko.errors import UserError
from simko.rollout import rollout
from simko.run.faults import NothingLearnedError
from simko.schedule import training_tasks
from simko.types import Group, Policy, Sampling


@dataclass(frozen=True)
class Preflight:
    """Shares, in 0..1, over a few sampled groups."""

    solved: float
    truncated: float
    no_answer: float
    failed: float
    informative: float
    completions: int

    @classmethod
    def of(cls, groups: Sequence[Group], informative: Callable[[Group], bool] = attrgetter("informative")) -> Preflight:
        """The shares of these groups. `informative` says whether the method learns from one."""
        answers = [c for group in groups for c in group.completions]
        n = max(len(answers), 1)
        return cls(
            solved=sum(c.verdict.correct for c in answers) / n,
            truncated=sum(c.finish == "length" for c in answers) / n,
            no_answer=sum(c.verdict.outcome == "no_answer" for c in answers) / n,
            failed=sum(not c.verdict.valid for c in answers) / n,
            informative=sum(map(informative, groups)) / max(len(groups), 1),
            completions=len(answers),
        )

    def line(self) -> str:
        """One line for the terminal."""
        return (
            f"preflight on {self.completions} answers: solved {self.solved:.0%}, truncated {self.truncated:.0%}, "
            f"no answer {self.no_answer:.0%}, verifier failed {self.failed:.0%}, informative groups {self.informative:.0%}"
        )

    def obstacle(self) -> str | None:
        """Why nothing can be learned and what to do about it, or None."""
        if self.informative > 0:
            return None
        if self.failed > 0.5:
            return "the verifier failed on most answers; look at one with `simko sample`"
        if self.truncated > 0.5:
            return "most answers were cut off; raise --max-new-tokens"
        if self.no_answer > 0.5:
            return "most answers hold no final answer; change --template, or try `simko sample` to see them"
        if self.solved >= 0.5:
            return "every answer is right already; raise --level, or take a harder environment"
        return "no answer is right; lower --level, or take a stronger model or a larger --group-size"

    def warnings(self) -> list[str]:
        """Lines on what may spoil the run although something can be learned."""
        lines = []
        if self.truncated > 0.3:
            lines.append(f"{self.truncated:.0%} of the answers were cut off: raise --max-new-tokens")
        if self.failed > 0.05:
            lines.append(f"the verifier failed on {self.failed:.0%} of the answers: they are masked and counted")
        if 0 < self.informative < 0.2:
            lines.append(
                f"only {self.informative:.0%} of the groups carry a signal: change --level or raise --group-size"
            )
        return lines


def preflight(config: TrainConfig, policy: Policy, env: Any, console: Console) -> None:
    """Sample a few groups, say what they show, and stop where nothing can be learned.

    Raises:
        NothingLearnedError: no group carries a signal and `config.force` is off.
        UserError: a setting of the method does not fit the verdicts.
    """
    tasks = training_tasks(env.source, config.seed, 1, config.preflight_prompts)
    try:
        groups = rollout(
            policy.engine, env, tasks, config.group_size, Sampling(config.temperature), seed=config.seed, step=0
        )
    except FloatingPointError as error:
        raise UserError(f"preflight: model {config.model}: {error}; try another --device or --quantization") from error
    method = algorithms.of(config)
    method.check(groups)
    report = Preflight.of(groups, method.informative)
    say(console, report.line())
    for warning in report.warnings():
        say(console, f"warning: {warning}", "yellow")
    obstacle = report.obstacle()
    if obstacle and not config.force:
        raise NothingLearnedError(f"preflight: nothing can be learned: {obstacle}; or train all the same with --force")
