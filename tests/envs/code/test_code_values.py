"""Values through the runner's encoder and back: plain data survives, everything else is no value, hostile text is bounded."""

from __future__ import annotations

import collections
import enum
import json
import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs.code import runner, values

ONE_HASH = sys.hash_info.modulus  # its multiples have the hash 0
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.binary(max_size=8)
    | st.complex_numbers(allow_nan=False)
)  # fmt: skip
KEYS = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.tuples(st.integers(), st.text(max_size=2))
PLAIN = st.recursive(
    LEAVES | st.sets(KEYS, max_size=4) | st.frozensets(KEYS, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def through(value: Any) -> Any:
    """The value as it comes out of the sandbox."""
    return values.decode(values.parse(json.dumps(runner.Encoder().encode(value)).encode()))


def same_kinds(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return all(map(same_kinds, a, b))
    return all(same_kinds(a[key], b[key]) for key in a) if isinstance(a, dict) else True


@given(PLAIN)
def test_plain_values_survive(value: Any) -> None:
    assert through(value) == value
    assert same_kinds(through(value), value)


@pytest.mark.parametrize("value", [10**4000, -(2**53), 2**53 + 1, -0.0, math.inf, -math.inf, "\ud800", 1e308])
def test_odd_values_survive(value: Any) -> None:
    assert through(value) == value
    assert math.copysign(1, through(-0.0)) == -1


def test_a_whole_number_of_any_size_survives() -> None:
    assert through(7**20_000) == 7**20_000


def test_a_few_members_of_one_hash_survive() -> None:
    value = {-1, -2, *(k * ONE_HASH for k in range(20))}
    assert through(value) == value


def test_nan_survives_and_equals_nothing() -> None:
    assert math.isnan(through(math.nan))
    assert through([math.nan]) != [math.nan]


class Fake(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class Colour(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Fake(5), 5),
        (Colour.RED, 3),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, {1: [2]}), {1: [2]}),
        (collections.namedtuple("P", "x y")(1, 2), (1, 2)),
        (type("Text", (str,), {"__str__": lambda self: "other"})("own"), "own"),
        (bytearray(b"x"), b"x"),
    ],
)
def test_an_instance_of_a_subclass_gives_its_plain_content(value: Any, plain: Any) -> None:
    result = through(value)
    assert (result, type(result)) == (plain, type(plain))


@pytest.mark.parametrize("value", [object(), iter([1]), range(3), len, {1: object()}, type, Ellipsis, 1j.__class__])
def test_anything_else_is_no_value(value: Any) -> None:
    with pytest.raises(runner.NoValue):
        runner.Encoder().encode(value)


def test_an_endless_value_is_no_value() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(runner.NoValue):
        runner.Encoder().encode(loop)


@pytest.mark.parametrize(
    "text",
    [
        '{"t": 5}', '{"q": []}', '{"": []}', '{"sz": []}', '{"t": [1], "s": [1]}', "{}", '{"i": 5}', '{"i": "x"}', '{"f": "1"}',
        '{"s": [[1]]}', '{"s": [{"d": []}]}', '{"d": [1]}', '{"d": [[[1], 2]]}', '{"b": "x"}', '{"c": [1]}', '{"c": [1, "x"]}',
        "[" * 70 + "]" * 70, '{"s": "ab"}', json.dumps({"s": list(range(20_000))}), json.dumps([0] * 300_000),
        json.dumps({"s": [{"i": hex(k * ONE_HASH)} for k in range(100)]}),
        json.dumps({"d": [[{"t": [{"i": hex(k * ONE_HASH)}]}, 0] for k in range(100)]}),
    ],
)  # fmt: skip
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(values.BadValueError):
        values.decode(values.parse(text.encode()))


@pytest.mark.parametrize("line", [b"", b"{", b"[" * 100_000, b"\xff", b"1" * 5000])
def test_a_line_that_is_no_json_is_refused(line: bytes) -> None:
    with pytest.raises(values.BadValueError):
        values.parse(line)
