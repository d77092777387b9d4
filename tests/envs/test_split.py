"""The split by content."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from simko.envs.split import is_eval, is_tuning, normalise

FROZEN = [5, 9, 11, 13, 14, 16, 19]
FROZEN_TUNING = [5, 8, 12, 14, 16]


def test_one_in_five_is_for_evaluation() -> None:
    share = sum(is_eval(f"What is {a} + {b}?") for a in range(100) for b in range(100)) / 10_000
    assert abs(share - 0.2) < 0.02


def test_it_never_changes() -> None:
    """A change here moves problems between the splits: policies trained before would be judged on what they saw."""
    assert [n for n in range(20) if is_eval(f"problem {n}")] == FROZEN


def test_equal_in_another_process() -> None:
    code = "from simko.envs.split import is_eval; print([n for n in range(20) if is_eval(f'problem {n}')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == str(FROZEN)


def test_one_held_out_problem_in_four_is_for_tuning() -> None:
    held_out = [text for a in range(100) for b in range(100) if is_eval(text := f"What is {a} + {b}?")]
    assert abs(sum(map(is_tuning, held_out)) / len(held_out) - 0.25) < 0.03


def test_the_parts_never_change() -> None:
    """A change here moves final problems among those that settings were tuned on."""
    assert [n for n in range(20) if is_tuning(f"problem {n}")] == FROZEN_TUNING


@given(st.text())
def test_white_space_and_compatible_characters_do_not_decide(text: str) -> None:
    assert is_eval(text) == is_eval(f"  {text}\n\t") == is_eval(normalise(text))


def test_normalise() -> None:
    assert normalise(" a \n\n b  ３ ") == "a b 3"
    assert is_eval("\ud800") in (True, False)  # a lone surrogate is text, too
