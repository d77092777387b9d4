"""pass@K of a run or a model on held-out problems, beside the base model on the same problems."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from simko.build import make_env, make_policy
from simko.config import EnvironmentSettings, EvalConfig, SamplingSettings, TrainConfig, names
from simko.console import duration, say
from simko.envs import verifiers
from simko.envs.watched import watched
from simko.errors import TooFewTasksError, UserError
from simko.files import write_atomically
from simko.grading import holding
from simko.report.counts import Counts, curve_of, summarise
from simko.report.plot import draw_curves
from simko.report.table import evaluation_table, held_out, model_name, sampling, trained_name
from simko.rollout import rollout
from simko.run.folder import RunFolder
from simko.run.manifest import data_notes, date_entry, date_notes, file_hash, machine, versions
from simko.run.records import problem_key
from simko.run.target import Target, resolve, sampling_settings
from simko.types import Sampling, Task

GENERATED_PROBLEMS = 100
_CHUNK_TOKENS = {"cpu": 1 << 14, "cuda": 1 << 18}  # answers times budget of one call of the engine


def evaluate(config: EvalConfig, console: Console | None = None, policy: Any = None, env: Any = None) -> dict[str, Any]:
    """Measure pass@K and majority@K, print the table, write `<name>.json` and `<name>.png`, and return the JSON's content.

    `policy` and `env` may be objects in memory. Otherwise they are loaded as `config` says: a run gives its newest adapter,
    and its own settings where `config` leaves them empty. Problems come from the evaluation split.

    Raises:
        UserError: the target cannot be evaluated, a problem is among the run's training prompts, a prompt is too long, or the
            result cannot be written. Only the last can happen after sampling has begun.
    """
    console = console or Console()
    target = resolve(config, in_memory=policy is not None)
    decoding = sampling_settings(config, target.settings)
    policy = policy or make_policy(target.settings, target.adapter)
    date = None if target.run is None else target.run.prompt_date()
    env = watched(env or make_env(target.settings, policy, "eval", date), target.settings.env)
    verifiers.warm_up(str(getattr(env, "verifier_name", "")))
    tasks = choose_tasks(env, config.problems, config.seed)
    single = env.source.size == 1  # the toy MDP: one problem has nothing to hold out, and the title says so
    overlap = count_overlap(target.run, tasks, config.allow_overlap or single)
    folder = _writable_folder(config)
    result = _describe(config, target, env, tasks, overlap)
    result |= {"temperature": decoding.temperature, "top_p": decoding.top_p}
    result |= date_entry(env)
    for note in [*data_notes(env), *date_notes(env), *_context_notes(env, tasks)]:
        say(console, f"data: {note}")
    if config.problems and len(tasks) < config.problems:
        say(console, f"data: {config.problems} problems were asked for, and the split has {len(tasks)}")
    with_base = config.base and (target.adapter is not None or (policy is not None and target.run is not None))
    beside = " and its base model" if with_base else ""
    say(console, f"evaluating {model_name(result)}{beside}: {sampling(result)}")

    began = time.monotonic()
    progress = _Progress(console, len(tasks) * config.n * (2 if with_base else 1))
    base = None
    try:
        counts = sample_counts(policy, env, tasks, config.n, decoding, config.seed, progress.part(""))
        if with_base:
            with policy.base():
                base = sample_counts(policy, env, tasks, config.n, decoding, config.seed, progress.part("base "))
        result |= summarise(counts, base, config.seed)
    except FloatingPointError as error:
        raise UserError(f"eval: {error}; try another --device or --quantization") from error
    except ValueError as error:
        raise UserError(f"eval: {error}; look at one with `simko sample`, or take another --verifier") from error
    result |= {"seconds": time.monotonic() - began, "machine": machine(policy.device), "versions": versions()}
    console.print(evaluation_table(result))
    return _write(result, folder, console)


def evaluate_run(run: RunFolder, config: TrainConfig, policy: Any, console: Console) -> dict[str, Any]:
    """The evaluation at the end of a training run, with the policy in memory; returns its result."""
    settings = EvalConfig(
        target=str(run.path), n=config.eval_samples, problems=config.eval_problems, seed=config.seed,
        temperature=config.eval_temperature, top_p=config.eval_top_p, device=config.device, threads=config.threads,
    )  # fmt: skip
    return evaluate(settings, console=console, policy=policy)


def sample_counts(
    policy: Any,
    env: Any,
    tasks: Sequence[Task],
    n: int,
    decoding: Sampling,
    seed: int,
    progress: Callable[[Counts], None] | None = None,
    chunk: int | None = None,
) -> Counts:
    """The counts of `n` graded samples of each task.

    At most `chunk` answers are in memory at a time, and `progress` is called after each chunk. Sample i of a task has the
    same random stream however the work is cut, so `chunk` changes memory and not the result.
    """
    counts = Counts()
    with holding(policy.engine):
        for part, first, size in chunks(tasks, n, chunk or chunk_size(env.max_new_tokens, policy.device)):
            counts.add(rollout(policy.engine, env, part, size, decoding, seed=seed, first_sample=first))
            if progress:
                progress(counts)
    return counts


def chunks(tasks: Sequence[Task], n: int, chunk: int) -> Iterator[tuple[Sequence[Task], int, int]]:
    """`(tasks, first sample, samples)` that together are `n` of each task, at most `chunk` answers in each."""
    if n <= chunk:
        width = chunk // n
        for start in range(0, len(tasks), width):
            yield tasks[start : start + width], 0, n
        return
    for task in tasks:
        for first in range(0, n, chunk):
            yield [task], first, min(chunk, n - first)


def choose_tasks(env: Any, problems: int | None, seed: int) -> list[Task]:
    """The first `problems`; if None, all of a data set and 100 of a generated task. All of them if there are fewer.

    Raises:
        UserError: the split has no problem, or a prompt does not fit the environment.
    """
    wanted = problems or (GENERATED_PROBLEMS if env.source.size is None else None)
    try:
        tasks: list[Task] = env.source.tasks(wanted, seed)
    except TooFewTasksError as error:
        tasks = env.source.tasks(error.count, seed) if error.count else []
    if not tasks:
        raise UserError("eval: the evaluation split has no problem; take another --env, --level or --data")
    for task in tasks:
        env.begin(task)  # a prompt that is too long is better found now than after an hour
    return tasks


def _context_notes(env: Any, tasks: Sequence[Task]) -> list[str]:
    """A line on generated prompts that leave less than the budget of the model's context. Rows have a line of their own."""
    if env.source.size is not None:
        return []
    tight = [task for task in tasks if env.begin(task).budget_left < env.max_new_tokens]
    if not tight:
        return []
    return [
        f"{len(tight)} of {len(tasks)} prompts leave less than {env.max_new_tokens} of the model's tokens, and their answers "
        f"are cut off there; the first: task '{tight[0].id}'"
    ]


def count_overlap(run: RunFolder | None, tasks: Sequence[Task], allow: bool) -> int:
    """How many problems are among the run's training prompts, compared by their text.

    Raises:
        UserError: there are some, and `allow` is off.
    """
    if run is None:
        return 0
    seen = run.records.training_problems()
    shared = [task for task in tasks if problem_key(task.problem) in seen]
    if shared and not allow:
        raise UserError(
            f"eval: {len(shared)} of {len(tasks)} problems are among the training prompts of {run.path}, one is task "
            f"'{shared[0].id}'; take another --env, --level or --data, or accept it with --allow-overlap"
        )
    return len(shared)


class _Progress:
    """A line every few seconds, with the time left at the mean speed so far."""

    def __init__(self, console: Console, total: int, every_seconds: float = 5.0) -> None:
        self._console, self._total, self._every = console, total, every_seconds
        self._began = self._printed = time.monotonic()
        self._before = 0

    def part(self, label: str) -> Callable[[Counts], None]:
        """A callback for `sample_counts`; one part of the evaluation after the other."""
        before, line = self._before, self

        def progress(counts: Counts) -> None:
            line._before = before + counts.samples
            line._print(label, counts)

        return progress

    def _print(self, label: str, counts: Counts) -> None:
        now = time.monotonic()
        if now - self._printed < self._every:
            return
        self._printed = now
        left = (now - self._began) / self._before * (self._total - self._before)
        solved = counts.outcomes["correct"] / counts.samples
        say(self._console, f"{label}answer {self._before}/{self._total}  solved {solved:.0%}  left {duration(left)}")


def _describe(config: EvalConfig, target: Target, env: Any, tasks: Sequence[Task], overlap: int) -> dict[str, Any]:
    """Everything that decides the result, sampling apart."""
    settings = target.settings
    return {
        "model": settings.model,
        "quantization": settings.quantization,
        "adapter": None if target.adapter is None else str(target.adapter),
        "adapter_sha256": target.adapter and file_hash(target.adapter / "adapter_model.safetensors"),
        "run": None if target.run is None else str(target.run.path),
        "algorithm": None if target.run is None else target.run.config.algorithm,
        "step": target.step,
        "env": settings.env,
        "split": "eval",
        "data": settings.data,
        "data_sha256": file_hash(settings.data),
        "level": settings.level,
        "attempts": settings.attempts,
        "template": settings.template,
        "verifier": getattr(env, "verifier_name", None),
        "max_new_tokens": env.max_new_tokens,
        "n": config.n,
        "problems": len(tasks),
        "seed": config.seed,
        "overlap": overlap,
        "bad_rows": len(getattr(env.source, "bad_rows", ())),
    }


def _write(result: dict[str, Any], folder: Path, console: Console) -> dict[str, Any]:
    stem = folder / result_name(result)
    result |= {"file": f"{stem}.json", "plot": f"{stem}.png"}
    curves = [curve_of(result, trained_name(result))]
    if result["base"]:
        curves.append(curve_of(result["base"], "base"))
    title = f"{model_name(result)} on {result['env']}"
    subtitle = f"{held_out(result)}, {sampling(result)}; shaded: 95 % interval over problems"
    try:
        write_atomically(Path(result["file"]), _json(result))
        write_atomically(Path(result["plot"]), draw_curves(curves, title, subtitle, result["overtaken_at"]))
    except OSError as error:
        raise UserError(f"eval: {stem}.json: {error.strerror}; make room, or give another --out") from error
    say(console, f"result: {result['file']}\nplot:   {result['plot']}")
    return result


def _json(result: dict[str, Any]) -> str:
    """A line for each key."""
    return "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in result.items()) + "\n}\n"


def result_name(result: dict[str, Any]) -> str:
    """A file name that says what was measured, and ends in a hash of all that decides it.

    Two evaluations share a name only if one repeats the other.
    """
    identity = [result[key] for key in _deciding_keys()] + [result["base"] is not None]
    mark = blake2b(json.dumps(identity).encode(), digest_size=4).hexdigest()
    what = result["env"].rsplit("/", 1)[-1]
    if result["run"] is None:
        what = f"{Path(result['model']).name}-{what}"
    step = "" if result["step"] is None else f"-step{result['step']:06d}"
    name = f"{what}{step}-n{result['n']}-t{result['temperature']:g}-p{result['top_p']:g}-{mark}"
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")


def _deciding_keys() -> list[str]:
    """Keys of a result that decide its numbers, in the order that its name hashes: another order would give other names."""
    environment = names(EnvironmentSettings, True)
    environment.insert(environment.index("data") + 1, "data_sha256")
    return ["model", "quantization", "adapter_sha256", "step", *environment, *names(SamplingSettings, True)]


def _writable_folder(config: EvalConfig) -> Path:
    inside_run = RunFolder.is_run(config.target)
    folder = Path(config.out) if config.out else Path(config.target) / "eval" if inside_run else Path("eval")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"eval: folder {folder}: {error.strerror}; give another --out") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"eval: folder {folder} is not writable; give another --out")
    return folder


def chunk_size(max_new_tokens: int, device: Any) -> int:
    """Answers in one call of the engine: enough to fill it, few enough for an early estimate of the time left.

    A function of the configuration alone, never of the clock, so that a repeated evaluation decodes the same batches.
    """
    tokens = _CHUNK_TOKENS.get(torch.device(device).type, _CHUNK_TOKENS["cpu"])
    return min(4096, max(16, tokens // max_new_tokens))
