"""The end of a run in plain words, in lines of at most `width` characters. Commands are never wrapped: they are for copying."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from simko.console import clean, duration
from simko.report.ending import Ending, HeldOut
from simko.report.gain import LEAST, Gain

_COLUMN = 10


def ending_lines(ending: Ending, width: int = 80, peak_bytes: int | None = None) -> list[str]:
    """What happened, whether it is more than noise, what it cost, where it is, and the next commands."""
    lines = ["", "what happened"]
    for name, text in _parts(ending, peak_bytes):
        lines += _paragraph(name, text, width)
    lines += [f"  {'run:':{_COLUMN}}{clean(str(ending.path))}"]
    if ending.checkpoint:
        lines += [f"  {'newest:':{_COLUMN}}{clean(ending.checkpoint)}"]
    if ending.best and ending.best != ending.checkpoint:
        lines += [f"  {'best:':{_COLUMN}}{clean(ending.best)} (by training solve rate)"]
    lines += ["", "next"]
    for line, why in ending.next_commands():
        lines += [f"  # {why}", f"  {clean(line)}"]
    return lines


def _parts(ending: Ending, peak_bytes: int | None) -> Iterator[tuple[str, str]]:
    yield "steps:", _steps(ending)
    if ending.steps:
        yield "reward:", _training(ending)
    if ending.held_out is not None:
        yield "held out:", _held_out(ending.held_out)
    elif ending.steps:
        yield "held out:", "not measured. Only held-out problems tell whether it learned more than these problems."
    for alarm, steps in ending.alarms:
        times = f"step {steps[0]}" if len(steps) == 1 else f"steps {', '.join(map(str, steps[:3]))}"
        times += ", ..." if len(steps) > 3 else ""
        yield "alarm:", f"{alarm.name}, at {times}: {alarm.seen}. To mend it, {alarm.remedy}."
    if ending.steps:
        yield "cost:", _cost(ending, peak_bytes)


def _steps(ending: Ending) -> str:
    if not ending.planned:
        return "none, as was asked: the policy is its base model."
    if not ending.steps:
        return f"none of {ending.planned}."
    said = f"{ending.steps} of {ending.planned}"
    if ending.learned_nothing:
        return f"{said}. Nothing was learned: no step changed the policy."
    return f"{said}, of these {ending.idle} without an update." if ending.idle else f"{said}."


def _training(ending: Ending) -> str:
    if ending.rewards is None:
        return "no answer had a verdict."
    if ending.unfit:
        return f"{ending.rewards[0]:.3f} -> {ending.rewards[1]:.3f}. It is no measure here: {ending.unfit}."
    if ending.gain is None:
        first, last = ending.rewards
        return f"{first:.3f} -> {last:.3f}, first and last step. Fewer than {2 * LEAST} steps are too few to tell it from noise."
    said = f"{ending.gain.first:.3f} -> {ending.gain.last:.3f}, means of the first and last {ending.gain.steps} steps: "
    caveat = "These are problems that it trained on."
    return f"{said}{_noise(ending.gain)} {caveat}{' It still rose at the end.' if ending.still_rises else ''}"


def _noise(gain: Gain) -> str:
    """Whether the change is more than noise, and how often chance alone gives as much."""
    if not gain.is_more_than_noise:
        return f"not more than noise. {gain.p_value:.0%} of the shuffles of these steps differ as much."
    way = "higher" if gain.last > gain.first else "LOWER"
    return f"{way}, by more than noise. Of the shuffles of these steps, 1 in {1 / gain.p_value:,.0f} differs as much."


def _held_out(held: HeldOut) -> str:
    noise = {
        "better": "better, by more than noise",
        "worse": "WORSE, by more than noise",
    }.get(held.decided, "not decided: it may be noise")
    return (
        f"pass@1 {held.before:.1%} -> {held.after:.1%} at step {held.at}: {noise}. Over K: {held.in_words} (95 % band over "
        f"{held.problems} problems x {held.samples} samples; another training seed may differ)."
    )


def _cost(ending: Ending, peak_bytes: int | None) -> str:
    share = f", {ending.decoding / ending.seconds:.0%} of it decoding" if ending.seconds else ""
    said = f"{duration(ending.seconds)} in steps, {ending.seconds / ending.steps:.1f} s each{share}"
    return said + (f"; memory of this process up to {peak_bytes / 1e9:.1f} GB." if peak_bytes else ".")


def _paragraph(name: str, text: str, width: int) -> Sequence[str]:
    indent = " " * (2 + _COLUMN)
    lines = wrap(clean(text), max(width, 40), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    return [f"  {name:{_COLUMN}}{lines[0].lstrip()}", *lines[1:]]
