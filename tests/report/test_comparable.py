"""What may be drawn together, and what is split or refused with both files, the field and both values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_arms import arm

from simko.errors import UserError
from simko.report.comparable import comparisons, conflict, one_comparison


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("env", "simko/Countdown-v0", "simko/Arithmetic-v0"), ("level", 1, 2), ("data_sha256", "aa", "bb"),
        ("verifier", "expression", "exact"), ("max_new_tokens", 64, 128), ("attempts", 1, 2), ("temperature", 1.0, 0.6),
        ("top_p", 1.0, 0.95), ("part", "final", "tuning"),
    ],
)  # fmt: skip
def test_facts_that_differ_are_never_drawn_together(name: str, left: Any, right: Any) -> None:
    measured = [arm("a", **{name: left}), arm("b", **{name: right}), arm("c", **{name: left})]
    assert [one.arms for one in comparisons(measured)] == [["a", "c"], ["b"]]
    with pytest.raises(UserError) as refusal:
        one_comparison(measured)
    line = str(refusal.value)
    for part in (measured[0].place, measured[1].place, name, repr(left), repr(right)):
        assert part in line
    assert "\n" not in line


def test_other_problems_are_never_drawn_together() -> None:
    reason = conflict(arm("a"), arm("b", ids="q"))
    assert reason == ("problems", "24 problems, 0 of them shared", "24 problems, 0 of them shared")
    assert conflict(arm("a"), arm("b", ids="q", problem_seed=1)) == ("problem_seed", 0, 1)
    assert conflict(arm("a", solved=[1] * 10), arm("b", solved=[1] * 5)) is None
    assert conflict(arm("a", solved=[1] * 11), arm("b", solved=[1] * 5)) is not None


def test_a_fact_that_nobody_wrote_down_agrees_and_is_told() -> None:
    foreign = replace(arm("theirs", None, verifier=None, temperature=None), source="counts")
    one = one_comparison([arm("ours"), foreign])
    assert one.facts["verifier"] == "expression"
    assert "theirs: not known: verifier, temperature" in one.notes
    assert any("theirs: counts by others" in note for note in one.notes)


def test_unknown_facts_do_not_join_two_that_differ() -> None:
    found = comparisons([arm("a", verifier=None), arm("b", verifier="exact"), arm("c", verifier="numeric")])
    assert [one.arms for one in found] == [["a", "b"], ["c"]]


def test_an_own_temperature_is_drawn_with_the_others_and_told() -> None:
    own = arm("grpo at T 0.6", temperature=0.6, tuned=["temperature"])
    for order in ([own, arm("grpo")], [arm("grpo"), own]):
        one = one_comparison(order)
        assert one.facts["temperature"] == 1.0
        assert "temperature or prompt of their own, chosen on tuning problems: grpo at T 0.6" in one.notes
    assert conflict(replace(own, facts={**own.facts, "tuned": ["verifier"]}), arm("grpo")) is not None


def test_problems_that_an_arm_lacks_or_could_not_judge_are_counted_and_left_out() -> None:
    whole, fewer = arm("a", solved=[8] * 6), arm("b", solved=[8] * 5)
    unjudged = replace(fewer, counts={**fewer.counts, "p0": (0, 0)})
    one = one_comparison([whole, unjudged])
    assert one.problems == ("p1", "p2", "p3", "p4")
    assert one.left_out == {f"{fewer.place} (b)": 2}
    assert "2 of 6 problems are in no curve" in one.notes[0]


def test_few_shared_problems_are_refused() -> None:
    """Each two arms share half of their problems, and all together share none."""
    counts = {f"p{i}": (4, 1) for i in range(4)}
    sides = [{k: counts[k] for k in pair} for pair in (("p0", "p1"), ("p1", "p2"), ("p0", "p2"))]
    with pytest.raises(UserError, match="0 of 3 problems have a valid sample in every arm"):
        comparisons([replace(arm(f"a{i}"), counts=side) for i, side in enumerate(sides)])


def test_numbers_of_samples_may_differ_and_are_told() -> None:
    one = one_comparison([arm("a", n=16), arm("b", n=32)])
    assert one.fewest == 16
    assert "samples a problem differ (a 16, b 32): all curves end at the fewest" in one.notes


def test_an_arm_and_seed_twice_or_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="arm 'a', seed 0 is in"):
        comparisons([arm("a"), arm("a")])
    with pytest.raises(UserError, match="nothing to compare"):
        comparisons([])
