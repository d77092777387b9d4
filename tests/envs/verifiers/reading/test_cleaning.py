"""The table of `clean`: every example, no step that does nothing, and every order that matters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simko.envs.verifiers.reading.cleaning import PROGRAM, STEPS
from simko.envs.verifiers.reading.steps import Step, compiled, run
from simko.envs.verifiers.reading.text import MAX_ANSWER, clean

PLACES = {step.name: place for place, step in enumerate(STEPS)}
PIECES = sorted({piece for step in STEPS for piece in (step.before, step.before[:2], step.before[-2:], *step.before)})

ORDER = [
    ("signs of Unicode", "one blank", "x ∈ ℝ"),
    ("signs of Unicode", "rows again", "1\x002"),
    ("no blanks round the text", "markdown", " **42** "),
    ("markdown", "power of Python", "**42**"),
    ("font over a word", "font", r"{\bf Yes}"),
    ("other names of text", "text in text", r"\text{\emph{Yes}}"),
    ("classes of atoms", "sign in braces", r"2\mathbin{+}3"),
    ("textdollar", "dollars that are money", r"\textdollar 5"),
    ("units with powers", "power in text", r"5\text{ m/s^2}"),
    ("ends of rows", "doubled backslash", r"\begin{matrix}1\\a\end{matrix}"),
    ("ends of rows", "spaces", r"\begin{matrix}1 \\ 2\end{matrix}"),
    ("ends of rows", "height of a row", r"\begin{matrix}1\\[2mm]2\end{matrix}"),
    ("wrappers", "sizes and colours", r"\color{red}{42}"),
    ("half a bracket", "names of commands", r"\left.42\right)"),
    ("no blanks round what is left", "quotes", r'\bf "42"'),
    ("unit vectors", "names of commands", r"3\mathbf{i}"),
    ("dollars that are money", "dollars that are not", r"\$5"),
    ("dollars that are not", "half of a day", r"$9\text{ a.m.}$"),
    ("about", "spaces", "~42"),
    ("delimiters at the ends", "list of words", r"\(\text{A, B}\)"),
    ("lost blank", "names of commands", r"x \leqg"),
    ("names of commands", "number in text", r"\mathbf{5}"),
    ("names of commands", "matrix in brackets", r"\left(\begin{array}{cc}1&2\end{array}\right)"),
    ("functions in text", "functions by name", r"\text{sin} x"),
    ("groups of thousands", "marks of thousands", "1{,}000,000"),
    ("marks of thousands", "comma in braces", "8{,}880, 9"),
    ("marks of thousands", "negative space", r"13,\!800, 9"),
    ("marks of thousands", "spaces", r"x+1\,234,5"),
    ("comma in braces", "negative space", r"a{\!,}b"),
    ("spaces", "half of a day", r"12:30\,\text{PM}"),
    ("line breaks at the ends", "ends of rows", r"\begin{matrix}1\end{matrix}\\"),
    ("spaces", "no blanks round the formula", r"\,\text{1:03 PM}\,"),
    ("no blanks round the formula", "equality sign in front", r"\,= 42"),
    ("no blanks round the formula", "time in text", r"\,\text{1:03 PM}\,"),
    ("dots", "comma behind dots", r"1, 2, \dots n"),
    ("dots", "punctuation of a sentence", "1, 2, . . ."),
    ("percent", "percent in words", r"50\text{\%}"),
    ("power of Python", "raised and lowered", "x**2"),
    ("full stop behind a group", "ratio in text", r"\text{3 to 2}."),
    ("list of words", "set that lost its backslashes", "{A, B}"),
    ("set that lost its backslashes", "raised and lowered", "{a, b^2}"),
    ("modules of Python", "functions by name", "math.pi"),
    ("inverse functions", "functions by name", "atan(2)"),
    ("functions by name", "root of parentheses", "sqrt(2)"),
    ("reals without a point", "set builder", r"\{x \mid \mathbb{R}\setminus\{2\}\}"),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_example_needs_its_step(step: Step) -> None:
    place = PLACES[step.name]
    assert clean(step.before) == step.after
    assert run(PROGRAM[:place] + PROGRAM[place + 1 :], step.before) != step.after


def test_every_step_has_a_name_of_its_own_and_a_reason() -> None:
    assert len(PLACES) == len(STEPS)
    assert all(step.why for step in STEPS)


@pytest.mark.parametrize(("earlier", "later", "text"), ORDER)
def test_the_order_matters(earlier: str, later: str, text: str) -> None:
    first, second = PLACES[earlier], PLACES[later]
    turned = (*STEPS[:first], STEPS[second], *STEPS[first:second], *STEPS[second + 1 :])
    assert first < second
    assert run(compiled(turned), text) != clean(text)


@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
@settings(max_examples=300)
def test_what_a_step_needs_only_saves_time(text: str) -> None:
    for needs, rewrite in PROGRAM:
        if needs not in text:
            assert rewrite(text) == text


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_a_text_of_any_pieces_is_cleaned(text: str) -> None:
    assert "\x00" not in clean(text)


@pytest.mark.parametrize("text", [step.after for step in STEPS])
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_a_long_text_is_cut() -> None:
    assert clean("1" * 5 * MAX_ANSWER) == "1" * (MAX_ANSWER + 1)
