"""Readers: from the output of a step's command to numbers by name and tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.gpu.steps import Findings


def doctor(stdout: str) -> Findings:
    """The findings of `simko doctor --json`."""
    rows = [[row["name"], row["status"], row["detail"], row["mend"]] for row in json.loads(stdout)]
    failures = sum(row[1] == "fail" for row in rows)
    return {"values": {"failures": failures}, "tables": [_table(["check", "status", "detail", "mend"], rows)]}


def tests(stdout: str) -> Findings:
    """Counts, and each failed test with the first line of its reason, of `pytest -rfE`."""
    last = next(line for line in reversed(stdout.splitlines()) if re.search(r"\d+ (passed|failed|skipped|error)", line))
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", last)}
    failures = re.findall(r"^(?:FAILED|ERROR) (\S+)(?: - (.*))?$", stdout, re.MULTILINE)
    notes = [f"{name}: {reason}" for name, reason in failures]
    return {"values": counts, "tables": [_table(list(counts), [list(counts.values())])], "notes": notes}


def benchmark(stdout: str, ratios: dict[str, tuple[str, str, str]]) -> Findings:
    """The cases of `python -m benchmarks NAME --json`, with `ratios` of a metric of one case over another.

    `ratios` maps the name of a ratio to metric, case above and case below. A case that did not run gives no ratio.
    """
    result = json.loads(stdout)
    cases = result["cases"]
    columns = list(dict.fromkeys(metric for case in cases.values() for metric in case["median"]))
    rows = [[name, *(_number(case["median"].get(metric)) for metric in columns)] for name, case in cases.items()]
    values = {
        name: cases[above]["median"][metric] / cases[below]["median"][metric]
        for name, (metric, above, below) in ratios.items()
        if above in cases and below in cases and cases[below]["median"][metric] > 0
    }
    packages = {name: {k: v for k, v in case["versions"].items() if v} for name, case in cases.items()}
    notes = [f"{name} ran with {', '.join(f'{k} {v}' for k, v in found.items())}" for name, found in packages.items()]
    notes += [f"{name} was left out: not installed ({how})" for name, how in result["missing"].items()]
    notes += [f"{name} was left out: it failed: {why}" for name, why in result["failed"].items()]
    sizes = ", ".join(f"{key} {value}" for key, value in result["setting"].items())
    tables = [_table(["case (medians)", *columns], rows)]
    if values:
        tables.append(_table(["ratio", "value"], [[name, _number(value)] for name, value in values.items()]))
    return {"values": values, "tables": tables, "notes": [f"sizes: {sizes}", *notes, *result["notes"]]}


def forecast(stdout: str) -> Findings:
    """Forecast and measured peak of both phases, of `python -m benchmarks.gpu.forecast`."""
    row = json.loads(stdout.splitlines()[-1])
    values = {name: row[name] for name in row if isinstance(row[name], int | float) and not isinstance(row[name], bool)}
    if row.get("measured_update") is not None:
        values["measured_peak"] = max(row["measured_rollout"], row["measured_update"])
        values["error, absolute"] = abs(row["error"])
    gb = [
        [phase, *(_gb(row.get(f"{kind}_{phase}")) for kind in ("forecast", "measured"))]
        for phase in ("rollout", "update")
    ]
    settings = ", ".join(f"{key} {value}" for key, value in row.items() if key not in values and value is not None)
    error = "" if row.get("error") is None else f"forecast over measured: {row['error']:+.1%}; "
    return {
        "values": values,
        "tables": [_table(["phase", "forecast GB", "measured GB"], gb)],
        "notes": [error + settings],
    }


def training(stdout: str, run: Path) -> Findings:
    """What a run folder says of a training run, finished or stopped: its steps, their times and peaks, and the solve rate."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    manifest = json.loads((run / "manifest.json").read_text())
    first, last = lines[: max(1, len(lines) // 5)], lines[-max(1, len(lines) // 5) :]
    rows = [["steps", str(len(lines))], ["ended as", str(manifest.get("status"))]]
    for name in ("reward", "entropy", "completion_tokens", "seconds_rollout", "seconds_update", "oom_halvings"):
        means = [_mean(part, name) for part in (first, last)]
        if None not in means:
            rows.append([f"{name}: first fifth, last fifth", " and ".join(map(_number, means))])
    memory = manifest.get("memory", {})
    rows += [[f"memory: {name}", _gb(size) + " GB"] for name, size in memory.items() if name != "error" and size]
    if "error" in memory:
        rows.append(["memory: forecast over measured", f"{memory['error']:+.1%}"])
    if cap := re.search(r"^cap: (.+)$", stdout, re.MULTILINE):
        rows.append(["cap", cap[1]])
    return {"values": {"steps": len(lines)}, "tables": [_table(["figure", "value"], rows)]}


def evaluation(stdout: str) -> Findings:
    """pass@K before (the base model) and after training, of `simko eval RUN --json`."""
    result = json.loads(stdout)
    base, verdicts = result["base"], result.get("verdicts", {})
    rows = [[k, _band(base, k), _band(result, k), verdicts.get(k, "")] for k in result["pass_at_k"]]
    values = {
        f"pass@{k} {when}": curve["pass_at_k"][k]
        for when, curve in (("before", base), ("after", result))
        for k in base["pass_at_k"]
    }
    note = (
        f"{result['problems']} held-out problems of {result['env']}, {result['n']} samples each: {result['in_words']}"
    )
    return {"values": values, "tables": [_table(["K", "before", "after", "verdict"], rows)], "notes": [note]}


def _band(curve: dict[str, Any], k: str) -> str:
    low, high = curve["interval"][k]
    return f"{curve['pass_at_k'][k]:.1%} [{low:.1%}, {high:.1%}]"


def _mean(lines: list[dict[str, Any]], name: str) -> float | None:
    numbers = [line[name] for line in lines if isinstance(line.get(name), int | float)]
    return sum(numbers) / len(numbers) if numbers else None


def _table(columns: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    return {"columns": columns, "rows": rows}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _gb(size: float | None) -> str:
    return "-" if size is None else f"{size / 1e9:.2f}"
