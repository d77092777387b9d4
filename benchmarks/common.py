"""What every benchmark shares: cases in fresh processes, run round-robin, ratios of ours over each peer's.

A benchmark is a module `benchmarks/NAME.py` with `TITLE: str` and `run(options: Options) -> Result`. It lists its cases and calls
`compare`. A case names a function `module:function` that sets up and returns what is timed, a callable without arguments:

    def ours(n: int) -> Callable[[], dict | None]:
        batch = make_batch(n)                      # set-up: neither timed nor counted as memory
        def once() -> dict[str, float]:
            return {"tokens": decode(batch)}       # one repetition; it may return quantities of its own
        return once

The function of a peer runs in the peer's interpreter: import the peer inside it, and nothing but the standard library at the top
of the module.
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
found = {}
for name in sys.argv[1:]:
    try: found[name] = metadata.version(name)
    except metadata.PackageNotFoundError: found[name] = None
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Options:
    """The command line. `quick` asks a benchmark for a small size: a check that it runs, no figures."""

    quick: bool = False
    repeats: int | None = None
    threads: int = 1
    peer_pythons: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Case:
    """One thing to time.

    `setup` is `module:function`, called with `arguments` (JSON) in a fresh process. `needs` maps a distribution to the
    requirement that installs it: the case runs in the first interpreter that has all of it, and is left out where none has.
    `role`: "ours" (the first is the one in the ratios), "peer", or "other" (a floor or a variant: shown, in no ratio).
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
    """All repetitions of a case; `per_*` columns are seconds divided by what the case says that it did."""

    role: str
    rows: list[dict[str, float]] = field(default_factory=list)
    versions: dict[str, str | None] = field(default_factory=dict)

    def column(self, metric: str) -> list[float]:
        """Every repetition's value, in order."""
        return [row[metric] for row in self.rows if metric in row]

    def median(self, metric: str) -> float:
        """The middle one."""
        return median(self.column(metric))


@dataclass
class Result:
    """What a benchmark found. `ratios` maps "metric/peer" to ours over the peer's, below 1 better."""

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

    def to_json(self) -> dict[str, Any]:
        """Plain data: ratios first, then every case's medians, ranges and raw values."""
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
    """The columns of a case: wall_s, cpu_s, peak_mib, then its own."""
    own = {key for row in sample.rows for key in row} - set(METRICS)
    return [m for m in METRICS if sample.column(m)] + sorted(own)


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
    """Set every case up, then run them round-robin so that a busy minute of the machine hits all of them alike.

    Args:
        name, title: of the benchmark.
        cases: ours first; a peer that is not installed is named in `missing`, one that breaks in `failed`.
        options: of the command line; `options.repeats` overrides `repeats`, and `--quick` makes it 1.
        repeats: measured repetitions of each case, after `warmup` unmeasured ones.
        per: a quantity that the cases return (`{"tokens": 812}`): adds `wall_s_per_tokens` and `cpu_s_per_tokens`.
        compared: metrics in `ratios`: the median over the rounds of ours / peer's of the same round.
        targets: "metric/peer" to the ratio promised.
        setting: sizes and models, for the record.

    Raises:
        RuntimeError: our own case failed.
    """
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
    """Ours over each peer's, paired by round; the largest of both memories instead, as peaks only ever hide."""
    ours = next(sample for sample in samples.values() if sample.role == "ours")
    found: dict[str, float] = {}
    for name, peer in samples.items():
        if peer.role != "peer":
            continue
        for metric in compared:
            pairs = [(a, b) for a, b in zip(ours.column(metric), peer.column(metric), strict=False) if b > 0]
            if not pairs:
                continue
            peaks = max(a for a, _ in pairs) / max(b for _, b in pairs)
            found[f"{metric}/{name}"] = peaks if metric == "peak_mib" else median(a / b for a, b in pairs)
    return found


def machine(options: Options) -> dict[str, Any]:
    """What the figures depend on: processor, load at the start, threads, GPU."""
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
    """A case in its process, idle between its turns."""

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
        found = _interpreter(case, options)
        if found is None:
            needs = " ".join(f"'{requirement}'" for requirement in case.needs.values())
            result.missing[case.name] = f"pip install {needs}, in any environment; name its python with --peer-python"
            continue
        python, versions = found
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
    """The first interpreter that has what the case needs, and the versions there."""
    candidates = [*(options.peer_pythons if case.needs else ()), sys.executable]
    for python in candidates:
        names = [*case.needs, *({"torch", "transformers"} - set(case.needs))]
        try:
            answer = subprocess.run([python, "-c", _VERSIONS, *names], capture_output=True, text=True, timeout=120)
            found: dict[str, str | None] = json.loads(answer.stdout)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            continue
        if all(found[name] for name in case.needs):
            return python, found
    return None


def _row(answer: Mapping[str, Any], per: str | None) -> dict[str, float]:
    row = {"wall_s": answer["wall_s"], "cpu_s": answer["cpu_s"], "peak_mib": answer["peak_bytes"] / 2**20}
    row |= {key: float(value) for key, value in answer["said"].items()}
    if per and row.get(per):
        row |= {f"{m}_per_{per}": row[m] / row[per] for m in ("wall_s", "cpu_s")}
    return row
