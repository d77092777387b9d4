"""The record of a run: its exact command, configuration, manifest, versions and hashes; and what its metrics warn of."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from simko.alarms import alarms
from simko.report.page.escape import esc, line
from simko.report.page.source import RunData
from simko.report.page.table import folded, html_table

_MOST = 12  # alarms that are listed
_VALUE = 200


def alarm_list(runs: Sequence[RunData]) -> str:
    """The alarms of the runs, each with what helps; empty if there is none."""
    items = []
    for run in runs:
        try:
            found = alarms(run.metrics)
        except (ArithmeticError, TypeError, ValueError):  # a foreign file may hold anything
            found = []
        where = f"{line(run.name, 40)}, " if len(runs) > 1 else ""
        items += [
            f"<li><b>{esc(a.name.replace('_', ' '))}</b> ({where}step {a.step}): {esc(a.seen)} (since step {a.since}). "
            f"{esc(a.remedy[:1].upper() + a.remedy[1:])}.</li>"
            for a in found
        ]
    if not items:
        return ""
    more = f"<li>and {len(items) - _MOST} more</li>" if len(items) > _MOST else ""
    return f'<ul class="alarms">{"".join(items[:_MOST])}{more}</ul>'


def record(run: RunData, whole: bool) -> str:
    """Section 9, of one run; `whole` with its configuration and manifest, folded."""
    parts = [
        f"<pre>{esc(chr(10).join(commands(run)))}</pre>",
        html_table(f"{line(run.name, 60)}", ["what", "value"], _facts(run)),
    ]
    if whole:
        if run.config:
            parts.append(folded("Configuration", html_table("config.yaml", ["setting", "value"], _rows(run.config))))
        if run.manifest:
            parts.append(folded("Manifest", html_table("manifest.json", ["entry", "value"], _rows(run.manifest))))
    return "".join(parts)


def commands(run: RunData) -> list[str]:
    """The commands that repeat the training and its evaluation."""
    place = shlex.quote(str(run.path))
    lines = (
        [f"simko train --config {shlex.quote(str(run.path / 'config.yaml'))} --out NEW_FOLDER"] if run.config else []
    )
    if run.evaluation is not None:
        flags = [
            ("-n", "n"),
            ("--problems", "problems"),
            ("--temperature", "temperature"),
            ("--top-p", "top_p"),
            ("--seed", "seed"),
            ("--problem-seed", "problem_seed"),
        ]
        given = [
            f"{flag} {run.evaluation[key]}" for flag, key in flags if isinstance(run.evaluation.get(key), int | float)
        ]
        part = run.evaluation.get("part")
        given += [f"--part {part}"] if part in ("final", "tuning") else []
        lines.append(f"simko eval {place} {' '.join(given)}")
    return [*lines, f"simko report {place} -o report.html"]


def _facts(run: RunData) -> list[list[str]]:
    manifest, result = run.manifest, run.evaluation or {}
    steps = f"{run.metrics[-1]['step']} recorded" if run.metrics else "none recorded"
    versions = manifest.get("versions")
    machine = manifest.get("machine")
    facts: list[tuple[str, Any]] = [
        ("status", manifest.get("status")),
        ("started", manifest.get("started")),
        ("steps", f"{steps} of {run.config['steps']}" if "steps" in run.config else steps),
        ("checkpoints", ", ".join(run.checkpoints)),
        ("environment", run.config.get("env") or result.get("env")),
        ("verifier", result.get("verifier")),
        ("model", run.config.get("model") or result.get("model")),
        ("method", run.config.get("algorithm") or result.get("algorithm")),
        ("SHA-256 of the base model", manifest.get("weights_sha256")),
        ("SHA-256 of the adapter", result.get("adapter_sha256") or (run.forks.adapter_sha256 if run.forks else None)),
        ("SHA-256 of the data", manifest.get("data_sha256") or result.get("data_sha256")),
        ("evaluation", run.evaluation_path.name if run.evaluation_path else None),
        ("versions", _inline(versions)),
        ("machine", _inline(machine)),
    ]
    return [[esc(name), line(value, _VALUE * 3)] for name, value in facts if value not in (None, "")]


def _inline(value: Any) -> str:
    return ", ".join(f"{key} {entry}" for key, entry in value.items()) if isinstance(value, Mapping) else ""


def _rows(content: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for key, value in list(content.items())[:150]:
        if isinstance(value, Mapping):
            rows += [
                [line(f"{key}.{inner}", 80), line(_plain(entry), _VALUE)] for inner, entry in list(value.items())[:60]
            ]
        else:
            rows.append([line(key, 80), line(_plain(value), _VALUE)])
    return rows


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
