"""`.eval_results/*.yaml`: results of evaluations in a model's repository, which the Hub shows on the model's page.

Format: huggingface.co/docs/hub/eval-results and `huggingface_hub.EvalResultEntry` (2.4.0): a list of entries with
`dataset.id`, `dataset.task_id`, `value` and `notes`. Each setup is a file of its own. The Hub shows an entry if the data set is
one of its benchmarks; the task's name there is not known here, so it is `default`. A result states no date, so there is none
here, and the Hub takes that of the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from simko.envs import registry
from simko.errors import UserError
from simko.files import write_atomically
from simko.report.foreign.rows import read_object

FOLDER = ".eval_results"


def data_set(env: str) -> str | None:
    """The public data set on the Hub that an environment's problems are from; None if it has none."""
    sources = {info.id: info.source for info in registry.specs()}
    source = sources.get(env, "")
    return source if source.count("/") == 1 and " " not in source and not source.startswith(("/", ".")) else None


def of_run(evaluations: Path, adapter_sha256: str | None) -> tuple[dict[str, str], str]:
    """Files to write, by name, for the evaluations of one adapter in a folder, and in words why there are none.

    The value is that of the exported weights, so evaluations of the run's other checkpoints are left out.
    """
    files: dict[str, str] = {}
    why = "the run has no evaluation of it; measure it with `simko eval`"
    for path in sorted(evaluations.glob("*.json")):
        try:
            result = read_object(path)
            if adapter_sha256 is None or result.get("adapter_sha256") != adapter_sha256:
                continue
            text = of_evaluation(result)
        except (UserError, KeyError, TypeError, ValueError, OSError):  # an export must not fail because of it
            why = f"{path.name} is damaged; measure it again with `simko eval`"
            continue
        if result.get("overlap") or result.get("part") == "tuning":
            why = f"{path.name} was measured on problems that training or tuning has seen"
            continue
        if text is None:
            why = f"{result.get('env')} is of no public data set on the Hub"
        else:
            files[f"{path.stem}.yaml"] = text
    return files, "" if files else why


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the files to `.eval_results` in a folder. Raises `OSError`."""
    for name, text in files.items():
        (folder / FOLDER).mkdir(exist_ok=True)
        write_atomically(folder / FOLDER / name, text)


def of_evaluation(result: Mapping[str, Any]) -> str | None:
    """The file for a result of `simko eval`: pass@1 in percent. None if its problems are of no public data set."""
    hub = data_set(str(result.get("env")))
    if hub is None:
        return None
    entry = {
        "dataset": {"id": hub, "task_id": "default"},
        "value": round(100 * float(result["pass_at_k"]["1"]), 2),
        "notes": _notes(result),
    }
    return yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=1000)


def _notes(result: Mapping[str, Any]) -> str:
    """What decides the value, in a line."""
    level = "" if result.get("level") is None else f", level {result['level']}"
    return (
        f"pass@1 in percent by simko: mean of {result['n']} samples of each of {result['problems']} problems{level}; "
        f"temperature {result['temperature']:g}, top-p {result['top_p']:g}, at most {result['max_new_tokens']} tokens, "
        f"verifier {result['verifier']}, weights {result['quantization']}"
    )
