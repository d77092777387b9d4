from __future__ import annotations

import time

import pytest

from simko.envs.verifiers.answer.boxes import MAX_BOX, MAX_BOXES, by_name, find_boxes, read_boxes

BOUND = [
    "$2\\cdot\\boxed{42}$", "$\\frac{\\boxed{42}}{2}$", "$\\frac{1}{\\boxed{42}}$", "$\\sqrt{\\boxed{42}}$",
    "$x < \\boxed{42}$", "$x^{\\boxed{42}}$", "$3\\boxed{42}$", "$\\sin\\boxed{42}$", "$1 + \\boxed{42}$",
    "$\\boxed{42} + 1$", "$\\boxed{42} = 43$", "\\boxed{42}_5", "\\boxed{42}^2", "\\boxed{4}2", "\\boxed{42}/7",
    "\\boxed{42} \\times 10", "\\boxed{42}'s double", "$\\boxed{42}$ or $43$", "\\boxed{42} or 43",
    "\\boxed{42}, or possibly 43.", "$\\boxed{42} \\pm 1$", "$(\\boxed{1}, 2)$",
]  # fmt: skip
FREE = [
    "\\[x = \\boxed{42}.\\] Note it.", "$\\boxed{42} \\pmod{100}$", "$\\boxed{42} = 40 + 2$",
    "<answer>\\boxed{42}</answer>", "There are $21 + 21$, or $\\boxed{42}$.", "**Answer:** \\boxed{42}",
    "\\boxed{42}\n\nWait, let me check. Yes.", "**\\boxed{42}**", "1. \\boxed{42}", "- \\boxed{42}",
    "$= +\\boxed{42}$", "It is 3 \\boxed{42}", "$\\boxed{42}\\text{ cm}^2$",
    "$\\boxed{42} \\mathrm{~kg} / \\mathrm{m}$", "$\\boxed{42}^\\circ$", "$\\boxed{42} m$",
    "$\\boxed{42} &= 3 \\cdot 14$", "$x \\approx \\boxed{42} \\approx 42.1$",
    "\\boxed{42}!", "$\\textcolor{red}{\\boxed{42}}$", "no number other than $\\boxed{42}$ can work",
]  # fmt: skip
NOT_READ = [  # what is said about a boxed answer
    "\\boxed{42}. Wait, that is wrong.", "\\boxed{42}\n\nActually, it is 43.", "If it is \\boxed{42}, we are wrong.",
    "For example, \\boxed{42}", "He says the answer is \\boxed{42}.",
]  # fmt: skip
DENIED = [
    "It is not \\boxed{42}.", "The answer isn't $\\boxed{42}$", "x \\neq \\boxed{42}", "x ≠ \\boxed{42}",
    "Do not write \\boxed{42}.", "Anything but \\boxed{42}.", "We rule out \\boxed{42}.", "\\boxed{42} is wrong.",
    "$\\boxed{42}$ is certainly not the answer.",
]  # fmt: skip
UNCOUNTED = [
    "\\boxed{}", "\\boxed{...}", "\\boxed{?}", "\\boxed{\\phantom{09}}", "\\boxed{\\text{your final answer}}",
    "\\boxed{42}?", "Is it $\\boxed{42}$?", "no box",
]  # fmt: skip


@pytest.mark.parametrize("text", BOUND)
def test_a_box_that_is_part_of_something_else(text: str) -> None:
    assert read_boxes(text).conflict


@pytest.mark.parametrize("text", [*FREE, *NOT_READ])
def test_a_box_that_stands_alone(text: str) -> None:
    assert read_boxes(text).answers == ("42",)


@pytest.mark.parametrize("text", DENIED)
def test_a_negated_box_is_a_conflict_where_no_other_is_left(text: str) -> None:
    assert read_boxes(text).conflict
    assert read_boxes(text + " It is \\boxed{7}.").answers == ("7",)


@pytest.mark.parametrize("text", UNCOUNTED)
def test_a_box_that_does_not_count(text: str) -> None:
    boxes = read_boxes(text)
    assert (boxes.answers, boxes.conflict) == ((), None)


def test_boxes_that_are_one_list() -> None:
    assert read_boxes("$\\boxed{1}$, $\\boxed{2}$, and $\\boxed{3}$").answers == ("1, 2, 3",)
    assert read_boxes("$x = \\boxed{1}$ or $x = \\boxed{2}$").answers == ("1, 2",)
    assert read_boxes("\\boxed{1} \\boxed{2}").answers == ("1", "2")
    assert read_boxes("\\boxed{1} \\boxed{2} \\boxed{1}").answers == ("2", "1")


def test_boxes_that_name_one_letter_each() -> None:
    assert by_name("\\boxed{x = 1}, so \\boxed{y=2}") == "x = 1, y = 2"
    assert by_name("x = \\boxed{1} and so x = \\boxed{2}") == ""
    assert by_name("\\boxed{x = 1} and \\boxed{2}") == ""


def test_a_box_that_is_cut_off() -> None:
    assert read_boxes("\\boxed{42").conflict
    assert read_boxes("\\boxed{42} and then \\boxed{4").conflict
    assert read_boxes("\\boxed{" + "1" * MAX_BOX + "}").conflict


def test_no_more_boxes_are_read_than_the_limit() -> None:
    assert len(find_boxes("\\boxed{1}" * 2 * MAX_BOXES)) == MAX_BOXES + 1
    assert read_boxes("\\boxed{1}" * 2 * MAX_BOXES).conflict is not None


@pytest.mark.parametrize(
    "piece", ["\\boxed{1}", "\\boxed{", "{", "$", "\\frac{", "not ", "-", "\\boxed{42} or ", "\\text{"]
)
def test_no_pattern_is_slow(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    begun = time.process_time()
    read_boxes(text + "\\boxed{42}" + text)
    assert time.process_time() - begun < 1.0
