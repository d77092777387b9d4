"""Alarms: what a run's metrics say is going wrong, since when, and what helps. A pure function of the lines of metrics.jsonl.

`alarms(lines)` gives every alarm of a run; `Watch` gives those of each new line, and agrees with it. An alarm sounds once in an
episode: again only after its rule has been silent for `REST` steps in a row. A step in which alarms sound has `alarm_NAME`
1 in its line. "Now" is the mean over the last `WINDOW` lines that have the metric, "the start" that over the first ones: single
steps are noisy. Lines without a metric (older runs, methods without it) raise no alarm of it.

The thresholds, and why. Sixteen healthy runs of 40 to 80 steps on Countdown (GRPO, its variants, SimKO) raise none.

template     in the first 3 steps, 80 % of the answers are cut off, or 80 % hold no final answer. A model that knows the format of
             its prompt fails so on few; a chat model without its template goes on until the budget ends.
truncation   now 25 % of the answers are cut off. They get no reward whatever they would have said. Not beside `template`.
dead_groups  now fewer than 15 % of the problems teach anything: the sampling is wasted, and few groups decide the gradient.
collapse     entropy below 0.02 nats or a quarter of the start; or half of what it was 10 to 15 steps ago; or 99 % of the tokens
             are the top-1. The hardest of the healthy runs came to 45 % of its start in 80 steps, and 91 %.
explosion    entropy twice the start and at least 0.5 nats more; or the gradient's norm (median of `WINDOW`) 10 times that
             of the first 20 steps. In the healthy runs it rises to 4 times, while the policy grows sure.
length       answers twice or half as long as at the start, at least 16 tokens longer or shorter, while the reward has not risen
             by 0.05; or four times and a quarter, whatever the reward did. Longer answers that earn more are learning, not drift.
parting      the newest look at held-out problems (`--eval-every`) fell beyond its own noise: pass@1 from its best look while
             the training solve rate rose, or pass@K from its first. The rule, and how seldom it errs: `simko.report.parting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

Line = Mapping[str, Any]
WINDOW, EARLY, REST = 5, 3, 10
_BASELINE = 20
_READ = frozenset(
    (
        "step",
        "truncated",
        "no_answer",
        "informative",
        "entropy",
        "top1_fraction",
        "grad_norm",
        "completion_tokens",
        "reward",
    )
)


@dataclass(frozen=True)
class Alarm:
    """One alarm: its name, the step at which it sounds, the first step of what was seen, and what helps."""

    name: str
    step: int
    since: int
    seen: str
    remedy: str

    def __str__(self) -> str:
        return f"alarm: {self.name}: {self.seen} (since step {self.since}); {self.remedy}"


class Watch:
    """The alarms of a run, line by line. It begins with `lines`, those of metrics.jsonl so far."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._lines: list[Line] = []
        self._looks: list[Line] = []  # lines of a look at held-out problems
        self._silent = dict.fromkeys(RULES, REST)
        for line in lines:
            self.step(line)

    def step(self, line: Line) -> list[Alarm]:
        """Take the line of a step; return the alarms that sound."""
        kept = {name: value for name, value in line.items() if name in _READ or name.startswith("heldout_")}
        self._lines.append(kept)  # the other metrics of a long run would fill the memory
        if any(name.startswith("heldout_fell_") for name in kept):
            self._looks.append(kept)
        out = []
        for name, (rule, remedy) in RULES.items():
            if (evidence := rule(self._looks if name == "parting" else self._lines)) is None:
                self._silent[name] += 1
                continue
            if self._silent[name] >= REST:
                since, seen = evidence
                out.append(Alarm(name, int(line["step"]), since, seen, remedy))
            self._silent[name] = 0
        return out


def alarms(lines: Iterable[Line]) -> list[Alarm]:
    """Every alarm of a run, oldest first, from the lines of its metrics.jsonl."""
    watch = Watch()
    return [alarm for line in lines for alarm in watch.step(line)]


Evidence = tuple[int, str] | None  # the first step of what was seen, and what it is
Rule = Callable[[Sequence[Line]], Evidence]


def _template(lines: Sequence[Line]) -> Evidence:
    if len(lines) < EARLY:
        return None
    for name, what in (("truncated", "were cut off"), ("no_answer", "hold no final answer")):
        values = _first(lines, name, EARLY)
        if len(values) == EARLY and fmean(values) >= 0.8:
            return _step(
                lines[0]
            ), f"{fmean(values):.0%} of the first answers {what}: the model may not know this prompt"
    return None


def _truncation(lines: Sequence[Line]) -> Evidence:
    now = _mean_now(lines, "truncated")
    if now is None or now < 0.25 or _template(lines):
        return None
    return _since(lines, "truncated"), f"{now:.0%} of the answers are cut off at the token budget"


def _dead_groups(lines: Sequence[Line]) -> Evidence:
    now = _mean_now(lines, "informative")
    if now is None or now >= 0.15:
        return None
    return _since(
        lines, "informative"
    ), f"only {now:.0%} of the problems teach anything: the others are all right or all wrong"


def _collapse(lines: Sequence[Line]) -> Evidence:
    now, start = _mean_now(lines, "entropy"), _mean_start(lines, "entropy")
    before = _mean_now(lines[-10 - 4 * WINDOW : -10], "entropy")  # no copy of a long run
    top1 = _mean_now(lines, "top1_fraction")
    since = _since(lines, "entropy")
    if now is not None and now < 0.02:
        return since, f"entropy is {now:.3f} nats: all answers to a problem are alike"
    if now is not None and start is not None and now < 0.25 * start:
        return since, f"entropy fell from {start:.2f} to {now:.2f} nats"
    if now is not None and before is not None and now < 0.5 * before:
        return since, f"entropy halved within 10 steps, from {before:.2f} to {now:.2f} nats"
    if top1 is not None and top1 >= 0.99:
        return since, f"{top1:.1%} of the sampled tokens are the likeliest one"
    return None


def _explosion(lines: Sequence[Line]) -> Evidence:
    now, start = _mean_now(lines, "entropy"), _mean_start(lines, "entropy")
    if now is not None and start is not None and now > 2 * start and now > start + 0.5:
        return _since(lines, "entropy"), f"entropy rose from {start:.2f} to {now:.2f} nats"
    norms, first = _last(lines, "grad_norm", WINDOW), _first(lines, "grad_norm", _BASELINE)
    if len(lines) >= _BASELINE + WINDOW and len(norms) == WINDOW and len(first) == _BASELINE:
        high, usual = median(norms), median(first)
        if usual > 0 and high > 10 * usual:
            return _since(lines, "grad_norm"), f"the gradient's norm rose from {usual:.2g} to {high:.2g}"
    return None


def _length(lines: Sequence[Line]) -> Evidence:
    now, start = _mean_now(lines, "completion_tokens"), _mean_start(lines, "completion_tokens")
    if now is None or start is None or abs(now - start) < 16:
        return None
    reward, first = _mean_now(lines, "reward"), _mean_start(lines, "reward")
    rose = reward is not None and first is not None and reward >= first + 0.05
    factor = 4 if rose else 2
    if start / factor < now < start * factor:
        return None
    return _since(lines, "completion_tokens"), (
        f"answers went from {start:.0f} to {now:.0f} tokens" + ("" if rose else ", and the reward did not rise")
    )


def _parting(looks: Sequence[Line]) -> Evidence:
    """The rule of the lines with a look."""
    newest = looks[-1] if looks else {}
    for name in sorted(name for name in newest if name.startswith("heldout_fell_") and newest[name] == 1):
        k = name.removeprefix("heldout_fell_")
        since = next(i for i in range(len(looks), 0, -1) if i == 1 or looks[i - 2].get(name) != 1)
        score = _number(newest, f"heldout_pass_{k}")
        seen = f"held-out pass@{k} fell" + ("" if score is None else f" to {score:.0%}")
        more = "its best look while the training reward rose" if k == "1" else "its first look"
        return _step(looks[since - 1]), f"{seen}, beyond its noise, from {more}"
    return None


RULES: dict[str, tuple[Rule, str]] = {
    "template": (
        _template,
        "look at answers with `simko sample`; a chat model needs --template chat, others one that they know (--template "
        "simple), and long answers a larger --max-new-tokens",
    ),
    "truncation": (
        _truncation,
        "take a larger --max-new-tokens, or --algorithm dapo, which makes overlong answers dear",
    ),
    "dead_groups": (
        _dead_groups,
        "take --keep-solved 0.1:0.9, --sampling refill, another --level or a larger --group-size",
    ),
    "collapse": (
        _collapse,
        "take --algorithm simko, a larger --alpha if it is simko already, a lower --learning-rate, or --kl-coefficient 0.01",
    ),
    "explosion": (_explosion, "take a lower --learning-rate, or a lower --max-grad-norm with some --warmup-steps"),
    "length": (
        _length,
        "take --algorithm dapo against long answers, --aggregation sequence_mean, or --kl-coefficient 0.01",
    ),
    "parting": (
        _parting,
        "read answers with `simko sample`; take an earlier checkpoint, or train on more problems, with a lower "
        "--learning-rate or with --algorithm simko_pass_at_k",
    ),
}
"""Each alarm's rule and remedy, in the order in which alarms are told."""


def _number(line: Line, name: str) -> float | None:
    value = line.get(name)  # a foreign file may hold integers that no float can
    return float(value) if isinstance(value, int | float) and abs(value) < 1e100 else None


def _first(lines: Sequence[Line], name: str, count: int) -> list[float]:
    out: list[float] = []
    for line in lines[: 4 * count]:  # bounded: a long run asks at each step
        if len(out) == count:
            break
        if (value := _number(line, name)) is not None:
            out.append(value)
    return out


def _last(lines: Sequence[Line], name: str, count: int) -> list[float]:
    return _first([*reversed(lines[-4 * count :])], name, count)


def _mean_now(lines: Sequence[Line], name: str) -> float | None:
    values = _last(lines, name, WINDOW)
    return fmean(values) if len(values) == WINDOW else None


def _mean_start(lines: Sequence[Line], name: str) -> float | None:
    values = _first(lines, name, WINDOW)
    return fmean(values) if len(values) == WINDOW else None


def _since(lines: Sequence[Line], name: str) -> int:
    """The step of the first line of the last window."""
    numbered = [line for line in lines[-4 * WINDOW :] if _number(line, name) is not None][-WINDOW:]
    return _step(numbered[0] if numbered else lines[-1])


def _step(line: Line) -> int:
    return int(line["step"])
