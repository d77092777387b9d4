from __future__ import annotations

import pytest

from simko.envs import grade


@pytest.mark.parametrize(
    "response",
    [
        "Answer: 42;import os", "The answer is $42;import os$.", "\\boxed{42\nimport os}", "<answer>42\nimport os</answer>",
        "[42]*1", "{{7*6}}", "${7*6}", "\\boxed{{{7*6}}}", "\\boxed{42; exec code}", "The answer is 42 for some n",
    ],
)  # fmt: skip
def test_a_program_is_no_number(response: str) -> None:
    assert grade(response, "42").outcome == "incorrect"


@pytest.mark.parametrize(
    "response",
    [
        "\\boxed{42\n}",
        "\\boxed{\n42\\text{ apples}\n}",
        "\\boxed{{42}}",
        "${42}$",
        "Answer: 42; so we are done.",
        "\\boxed{7*6}",
    ],
)
def test_a_number_that_is_oddly_set_is_one(response: str) -> None:
    assert grade(response, "42").correct


@pytest.mark.parametrize(
    "behind",
    [
        r"\AA", " nm", r" \mu \mathrm{m}", " m/s", " {cm}^{-1}", r" {~m} / {s}", r" / \mathrm{cm}^{3}", "[\\mathrm{~F}]", " Hz",
        r"{ }^{\circ} \mathrm{C}", r" \operatorname{arcsecs}", " angstrom", " kg.",
    ],
)  # fmt: skip
def test_a_unit_may_stand_behind_a_box(behind: str) -> None:
    assert grade(rf"Hence $\lambda = \boxed{{42}}{behind}$", "42").correct


@pytest.mark.parametrize(
    "behind",
    [
        " x",
        "m",
        " ab",
        " / 2",
        " m + 1",
        r" \sin x",
        r" \mathrm{ thousand}",
        r" \text{ or } 4",
        " million",
        " s t",
        "^2",
    ],
)
def test_what_makes_another_value_of_it_may_not(behind: str) -> None:
    assert grade(rf"Hence $\lambda = \boxed{{42}}{behind}$", "42").outcome == "incorrect"


def test_a_sign_of_its_own_and_a_sum() -> None:
    assert grade(r"$m = -15 + 25 = +\boxed{42}$", "42").correct
    assert grade(r"$m = 15 + \boxed{42}$", "42").outcome == "incorrect"
