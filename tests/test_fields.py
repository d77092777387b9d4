"""Settings of any class: what is read, what is refused, and in which words."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from simko.errors import UserError
from simko.fields import again, checked, entries, parse_bytes, schema_of, setting


@dataclass(frozen=True)
class Mine:
    """As a user writes a method's settings."""

    rate: float = setting(0.5, "share of something", minimum=0.0, maximum=1.0)
    count: int | None = setting(None, "how many", minimum=1)
    on: bool = setting(False, "whether")
    name: str = setting("", "what it is called")
    how: Literal["add", "scale"] = setting("add", "what is done")
    weights: tuple[float, ...] = (1.0,)


def read(**values: Any) -> dict[str, Any]:
    return checked(Mine, values, "mine")


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        *[("rate", raw, 0.25) for raw in (0.25, "0.25", np.float32(0.25), np.float64(0.25))],
        *[("rate", raw, 1.0) for raw in (1, "1", np.int64(1))],
        *[("count", raw, 8) for raw in (8, "8", 8.0, " 8 ", np.int64(8))],
        *[("on", raw, True) for raw in (True, "true", "True")],
        *[("on", raw, False) for raw in (False, "false")],
        *[("name", raw, "a/b") for raw in ("a/b", Path("a/b"))],
        ("count", None, None),
        ("how", "scale", "scale"),
        ("weights", [1, "2"], (1.0, 2.0)),
    ],
)
def test_values_and_their_text(name: str, raw: Any, value: Any) -> None:
    (result,) = read(**{name: raw}).values()
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("rate", -0.5, "mine: rate is -0.5; it must be >= 0"),
        ("rate", "7", "mine: rate is 7; it must be <= 1"),
        ("rate", float("nan"), "mine: rate is nan; it must be >= 0"),
        ("rate", True, "mine: rate is True; it must be a number"),
        ("rate", None, "mine: rate is None; it must be a number"),
        ("rate", "x", "mine: rate is 'x'; it must be a number"),
        ("count", 0, "mine: count is 0; it must be >= 1"),
        ("count", 2.5, "mine: count is 2.5; it must be a whole number"),
        ("count", False, "mine: count is False; it must be a whole number"),
        ("count", float("inf"), "mine: count is inf; it must be a whole number"),
        ("on", 1, "mine: on is 1; it must be true or false"),
        ("on", "yes", "mine: on is 'yes'; it must be true or false"),
        ("name", 3, "mine: name is 3; it must be text"),
        ("name", b"x", "mine: name is b'x'; it must be text"),
        ("name", False, "mine: name is False; it must be text"),
        ("how", "scal", "mine: how is 'scal'; it must be one of add, scale; did you mean 'scale'?"),
        ("how", [], "mine: how is []; it must be one of add, scale"),
        ("weights", 3, "mine: weights is 3; it must be a valid tuple"),
        ("nmae", "x", "mine: unknown key 'nmae'; did you mean 'name'?"),
    ],
)
def test_refusals_are_one_line(name: str, raw: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        read(**{name: raw})
    assert str(caught.value) == words


def test_only_what_was_given_comes_back() -> None:
    assert read() == {}
    assert list(read(name="x", rate="1")) == ["name", "rate"]


def test_a_bound_that_is_left_out_is_none() -> None:
    @dataclass(frozen=True)
    class Free:
        x: float = setting(0.0, "any finite number")
        y: float = setting(1.0, "any above", above=0.0)

    assert checked(Free, {"x": -1e300}, "free") == {"x": -1e300}
    for value in ("nan", "inf", "-inf"):
        with pytest.raises(UserError, match=f"x is {value}; it must be a finite number"):
            checked(Free, {"x": value}, "free")
    with pytest.raises(UserError, match=r"y is 0; it must be > 0"):
        checked(Free, {"y": 0}, "free")


def test_a_field_may_follow_one_of_another_part() -> None:
    @dataclass(frozen=True, kw_only=True)
    class First:
        a: int = setting(0, "first")
        d: int = setting(0, "last")

    @dataclass(frozen=True, kw_only=True)
    class Both(First):
        c: int = setting(0, "behind b", after="b")
        b: int = setting(0, "behind a", after="a")
        a: int = again(First, "a", 5)

    assert [entry.name for entry in entries(Both)] == ["a", "b", "c", "d"]
    assert [entry.name for entry in entries(First)] == ["a", "d"]
    assert [(Both().a, First().a), fields(Both)[0].metadata["help"]] == [(5, 0), "first"]


def test_a_mapping_is_copied_for_each_instance() -> None:
    @dataclass(frozen=True)
    class Held:
        method: dict[str, int] = setting({}, "settings")

    assert Held().method is not Held().method


def test_the_schema_is_of_the_same_fields() -> None:
    about = schema_of(Mine)["properties"]
    assert about["rate"] == {
        "default": 0.5, "description": "share of something", "maximum": 1.0, "minimum": 0.0, "title": "Rate", "type": "number",
    }  # fmt: skip
    assert about["how"]["enum"] == ["add", "scale"]
    assert about["count"]["anyOf"] == [{"minimum": 1, "type": "integer"}, {"type": "null"}]


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8e9), ("8 GiB", 8 * 2**30), ("7.5", 7.5e9), ("500MB", 5e8), ("16g", 16e9)]
)
def test_sizes(text: str, size: float) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "eight", "8XB", "-8GB", "0GB", "8GB 9GB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="8GB or 7"):
        parse_bytes(text)
