"""The audit of a verifier: hostile and metamorphic cases against it, in a process of its own that is watched and killed.

`audit("math")` is what `simko verify audit` runs. It fails on a false positive, a false negative (over `MAX_MISSED` of the
cases), an execution, a hang, an exception, and an answer that takes over `limit` seconds again and again.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from simko.envs.verifiers import BUNDLED
from simko.envs.verifiers.audit_cases import METAMORPHIC, SAMPLES, Sample, hostile, metamorphic, real, wrapped
from simko.envs.verifiers.corpus import Case
from simko.errors import UserError

HANG_SECONDS = 10.0
START_SECONDS = 120.0
MAX_MISSED = 0.01
"""Share of right answers that may be refused."""
MAX_FINDINGS = 50
GROWTH_MIB = 64.0
_AGAIN = 2  # times that a slow answer is graded again: a busy machine is not a slow verifier


@dataclass
class Family:
    """The cases of one family: how many, and what went otherwise."""

    tried: int = 0
    wrong: int = 0
    undecided: int = 0
    """`timeout` and `error`: neither right nor wrong, the sample is masked."""
    seconds: float = 0.0
    slowest: float = 0.0


@dataclass
class Audit:
    """What was found of one verifier."""

    verifier: str
    families: dict[str, Family] = field(default_factory=dict)
    false_positives: int = 0
    false_negatives: int = 0
    executions: int = 0
    hangs: int = 0
    exceptions: int = 0
    slow: int = 0
    slowest: float = 0.0
    growth_mib: float = 0.0
    growth_descriptors: int = 0
    limit: float = 1.0
    findings: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """Cases that were graded."""
        return sum(family.tried for family in self.families.values())

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong; a few right answers may be refused."""
        right = sum(f.tried for name, f in self.families.items() if name.endswith("same"))
        missed = self.false_negatives <= MAX_MISSED * right
        faults = self.false_positives, self.executions, self.hangs, self.exceptions, self.slow
        return not any(faults) and missed and self.growth_mib <= GROWTH_MIB and self.growth_descriptors <= 4

    def note(self, what: str, case: Case, said: str) -> None:
        """Keep a finding, the first few of them."""
        if len(self.findings) < MAX_FINDINGS:
            text = case.response if len(case.response) <= 160 else f"{case.response[:100]}...{case.response[-50:]}"
            self.findings.append(
                f"{what}: {case.family}, {case.kind}: gold {case.gold[:80]!r}, {text!r} -> {said}"[:600]
            )


def cases(
    verifier: str, samples: tuple[Sample, ...], canary: str, n: int, seed: int, data: str | None, kinds: tuple[str, ...]
) -> list[Case]:
    """All cases for a verifier. At most `n` of each hostile family and of each metamorphic one."""
    base = verifier.partition(":")[0]
    found: list[Case] = []
    counts: dict[str, int] = {}
    more = real(data, n, seed) if data is not None and base in ("math", "math_row") else ()
    made: Iterable[Case] = chain(
        hostile(samples, canary), wrapped(samples, base in METAMORPHIC), metamorphic(base, kinds, n, seed), more
    )
    for case in made:
        place = verifier.rpartition(":")[2]
        if place in ("boxed", "final", "whole") and case.correct:
            continue  # narrower than the wrappers
        counts[case.family] = counts.get(case.family, 0) + 1
        if case.family not in ("injection", "bomb", "gaming") or counts[case.family] <= max(n, 1):
            found.append(case)
    return found


def audit(
    verifier: str = "math",
    *,
    module: str | None = None,
    n: int = 400,
    seed: int = 0,
    data: str | None = None,
    samples: tuple[Sample, ...] | None = None,
    limit: float = 1.0,
) -> Audit:
    """Audit a verifier by name, or `module:function`, which need not be registered.

    `samples` are for an author's verifier: a gold answer, a right and a wrong answer. Without them it is tried on 42, and on
    whichever kinds of gold answers it takes as right answers to themselves. Raises `UserError` where it cannot be loaded.
    """
    base = verifier.partition(":")[0]
    chosen = samples or SAMPLES.get(base) or (Sample("42", "42", "43"),)
    with tempfile.TemporaryDirectory() as folder:
        canary = str(Path(folder) / "canary")
        kinds = METAMORPHIC.get(base, ())
        if base not in BUNDLED and samples is None:
            kinds = _taken(verifier, module, canary, seed)
        report = Audit(verifier, limit=limit)
        warm = [{"response": f"\\boxed{{{s.right}}}", "gold": s.gold} for s in chosen] + [
            {"response": "\\boxed{(x+1)^2}", "gold": "x^2+2x+1"}
        ]
        with _Child(verifier, module, canary, warm) as child:
            for case in cases(verifier, chosen, canary, n, seed, data, kinds):
                _try(report, child, case)
            report.growth_mib, report.growth_descriptors = child.growth()
    return report


def _taken(verifier: str, module: str | None, canary: str, seed: int) -> tuple[str, ...]:
    """The kinds whose gold answers an author's verifier grades correct, in a box and alone."""
    from random import Random

    from simko.envs.verifiers.corpus.golds import KINDS

    rng, taken = Random(seed), []
    with _Child(verifier, module, canary, []) as child:
        for kind, draw in KINDS.items():
            golds = [draw(rng).text for _ in range(3)]
            said = [child.ask(f"\\boxed{{{g}}}", g) for g in golds] + [child.ask(g, g) for g in golds]
            if all(answer is not None and answer["outcome"] == "correct" for answer in said):
                taken.append(kind)
    return tuple(taken)


def _try(report: Audit, child: _Child, case: Case) -> None:
    family = report.families.setdefault(case.family, Family())
    family.tried += 1
    said = child.ask(case.response, case.gold)
    if said is None:
        report.hangs += 1
        report.note("hang, or the process ended", case, f"no reply within {HANG_SECONDS:g} s")
        return
    for _ in range(_AGAIN):
        if said["seconds"] <= report.limit:
            break
        again = child.ask(case.response, case.gold)
        said["seconds"] = min(said["seconds"], again["seconds"]) if again else said["seconds"]
    outcome, seconds = said["outcome"], said["seconds"]
    family.seconds += seconds
    family.slowest = max(family.slowest, seconds)
    report.slowest = max(report.slowest, seconds)
    if seconds > report.limit:
        report.slow += 1
        report.note("slow", case, f"{seconds:.2f} s")
    if said["events"]:
        report.executions += 1
        report.note("EXECUTION", case, "; ".join(said["events"]))
    if outcome.startswith("raised"):
        report.exceptions += 1
        report.note("exception", case, outcome)
    elif outcome in ("timeout", "error"):
        family.undecided += 1
        if case.correct:
            report.false_negatives += 1
            report.note("undecided", case, outcome)
    elif (outcome == "correct") != case.correct:
        family.wrong += 1
        what = "FALSE POSITIVE" if not case.correct else "false negative"
        report.false_positives += not case.correct
        report.false_negatives += case.correct
        report.note(what, case, outcome)


class _Child:
    """The watched process, started again where it hangs or dies."""

    def __init__(self, verifier: str, module: str | None, canary: str, warm: list[dict[str, str]]) -> None:
        self._about = {"verifier": verifier, "module": module, "canary": canary, "warm": warm}
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None
        self._since = 0

    def __enter__(self) -> _Child:
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def ask(self, response: str, gold: str) -> dict[str, Any] | None:
        """What the verifier said; None where it hung or took its process with it."""
        if self._process is None:
            self._start()
        self._write({"response": response, "gold": gold})
        said = self._read(HANG_SECONDS)
        if said is None:
            self._end()
            return None
        self._since += 1
        if self._since == 50:
            self._first = said
        self._last = said
        return said

    def growth(self) -> tuple[float, int]:
        """MiB of resident memory and descriptors, from the process's 50th answer to its last."""
        if self._first is None or self._last is None:
            return 0.0, 0
        grown = (self._last["rss"] - self._first["rss"]) / 2**20
        return round(max(grown, 0.0), 1), max(self._last["descriptors"] - self._first["descriptors"], 0)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simko.envs.verifiers.audit_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        self._pending, self._since, self._first, self._last = b"", 0, None, None
        self._write(self._about)
        said = self._read(START_SECONDS)
        if said is None or "failed" in said:
            self._end()
            why = said["failed"] if said else f"it did not start within {START_SECONDS:g} s"
            raise UserError(f"verifier '{self._about['verifier']}' cannot be audited: {why}")

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; the reading says so

    def _read(self, limit: float) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.stdout is not None
        until = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                if not selector.select(max(0.0, until - time.monotonic())):
                    return None
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    return None
                self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        process.wait()
