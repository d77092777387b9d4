from __future__ import annotations

import pytest

from simko.envs.verifiers.answer.extract import final_answer

BOUND = [
    "$2\\cdot\\boxed{42}$",
    "$\\frac{\\boxed{42}}{2}$",
    "$\\sqrt{\\boxed{42}}$",
    "$\\boxed{42}\\pi$",
    "$x < \\boxed{42}$",
]
BOUND += ["$\\boxed{42} + 1$", "$\\boxed{42} = 43$", "$x^{\\boxed{42}}$", "minus \\boxed{42}", "\\boxed{42} thousand"]
BOUND += ["\\boxed{42}. Wait, that's wrong.", "\\boxed{42}\n\nActually, it is 43.", "$\\boxed{42}$ or $43$"]
FREE = [
    "\\[x = \\boxed{42}.\\] Note it.",
    "$\\boxed{42} \\pmod{100}$",
    "$\\boxed{42} = 40 + 2$",
    "<answer>\\boxed{42}</answer>",
]
FREE += ["There are $21 + 21$, or $\\boxed{42}$.", "**Answer:** \\boxed{42}", "\\boxed{42}\n\nWait, let me check. Yes."]


@pytest.mark.parametrize("response", BOUND)
def test_a_box_that_is_part_of_something_else(response: str) -> None:
    assert final_answer(response).conflict


@pytest.mark.parametrize("response", FREE)
def test_a_box_that_stands_alone(response: str) -> None:
    assert final_answer(response).text == "42"
