"""pass@K of a run or a model on held-out problems, beside the base model on the same problems."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rich.console import Console

from simko.build import make_env, make_policy
from simko.config import EnvironmentSettings, EvalConfig, Part, SamplingSettings, TrainConfig, as_dict, names
from simko.console import say
from simko.envs import verifiers
from simko.envs.watched import watched
from simko.errors import UserError
from simko.eval_samples import Progress, sample_counts
from simko.eval_tasks import choose_tasks, context_notes, count_overlap
from simko.files import write_atomically
from simko.ranks import of_main, world
from simko.ranks.digests import check_same
from simko.ranks.start import started
from simko.report.counts import curve_of, loss_of, summarise
from simko.report.plot import draw_curves
from simko.report.table import evaluation_table, held_out, model_name, sampling, trained_name
from simko.run.folder import RunFolder
from simko.run.manifest import data_notes, date_entry, date_notes, file_hash, machine, sandbox_notes, versions
from simko.run.samples import SUFFIX, keeping_samples
from simko.run.target import Target, resolve, sampling_settings
from simko.types import Sampling, Task

_YOUNGER = ("part", "problem_seed", "columns", "engine", "env_options")


def evaluate(config: EvalConfig, console: Console | None = None, policy: Any = None, env: Any = None) -> dict[str, Any]:
    """Measure pass@K and majority@K, print the table, write `<name>.json` and its plot, and return the JSON's content.

    `policy` and `env` may be objects in memory. Otherwise they are loaded as `config` says: a run gives its newest adapter,
    and its own settings where `config` leaves them empty. Problems come from the evaluation split. Every
    answer is kept in `<name>.samples.jsonl.gz`; see `simko.run.samples`. Of several ranks all decode, and rank 0 does the rest.

    Raises:
        UserError: the target cannot be evaluated, a problem is among the run's training prompts, a prompt is too long, or the
            result cannot be written. Only the last can happen after sampling has begun.
    """
    with started() as here:
        return (_lead if here.main else _follow)(config, console or Console(), policy, env)


def _follow(config: EvalConfig, _console: Console, policy: Any, env: Any) -> dict[str, Any]:
    """What a rank other than 0 does: what rank 0 says, with the same problems. The adapter has to be on its machine."""
    told: dict[str, Any] = of_main(dict)
    settings = replace(TrainConfig(**told["settings"]), device=config.device)
    policy = policy or _loaded(settings, told["adapter"])
    env = watched(env or make_env(settings, policy, "eval", told["date"]), settings.env)
    verifiers.warm_up(str(getattr(env, "verifier_name", "")))
    told = of_main(dict)
    tasks = choose_tasks(env, config.problems, problem_seed(config), told["part"])
    shape = (policy, env, tasks, config.n, Sampling(*told["decoding"]), config.seed)
    sample_counts(*shape)
    if told["base"]:
        with policy.base():
            sample_counts(*shape)
    return of_main(dict)


def _loaded(settings: TrainConfig, adapter: str | None) -> Any:
    """The policy. Raises `UserError` if ranks have other weights under the same name."""
    policy = make_policy(settings, adapter)
    if not world().alone:
        weights = adapter and file_hash(Path(adapter) / "adapter_model.safetensors")
        check_same({"base model": getattr(policy, "fingerprint", None), "adapter": weights})
    return policy


def _lead(config: EvalConfig, console: Console, policy: Any, env: Any) -> dict[str, Any]:
    """The whole evaluation, or the part of it that rank 0 does."""
    target = resolve(config, in_memory=policy is not None)
    decoding = sampling_settings(config, target.settings)
    date = None if target.run is None else target.run.prompt_date()
    adapter = None if target.adapter is None else str(target.adapter)
    of_main(lambda: {"settings": as_dict(target.settings, stored=False), "adapter": adapter, "date": date})
    policy = policy or _loaded(target.settings, adapter)
    env = watched(env or make_env(target.settings, policy, "eval", date), target.settings.env)
    verifiers.warm_up(str(getattr(env, "verifier_name", "")))
    part, why = part_of(config, target)
    tasks = choose_tasks(env, config.problems, problem_seed(config), part)
    single = env.source.size == 1  # the toy MDP: one problem has nothing to hold out, and the title says so
    overlap = count_overlap(target.run, tasks, config.allow_overlap or single)
    folder = writable_folder(config)
    result = describe(config, target, env, tasks, overlap) | {"part": part}
    result |= {"temperature": decoding.temperature, "top_p": decoding.top_p}
    result |= date_entry(env)
    for line in sandbox_notes(env):
        say(console, line, "yellow" if "warning" in line else "")
    for note in [*why, *data_notes(env), *date_notes(env), *context_notes(env, tasks)]:
        say(console, f"data: {note}")
    if config.problems and len(tasks) < config.problems:
        where = "the split" if part == "all" else f"its {part} part"
        say(console, f"data: {config.problems} problems were asked for, and {where} has {len(tasks)}")
    with_base = config.base and (target.adapter is not None or (policy is not None and target.run is not None))
    beside = " and its base model" if with_base else ""
    say(console, f"evaluating {model_name(result)}{beside}: {sampling(result)}")
    of_main(lambda: {"part": part, "base": with_base, "decoding": [decoding.temperature, decoding.top_p]})

    began = time.monotonic()
    progress = Progress(console, len(tasks) * config.n * (2 if with_base else 1))
    kept = folder / f"{result_name(result | {'base': with_base or None})}{SUFFIX}" if config.samples else None
    base = None
    try:
        with keeping_samples(kept) if kept else nullcontext() as keep:
            shape = (policy, env, tasks, config.n, decoding, config.seed)
            counts = sample_counts(*shape, progress.part(""), keep=keep and partial(keep, "trained"))
            if with_base:
                with policy.base():
                    base = sample_counts(*shape, progress.part("base "), keep=keep and partial(keep, "base"))
        result |= summarise(counts, base, config.seed)
    except OSError as error:
        if kept is None or error.filename is None or Path(error.filename).parent != folder:
            raise
        raise UserError(f"eval: {kept}: {error.strerror}; make room, or give another --out or --no-samples") from error
    except FloatingPointError as error:
        raise UserError(f"eval: {error}; try another --device or --quantization") from error
    except ValueError as error:
        raise UserError(f"eval: {error}; look at one with `simko sample`, or take another --verifier") from error
    result["samples"] = kept and str(kept)
    result |= {"seconds": time.monotonic() - began, "machine": machine(policy.device), "versions": versions()}
    console.print(evaluation_table(result))
    result = _write(result, folder, console)
    if kept:
        say(console, f"samples: {kept}")
    return of_main(lambda: result)


def evaluate_run(run: RunFolder, config: TrainConfig, policy: Any, console: Console) -> dict[str, Any]:
    """The evaluation at the end of a training run, with the policy in memory; returns its result."""
    settings = EvalConfig(
        target=str(run.path), n=config.eval_samples, problems=config.eval_problems, seed=config.seed,
        temperature=config.eval_temperature, top_p=config.eval_top_p, device=config.device, threads=config.threads,
        python=config.python,
    )  # fmt: skip
    return evaluate(settings, console=console, policy=policy)


def part_of(config: EvalConfig, target: Target) -> tuple[Part, list[str]]:
    """Which held-out problems, and a line where the run has been watched on some of them (`eval_every`)."""
    run = target.run
    watched_on = run is not None and (run.config.eval_every > 0 or run.records.looks_path.exists())
    if not watched_on or run is None or target.settings.env != run.config.env:
        return config.part or "all", []
    if config.part is None:
        return "final", ["the run was watched on tuning problems (--eval-every); these are the final ones"]
    if config.part != "final":
        return config.part, [
            "the run was watched on some of these problems (--eval-every); --part final leaves them out"
        ]
    return config.part, []


def problem_seed(config: EvalConfig) -> int:
    """The seed that chooses the problems."""
    return config.seed if config.problem_seed is None else config.problem_seed


def describe(config: EvalConfig, target: Target, env: Any, tasks: Sequence[Task], overlap: int) -> dict[str, Any]:
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
        **({} if settings.columns is None else {"columns": settings.columns}),
        "level": settings.level,
        "attempts": settings.attempts,
        "template": settings.template,
        "verifier": getattr(env, "verifier_name", None),
        "max_new_tokens": env.max_new_tokens,
        **({"env_options": settings.env_options} if settings.env_options else {}),
        "n": config.n,
        "problems": len(tasks),
        "part": config.part or "all",
        "seed": config.seed,
        "problem_seed": problem_seed(config),
        "overlap": overlap,
        "bad_rows": len(getattr(env.source, "bad_rows", ())),
    } | ({"engine": settings.engine} if settings.engine == "vllm-server" else {})


def _write(result: dict[str, Any], folder: Path, console: Console) -> dict[str, Any]:
    stem = folder / result_name(result)
    result |= {"file": f"{stem}.json", "plot": f"{stem}.png"}
    curves = [curve_of(result, trained_name(result))]
    if result["base"]:
        curves.append(curve_of(result["base"], "base"))
    title = f"{model_name(result)} on {result['env']}"
    subtitle = f"{held_out(result)}, {sampling(result)}; shaded: 95 % band over problems"
    try:
        write_atomically(Path(result["file"]), _json(result))
        write_atomically(Path(result["plot"]), draw_curves(curves, title, subtitle, loss_of(result)))
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
    identity = [result[key] for key in _deciding_keys()] + [result["base"] is not None, *_younger(result)]
    mark = blake2b(json.dumps(identity).encode(), digest_size=4).hexdigest()
    what = result["env"].rsplit("/", 1)[-1]
    if result["run"] is None:
        what = f"{Path(result['model']).name}-{what}"
    step = "" if result["step"] is None else f"-step{result['step']:06d}"
    step += "" if result.get("part", "all") == "all" else f"-{result['part']}"
    name = f"{what}{step}-n{result['n']}-t{result['temperature']:g}-p{result['top_p']:g}-{mark}"
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")


def _deciding_keys() -> list[str]:
    """Keys of a result that decide its numbers, in the order that its name hashes: another order would give other names."""
    environment = [name for name in names(EnvironmentSettings, True) if name not in _YOUNGER]
    environment.insert(environment.index("data") + 1, "data_sha256")
    sampled = [name for name in names(SamplingSettings, True) if name not in _YOUNGER]
    return ["model", "quantization", "adapter_sha256", "step", *environment, *sampled]


def _younger(result: dict[str, Any]) -> list[list[Any]]:
    """Key and value of settings that came later, where they decide something: an evaluation without them keeps its name."""
    old = {"part": "all", "problem_seed": result["seed"], "columns": None, "engine": None, "env_options": None}
    return [[key, result[key]] for key in _YOUNGER if result.get(key, old[key]) != old[key]]


def writable_folder(config: EvalConfig) -> Path:
    """Where results go. Raises `UserError` if nothing can be written there."""
    inside_run = RunFolder.is_run(config.target)
    folder = Path(config.out) if config.out else Path(config.target) / "eval" if inside_run else Path("eval")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"eval: folder {folder}: {error.strerror}; give another --out") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"eval: folder {folder} is not writable; give another --out")
    return folder
