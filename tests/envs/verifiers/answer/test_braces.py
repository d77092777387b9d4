from __future__ import annotations

from simko.envs.verifiers.answer.braces import closing_brace, open_braces


def test_the_brace_that_closes() -> None:
    assert closing_brace("{42} more", 0, 100) == 4
    assert closing_brace("x{a{b}c}", 1, 100) == 8
    assert closing_brace("{\\}}", 0, 100) == 4
    assert closing_brace("{\\\\}", 0, 100) == 4


def test_a_brace_that_does_not_close_in_reach() -> None:
    assert closing_brace("{42", 0, 100) is None
    assert closing_brace("{42}", 0, 3) is None
    assert closing_brace("{42\\", 0, 100) is None


def test_the_braces_that_are_still_open() -> None:
    assert open_braces("a{b{c}d") == [1]
    assert open_braces("}{{") == [1, 2]
    assert open_braces("\\{{x}") == []
