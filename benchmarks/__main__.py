"""The command: `python -m benchmarks NAME... [--json] [--quick]`, `python -m benchmarks all`, `python -m benchmarks --list`."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import shutil
import sys
from pathlib import Path

from benchmarks.common import Options, Result, Sample, metrics

HERE = Path(__file__).resolve().parent
_FRAME = {"__init__", "__main__", "common", "worker"}


def names() -> list[str]:
    """List every benchmark: the modules in this folder that define `TITLE`."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in _FRAME and title(path.stem))


def title(name: str) -> str | None:
    """Read the `TITLE` of a benchmark without importing it."""
    for node in ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "TITLE":
            return str(ast.literal_eval(node.value))
    return None


def table(result: Result) -> str:
    """Format a result as text: a row for each case, then the ratios, then the cases that were left out."""
    columns = list(dict.fromkeys(metric for sample in result.samples.values() for metric in metrics(sample)))
    lines = [f"{result.name}: {result.title}"]
    for part in filter(None, (result.setting, result.machine)):
        lines.append("  " + ", ".join(f"{key} {_short(value)}" for key, value in part.items() if value is not None))
    lines += ["", result.shown] if result.shown else _cases(result, columns)
    if result.ratios:
        lines.append("\nours / peer's (below 1 is better)")
    for key, ratio in result.ratios.items():
        goal = result.targets.get(key)
        verdict = "" if goal is None else f"   goal {goal:g}: {'met' if ratio <= goal else 'MISSED'}"
        lines.append(f"  {key:{max(map(len, result.ratios))}} {ratio:8.3f}{verdict}")
    lines += [f"left out: {name}: not installed: {how}" for name, how in result.missing.items()]
    lines += [f"left out: {name}: it failed: {why}" for name, why in result.failed.items()]
    lines += [f"note: {note}" for note in result.notes]
    return "\n".join(lines)


def _cases(result: Result, columns: list[str]) -> list[str]:
    wide = max(map(len, result.samples), default=4) + 2
    lines = [f"\n{'':{wide}}" + "".join(f"  {column:>28}" for column in columns)]
    for name, sample in result.samples.items():
        lines.append(f"{name:{wide}}" + "".join(f"  {_cell(sample, column):>28}" for column in columns))
    return lines


def _cell(sample: Sample, column: str) -> str:
    values = sample.column(column)
    if not values:
        return "-"
    return f"{_short(sample.median(column))} ({_short(min(values))}-{_short(max(values))})"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks, or `all`")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and stop")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, gives no figures")
    parser.add_argument("--repeats", type=_at_least_one, help="measured repetitions of each case")
    parser.add_argument("--threads", type=_at_least_one, default=1, help="CPU threads of each case (default 1)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CASE",
        help="a case to run beside ours; may be given again (default: all)",
    )
    parser.add_argument(
        "--peer-python", action="append", default=[], metavar="PATH",
        help="an interpreter that has peers installed; may be given again (default: $SIMKO_PEER_PYTHON, split at ':')",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    benchmarks = names()
    if options.list or not options.names:
        for name in benchmarks:
            print(f"{name:14} {title(name)}")
        return 0
    chosen = benchmarks if options.names == ["all"] else options.names
    if unknown := [name for name in chosen if name not in benchmarks]:
        print(f"no benchmark named {unknown[0]}; there are: {', '.join(benchmarks)}", file=sys.stderr)
        return 2
    pythons = options.peer_python or [p for p in os.environ.get("SIMKO_PEER_PYTHON", "").split(os.pathsep) if p]
    if absent := [python for python in pythons if shutil.which(python) is None]:
        print(f"--peer-python {absent[0]}: no such interpreter", file=sys.stderr)
        return 2
    run_options = Options(options.quick, options.repeats, options.threads, tuple(pythons), tuple(options.only))
    results, broken = {}, False
    for name in chosen:
        try:
            results[name] = importlib.import_module(f"benchmarks.{name}").run(run_options)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            broken = True
            continue
        if not options.json:
            print(table(results[name]) + "\n", flush=True)
    if options.json:
        plain = {name: result.to_json() for name, result in results.items()}
        print(json.dumps(plain[chosen[0]] if len(chosen) == 1 and plain else plain, indent=1))
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
