"""Results on disk as measurements: an evaluation of ours, the base model beside it, and the results of a comparison."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard, get_args

from simko.config import read_yaml
from simko.console import one_line
from simko.errors import UserError
from simko.files import digest
from simko.report.measured import Measured, Source
from simko.run.records import Records

LAST_STEPS = 10
"""Steps at the end of a run over which its own metrics are averaged."""
_MOST_SAMPLES = 1 << 20  # of a problem: the time of pass@K grows with it
_LARGEST_NUMBER = 1e300
_LARGEST = 1 << 30  # bytes of a file that is read as JSON
_NUMBERS = (
    "level", "max_new_tokens", "attempts", "temperature", "top_p", "problem_seed", "n", "overlap", "bad_rows", "step",
    "truncated", "tokens_per_answer", "distinct_answers",
)  # fmt: skip
_WORDS = (
    "env",
    "data_sha256",
    "verifier",
    "part",
    "template",
    "model",
    "quantization",
    "split",
    "data",
    "adapter_sha256",
)
_MAPPINGS = ("versions", "machine", "outcomes", "majority_at_k")
_OF_A_SIDE = ("truncated", "tokens_per_answer", "distinct_answers", "outcomes", "majority_at_k")
_OF_TRAINING = ("step", "adapter_sha256")
_CONCENTRATION = re.compile(r"entropy|top1_fraction|logp_rank\d{1,2}")


def of_evaluation(
    result: Mapping[str, Any], path: Path, arm: str | None = None, seed: int | None = None
) -> list[Measured]:
    """The trained side and the base side of a result of `simko eval`, also of one that an older version wrote.

    Raises:
        UserError: a count is not one.
    """
    run = run_of(path)
    config = read_yaml(run / "config.yaml") if run else {}
    facts = {name: value for name, value in _facts(result).items() if name not in (*_OF_A_SIDE, *_OF_TRAINING)}
    facts["part"] = facts["part"] or "all"
    facts |= {
        "eval_seed": integer(result.get("seed")),
        "problems": len(counts_of(result, path)),
        "place_sha256": digest(path),
    }
    trained_seed = seed if seed is not None else integer(config.get("seed"), integer(result.get("seed")))
    has_adapter = bool(result.get("adapter") or result.get("run"))
    trained = {name: _facts(result)[name] for name in _OF_TRAINING}
    trained |= {"trained": True, "settings": {key: value for key, value in config.items() if key != "out"}}
    trained |= of_training(run) if run else {}
    name = arm or str(config.get("algorithm") or result.get("algorithm") or ("trained" if has_adapter else "base"))
    sides = [_side(name, trained_seed, result, path, facts | (trained if has_adapter else {"trained": False}))]
    if isinstance(result.get("base"), dict):
        sides.append(_side("base", trained_seed, result["base"], path, facts | {"trained": False}))
    return sides


def of_comparison(content: Mapping[str, Any], path: Path) -> list[Measured]:
    """The arms of a `results.json` of ours. Raises `UserError` if it is damaged."""
    try:
        ids = [str(task) for task in content["problems"]["ids"]]
        measured = []
        for arm in content["arms"]:
            for point in arm["seeds"]:
                rows = zip(ids, point["correct"], point["samples"], strict=True)
                counts = {task: _pair(samples, correct, path) for task, correct, samples in rows}
                facts = _known_types(point["facts"], arm.get("settings"), point.get("majority_at_k"))
                source: Source = next((known for known in get_args(Source) if known == arm["source"]), "counts")
                seed = integer(point["seed"])
                measured.append(Measured(str(arm["name"]), seed, counts, {}, facts, source, str(path)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"no {error}" if isinstance(error, KeyError) else str(error)) from error
    return measured


def of_training(run: Path) -> dict[str, Any]:
    """What a run's own metrics say: `training` (means of the last ten steps) and `training_seconds`; empty if damaged."""
    try:
        lines = Records(run).metrics()
    except (UserError, OSError):
        return {}
    seconds = [
        value for line in lines for key, value in line.items() if key.startswith("seconds_") and _is_number(value)
    ]
    last = lines[-LAST_STEPS:]
    means = {}
    for key in sorted({key for line in last for key in line if _CONCENTRATION.fullmatch(key)}):
        values = [line[key] for line in last if _is_number(line.get(key))]
        if values:
            means[key] = sum(values) / len(values)
    return {"training": means, "training_seconds": sum(seconds)} if lines else {}


def _facts(content: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a result that have the type they should; None for the others."""
    facts = {name: value if _is_number(value := content.get(name)) else None for name in _NUMBERS}
    facts |= {name: value if isinstance(value := content.get(name), str) else None for name in _WORDS}
    for name in _MAPPINGS:
        value = content.get(name)
        facts[name] = value if isinstance(value, dict) else None
    for name in ("outcomes", "majority_at_k"):
        if not all(map(_is_number, (facts[name] or {}).values())):
            facts[name] = None
    return facts


def _known_types(facts: Mapping[str, Any], settings: Any, majority: Any) -> dict[str, Any]:
    """The facts of a seed in a `results.json`, without those of another type than ours."""
    known = _facts({**facts, "majority_at_k": majority})
    training = facts.get("training")
    known["training"] = {k: v for k, v in training.items() if _is_number(v)} if isinstance(training, dict) else {}
    known["training_seconds"] = seconds if _is_number(seconds := facts.get("training_seconds")) else None
    known["settings"] = settings if isinstance(settings, dict) else {}
    for name, kind in (("trained", bool), ("tuned", list), ("arm", str)):
        if isinstance(value := facts.get(name), kind):
            known[name] = value
    return known


def _side(name: str, seed: int | None, side: Mapping[str, Any], path: Path, facts: Mapping[str, Any]) -> Measured:
    answers = side.get("answers")
    votes: dict[str, dict[str, tuple[int, int]]] = {}
    if isinstance(answers, dict):
        for task, given in answers.items():
            pairs = given.items() if isinstance(given, dict) else ()
            votes[task] = {
                answer: _pair(pair[0], pair[1], path)
                for answer, pair in pairs
                if isinstance(pair, list) and len(pair) == 2
            }
    more = {name: _facts(side)[name] for name in _OF_A_SIDE}
    return Measured(name, seed, counts_of(side, path), votes, {**facts, **more}, "simko", str(path))


def counts_of(side: Mapping[str, Any], path: Path) -> dict[str, tuple[int, int]]:
    """Samples and correct ones of each problem. Raises `UserError` if one is not a count."""
    counts = side.get("counts")
    if not isinstance(counts, dict) or not counts:
        raise _damaged(path, "no counts")
    try:
        return {task: _pair(entry["samples"], entry["correct"], path) for task, entry in counts.items()}
    except (KeyError, TypeError) as error:
        raise _damaged(path, "a count without samples and correct") from error


def _pair(samples: Any, correct: Any, path: Path) -> tuple[int, int]:
    if integer(samples) is None or integer(correct) is None or not 0 <= correct <= samples <= _MOST_SAMPLES:
        raise _damaged(path, f"{correct!r:.40} correct of {samples!r:.40} samples")
    return samples, correct


def read_json(path: Path) -> Any:
    """The content of a JSON file, numbers that are not finite as None. Raises `UserError` if it cannot be read."""
    try:
        if path.stat().st_size > _LARGEST:
            raise _damaged(path, f"more than {_LARGEST >> 20} MiB")
        return json.loads(path.read_bytes(), parse_constant=lambda _: None, parse_float=_finite)
    except OSError as error:
        raise UserError(f"compare: {path}: {error.strerror}; mend that, or leave it out") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, one_line(str(error))[:120]) from error


def _finite(text: str) -> float | None:
    return value if math.isfinite(value := float(text)) else None


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"compare: {path}: damaged ({one_line(why)}); measure it again with `simko eval`, or leave it out")


def is_evaluation(content: Any) -> TypeGuard[dict[str, Any]]:
    """Whether this is the content of a result of `simko eval`, of any version."""
    return isinstance(content, dict) and {"counts", "pass_at_k", "env"} <= set(content)


def is_comparison(content: Any) -> TypeGuard[dict[str, Any]]:
    """Whether this is the content of a `results.json` of ours."""
    return isinstance(content, dict) and str(content.get("schema", "")).startswith("simko.comparison/")


def is_run(folder: Path) -> bool:
    """Whether this is a run folder, also one that has no checkpoint any more."""
    return (folder / "config.yaml").is_file()


def run_of(path: Path) -> Path | None:
    """The run folder that a result lies in; the path in the result may be of another machine."""
    return next((folder for folder in (path.parent.parent, path.parent) if is_run(folder)), None)


def integer(value: Any, default: int | None = None) -> Any:
    """The value if it is an integer, else the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _is_number(value: Any) -> bool:
    """Whether this is a number that a float can hold; a whole number in JSON may have thousands of digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_NUMBER
