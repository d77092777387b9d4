"""`simko eval --probe`: has the model read these problems? It gets the first part of each and goes on by itself.

The probe of arXiv 2507.10532 (Wu et al. 2025, "Reasoning or Memorization?"), section 3: the first 60 % and 40 % of a problem as
plain text, without a chat template, continued greedily. Counted are continuations that give the rest of the problem word for
word (EM), ROUGE-L against the rest, and answers that are correct although only a part of the problem was given. There
Qwen2.5-Math-7B gives the rest of 54.6 % of MATH-500 at 60 %, Llama-3.1-8B of 3.8 %; of a set newer than both, none.

Departures: the text is cut by characters and at the end of a word, and the continuation may say more after the rest.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from rich.console import Console
from rich.text import Text

from simko.build import make_env, make_policy
from simko.config import EvalConfig
from simko.console import say, table
from simko.envs import PromptFormat, verifiers
from simko.envs.puzzles.procedural import ProceduralSource
from simko.envs.watched import watched
from simko.errors import UserError
from simko.eval_samples import chunk_size
from simko.eval_tasks import choose_tasks
from simko.evaluate import describe, part_of, problem_seed, result_name, writable_folder
from simko.files import write_atomically
from simko.grading import Grading, holding
from simko.report.recited import cut, goes_on, rouge_l, wilson
from simko.report.table import model_name
from simko.run.manifest import data_notes, machine, versions
from simko.run.target import resolve
from simko.types import Sampling, Task

SHARES = (0.6, 0.4)
_SLACK = 8  # tokens beyond those of the rest: the model may cut words otherwise than the tokenizer does
_CLIP = 2000  # characters of a continuation that a result holds


def probe(config: EvalConfig, console: Console | None = None, policy: Any = None, env: Any = None) -> dict[str, Any]:
    """Probe a run or a model, and its base model; print a table, write `probe-<name>.json`, and return its content.

    `policy` and `env` may be objects in memory. `n`, `seed`, `temperature` and `top_p` have no effect: one greedy continuation
    is always the same.

    Raises:
        UserError: the environment generates its problems, the target cannot be evaluated, or the result cannot be written.
    """
    console = console or Console()
    target = resolve(config, in_memory=policy is not None)
    policy = policy or make_policy(target.settings, target.adapter)
    date = None if target.run is None else target.run.prompt_date()
    env = env or make_env(target.settings, policy, "eval", date)
    if env.source.size is None or isinstance(env.source, ProceduralSource):
        raise UserError(
            f"eval: {target.settings.env} generates its problems, so nobody can have read them and there is nothing to probe; "
            "take an --env that reads a data set, or leave --probe out"
        )
    env = watched(env, target.settings.env)
    verifiers.warm_up(str(getattr(env, "verifier_name", "")))
    part, why = part_of(config, target)
    tasks = choose_tasks(env, config.problems, problem_seed(config), part)
    folder = writable_folder(config)
    result = {"probe": True, **describe(config, target, env, tasks, 0), "part": part, "n": 1}
    for note in [*why, *data_notes(env)]:
        say(console, f"data: {note}")
    say(console, f"probing {model_name(result)}: the first 60 % and 40 % of {len(tasks)} problems, continued greedily")

    began, with_base = time.monotonic(), config.base and (target.adapter is not None or target.run is not None)
    sides: dict[str, Any] = {"trained": nullcontext()} | ({"base": policy.base()} if with_base else {})
    try:
        for side, active in sides.items():
            with active:
                result[side] = {f"{share:g}": _continue(policy, env, tasks, share, console) for share in SHARES}
    except FloatingPointError as error:
        raise UserError(f"eval: {error}; try another --device or --quantization") from error
    name = result_name({**result, "base": result.get("base"), "temperature": 0.0, "top_p": 1.0})
    path = folder / f"probe-{name}.json"
    result |= {"seconds": time.monotonic() - began, "machine": machine(policy.device), "versions": versions()}
    result["file"] = str(path)
    console.print(Text(probe_table(result)))
    for line in probe_conclusions(result):
        say(console, line)
    try:
        write_atomically(path, json.dumps(result, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise UserError(f"eval: {path}: {error.strerror}; make room, or give another --out") from error
    say(console, f"result: {path}")
    return result


def _continue(policy: Any, env: Any, tasks: Sequence[Task], share: float, console: Console) -> dict[str, Any]:
    """What the policy makes of the first `share` of each problem: the counts, and a row a problem."""
    plain = PromptFormat(policy.tokenizer, "{problem}", stop_ids=env.stop_ids)
    parts = [(task, pieces) for task in tasks if (pieces := cut(task.problem, share))]
    context = getattr(policy, "context", None)
    rows, spoken, last = [], 0, time.monotonic()
    with holding(policy.engine), Grading(env.grade) as grading:
        size = chunk_size(2 * env.max_new_tokens, policy.device)
        for begin in range(0, len(parts), size):
            piece = parts[begin : begin + size]
            prompts = [plain.prompt_ids(start) for _, (start, _) in piece]
            lengths = [len(policy.tokenizer.encode(rest, add_special_tokens=False)) for _, (_, rest) in piece]
            budgets = [length + _SLACK + env.max_new_tokens for length in lengths]
            if context is not None:
                budgets = [max(1, min(b, context - len(p))) for b, p in zip(budgets, prompts, strict=True)]
            sampling = Sampling(temperature=0.0, max_new_tokens=max(budgets), stop_ids=tuple(sorted(plain.stop_ids)))
            answers = policy.engine.generate(prompts, 1, sampling, [0] * len(prompts), budgets)
            texts = [policy.tokenizer.decode(answer.ids.tolist(), skip_special_tokens=True) for (answer,) in answers]
            for (task, _), text in zip(piece, texts, strict=True):
                grading.submit(task, text)
            for (task, (_, rest)), text in zip(piece, texts, strict=True):
                verdict = grading.verdict(task, text)
                rows.append(
                    {"task": task.id, "exact": goes_on(text, rest), "rouge_l": rouge_l(text, rest), "outcome": verdict.outcome,
                     "rest": rest, "continuation": text[:_CLIP]}
                )  # fmt: skip
            if time.monotonic() - last > 5 and len(rows) > spoken:
                spoken, last = len(rows), time.monotonic()
                say(console, f"{share:.0%} of the text: problem {len(rows)}/{len(parts)}")
    exact, right = sum(row["exact"] for row in rows), sum(row["outcome"] == "correct" for row in rows)
    return {
        "problems": len(rows),
        "exact": exact,
        "exact_interval": wilson(exact, len(rows)) if rows else None,
        "rouge_l": sum(row["rouge_l"] for row in rows) / len(rows) if rows else None,
        "correct": right,
        "correct_interval": wilson(right, len(rows)) if rows else None,
        "rows": rows,
    }


def probe_table(result: dict[str, Any]) -> str:
    """A row for each side and each share of the text."""
    rows = []
    for side in ("trained", "base"):
        name = model_name(result) if side == "trained" else "base"
        for share, counts in result.get(side, {}).items():
            if counts["problems"]:
                exact, right = (_share(counts, key) for key in ("exact", "correct"))
                rows.append([name, f"{float(share):.0%}", exact, f"{counts['rouge_l']:.2f}", right])
    return table(["", "given", "word for word", "ROUGE-L", "answer correct"], rows, numbers=True)


def probe_conclusions(result: dict[str, Any]) -> list[str]:
    """What the probe shows, and what it cannot show."""
    lines = ["percent of problems; [ ] 95 % interval (Wilson)"]
    counts = result["trained"][f"{SHARES[0]:g}"]
    if not counts["problems"]:
        return [*lines, "no problem is long enough to be cut"]
    if counts["exact"]:
        lines.append(
            f"{counts['exact']} of {counts['problems']} problems are given word for word from 60 % of their text: the model has "
            "most likely read them, unless their endings are short or formulaic. Look at `rows` in the result"
        )
    else:
        most = 100 * counts["exact_interval"][1]
        lines.append(
            f"none of {counts['problems']} problems is given word for word: the share of such problems is below {most:.1f} %"
        )
    return [
        *lines,
        "This cannot show that a set is clean: a problem read in other words, or remembered less well, is not found. Compare "
        "with a set that is newer than the model.",
    ]


def _share(counts: dict[str, Any], key: str) -> str:
    low, high = counts[f"{key}_interval"]
    return f"{100 * counts[key] / counts['problems']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
