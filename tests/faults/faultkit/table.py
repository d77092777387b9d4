"""The scenarios, and the table of what was tried and what survived."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faultkit import answers, damage, disk, environments, folders, growth, kills, rows, stops
from faultkit.lab import Lab, Result

SCENARIOS: dict[str, Callable[[Lab], Result]] = {
    "kills": kills.random_kills,
    "save": kills.save_points,
    "start": kills.start_points,
    "resume": kills.resume_points,
    "full": disk.really_full,
    "space": disk.every_operation,
    "results": disk.results_on_full_disk,
    "readonly": disk.read_only,
    "damage": damage.files,
    "folders": damage.folders,
    "occupied": folders.occupied,
    "configs": folders.other_configs,
    "models": folders.other_models,
    "adapters": folders.adapters,
    "stops": stops.at_random_moments,
    "inside": stops.inside_operations,
    "twice": stops.twice,
    "authors": environments.authors,
    "workers": environments.killed_workers,
    "nan": environments.exploding,
    "same": environments.same_bytes,
    "growth": growth.nothing_grows,
    "rows": rows.malformed,
    "odd": rows.harmless,
    "answers": answers.mutated,
}
"""The scenarios by the name that `--only` takes, in the order of the table."""


SHOWN = 12
"""How many failures of a scenario are printed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios and print the table. Return 1 if anything did not survive."""
    parser = argparse.ArgumentParser(prog="python tests/faults", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="these scenarios")
    parser.add_argument("--quick", action="store_true", help="a few trials of each")
    parser.add_argument("--markdown", action="store_true", help="print the table as in docs/how/promises.md")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="runs at a time [2]")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn at random [0]")
    parser.add_argument("--share", default="1/1", metavar="I/N", help="the I-th of N parts of each scenario's trials")
    parser.add_argument(
        "--in", dest="folder", metavar="DIR", help="where scratch folders go; the system's place if empty"
    )
    parser.add_argument("--keep", metavar="FILE", help="JSON of results: those in it are shown too, and these added")
    options = parser.parse_args(arguments)
    store = Kept(options.keep)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="simko-faults-", dir=options.folder) as base,
        Lab(Path(base), options.jobs, options.quick, options.seed, options.share) as lab,
    ):
        for name in options.only:
            started = time.monotonic()
            try:
                result = SCENARIOS[name](lab)
            except Exception as error:  # a scenario that cannot even begin is a row that failed
                result = Result(name, 1, [f"cannot be tried: {type(error).__name__}: {error}"])
            store.add(name, options.share, result)
            tell(name, result, time.monotonic() - started)
    results = store.results()
    print(markdown(results) if options.markdown else text(results))
    for result in results:
        for failure in result.failures[:SHOWN]:
            print(f"FAILED  {result.name}: {failure[:400]}")
        if len(result.failures) > SHOWN:
            print(f"FAILED  {result.name}: and {len(result.failures) - SHOWN} more")
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return int(any(result.failures for result in results))


class Kept:
    """Results by scenario and share, in a file if one is named: a table may take several commands."""

    def __init__(self, file: str | None) -> None:
        self._path = Path(file) if file else None
        there = self._path is not None and self._path.exists()
        self._found: dict[str, dict[str, Any]] = json.loads(self._path.read_text()) if self._path and there else {}

    def add(self, name: str, share: str, result: Result) -> None:
        """Take a result, in the place of an earlier one of the same scenario and share."""
        self._found[f"{name} {share}"] = asdict(result)
        if self._path:
            self._path.write_text(json.dumps(self._found, indent=1))

    def results(self) -> list[Result]:
        """A row for each scenario, in the table's order, its shares added."""
        rows = []
        for name in SCENARIOS:
            parts = [Result(**entry) for key, entry in self._found.items() if key.split()[0] == name]
            if parts:
                tried, failures = sum(p.tried for p in parts), [f for p in parts for f in p.failures]
                rows.append(Result(parts[0].name, tried, failures, parts[0].skipped, parts[0].note))
        return rows


def tell(name: str, result: Result, seconds: float) -> None:
    """Print a line of progress, if stderr is a terminal."""
    if sys.stderr.isatty():
        print(f"{name}: {result.survived} of {result.tried} in {seconds:.0f} s", file=sys.stderr)


def text(results: Sequence[Result]) -> str:
    """The table for a terminal."""
    width = max(len(result.name) for result in results)
    lines = [f"{'SCENARIO':{width}}  {'TRIED':>6}  {'SURVIVED':>8}"]
    lines += [f"{r.name:{width}}  {r.tried:>6}  {r.survived:>8}  {r.skipped or r.note}".rstrip() for r in results]
    return "\n".join(lines)


def markdown(results: Sequence[Result]) -> str:
    """The table for docs/how/promises.md."""
    lines = ["| scenario | tried | survived |", "|---|---:|---:|"]
    for r in results:
        remark = r.skipped or r.note
        lines.append(f"| {r.name}{f' ({remark})' if remark else ''} | {r.tried:,} | {r.survived:,} |")
    return "\n".join(lines)
