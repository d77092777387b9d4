"""Looks at few held-out problems during training: pass@1 and pass@K, and whether they part from the reward.

The problems are from the tuning part (`simko.envs.split.is_tuning`), so the final evaluation, on the other part, has not been
looked at. The random stream of a sample derives from (seed, step, task, sample), and nothing that training reads is changed:
with or without looks the updates are the same, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from simko.build import make_env
from simko.config import TrainConfig
from simko.console import say
from simko.envs.watched import watched
from simko.eval_samples import sample_counts
from simko.eval_tasks import choose_tasks
from simko.report.parting import fallen, look_score
from simko.run.folder import RunFolder
from simko.run.records import Look
from simko.types import Sampling


class HeldOut:
    """The looks of a run; none if `eval_every` is 0.

    Raises:
        UserError: the environment has no held-out problems in its tuning part, or a prompt does not fit.
    """

    def __init__(self, config: TrainConfig, policy: Any, run: RunFolder, console: Console) -> None:
        self._config, self._policy, self._records, self._console = config, policy, run.records, console
        self._looks: list[Look] | None = None
        self._k = max(config.eval_every_samples // 2, 1)
        if config.eval_every:
            env = make_env(config, policy, "eval", run.prompt_date())
            self._env = watched(env, config.env)
            self._tasks = choose_tasks(self._env, config.eval_every_problems, config.seed, "tuning")

    def begin(self, start: int) -> dict[str, Any]:
        """The reference: the policy before step 1, or before the step with which looks begin. Empty if there is one already."""
        if not self._config.eval_every or self._records.looks():
            return {}
        return self._look(start, {})

    def after(self, step: int, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """`heldout_pass_K`, `heldout_fell_K` and `seconds_heldout` after a step that is looked at; empty after any other.

        `heldout_fell_K` is 1 where the score parts from the reward (`simko.report.parting`); the alarm `parting` reads it.

        `metrics` are those of the step, which is not yet recorded.
        """
        if not self._config.eval_every or step % self._config.eval_every:
            return {}
        return self._look(step, metrics)

    def _look(self, step: int, metrics: Mapping[str, Any]) -> dict[str, Any]:
        began, config = time.monotonic(), self._config
        decoding = Sampling(config.eval_temperature, config.eval_top_p)
        try:
            counts = sample_counts(
                self._policy, self._env, self._tasks, config.eval_every_samples, decoding, config.seed, step=step
            )
        except FloatingPointError as error:
            say(self._console, f"held-out problems after step {step}: no look, {error}", "yellow")
            return {}
        look = Look(step, {task: (tally.samples, tally.correct) for task, tally in counts.tallies.items()})
        if self._looks is None:
            self._looks = self._records.looks()  # once: later ones are this process's own
        self._records.add_look(look)
        self._looks.append(look)
        scores = {f"heldout_pass_{k}": look_score(look, k) for k in sorted({1, self._k})}
        self._say(step, scores)
        rates = self._records.column("solve_rate") | {step: metrics.get("solve_rate")}
        known = {at: rate for at, rate in rates.items() if rate is not None}
        falls = fallen(self._looks, known, self._k)
        scores |= {f"heldout_fell_{k}": float(fell) for k, fell in falls.items()}
        return {**scores, "seconds_heldout": time.monotonic() - began}

    def _say(self, step: int, scores: dict[str, float | None]) -> None:
        shown = ", ".join(
            f"{name.removeprefix('heldout_').replace('pass_', 'pass@')} "
            + ("unknown" if value is None else f"{100 * value:.1f} %")
            for name, value in scores.items()
        )
        of = f"{len(self._tasks)} held-out problems x {self._config.eval_every_samples} samples"
        say(self._console, f"step {step:>{len(str(self._config.steps))}}  {shown}  ({of})")
