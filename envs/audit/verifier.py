"""The audit of a verifier: it grades hostile and metamorphic cases in a process that is watched, and killed if it hangs.

`simko verify audit` runs `audit("math")`. The audit fails on a false positive, on an execution, a hang or an exception, on
false negatives in more than `MAX_MISSED` of the cases, and on an answer that takes over `limit` seconds each time.
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
"""The share of right answers that may be refused."""
MAX_FINDINGS = 50
GROWTH_MIB = 64.0
MAX_HANGS, MAX_DEATHS = 5, 50  # then the audit stops: it has failed already, and the rest would take hours
NEEDS_WORKER = ("\\boxed{\\sqrt{x^2}+7}", "7+|x|")
"""A response and a gold answer that no part of `math` can compare without a worker."""
_AGAIN = 2  # a slow answer is graded so many times more: the machine may be busy


@dataclass
class Family:
    """The counts of one family of cases."""

    tried: int = 0
    wrong: int = 0
    undecided: int = 0
    """Outcomes `timeout` and `error`: neither right nor wrong, as training masks such a sample."""
    seconds: float = 0.0
    slowest: float = 0.0


@dataclass
class Audit:
    """The findings on one verifier."""

    verifier: str
    families: dict[str, Family] = field(default_factory=dict)
    false_positives: int = 0
    false_negatives: int = 0
    executions: int = 0
    hangs: int = 0
    deaths: int = 0
    """How often the verifier ended its own process."""
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
        """Whether nothing is wrong. A few right answers may be refused."""
        right = sum(f.tried for name, f in self.families.items() if name.endswith("same"))
        missed = self.false_negatives <= MAX_MISSED * right
        faults = self.false_positives, self.executions, self.hangs, self.deaths, self.exceptions, self.slow
        return not any(faults) and missed and self.growth_mib <= GROWTH_MIB and self.growth_descriptors <= 4

    def note(self, what: str, case: Case, outcome: str) -> None:
        """Keep a finding. Only the first `MAX_FINDINGS` are kept."""
        if len(self.findings) < MAX_FINDINGS:
            text = case.response if len(case.response) <= 160 else f"{case.response[:100]}...{case.response[-50:]}"
            self.findings.append(
                f"{what}: {case.family}, {case.kind}: gold {case.gold[:80]!r}, {text!r} -> {outcome}"[:600]
            )


def cases(
    verifier: str, samples: tuple[Sample, ...], canary: str, n: int, seed: int, data: str | None, kinds: tuple[str, ...]
) -> list[Case]:
    """All cases for a verifier: at most `n` of each hostile and of each metamorphic family."""
    base = verifier.partition(":")[0]
    chosen: list[Case] = []
    counts: dict[str, int] = {}
    more = real(data, n, seed) if data is not None and base in ("math", "math_row") else ()
    made: Iterable[Case] = chain(
        hostile(samples, canary), wrapped(samples, base in METAMORPHIC), metamorphic(base, kinds, n, seed), more
    )
    for case in made:
        place = verifier.rpartition(":")[2]
        if place in ("boxed", "final", "whole") and case.correct:
            continue  # such a verifier looks in one place; the wrappers put answers in others
        counts[case.family] = counts.get(case.family, 0) + 1
        if case.family not in ("injection", "bomb", "gaming") or counts[case.family] <= max(n, 1):
            chosen.append(case)
    return chosen


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
    """Audit a verifier by its name, or by `module:function`, which need not be registered.

    `samples` are for an author's verifier: each is a gold answer, a right answer and a wrong one. Without them the
    verifier is tried on 42, and on those kinds of gold answers that it grades correct against themselves. Raises
    `UserError` if it cannot be loaded.
    """
    base = verifier.partition(":")[0]
    if base == "code":
        raise UserError(
            "verifier 'code' starts processes, which this audit forbids; try it in a checkout with `python -m studies.sandbox`"
        )
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
            for response, gold in warm:  # warm up: late imports, tables, workers
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
            f"--data {data}: it has none of {', '.join(REAL_SETS)} as .jsonl or .jsonl.gz; give a folder with one"
        )


def _taken(verifier: str, module: str | None, canary: str, seed: int) -> tuple[str, ...]:
    """The kinds of gold answers that an author's verifier grades correct against themselves, in a box and alone."""
    from random import Random

    from simko.envs.audit.corpus.golds import KINDS

    rng, taken = Random(seed), []
    with Watched(verifier, module, canary) as child:
        for kind, draw in KINDS.items():
            golds = [draw(rng).text for _ in range(3)]
            for response, gold in [(f"\\boxed{{{g}}}", g) for g in golds] + [(g, g) for g in golds]:
                reply = child.ask(response, gold, HANG_SECONDS)
                if isinstance(reply, str):
                    return ()  # it hung or ended; the audit itself will report that
                if reply["outcome"] != "correct":
                    break
            else:
                taken.append(kind)
    return tuple(taken)


def _try(report: Audit, child: Watched, case: Case) -> None:
    family = report.families.setdefault(case.family, Family())
    family.tried += 1
    reply = child.ask(case.response, case.gold, HANG_SECONDS)
    if isinstance(reply, str):
        report.hangs += reply == HUNG
        report.deaths += reply != HUNG
        report.note("hang" if reply == HUNG else "the process ended", case, reply)
        return
    for _ in range(_AGAIN):
        if reply["seconds"] <= report.limit:
            break
        again = child.ask(case.response, case.gold, HANG_SECONDS)
        if isinstance(again, str):
            break
        reply["seconds"] = min(reply["seconds"], again["seconds"])
    outcome, seconds = reply["outcome"], reply["seconds"]
    family.seconds += seconds
    family.slowest = max(family.slowest, seconds)
    report.slowest = max(report.slowest, seconds)
    if seconds > report.limit:
        report.slow += 1
        report.note("slow", case, f"{seconds:.2f} s")
    if reply["events"]:
        report.executions += 1
        report.note("EXECUTION", case, "; ".join(reply["events"]))
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
