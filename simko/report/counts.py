"""The raw counts of an evaluation: for each problem its samples, how many are correct, and which answers they gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simko.envs.split import normalise
from simko.report.majority import majority_at_k
from simko.report.passk import Curve, crossover, k_grid, mean_curve, pass_matrix
from simko.types import OUTCOMES, Completion, Group, Verdict

_LONGEST_ANSWER = 160  # characters of an answer that a result holds


@dataclass
class Tally:
    """The counts of one problem. Samples whose verifier failed are not counted."""

    samples: int = 0
    correct: int = 0
    answers: dict[str, list[int]] = field(default_factory=dict)
    """Maps an answer to `[samples that gave it, how many of them were correct]`. The other samples gave no answer."""

    def add(self, completion: Completion) -> None:
        """Count one sample with a verdict."""
        self.count(completion.verdict, completion.text)

    def count(self, verdict: Verdict, response: str) -> None:
        """Count one sample by its verdict and its text.

        Two answers are the same if their extracted texts are equal after Unicode NFKC, with white space collapsed. If the
        verifier extracts nothing, the whole response stands for it. `no_answer` is not a vote.
        """
        self.samples += 1
        self.correct += verdict.correct
        if verdict.outcome == "no_answer":
            return
        text = response if verdict.extracted is None else verdict.extracted
        votes = self.answers.setdefault(_answer_key(text), [0, 0])
        votes[0] += 1
        votes[1] += verdict.correct


@dataclass
class Counts:
    """The raw counts of one policy on a set of problems. Curves, intervals and tables all follow from them."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    samples: int = 0
    truncated: int = 0
    tokens: int = 0

    def add(self, groups: Iterable[Group]) -> None:
        """Count graded completions. Those of one problem may come in several groups."""
        for group in groups:
            tally = self.tallies.setdefault(group.task.id, Tally())
            for completion in group.completions:
                self.samples += 1
                self.truncated += completion.finish == "length"
                self.tokens += int(completion.sampled.sum())
                self.outcomes[completion.verdict.outcome] += 1
                if completion.verdict.valid:
                    tally.add(completion)

    def judged(self) -> list[str]:
        """Return the ids of problems with at least one valid sample."""
        return [task for task, tally in self.tallies.items() if tally.samples]

    def fewest(self, ids: Sequence[str]) -> int:
        """Return the fewest valid samples of any of these problems: the largest K that all of them can show."""
        return min(self.tallies[task].samples for task in ids)

    def pass_values(self, ids: Sequence[str], ks: Sequence[int]) -> NDArray[np.float64]:
        """Return pass@K of each problem, `[len(ids), len(ks)]`."""
        tallies = [self.tallies[task] for task in ids]
        return pass_matrix([t.samples for t in tallies], [t.correct for t in tallies], ks)

    def majority_values(self, ids: Sequence[str], ks: Sequence[int]) -> NDArray[np.float64]:
        """Return majority@K of each problem, `[len(ids), len(ks)]`. An answer scores its share of correct verdicts."""
        rows = []
        for task in ids:
            tally = self.tallies[task]
            votes = [count for count, _ in tally.answers.values()]
            scores = [correct / count for count, correct in tally.answers.values()]
            rows.append(majority_at_k(votes, scores, ks, tally.samples - sum(votes)))
        return np.array(rows, dtype=np.float64).reshape(len(ids), len(ks))


def summarise(counts: Counts, base: Counts | None = None, seed: int = 0) -> dict[str, Any]:
    """Derive all results from the counts, as values for JSON. `base` was measured on the same problems.

    All curves use the same problems: those with a valid sample on both sides. Others are listed in `ungraded`. All curves use
    the same K's, too: those that each problem can show from its own valid samples. So if a verifier failed once among 256
    samples, the last K is 255.

    Raises:
        ValueError: no problem was graded.
    """
    ids = [task for task in counts.judged() if base is None or base.tallies[task].samples]
    if not ids:
        raise ValueError("the verifier failed on every answer")
    ks = k_grid(min(side.fewest(ids) for side in (counts, base) if side is not None))
    result = _side(counts, ids, ks, seed)
    result["base"] = None if base is None else _side(base, ids, ks, seed)
    result["difference"] = result["overtaken_at"] = None
    if base is not None:
        gap = mean_curve("difference", ks, counts.pass_values(ids, ks) - base.pass_values(ids, ks), seed)
        result["difference"] = {str(k): [float(x) for x in row] for k, *row in _rows(gap)}
        result["overtaken_at"] = crossover(curve_of(result, "trained"), curve_of(result["base"], "base"))
    return result


def curve_of(side: Mapping[str, Any], name: str) -> Curve:
    """Read the pass@K curve of a result, or of its `base`."""
    ks = tuple(int(k) for k in side["pass_at_k"])
    ends = np.array([side["interval"][str(k)] for k in ks], dtype=np.float64)
    return Curve(name, ks, np.array(list(side["pass_at_k"].values()), dtype=np.float64), ends[:, 0], ends[:, 1])


def _side(counts: Counts, ids: Sequence[str], ks: Sequence[int], seed: int) -> dict[str, Any]:
    passed = mean_curve("pass@K", ks, counts.pass_values(ids, ks), seed)
    majority = mean_curve("majority@K", ks, counts.majority_values(ids, ks), seed)
    graded = set(ids)
    return {
        "pass_at_k": {str(k): float(mean) for k, mean, _, _ in _rows(passed)},
        "interval": {str(k): [float(low), float(high)] for k, _, low, high in _rows(passed)},
        "majority_at_k": {str(k): float(mean) for k, mean, _, _ in _rows(majority)},
        "majority_interval": {str(k): [float(low), float(high)] for k, _, low, high in _rows(majority)},
        "counts": {task: {"samples": t.samples, "correct": t.correct} for task, t in counts.tallies.items()},
        "answers": {task: t.answers for task, t in counts.tallies.items()},
        "distinct_answers": float(np.mean([len(counts.tallies[task].answers) for task in ids])),
        "outcomes": dict(counts.outcomes),
        "truncated": counts.truncated / counts.samples,
        "tokens_per_answer": counts.tokens / counts.samples,
        "ungraded": [task for task in counts.tallies if task not in graded],
    }


def _rows(curve: Curve) -> Iterable[tuple[int, float, float, float]]:
    return zip(curve.k, curve.mean, curve.low, curve.high, strict=True)


def _answer_key(text: str) -> str:
    key = normalise(text)
    if len(key) <= _LONGEST_ANSWER:
        return key
    return f"{key[:_LONGEST_ANSWER]}... {blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"
