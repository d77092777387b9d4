"""lm-evaluation-harness: `samples_<task>_<date>.jsonl`, which `--log_samples` writes.

Format of lm_eval 0.4.13 (`evaluator.py`, `loggers/evaluation_tracker.py`): a row for each document and filter, with `doc_id`,
`doc`, `target`, `arguments`, `resps` (for each request its repeats), `filtered_resps`, `filter`, `metrics` (names) and each
metric under its name. The harness scores what the filter leaves, once a row, however many repeats there are. So by its own
verdicts a document has one sample; graded by our verifiers it has one for each repeat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simko.envs.data.rows import text_of
from simko.errors import UserError
from simko.report.foreign.rows import Row, first_row, identity, inside, rows, score, setting
from simko.report.foreign.samples import Sample, SampleFile, stem

METRICS = ("exact_match", "acc", "math_verify", "pass@1")
"""Metrics that are 0 or 1 a document, the usual first. Taken if a file has several and none is named."""
_NAME = re.compile(r"samples_(.+)_\d{4}-\d\d-\d\dT[\d.-]+")
_PROBLEM = ("problem", "question", "query", "input", "prompt")


def holds(row: Row) -> bool:
    """Whether a row has the fields of a logged sample."""
    return {"doc_id", "doc", "filtered_resps"} <= row.keys()


def read(path: Path, filter: str | None, metric: str | None, texts: bool) -> SampleFile:
    """The samples of a file: a score for each document and filter, or with `texts` each response of the first filter.

    Raises:
        UserError: no such filter or metric, several metrics of which none is usual, or (while they are read) a document that
            stands twice, or responses that are no texts.
    """
    head = first_row(path)
    match = _NAME.fullmatch(stem(path))
    task, folder = match[1] if match else stem(path), path.absolute().parent.name
    kwargs = inside(head, "arguments", "gen_args_0", "arg_1")
    facts: dict[str, Any] = {
        "temperature": setting(inside(kwargs, "temperature")),
        "top_p": setting(inside(kwargs, "top_p")),
        "max_new_tokens": setting(inside(kwargs, "max_gen_toks"), int),
        "model": folder if match else None,
        "env": f"lm-eval/{task}",
    }
    if texts:
        return SampleFile(folder if match else task, _texts(path, filter), "lm-eval", facts)
    name = _metric(head, metric, path)
    facts["verifier"] = name if filter is None else f"{name} ({filter})"
    return SampleFile(folder if match else task, _scores(path, filter, name), "lm-eval", facts)


def _scores(path: Path, filter: str | None, metric: str) -> Iterator[Sample]:
    for place, problem, row in _of_filter(path, filter):
        yield Sample(problem, place, str(row.get("filter", "")), value=score(row.get(metric)))


def _texts(path: Path, filter: str | None) -> Iterator[Sample]:
    """The responses. They are the same under each filter, so those of one are enough."""
    only = str(first_row(path).get("filter", "")) if filter is None else filter
    for place, problem, row in _of_filter(path, only):
        responses = row.get("resps")
        repeats = responses[0] if isinstance(responses, list) and len(responses) == 1 else None
        if not isinstance(repeats, list) or not repeats or not all(isinstance(text, str) for text in repeats):
            raise UserError(
                f"{place}: field 'resps' holds no generated texts; leave --env and --verifier out to take its scores"
            )
        doc = row.get("doc")
        question = next((text for name in _PROBLEM if (text := text_of(inside(doc, name)))), None)
        for text in repeats:
            yield Sample(problem, place, text=text, problem=question, gold=text_of(row.get("target")))


def _of_filter(path: Path, only: str | None) -> Iterator[tuple[str, str, Row]]:
    places: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    has_rows = False
    for place, row in rows(path):
        problem, name = identity(row.get("doc_id"), place, "doc_id"), str(row.get("filter", ""))
        if (problem, name) in places:
            raise UserError(
                f"{place}: doc_id {problem} with filter '{name[:60]}' stands in {places[problem, name]} already; "
                "is this one run of one task?"
            )
        places[problem, name] = place
        names.add(name)
        if only in (None, name):
            has_rows = True
            yield place, problem, row
    if not has_rows:
        raise UserError(f"{path}: no row of filter '{only}'; it has: {', '.join(sorted(names))[:200]}")


def _metric(head: Row, choice: str | None, path: Path) -> str:
    stored = head.get("metrics")
    names = [name for name in stored if isinstance(name, str)] if isinstance(stored, list) else [*METRICS]
    names = [name for name in names if score(head.get(name)) is not None]
    if choice is not None and choice not in names:
        raise UserError(f"{path}: no metric '{choice}' that is a number; it has: {', '.join(names)[:200]}")
    usual = [name for name in METRICS if name in names]
    if choice is None and len(names) != 1 and not usual:
        raise UserError(
            f"{path}: its metrics are {', '.join(names)[:200] or 'not numbers'}; name one that is 0 or 1 with --metric"
        )
    return choice or (names[0] if len(names) == 1 else usual[0])
