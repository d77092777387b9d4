"""The verdict journal: a verdict stands when a step is run again, whatever was cut off or damaged in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.run.faults import Faults
from simko.run.verdicts import VerdictJournal
from simko.types import Task, Verdict

TASK = Task("t/1", "problem", "gold")


class Verifier:
    """A verifier that gives another verdict each time, as a time-out may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, text: str, task: Task) -> Verdict:
        with self._lock:
            self.asked.append(text)
            number = len(self.asked)
        if text == "raises":
            raise RuntimeError("no")
        return (
            Verdict("timeout", 0.0, None, 1.0) if number % 2 else Verdict("correct", float(number), f"é {number}", 0.1)
        )


def graded(
    folder: Path, step: int, texts: list[str], verifier: Verifier, faults: Faults | None = None
) -> list[Verdict]:
    journal = VerdictJournal(folder, faults or Faults())
    journal.begin(step)
    grade = journal.grading(verifier)
    verdicts = [grade(text, TASK) for text in texts]
    journal.end()
    return verdicts


def spoken(verdicts: list[Verdict]) -> list[tuple[str, float, str | None]]:
    return [(v.outcome, v.reward, v.extracted) for v in verdicts]


def test_a_step_that_is_run_again_hears_the_same(tmp_path: Path) -> None:
    texts = ["a", "b\n\t", "a", "\ud800 lone", "raises"]
    first, verifier = graded(tmp_path, 3, texts, Verifier()), Verifier()
    assert spoken(graded(tmp_path, 3, texts, verifier)) == spoken(first)
    assert verifier.asked == []
    graded(tmp_path, 4, texts[:1], verifier)
    assert verifier.asked == ["a"]  # another step is another question


def test_parts_of_a_reward_come_back(tmp_path: Path) -> None:
    given = Verdict("incorrect", 0.1 + 0.2, "x", parts={"format": 0.1 + 0.2, "correct": 0.0})
    journal = VerdictJournal(tmp_path, Faults())
    for grade in (lambda text, task: given, Verifier()):
        journal.begin(1)
        assert journal.grading(grade)("a", TASK).parts == given.parts
        journal.end()
    (line,) = (tmp_path / "000001.jsonl").read_text().splitlines()
    assert line.partition("\t")[0].endswith('null, {"correct": 0.0, "format": 0.30000000000000004}]')


def test_a_verdict_without_parts_has_the_line_that_it_always_had(tmp_path: Path) -> None:
    graded(tmp_path, 1, ["a", "b"], Verifier())
    lines = (tmp_path / "000001.jsonl").read_text().splitlines()
    assert [line.partition("\t")[0].count(",") for line in lines] == [5, 5]


def test_what_raised_is_counted_again(tmp_path: Path) -> None:
    for _ in range(2):
        faults = Faults()
        (verdict,) = graded(tmp_path, 1, ["raises"], Verifier(), faults)
        assert verdict.outcome == "error"
        assert faults.take() == {"fault_grade_raised": 1.0}


@pytest.mark.parametrize("harm", [lambda data: data[:-5], lambda data: data.replace(b"timeout", b"correct", 1)])
def test_a_damaged_line_is_graded_again_and_no_other(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    texts = ["a", "b", "c"]
    first = graded(tmp_path, 1, texts, Verifier())
    path = tmp_path / "000001.jsonl"
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    verifier = Verifier()
    again = graded(tmp_path, 1, texts, verifier)
    assert len(verifier.asked) == 1
    assert sum(a == b for a, b in zip(spoken(first), spoken(again), strict=True)) >= 2
    assert len(path.read_bytes().splitlines()) == 3


@given(st.binary(max_size=200))
def test_rubbish_is_no_verdict(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("verdicts")
    (folder / "000001.jsonl").write_bytes(data)
    verifier = Verifier()
    graded(folder, 1, ["a"], verifier)
    assert verifier.asked == ["a"]


def test_killed_before_the_end_of_the_step(tmp_path: Path) -> None:
    journal = VerdictJournal(tmp_path, Faults())
    journal.begin(1)
    grade = journal.grading(Verifier())
    first = [grade(text, TASK) for text in ("b", "a")]  # and no `end`
    verifier = Verifier()
    assert spoken(graded(tmp_path, 1, ["b", "a"], verifier)) == spoken(first)
    assert verifier.asked == []


def test_threads_agree_and_leave_the_same_bytes(tmp_path: Path) -> None:
    def verdict(text: str, task: Task) -> Verdict:
        return Verdict("correct", float(len(text)), text)

    texts = [str(i % 40) for i in range(400)]
    written = []
    for threads in (1, 8):
        journal = VerdictJournal(tmp_path / str(threads), Faults())
        (tmp_path / str(threads)).mkdir()
        journal.begin(1)
        grade = journal.grading(verdict)
        with ThreadPoolExecutor(threads) as pool:
            verdicts = list(pool.map(grade, texts, [TASK] * len(texts)))
        journal.end()
        assert [v.extracted for v in verdicts] == texts
        written.append((tmp_path / str(threads) / "000001.jsonl").read_bytes())
    assert written[0] == written[1]


def test_outside_a_step_nothing_is_noted(tmp_path: Path) -> None:
    verifier = Verifier()
    grade = VerdictJournal(tmp_path, Faults()).grading(verifier)
    assert grade("a", TASK).outcome != grade("a", TASK).outcome
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, '["t/1", "b", "pwned", 1.0, null, null]', '["t/1", "b", "correct", NaN, null, null]',
        '["t/1", "b", "correct", "x", null, null]',
        '["t/1", "b", "correct", 1.0, null, null, {}]', '["t/1", "b", "correct", 1.0, null, null, 1]',
        '["t/1", "b", "correct", 1.0, null, null, {"a": "x"}]', '["t/1", "b", "correct", 1.0, null, null, {"a": 1}, 2]',
        '["t/1", "b", "correct", 1.0, null, null, {"a": NaN}]',
        '["t/1", "b", "correct", 1.0, null, []]', '[["t/1"], "b", "correct", 1.0, null, null]',
    ],
)  # fmt: skip
def test_a_line_with_a_checksum_and_no_verdict_is_left_out(tmp_path: Path, text: str) -> None:
    """The checksum tells of damage, not of who wrote the line."""
    path = tmp_path / "000001.jsonl"
    path.write_text(f"{text}\t{blake2b(text.encode(), digest_size=6).hexdigest()}\n")
    verifier = Verifier()
    assert len(graded(tmp_path, 1, ["a"], verifier)) == 1
    assert verifier.asked == ["a"]
    assert len(path.read_bytes().splitlines()) == 1
