"""The audit of a verifier: hostile and metamorphic cases against it, in a process of its own that is watched and killed.

`audit("math")` is what `simko verify audit` runs. It fails on a false positive, a false negative (over `MAX_MISSED` of the
cases), an execution, a hang, an exception, and an answer that takes over `limit` seconds again and again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from simko.envs.audit.cases import METAMORPHIC, REAL_SETS, SAMPLES, Sample, hostile, metamorphic, real, wrapped
from simko.envs.audit.corpus import Case
from simko.envs.audit.process import HUNG, Watched
from simko.envs.verifiers import BUNDLED
from simko.errors import UserError

HANG_SECONDS = 10.0
MAX_MISSED = 0.01
"""Share of right answers that may be refused."""
MAX_FINDINGS = 50
GROWTH_MIB = 64.0
MAX_HANGS, MAX_DEATHS = 5, 50  # then the audit stops: it has failed, and the rest would take hours
NEEDS_WORKER = ("\\boxed{\\sqrt{x^2}+7}", "7+|x|")
"""A response and a gold answer that no part of `math` can compare without a worker."""
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
    deaths: int = 0
    """How often it ended the process that it runs in."""
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
        faults = self.false_positives, self.executions, self.hangs, self.deaths, self.exceptions, self.slow
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
    _check_data(data, base)
    chosen = samples or SAMPLES.get(base) or (Sample("42", "42", "43"),)
    with tempfile.TemporaryDirectory() as folder:
        canary = str(Path(folder) / "canary")
        kinds = METAMORPHIC.get(base, ())
        if base not in BUNDLED and samples is None:
            kinds = _taken(verifier, module, canary, seed)
        report = Audit(verifier, limit=limit)
        warm = [*((f"\\boxed{{{s.right}}}", s.gold) for s in chosen), NEEDS_WORKER]
        with Watched(verifier, module, canary) as child:
            for response, gold in warm:  # late imports, tables, workers
                if isinstance(child.ask(response, gold, HANG_SECONDS), str):
                    break
            for case in cases(verifier, chosen, canary, n, seed, data, kinds):
                _try(report, child, case)
                if report.hangs >= MAX_HANGS or report.deaths >= MAX_DEATHS:
                    report.findings.append(f"stopped after {report.tried} cases: it hung or took its process with it")
                    break
            report.growth_mib, report.growth_descriptors = child.growth()
    return report


def _check_data(data: str | None, base: str) -> None:
    if data is None:
        return
    if base not in ("math", "math_row"):
        raise UserError(f"--data {data}: its answers are for math and math_row, not for '{base}'; leave it out")
    if not any((Path(data) / f"{name}.jsonl{end}").is_file() for name in REAL_SETS for end in ("", ".gz")):
        raise UserError(
            f"--data {data}: no {REAL_SETS[0]}.jsonl or .jsonl.gz, nor another of {', '.join(REAL_SETS[1:])}"
        )


def _taken(verifier: str, module: str | None, canary: str, seed: int) -> tuple[str, ...]:
    """The kinds whose gold answers an author's verifier grades correct, in a box and alone."""
    from random import Random

    from simko.envs.audit.corpus.golds import KINDS

    rng, taken = Random(seed), []
    with Watched(verifier, module, canary) as child:
        for kind, draw in KINDS.items():
            golds = [draw(rng).text for _ in range(3)]
            for response, gold in [(f"\\boxed{{{g}}}", g) for g in golds] + [(g, g) for g in golds]:
                said = child.ask(response, gold, HANG_SECONDS)
                if isinstance(said, str):
                    return ()  # the audit itself will say so
                if said["outcome"] != "correct":
                    break
            else:
                taken.append(kind)
    return tuple(taken)


def _try(report: Audit, child: Watched, case: Case) -> None:
    family = report.families.setdefault(case.family, Family())
    family.tried += 1
    said = child.ask(case.response, case.gold, HANG_SECONDS)
    if isinstance(said, str):
        report.hangs += said == HUNG
        report.deaths += said != HUNG
        report.note("hang" if said == HUNG else "the process ended", case, said)
        return
    for _ in range(_AGAIN):
        if said["seconds"] <= report.limit:
            break
        again = child.ask(case.response, case.gold, HANG_SECONDS)
        if isinstance(again, str):
            break
        said["seconds"] = min(said["seconds"], again["seconds"])
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
