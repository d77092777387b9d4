"""inspect: `.eval` logs, through the package `inspect_ai` (the extra `inspect`). Epochs are samples.

A log is a zip whose inner form is the package's own affair, so there is no second reader here. Used of it (inspect_ai 0.3.285):
`inspect_ai.log.read_eval_log(file, resolve_attachments=...)`, which returns an `EvalLog` with `eval.task`, `eval.model`,
`eval.model_generate_config`, `plan.config` and `samples`; a sample has `id`, `epoch`, `input`, `target`, `output.completion`,
`scores` (name to `Score` with `value`) and `error`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simko.errors import UserError
from simko.report.foreign.rows import identity, score, setting
from simko.report.foreign.samples import Sample, SampleFile

LARGEST = 8 * 2**30
"""Bytes of a log. The package reads all of it into memory."""
_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""inspect's grades: correct, incorrect, partial, no answer."""


def read(path: Path, scorer: str | None, texts: bool) -> SampleFile:
    """The samples of a log, with the verdicts of `scorer`, or with `texts` their completions.

    Raises:
        UserError: `inspect_ai` is not installed, it cannot read the log, the log has no samples, or several scorers and none
            is named.
    """
    try:
        from inspect_ai.log import read_eval_log
    except ImportError as error:
        raise UserError(f"{path}: .eval logs are read by inspect_ai; pip install 'simko[inspect]'") from error
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: longer than {LARGEST} bytes; split the log")
        log = read_eval_log(str(path), resolve_attachments=texts)
    except UserError:
        raise
    except Exception as error:  # a hostile log makes the package raise whatever it likes
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise UserError(
            f"{path}: inspect_ai cannot read it ({reason}); fetch it again, or update inspect_ai"
        ) from error
    samples = log.samples or []
    if not samples:
        raise UserError(f"{path}: the log has no samples (status '{log.status}'); give one of a finished evaluation")
    model = str(log.eval.model)
    configs = (getattr(log.plan, "config", None), log.eval.model_generate_config)
    facts: dict[str, Any] = {
        "temperature": setting(_first(configs, "temperature")),
        "top_p": setting(_first(configs, "top_p")),
        "max_new_tokens": setting(_first(configs, "max_tokens"), int),
        "model": model,
        "env": f"inspect/{log.eval.task}",
    }
    if texts:
        return SampleFile(model, _texts(samples, path), "inspect", facts)
    name = _scorer(samples, scorer, path)
    facts["verifier"] = name
    return SampleFile(model, _scores(samples, name, path), "inspect", facts)


def _scores(samples: list[Any], scorer: str, path: Path) -> Iterator[Sample]:
    for place, sample in _each(samples, path):
        grade = (sample.scores or {}).get(scorer)
        value = None if grade is None or sample.error is not None else _number(grade.value)
        yield Sample(identity(sample.id, place), place, value=value)


def _texts(samples: list[Any], path: Path) -> Iterator[Sample]:
    """The completions of samples that no error ended."""
    for place, sample in _each(samples, path):
        if sample.error is None:
            question = sample.input if isinstance(sample.input, str) else None
            target = sample.target if isinstance(sample.target, str) else None
            yield Sample(
                identity(sample.id, place), place, text=str(sample.output.completion), problem=question, gold=target
            )


def _each(samples: list[Any], path: Path) -> Iterator[tuple[str, Any]]:
    """The samples. Raises `UserError` for an id that has the same epoch twice."""
    seen: set[tuple[Any, Any]] = set()
    for sample in samples:
        place = f"{path}: sample {sample.id!r:.80}, epoch {sample.epoch}"
        if (str(sample.id), sample.epoch) in seen:
            raise UserError(f"{place}: it stands in the log twice; is this one evaluation?")
        seen.add((str(sample.id), sample.epoch))
        yield place, sample


def _scorer(samples: list[Any], choice: str | None, path: Path) -> str:
    names = list(dict.fromkeys(str(name) for sample in samples for name in sample.scores or {}))
    if not names:
        raise UserError(f"{path}: the log has no scores; score it with `inspect score`, or give --env to grade it")
    if choice is not None and choice not in names:
        raise UserError(f"{path}: no scorer '{choice}'; it has: {', '.join(names)[:200]}")
    if choice is None and len(names) > 1:
        raise UserError(f"{path}: its scorers are {', '.join(names)[:200]}; name one with --metric")
    return choice or names[0]


def _number(value: Any) -> float | None:
    return _LETTERS.get(value) if isinstance(value, str) else score(value)


def _first(configs: tuple[Any, ...], name: str) -> Any:
    return next((value for config in configs if (value := getattr(config, name, None)) is not None), None)
