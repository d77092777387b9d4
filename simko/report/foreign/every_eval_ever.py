"""Every Eval Ever, schema 0.3.0: an aggregate record (JSON) and its samples (JSONL), as the project's datastore holds them.

Source: github.com/evaleval/every_eval_ever: the schema files of 0.2.2 (commit 21b3d1a), and what 0.3.0 adds, from the types
made from its schema (`eval_types.py`, 09496fc), its validator (`validation_core.py`, 076ff86) and its page on samples. The
schema file of 0.3.0 itself was not at hand, so these records are checked against 0.2.2 with those additions.

A sample's text is not in our results, so `output.raw` is empty. The samples of a problem stand in groups of equal answers,
not in the order in which they were drawn.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import PurePosixPath
from typing import Any

from simko import __version__
from simko.errors import UserError
from simko.report.bands import LEVEL, SHARE, band
from simko.report.measured import Measured
from simko.report.passk import k_grid, pass_matrix
from simko.types import Task

SCHEMA_VERSION = "0.3.0"
MOST_SAMPLES = 2_000_000
"""Lines of a file of samples."""
_LIBRARIES = {"lm-eval": "lm_eval", "inspect": "inspect_ai", "verifiers": "verifiers", "counts": "unknown"}


@dataclass(frozen=True)
class Record:
    """The two files: their paths below the folder `data/` is in, and their contents."""

    path: str
    aggregate: str
    samples_path: str
    samples: str


def record(
    measured: Measured,
    timestamp: float,
    model_id: str,
    organization: str,
    tasks: Mapping[str, Task] | None = None,
    hub: str | None = None,
) -> Record:
    """The record of one arm. The same arm gives the same file names, so that writing it again replaces it.

    Args:
        measured: the arm.
        timestamp: when the record is made, in seconds since 1970.
        model_id: the model as `developer/model`.
        organization: who provides the data.
        tasks: problems by id, for the samples' input; empty texts where it is None or lacks one.
        hub: the data set on the Hub that the problems are from.

    Raises:
        UserError: `model_id` has another form, no problem has a verdict, or there are too many samples.
    """
    if model_id.count("/") != 1 or not all(part and _portable(part) == part for part in model_id.split("/")):
        raise UserError(f"every-eval-ever: model id '{model_id}' is not developer/model; give one with --model-id")
    counts = {task: (n, c) for task, (n, c) in measured.counts.items() if n}
    total = sum(n for n, _ in counts.values())
    if not 0 < total <= MOST_SAMPLES:
        raise UserError(
            f"every-eval-ever: arm '{measured.arm}' has {total} samples, not 1 to {MOST_SAMPLES}; use --format counts"
        )
    env = _public(str(measured.facts.get("env") or "unknown"))
    collection = _portable(env.removeprefix("jsonl:").rsplit("/", 1)[-1].lower()) or "unknown"
    file = _uuid4(
        [measured.arm, measured.seed, model_id, env, sorted(counts.items()), sorted(map(str, measured.facts.items()))]
    )
    folder = PurePosixPath("data", collection, *model_id.split("/"))
    evaluation_id = f"{collection}/{model_id}/{timestamp}"
    joins = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": evaluation_id,
        "model_id": model_id,
        "evaluation_name": env,
    }
    samples = "".join(
        json.dumps(joins | line, ensure_ascii=False) + "\n"
        for line in _samples(measured, counts, f"{evaluation_id}/pass@1", tasks or {})
    )
    aggregate = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": evaluation_id,
        "retrieved_timestamp": str(timestamp),
        "source_metadata": {
            "source_name": "simko",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "other",
            "additional_details": {"verdicts": "foreign" if measured.foreign else "simko", "source": measured.source},
        },
        "eval_library": {
            "name": _LIBRARIES.get(measured.source, "simko"),
            "version": "unknown" if measured.foreign else __version__,
        },
        "model_info": {
            "name": model_id.split("/")[1],
            "id": model_id,
            "additional_details": _strings(
                {
                    "deployment_type": "self_deployed" if measured.source == "simko" else "unknown",
                    "model_availability": "unknown",
                }
                | {name: measured.facts.get(name) for name in ("quantization", "adapter_sha256", "step")}
                | {"model": _public(str(measured.facts.get("model") or "unknown"))}
                | {"arm": measured.arm, "training_seed": measured.seed}
            ),
        },
        "evaluation_results": _results(measured, counts, env, evaluation_id, hub),
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": str(folder / f"{file}_samples.jsonl"),
            "hash_algorithm": "sha256",
            "checksum": sha256(samples.encode()).hexdigest(),
            "total_rows": total,
        },
    }
    text = json.dumps(aggregate, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    return Record(str(folder / f"{file}.json"), text, str(folder / f"{file}_samples.jsonl"), samples)


def default_model_id(measured: Measured) -> str:
    """`developer/model` as far as it is known. A trained model is not its base: it gets a name of its own, of no developer."""
    model, is_base = str(measured.facts.get("model") or "unknown"), measured.arm == "base" or measured.foreign
    local = model.count("/") != 1 or model.startswith(("/", "~", "."))
    developer, name = ("unknown", PurePosixPath(model).name) if local else model.split("/")
    if not is_base:
        developer, name = "unknown", f"{name}-{measured.arm}"
    return f"{_portable(developer) or 'unknown'}/{_portable(name) or 'unknown'}"


def _results(
    measured: Measured, counts: Mapping[str, tuple[int, int]], env: str, evaluation_id: str, hub: str | None
) -> list[dict[str, Any]]:
    """A result for each K that every problem can show, with its interval over problems."""
    ks = k_grid(min(n for n, _ in counts.values()))
    values = pass_matrix([n for n, _ in counts.values()], [c for _, c in counts.values()], ks)
    curve = band("pass@K", ks, values, support=SHARE)
    verifier = measured.facts.get("verifier")
    return [
        {
            "evaluation_result_id": f"{evaluation_id}/pass@{k}",
            "evaluation_name": env,
            "source_data": _source(env, hub, len(counts)),
            "metric_config": {
                "evaluation_description": f"pass@{k}, the unbiased estimator; verdicts of {verifier or 'an unknown verifier'}",
                "metric_id": "pass_at_k",
                "metric_name": f"pass@{k}",
                "metric_kind": "pass_rate",
                "metric_unit": "proportion",
                "metric_parameters": {"k": k},
                "lower_is_better": False,
                "score_type": "continuous",
                "min_score": 0,
                "max_score": 1,
            },
            "score_details": {
                "score": float(mean),
                "uncertainty": {
                    "confidence_interval": {
                        "lower": float(low), "upper": float(high), "confidence_level": LEVEL,
                        "method": "simultaneous band over K (Gaussian multiplier), over problems",
                    },
                    "num_samples": len(counts),
                },
            },
            "generation_config": _generation(measured),
        }
        for k, mean, low, high in zip(curve.k, curve.mean, curve.low, curve.high, strict=True)
    ]  # fmt: skip


def _source(env: str, hub: str | None, problems: int) -> dict[str, Any]:
    details = {"additional_details": {"environment": env, "problems": str(problems)}}
    if hub is None:
        return {"dataset_name": env, "source_type": "other", **details}
    return {"dataset_name": hub.split("/")[1], "source_type": "hf_dataset", "hf_repo": hub, **details}


def _generation(measured: Measured) -> dict[str, Any]:
    facts = measured.facts
    arguments = {
        "temperature": facts.get("temperature"),
        "top_p": facts.get("top_p"),
        "max_tokens": facts.get("max_new_tokens"),
    }
    others = {name: facts.get(name) for name in ("level", "data_sha256", "verifier", "template", "attempts", "n")}
    return {
        "generation_args": {name: value for name, value in arguments.items() if value is not None},
        "additional_details": _strings(others),
    }


def _samples(
    measured: Measured, counts: Mapping[str, tuple[int, int]], result_id: str, tasks: Mapping[str, Task]
) -> Iterator[dict[str, Any]]:
    method = str(measured.facts.get("verifier") or "unknown")
    for problem, (n, c) in counts.items():
        task = tasks.get(problem)
        question = {"raw": task.problem if task else "", "reference": [task.gold] if task else []}
        recipe = json.dumps(
            question, sort_keys=True, separators=(",", ":")
        )  # the project's own, so that hashes can be joined
        same: dict[str, Any] = {
            "evaluation_result_id": result_id,
            "sample_id": problem,
            "sample_hash": sha256(recipe.encode()).hexdigest() if task else None,
            "interaction_type": "single_turn",
            "input": question,
            "output": {"raw": []},
        }
        for index, (answer, right) in enumerate(_verdicts(n, c, measured.answers.get(problem, {}))):
            attribution = {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": answer,
                "extraction_method": method,
                "is_terminal": True,
            }
            yield same | {
                "answer_attribution": [] if answer is None else [attribution],
                "evaluation": {"score": float(right), "is_correct": right},
                "metadata": {"index": str(index), "order": "grouped by answer"},
            }


def _verdicts(n: int, c: int, answers: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str | None, bool]]:
    """Answer and verdict of each of `n` samples, of which `c` are correct; samples that no answer stands for come last.

    Answers that do not agree with the counts are left out.
    """
    votes, right = (sum(pair[i] for pair in answers.values()) for i in (0, 1))
    if votes > n or right > c or votes - right > n - c:
        answers = {}
    for answer, (votes, right) in answers.items():
        yield from ((answer, i < right) for i in range(votes))
        n, c = n - votes, c - right
    yield from ((None, i < c) for i in range(n))


def _strings(values: Mapping[str, Any]) -> dict[str, str]:
    """The known values as text: the schema takes no others here."""
    return {name: str(value) for name, value in values.items() if value is not None}


def _public(name: str) -> str:
    """A name without the folders of one machine."""
    kind, colon, path = name.rpartition("jsonl:")
    local = bool(colon) or path.startswith(("/", "~", ".")) or path.count("/") > 1
    return f"{kind}{colon}{PurePosixPath(path).name}" if local else name


def _portable(text: str) -> str:
    """`text` as a name of a folder on any machine."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-. ")


def _uuid4(content: Any) -> uuid.UUID:
    """A name of the form that the datastore asks for, made from the content."""
    return uuid.UUID(bytes=blake2b(json.dumps(content).encode(), digest_size=16).digest(), version=4)
