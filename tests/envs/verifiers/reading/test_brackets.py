"""The scanner of brackets beside slow references, which count anew at every place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs.verifiers.reading.brackets import PARENTHESES, closing, deepest, split, unclosed

PAIRS = {"{": "}", "(": ")", "[": "]"}
TEXTS = st.text("{}()[],a\\", max_size=14)


def unescaped(text: str) -> str:
    """The same length, with blanks for each backslash and the character behind it."""
    return re.sub(r"\\.|\\$", lambda match: " " * len(match[0]), text)


def depth(text: str, opens: str, closes: str) -> int:
    return sum(text.count(sign) for sign in opens) - sum(text.count(sign) for sign in closes)


def reference_closing(text: str, start: int, opens: str, closes: str) -> int | None:
    if text[start : start + 1] not in tuple(opens):
        return None
    return next((end for end in range(start, len(text)) if depth(text[start : end + 1], opens, closes) == 0), None)


def reduced(text: str) -> str:
    """Without all that balances: innermost pairs are taken out until there are none."""
    text = "".join(sign for sign in text if sign in "{}()[]")
    while (shorter := re.sub(r"\{\}|\(\)|\[\]", "", text)) != text:
        text = shorter
    return text


@given(TEXTS, st.integers(0, 14), st.sampled_from([("{", "}"), ("{(", "})"), ("([", ")]")]))
def test_closing(text: str, start: int, brackets: tuple[str, str]) -> None:
    assert closing(text, start, *brackets) == reference_closing(text, start, *brackets)
    assert closing(list(text), start, *brackets) == closing(text, start, *brackets)


@given(TEXTS, st.integers(0, 14))
def test_closing_with_escapes(text: str, start: int) -> None:
    rest = text[:start] + unescaped(text[start:])
    assert closing(text, start, escapes=True) == reference_closing(rest, start, "{", "}")


@given(TEXTS, st.integers(0, 14), st.integers(0, 14))
def test_a_group_beyond_reach_does_not_close(text: str, start: int, reach: int) -> None:
    end = closing(text, start)
    within = end is not None and end < start + reach
    assert closing(text, start, reach=reach) == (end if within else None)


@given(TEXTS)
def test_deepest(text: str) -> None:
    nesting = deepest(text, PAIRS)
    assert (nesting is None) == (reduced(text) != "")
    if nesting is not None:
        assert nesting == max(depth(text[:at], "{([", "})]") for at in range(len(text) + 1))


@given(TEXTS)
def test_split(text: str) -> None:
    depths = [depth(text[:at], "{([", "})]") for at in range(len(text) + 1)]
    parts = split(text, ",", "{([", "})]")
    assert (parts is None) == (min(depths) < 0 or depths[-1] != 0)
    if parts is not None:
        assert ",".join(parts) == text
        assert len(parts) == 1 + sum(sign == "," and depths[at] == 0 for at, sign in enumerate(text))


@given(TEXTS)
def test_unclosed(text: str) -> None:
    places = [at for at, sign in enumerate(text) if sign == "{" and reference_closing(text, at, "{", "}") is None]
    assert unclosed(text) == places
    assert unclosed(text, escapes=True) == unclosed(unescaped(text))


@pytest.mark.parametrize(
    ("text", "end", "depth", "still_open"),
    [("{" * 90_000, None, None, 90_000), ("{" * 9_000 + "}" * 9_000, 17_999, 9_000, 0), ("}" * 90_000, None, None, 0)],
)
def test_a_nest_of_any_depth_is_read(text: str, end: int | None, depth: int | None, still_open: int) -> None:
    assert (closing(text, 0), deepest(text), len(unclosed(text))) == (end, depth, still_open)


def test_tokens_of_more_than_one_character() -> None:
    tokens = ["(", "\\lfloor", "x", "\\rfloor", ")"]
    assert deepest(tokens, {**PARENTHESES, "\\lfloor": "\\rfloor"}) == 2
    assert deepest(["(", "\\rfloor"], {**PARENTHESES, "\\lfloor": "\\rfloor"}) is None
    assert closing(tokens, 1, ("\\lfloor",), ("\\rfloor",)) == 3
    assert split(["a", "\\cup", "(", "\\cup", ")"], ("\\cup",), ("(",), (")",)) == ["a", "(\\cup)"]


def test_a_backslash_hides_the_brace_behind_it() -> None:
    assert closing("{\\}}", 0, escapes=True) == 3
    assert closing("{\\\\}", 0, escapes=True) == 3
    assert closing("{42\\", 0, escapes=True) is None
    assert closing("{42}", 0, escapes=True, reach=3) is None
    assert unclosed("\\{{x}{", escapes=True) == [5]
