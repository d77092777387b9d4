"""The difficulty pass: how often the base model solves each problem, and which problems a run keeps.

A group of answers that are all right, or all wrong, teaches nothing. With `keep_solved` a run first samples the base model (the
adapter is off) a few times on every training problem, and then trains on those with a solve rate in the range.

The rates are in `solve_rates.jsonl` of the run folder. Its first line says what they are rates of. Each other line is a problem,
in the order of the data: its id, how many answers were right, and on how many the verifier reached a verdict. Lines are added as
they come, so a pass that was killed goes on where it was. No line holds a time, so equal passes have equal files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from simko.config import TrainConfig, solved_range
from simko.console import duration, say
from simko.errors import TooFewTasksError, UserError
from simko.eval_samples import chunk_size
from simko.files import append, write_atomically
from simko.ranks import of_main, world
from simko.rollout import rollout
from simko.run.faults import Faults
from simko.run.folder import RunFolder
from simko.schedule import stream_seed
from simko.types import Group, Policy, Sampling, Task, TaskSource

_FORMAT = 1
_LONGEST_FILE = 1 << 30
_ONLY_STATED = ("model", "seed")  # the weights' fingerprint stands for the model; rates of any seed will do


@dataclass(frozen=True)
class Rate:
    """How often the base model solved a problem: `correct` of the `valid` answers that have a verdict."""

    task: str
    correct: int
    valid: int


@dataclass(frozen=True)
class KeptTasks:
    """A task source with some of the tasks of another."""

    source: TaskSource
    ids: frozenset[str]

    @property
    def name(self) -> str:
        """That of the source."""
        return self.source.name

    @property
    def size(self) -> int:
        """How many tasks are kept."""
        return len(self.ids)

    @property
    def notes(self) -> Sequence[str]:
        """Remarks of the source on its rows."""
        return getattr(self.source, "notes", ())

    @property
    def bad_rows(self) -> Sequence[str]:
        """Rows that the source left out."""
        return getattr(self.source, "bad_rows", ())

    def draw(self, rng: np.random.Generator) -> Task:
        """One task, uniformly at random."""
        tasks = self.tasks(None, 0)
        return tasks[int(rng.integers(len(tasks)))]

    def get(self, task_id: str) -> Task:
        """The task of that id. Raises `UserError` if it is unknown or not kept."""
        task = self.source.get(task_id)
        if task.id not in self.ids:
            raise UserError(f"{self.name}: task '{task_id[:80]}' is outside of keep_solved; widen the range to have it")
        return task

    def tasks(self, count: int | None, seed: int) -> list[Task]:
        """A seeded choice of `count` tasks; all in the order of the source if None. Raises `TooFewTasksError`."""
        every = [task for task in self.source.tasks(None, seed) if task.id in self.ids]
        if count is None:
            return every
        if count > len(every):
            raise TooFewTasksError(
                f"{self.name}: {len(every)} tasks are kept by keep_solved, {count} asked for; ask for fewer", len(every)
            )
        return [every[int(i)] for i in np.random.default_rng(seed).permutation(len(every))[:count]]


class KeptEnv:
    """An environment with the kept tasks alone."""

    def __init__(self, env: Any, ids: frozenset[str]) -> None:
        self._env, self._ids = env, ids

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    @property
    def source(self) -> KeptTasks:
        """Where its tasks come from."""
        return KeptTasks(self._env.source, self._ids)


def keep_solved(config: TrainConfig, policy: Policy, env: Any, run: RunFolder, faults: Faults, console: Console) -> Any:
    """The environment with the problems whose solve rate lies in `config.keep_solved`; `env` itself where that is empty.

    Rates that the run folder, or `config.solve_rates`, holds already are not measured again. `faults` counts nothing of the pass.

    Raises:
        UserError: the problems are generated, the rates on disk are of something else, or too few problems are kept.
    """
    if config.keep_solved is None:
        return env
    if env.source.size is None:
        raise UserError(
            f"--keep-solved is {config.keep_solved}, and the problems of {config.env} are generated without end; leave it out "
            "and take --sampling refill, or choose a --level"
        )
    rates = measured(config, policy, env, run.solve_rates_path, console)
    faults.take()  # a resumed run does not repeat the pass, and its first step has to count the same
    return KeptEnv(env, frozenset(_kept(config, rates, run.solve_rates_path, console)))


def measured(config: TrainConfig, policy: Policy, env: Any, path: Path, console: Console) -> list[Rate]:
    """The solve rate of every task, in the order of the source; what `path` lacks is sampled, and added to it.

    Raises:
        UserError: a file of rates cannot be read or is of something else, or the model's logits are not finite.
        OSError: the disk refuses.
    """
    tasks = env.source.tasks(None, 0)  # not the run's seed: rates serve runs of other seeds, and stand in this order
    header = header_of(config, policy, env, tasks)
    width = max(1, chunk_size(env.max_new_tokens, policy.device) // config.solve_samples)
    header, rates = _known_to_all(config, path, header, tasks)
    whole = len(rates) == len(tasks)
    rates = (
        rates if whole else rates[: len(rates) // width * width]
    )  # a chunk is sampled whole, so that it is the same one
    if world().main:
        _write(path, header, rates)
    if rates:
        say(console, f"solve rates: {len(rates)} of {len(tasks)} problems are known")
    began = printed = time.monotonic()
    before = len(rates)
    for start in range(len(rates), len(tasks), width):
        if start == before:
            say(console, f"solve rates: sampling the base model, {config.solve_samples} answers a problem")
        chosen = tasks[start : start + width]
        try:
            with policy.base():
                groups = rollout(
                    policy.engine, env, chosen, config.solve_samples, Sampling(config.temperature),
                    seed=stream_seed("solve rate", header["seed"]),
                )  # fmt: skip
        except FloatingPointError as error:
            raise UserError(
                f"solve rates: model {config.model}: {error}; try another --device or --quantization"
            ) from error
        more = [_rate(group) for group in groups]
        if world().main:
            append(path, "".join(map(_line, more)).encode())
        rates += more
        now = time.monotonic()
        if now - printed >= 5.0 and len(rates) < len(tasks):
            printed = now
            left = (now - began) / (len(rates) - before) * (len(tasks) - len(rates))
            say(console, f"solve rates {len(rates)}/{len(tasks)}  solved {_mean(rates):.0%}  left {duration(left)}")
    return rates


def header_of(config: TrainConfig, policy: Policy, env: Any, tasks: Sequence[Task]) -> dict[str, Any]:
    """What decides solve rates. Rates of another run serve this one if all of it is equal, but for the model's name and seed."""
    data = sha256()
    for task in tasks:
        data.update(json.dumps([task.id, task.problem, task.gold]).encode())
    return {
        "format": _FORMAT,
        "model": config.model,
        "seed": config.seed,
        "weights": getattr(policy, "fingerprint", None) or config.model,
        "quantization": config.quantization,
        "env": config.env,
        "attempts": config.attempts,
        "data": data.hexdigest(),
        "template": config.template,
        "verifier": getattr(env, "verifier_name", None),
        "max_new_tokens": env.max_new_tokens,
        "temperature": config.temperature,
        "solve_samples": config.solve_samples,
    }


def _known_to_all(
    config: TrainConfig, path: Path, header: dict[str, Any], tasks: Sequence[Task]
) -> tuple[dict[str, Any], list[Rate]]:
    """What `_known` finds; of several ranks, on the machine of rank 0."""
    if world().alone:
        return _known(config, path, header, tasks)

    def found() -> list[Any]:
        first, rates = _known(config, path, header, tasks)
        return [first, [asdict(rate) for rate in rates]]

    first, rates = of_main(found)
    return first, [Rate(**rate) for rate in rates]


def _known(
    config: TrainConfig, path: Path, header: dict[str, Any], tasks: Sequence[Task]
) -> tuple[dict[str, Any], list[Rate]]:
    """The rates on disk and their first line: the run's own, else those of `config.solve_rates`."""
    if path.exists():
        return _read(path, header, tasks, f"put back what it was, or delete {path} to measure again")
    if config.solve_rates is not None:
        return _read(Path(config.solve_rates), header, tasks, "leave --solve-rates out to measure them")
    return header, []


def _read(path: Path, header: dict[str, Any], tasks: Sequence[Task], mend: str) -> tuple[dict[str, Any], list[Rate]]:
    """The first line of a file, and its rates up to the first line that a kill cut short or that is none.

    Raises:
        UserError: it cannot be read, or its first line is not `header`.
    """
    try:
        if path.stat().st_size > _LONGEST_FILE:
            raise UserError(f"solve rates {path}: longer than {_LONGEST_FILE} bytes; {mend}")
        first, *lines = path.read_bytes().splitlines(keepends=True) or [b""]
    except OSError as error:
        raise UserError(f"solve rates {path}: {error.strerror}; {mend}") from error
    there = _object(first)
    if there.get("format") != _FORMAT:
        raise UserError(f"solve rates {path}: line 1 does not say what they are rates of; {mend}")
    for name, now in header.items():
        if name not in _ONLY_STATED and there.get(name) != now:
            raise UserError(
                f"solve rates {path}: line 1: its {name} is {there.get(name)!s:.80}, this run has {now!s:.80}; {mend}"
            )
    pairs = zip(tasks, lines, strict=False)
    read = (_rate_of(line, task.id, header["solve_samples"]) for task, line in pairs)
    stated = {name: there[name] for name in _ONLY_STATED if type(there.get(name)) is type(header[name])}
    return header | stated, [rate for rate in takewhile(lambda rate: rate is not None, read) if rate is not None]


def _rate_of(line: bytes, task: str, samples: int) -> Rate | None:
    """The rate in the line of a task; None if the line is not what `_line` writes of this task."""
    row = _object(line)
    correct, valid = row.get("correct"), row.get("valid")
    if type(correct) is not int or type(valid) is not int or not 0 <= correct <= valid <= samples:
        return None
    rate = Rate(task, correct, valid)
    return rate if _line(rate).encode() == line else None


def _object(line: bytes) -> dict[str, Any]:
    """The JSON object of a line; empty if it is none."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, header: Mapping[str, Any], rates: Sequence[Rate]) -> None:
    """The file with these rates, unless it is that already."""
    content = f"{json.dumps(header)}\n{''.join(map(_line, rates))}".encode()
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)


def _line(rate: Rate) -> str:
    return json.dumps({"task": rate.task, "correct": rate.correct, "valid": rate.valid}) + "\n"


def _rate(group: Group) -> Rate:
    return Rate(group.task.id, sum(c.verdict.correct for c in group.valid), len(group.valid))


def _mean(rates: Sequence[Rate]) -> float:
    return sum(rate.correct for rate in rates) / max(sum(rate.valid for rate in rates), 1)


def _kept(config: TrainConfig, rates: Sequence[Rate], path: Path, console: Console) -> list[str]:
    """Ids of the tasks in the range. Raises `UserError` if a step cannot be filled with them."""
    low, high = solved_range(str(config.keep_solved))
    judged = [rate for rate in rates if rate.valid]
    below = sum(rate.correct / rate.valid < low for rate in judged)
    above = sum(rate.correct / rate.valid > high for rate in judged)
    kept = [rate.task for rate in judged if low <= rate.correct / rate.valid <= high]
    counts = f"{below} below, {len(kept)} inside, {above} above"
    if failed := len(rates) - len(judged):
        counts += f", {failed} without any verdict"
    if len(kept) < min(config.prompts_per_step, len(rates)):
        lower = f", or lower --prompts-per-step to {len(kept)}" if kept else ""
        raise UserError(
            f"--keep-solved {config.keep_solved} keeps {len(kept)} of {len(rates)} problems ({counts}), and a step takes "
            f"{config.prompts_per_step}; widen the range{lower}; with --solve-rates {path} nothing is measured again"
        )
    say(console, f"solve rates: {len(kept)} of {len(rates)} problems are kept by {config.keep_solved}: {counts}")
    return kept
