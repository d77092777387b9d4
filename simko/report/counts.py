"""The raw counts of an evaluation: for each problem its samples, how many are correct, and which answers they gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simko.envs.split import normalise
from simko.report.bands import SHARE, Band, FirstLoss, band, decide, first_loss, words
from simko.report.cover import cover_at, guess_floor, pass_all_matrix, tokens_at
from simko.report.majority import majority_at_k
from simko.report.passk import k_grid, pass_matrix
from simko.types import OUTCOMES, Completion, Group

_LONGEST_ANSWER = 160  # characters of an answer that a result holds


@dataclass
class Tally:
    """The counts of one problem. Samples whose verifier failed are not counted."""

    samples: int = 0
    correct: int = 0
    answers: dict[str, list[int]] = field(default_factory=dict)
    """Maps an answer to `[samples that gave it, how many of them were correct]`. The other samples gave no answer."""

    def add(self, completion: Completion) -> None:
        """Count one sample with a verdict.

        Two answers are the same if their extracted texts are equal after Unicode NFKC, with white space collapsed. If the
        verifier extracts nothing, the whole response stands for it. `no_answer` is not a vote.
        """
        verdict = completion.verdict
        self.samples += 1
        self.correct += verdict.correct
        if verdict.outcome == "no_answer":
            return
        text = completion.text if verdict.extracted is None else verdict.extracted
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

    Intervals are simultaneous bands over problems (`simko.report.bands`), so they may be read at any K. One evaluation has
    one training seed, and nothing in it tells what another seed would give.

    Raises:
        ValueError: no problem was graded.
    """
    ids = [task for task in counts.judged() if base is None or base.tallies[task].samples]
    if not ids:
        raise ValueError("the verifier failed on every answer")
    ks = k_grid(min(side.fewest(ids) for side in (counts, base) if side is not None))
    result = _side(counts, ids, ks, seed)
    result["base"] = None if base is None else _side(base, ids, ks, seed)
    result |= {"difference": None, "verdicts": None, "in_words": None, "first_loss": None, "p_value": None}
    if base is not None:
        values = counts.pass_values(ids, ks) - base.pass_values(ids, ks)
        gap = band("difference", ks, values, seed=seed, last_is_n=True)
        loss = first_loss(gap)
        result["difference"] = {str(k): [float(x) for x in row] for k, *row in _rows(gap)}
        result["verdicts"] = {str(k): verdict for k, verdict in zip(ks, decide(gap), strict=True)}
        result["in_words"] = words(gap)
        result["first_loss"] = {"possible": list(loss.possible), "none": loss.none, "grid": list(loss.grid)}
        result["p_value"] = gap.p_value
    return result


def loss_of(result: Mapping[str, Any]) -> FirstLoss | None:
    """Read the first-loss set of a result; None without a base model, and in an older result."""
    loss = result.get("first_loss")
    return loss and FirstLoss(tuple(loss["possible"]), loss["none"], tuple(loss["grid"]))


def curve_of(side: Mapping[str, Any], name: str) -> Band:
    """Read the pass@K curve of a result, or of its `base`. An older result holds a separate interval at each K."""
    ks = tuple(int(k) for k in side["pass_at_k"])
    ends = np.array([side["interval"][str(k)] for k in ks], dtype=np.float64)
    mean = np.array(list(side["pass_at_k"].values()), dtype=np.float64)
    problems = len(side["counts"]) - len(side["ungraded"])
    return Band(name, ks, mean, ends[:, 0], ends[:, 1], problems=problems, last_is_n=True)


def _side(counts: Counts, ids: Sequence[str], ks: Sequence[int], seed: int) -> dict[str, Any]:
    passed = band("pass@K", ks, counts.pass_values(ids, ks), seed=seed, last_is_n=True, support=SHARE)
    majority = band("majority@K", ks, counts.majority_values(ids, ks), seed=seed, last_is_n=True, support=SHARE)
    graded = set(ids)
    tallies = [counts.tallies[task] for task in ids]
    all_right = pass_all_matrix([t.samples for t in tallies], [t.correct for t in tallies], ks).mean(axis=0)
    floor = guess_floor([t.answers for t in tallies], ks).mean(axis=0)
    tokens = counts.tokens / counts.samples
    return {
        "pass_at_k": {str(k): float(mean) for k, mean, _, _ in _rows(passed)},
        "interval": {str(k): [float(low), float(high)] for k, _, low, high in _rows(passed)},
        "majority_at_k": {str(k): float(mean) for k, mean, _, _ in _rows(majority)},
        "majority_interval": {str(k): [float(low), float(high)] for k, _, low, high in _rows(majority)},
        "all_k": _by_k(ks, all_right),
        "cover": {f"{tau:g}": share for tau, share in cover_at([(t.samples, t.correct) for t in tallies]).items()},
        "guess_floor": _by_k(ks, floor),
        "tokens_at_k": _by_k(ks, tokens_at(ks, tokens)),
        "counts": {task: {"samples": t.samples, "correct": t.correct} for task, t in counts.tallies.items()},
        "answers": {task: t.answers for task, t in counts.tallies.items()},
        "distinct_answers": float(np.mean([len(t.answers) for t in tallies])),
        "outcomes": dict(counts.outcomes),
        "truncated": counts.truncated / counts.samples,
        "tokens_per_answer": tokens,
        "ungraded": [task for task in counts.tallies if task not in graded],
    }


def _by_k(ks: Sequence[int], values: Iterable[float]) -> dict[str, float]:
    return {str(k): float(value) for k, value in zip(ks, values, strict=True)}


def _rows(curve: Band) -> Iterable[tuple[int, float, float, float]]:
    return zip(curve.k, curve.mean, curve.low, curve.high, strict=True)


def _answer_key(text: str) -> str:
    key = normalise(text)
    if len(key) <= _LONGEST_ANSWER:
        return key
    return f"{key[:_LONGEST_ANSWER]}... {blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"
