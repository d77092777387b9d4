"""The common part of all benchmarks: cases in fresh processes, run round-robin, and ratios of ours over each peer's.

A benchmark is a module `benchmarks/NAME.py` with `TITLE: str` and `run(options: Options) -> Result`. It lists its cases and calls
`compare`. A case names a function `module:function`. That sets up, and returns a callable without arguments, which is timed:

    def ours(n: int) -> Callable[[], dict | None]:
        batch = make_batch(n)                      # set-up: its time and memory do not count
        def once() -> dict[str, float]:
            return {"tokens": decode(batch)}       # one repetition; it may return quantities of its own
        return once

The function of a peer runs in the peer's interpreter. Import the peer inside the function, and only the standard library at the
top of the module.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
METRICS = ("wall_s", "cpu_s", "peak_mib")
_VERSIONS = """
import json, sys
from importlib import metadata
versions = {}
for name in sys.argv[1:]:
    try: versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError: versions[name] = None
print(json.dumps(versions))
"""


@dataclass(frozen=True)
class Options:
    """Options of the command line.

    `quick` asks for small sizes: a check that the benchmark runs, without figures. `only` names the cases to run beside ours;
    empty means all.
    """

    quick: bool = False
    repeats: int | None = None
    threads: int = 1
    peer_pythons: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Case:
    """One thing to time.

    `setup` is `module:function`, called with `arguments` (JSON) in a fresh process. `needs` maps a distribution to the
    requirement that installs it. The case runs in the first interpreter that has all of them; without one it is left out.
    `role` is "ours" (the first one enters the ratios), "peer", or "other" (a floor or a variant, which enters no ratio).
    `repeats` caps a slow peer's repetitions.
    """

    name: str
    setup: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    role: str = "peer"
    needs: Mapping[str, str] = field(default_factory=dict)
    repeats: int | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Sample:
    """All repetitions of a case. Columns `*_per_*` are seconds divided by a quantity that the case returns."""

    role: str
    rows: list[dict[str, float]] = field(default_factory=list)
    versions: dict[str, str | None] = field(default_factory=dict)

    def column(self, metric: str) -> list[float]:
        """Return the value of every repetition, in order."""
        return [row[metric] for row in self.rows if metric in row]

    def median(self, metric: str) -> float:
        """Return the median over the repetitions."""
        return median(self.column(metric))


@dataclass
class Result:
    """The result of a benchmark. `ratios` maps "metric/peer" to ours over the peer's; below 1 is better.

    `shown` is printed in the place of the table of the cases, where a benchmark has a table of its own.
    """

    name: str
    title: str
    samples: dict[str, Sample] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    setting: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    shown: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data: ratios first, then every case's medians, ranges and raw values."""
        cases = {
            name: {
                "role": sample.role,
                "versions": sample.versions,
                "median": {metric: sample.median(metric) for metric in metrics(sample)},
                "range": {m: [min(sample.column(m)), max(sample.column(m))] for m in metrics(sample)},
                "raw": sample.rows,
            }
            for name, sample in self.samples.items()
        }
        plain = asdict(self)
        del plain["samples"]
        return {"ratios": plain.pop("ratios"), **plain, "cases": cases}


def metrics(sample: Sample) -> list[str]:
    """List the columns of a case: wall_s, cpu_s, peak_mib, then its own."""
    others = {key for row in sample.rows for key in row} - set(METRICS)
    return [m for m in METRICS if sample.column(m)] + sorted(others)


def compare(
    name: str,
    title: str,
    cases: Sequence[Case],
    options: Options,
    *,
    repeats: int = 5,
    warmup: int = 1,
    per: str | None = None,
    compared: Sequence[str] = METRICS,
    targets: Mapping[str, float] | None = None,
    setting: Mapping[str, Any] | None = None,
) -> Result:
    """Set every case up, then run them round-robin, so that a busy minute of the machine hits all of them alike.

    Args:
        name, title: name and title of the benchmark.
        cases: ours first. A peer that is not installed is named in `missing`, a peer that breaks in `failed`.
        options: options of the command line. `options.repeats` overrides `repeats`; `--quick` makes it 1.
        repeats: measured repetitions of each case, after `warmup` unmeasured ones.
        per: a quantity that the cases return (`{"tokens": 812}`). It adds `wall_s_per_tokens` and `cpu_s_per_tokens`.
        compared: metrics in `ratios`. A ratio is the median over the rounds of ours / peer's in the same round.
        targets: the promised ratio for each "metric/peer".
        setting: sizes and models, for the record.

    Raises:
        RuntimeError: our own case failed, or `options.only` names a case that is not there.
    """
    if unknown := [case for case in options.only if case not in {case.name for case in cases}]:
        raise RuntimeError(
            f"benchmark {name}: no case named '{unknown[0]}'; there are: {', '.join(c.name for c in cases)}"
        )
    cases = [case for case in cases if not options.only or case.role == "ours" or case.name in options.only]
    result = Result(
        name,
        title,
        targets={} if options.quick else dict(targets or {}),
        setting=dict(setting or {}),
        machine=machine(options),
    )
    workers = _start(cases, options, result)
    rounds = options.repeats or (1 if options.quick else repeats)
    try:
        for turn in range(-warmup, rounds):
            for case in list(workers):
                if case.repeats is not None and turn >= case.repeats:
                    continue
                answer = workers[case].ask("run")
                if "error" in answer:
                    _drop(case, answer["error"], workers, result)
                elif turn >= 0:
                    result.samples[case.name].rows.append(_row(answer, per))
    finally:
        for worker in workers.values():
            worker.close()
    result.machine["load_after"] = os.getloadavg()[0]
    result.samples = {case: sample for case, sample in result.samples.items() if sample.rows}
    result.ratios = ratios(result.samples, compared)
    return result


def ratios(samples: Mapping[str, Sample], compared: Sequence[str]) -> dict[str, float]:
    """Divide ours by each peer's, paired by round. For memory, divide the largest peaks, since a round can only hide a peak."""
    ours = next(sample for sample in samples.values() if sample.role == "ours")
    result: dict[str, float] = {}
    for name, peer in samples.items():
        if peer.role != "peer":
            continue
        for metric in compared:
            pairs = [(a, b) for a, b in zip(ours.column(metric), peer.column(metric), strict=False) if b > 0]
            if not pairs:
                continue
            peaks = max(a for a, _ in pairs) / max(b for _, b in pairs)
            result[f"{metric}/{name}"] = peaks if metric == "peak_mib" else median(a / b for a, b in pairs)
    return result


def machine(options: Options) -> dict[str, Any]:
    """Describe the machine that the figures depend on: processor, load at the start, threads, GPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
        )
    except OSError:
        cpu = platform.processor()
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        gpu = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip().splitlines()
    except (OSError, subprocess.TimeoutExpired):
        gpu = []
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": options.threads,
        "gpu": gpu or None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


class _Worker:
    """A case in its own process, idle between its turns."""

    def __init__(self, case: Case, python: str, threads: int) -> None:
        pinned = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
        environ = {**os.environ, **pinned, "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT), **case.environ}
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `close`)
        command = [python, "-m", "benchmarks.worker", case.setup, json.dumps(dict(case.arguments)), str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=ROOT, env=environ
        )

    def ask(self, what: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": what}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        if line := self.process.stdout.readline():
            return json.loads(line)
        self.process.wait()
        self.log.seek(0)
        last = (self.log.read().strip().splitlines() or [""])[-1]
        return {"error": f"the process ended with status {self.process.returncode}: {last[:300]}"}

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()


def _start(cases: Sequence[Case], options: Options, result: Result) -> dict[Case, _Worker]:
    workers: dict[Case, _Worker] = {}
    for case in cases:
        interpreter = _interpreter(case, options)
        if interpreter is None:
            needs = " ".join(f"'{requirement}'" for requirement in case.needs.values())
            result.missing[case.name] = f"pip install {needs}, in any environment; name its python with --peer-python"
            continue
        python, versions = interpreter
        result.samples[case.name] = Sample(case.role, versions=versions)
        workers[case] = _Worker(case, python, options.threads)
        answer = workers[case].ask("setup")
        if "error" in answer:
            _drop(case, answer["error"], workers, result)
    return workers


def _drop(case: Case, why: str, workers: dict[Case, _Worker], result: Result) -> None:
    workers.pop(case).close()
    if case.role == "ours":
        for worker in workers.values():
            worker.close()
        workers.clear()
        raise RuntimeError(f"benchmark {result.name}: {case.name}: {why}")
    result.failed[case.name] = why


def _interpreter(case: Case, options: Options) -> tuple[str, dict[str, str | None]] | None:
    """Find the first interpreter that has all that the case needs, and the versions there."""
    candidates = [*(options.peer_pythons if case.needs else ()), sys.executable]
    for python in candidates:
        names = [*case.needs, *({"torch", "transformers"} - set(case.needs))]
        try:
            answer = subprocess.run([python, "-c", _VERSIONS, *names], capture_output=True, text=True, timeout=120)
            versions: dict[str, str | None] = json.loads(answer.stdout)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            continue
        if all(versions[name] for name in case.needs):
            return python, versions
    return None


def _row(answer: Mapping[str, Any], per: str | None) -> dict[str, float]:
    row = {"wall_s": answer["wall_s"], "cpu_s": answer["cpu_s"], "peak_mib": answer["peak_bytes"] / 2**20}
    row |= {key: float(value) for key, value in answer["quantities"].items()}
    if per and row.get(per):
        row |= {f"{m}_per_{per}": row[m] / row[per] for m in ("wall_s", "cpu_s")}
    return row
