"""Arms from what is on disk: results of evaluations, run folders, comparison folders, and what other programs wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from simko.config import read_yaml
from simko.console import note, one_line
from simko.errors import UserError
from simko.files import digest
from simko.report.arm_names import named_apart
from simko.report.measured import MUST_AGREE, Measured
from simko.run.records import Records

LAST_STEPS = 10
"""Steps at the end of a run over which its own metrics are averaged."""
_LARGEST = 1 << 30  # bytes of a file that is read as JSON
_COPIED = (
    *MUST_AGREE, "temperature", "top_p", "part", "problem_seed", "template", "model", "quantization", "n", "split", "data",
    "versions", "machine", "overlap", "bad_rows",
)  # fmt: skip
_OF_A_SIDE = ("truncated", "tokens_per_answer", "outcomes", "distinct_answers", "majority_at_k")
_CONCENTRATION = re.compile(r"entropy|top1_fraction|logp_rank\d{1,2}")

Say = Callable[[str], None]


def load(paths: Iterable[str | Path], say: Say = note) -> list[Measured]:
    """Read every arm and seed that the paths hold, in the order of the paths; names of arms are made distinct.

    A path is a result of `simko eval` (`RUN/eval/*.json`), a run folder, a folder that `simko compare` wrote, its
    `results.json`, or a file of another program. The base model in a result becomes the arm `base` of that seed. `say` gets a
    line for each file that was chosen among several, and for each damaged one inside a folder: the others go on.

    Raises:
        UserError: a path does not exist, a file that was named is damaged, or a folder holds no result.
    """
    measured: list[Measured] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f"compare: {path}: no such file or folder; give a run folder or a result of `simko eval`")
        measured += _read_folder(path, say) if path.is_dir() else read_file(path)
    return named_apart(measured, say)


def read_file(path: Path, arm: str | None = None, seed: int | None = None) -> list[Measured]:
    """The arms of one file; `arm` and `seed` are those that a folder's name gives.

    Raises:
        UserError: nobody knows the file, or it is damaged.
    """
    content = _json(path) if path.suffix == ".json" else None
    if _is_evaluation(content):
        return of_evaluation(content, path, arm, seed)
    if isinstance(content, dict) and str(content.get("schema", "")).startswith("simko.comparison/"):
        return of_comparison(content, path)
    return _foreign(path)


def of_evaluation(result: Mapping[str, Any], path: Path, arm: str | None = None, seed: int | None = None) -> list[Measured]:
    """The trained side and the base side of a result of `simko eval`, also of one that an older version wrote.

    Raises:
        UserError: a count is not one.
    """
    run = _run_of(path)
    config = read_yaml(run / "config.yaml") if run else {}
    facts = {name: result.get(name) for name in _COPIED}
    facts["part"] = facts["part"] or "all"
    facts |= {"eval_seed": result.get("seed"), "problems": len(_counts(result, path)), "place_sha256": digest(path)}
    trained_seed = seed if seed is not None else _integer(config.get("seed"), _integer(result.get("seed")))
    has_adapter = bool(result.get("adapter") or result.get("run"))
    trained = {name: result.get(name) for name in ("algorithm", "step", "adapter_sha256", "seconds")}
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
                facts = dict(point["facts"]) | {"majority_at_k": point["majority_at_k"]}
                measured.append(
                    Measured(str(arm["name"]), _integer(point["seed"]), counts, {}, facts, arm["source"], str(path))
                )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"no {error}" if isinstance(error, KeyError) else str(error)) from error
    return measured


def of_training(run: Path) -> dict[str, Any]:
    """What a run's own metrics say: `training` (means of the last ten steps) and `training_seconds`; empty if damaged."""
    try:
        lines = Records(run).metrics()
    except (UserError, OSError):
        return {}
    seconds = [value for line in lines for key, value in line.items() if key.startswith("seconds_") and _is_number(value)]
    last = lines[-LAST_STEPS:]
    means = {}
    for key in sorted({key for line in last for key in line if _CONCENTRATION.fullmatch(key)}):
        values = [line[key] for line in last if _is_number(line.get(key))]
        if values:
            means[key] = sum(values) / len(values)
    return {"training": means, "training_seconds": sum(seconds)} if lines else {}


def _read_folder(folder: Path, say: Say) -> list[Measured]:
    if _is_run(folder) or folder.name == "eval":
        return _read_run(folder, say)
    places = [(place.parent.name, place) for place in sorted(folder.glob("runs/*/seed-*"))]
    places += [("base", place) for place in sorted(folder.glob("base/seed-*"))]
    if not places and (folder / "results.json").is_file():
        return read_file(folder / "results.json")
    if not places:
        return _foreign(folder)
    measured: list[Measured] = []
    for arm, place in places:
        seed = place.name.removeprefix("seed-")
        try:
            measured += _read_run(place, say, arm, int(seed) if seed.isdecimal() else None)
        except UserError as error:
            say(f"{error}; left out")
    if not measured:
        raise UserError(f"compare: {folder}: no seed of any arm has a result yet; go on with `simko compare --out {folder}`")
    return measured


def _read_run(folder: Path, say: Say, arm: str | None = None, seed: int | None = None) -> list[Measured]:
    """The evaluation of a run: of the final problems before others, the largest n, the newest step, then the newest file."""
    usable: list[tuple[Any, Path, dict[str, Any]]] = []
    for path in sorted({*folder.glob("eval/*.json"), *folder.glob("*-n*.json")}):
        try:
            result = _json(path)
            if _is_evaluation(result):
                _counts(result, path)
                usable.append((_rank(result, path), path, result))
        except UserError as error:
            say(f"{error}; left out")
    if not usable:
        raise UserError(f"compare: {folder}: no result of an evaluation; write one with `simko eval {folder}`")
    _, path, result = max(usable, key=lambda entry: entry[0])
    if len(usable) > 1:
        say(f"{folder}: {len(usable)} evaluations; {path.name} is compared (most samples, then newest); name a file to take it")
    return of_evaluation(result, path, arm, seed)


def _rank(result: Mapping[str, Any], path: Path) -> tuple[Any, ...]:
    run = _run_of(path)
    env = read_yaml(run / "config.yaml").get("env") if run else None
    is_own = env in (None, result["env"])
    part = {"final": 2, "tuning": 0}.get(str(result.get("part")), 1)
    step = _integer(result.get("step"), -1)
    return is_own, part, _integer(result.get("n"), 0), step, path.stat().st_mtime_ns, path.name


def _side(name: str, seed: int | None, side: Mapping[str, Any], path: Path, facts: Mapping[str, Any]) -> Measured:
    answers = side.get("answers")
    votes: dict[str, dict[str, tuple[int, int]]] = {}
    if isinstance(answers, dict):
        for task, given in answers.items():
            pairs = given.items() if isinstance(given, dict) else ()
            votes[task] = {answer: _pair(*pair, path) for answer, pair in pairs if isinstance(pair, list) and len(pair) == 2}
    more = {key: side[key] for key in _OF_A_SIDE if key in side}
    return Measured(name, seed, _counts(side, path), votes, {**facts, **more}, "simko", str(path))


def _counts(side: Mapping[str, Any], path: Path) -> dict[str, tuple[int, int]]:
    counts = side.get("counts")
    if not isinstance(counts, dict) or not counts:
        raise _damaged(path, "no counts")
    try:
        return {task: _pair(entry["samples"], entry["correct"], path) for task, entry in counts.items()}
    except (KeyError, TypeError) as error:
        raise _damaged(path, "a count without samples and correct") from error


def _pair(samples: Any, correct: Any, path: Path) -> tuple[int, int]:
    if _integer(samples) is None or _integer(correct) is None or not 0 <= correct <= samples:
        raise _damaged(path, f"{correct!r:.40} correct of {samples!r:.40} samples")
    return samples, correct


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST:
            raise _damaged(path, f"more than {_LARGEST >> 20} MiB")
        return json.loads(path.read_bytes(), parse_constant=lambda _: None)
    except OSError as error:
        raise UserError(f"compare: {path}: {error.strerror}; mend that, or leave it out") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, one_line(str(error))[:120]) from error


def _foreign(path: Path) -> list[Measured]:
    raise UserError(f"compare: {path}: not a result of `simko eval`, a run or a comparison; give one of these")


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"compare: {path}: damaged ({one_line(why)}); measure it again with `simko eval`, or leave it out")


def _is_evaluation(content: Any) -> bool:
    return isinstance(content, dict) and {"counts", "pass_at_k", "env"} <= set(content)


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()


def _run_of(path: Path) -> Path | None:
    """The run folder that a result lies in; the path in the result may be of another machine."""
    return next((folder for folder in (path.parent.parent, path.parent) if _is_run(folder)), None)


def _integer(value: Any, default: int | None = None) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
