"""The values of a comparison against answers that are known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_arms import arm, noisy

from simko.report import pass_at_k
from simko.report.comparable import one_comparison
from simko.report.comparison import ONE_SEED, TWO_SEEDS, as_band, half_k, results_of
from simko.report.measured import Measured
from simko.report.pairing import pair


def results(*measured: Measured, reference: str = "grpo") -> dict[str, Any]:
    result = results_of(one_comparison(measured), reference)
    json.dumps(result, allow_nan=False)
    return result


def of(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in result["arms"] if entry["name"] == name)


def test_curves_are_means_over_seeds_and_problems() -> None:
    result = results(arm("a", 0, [1, 3]), arm("a", 1, [3, 5]))
    curve = of(result, "a")["pass_at_k"]["curve"]
    assert list(curve) == ["1", "2", "4", "8", "16"]
    for k, (mean, low, high) in curve.items():
        expected = np.mean([pass_at_k(16, c, int(k)) for c in (1, 3, 3, 5)])
        assert mean == pytest.approx(expected)
        assert low <= mean <= high
    assert [point["pass_at_k"]["1"] for point in of(result, "a")["seeds"]] == [2 / 16, 4 / 16]
    assert (result["n"], result["half_k"], result["problems"]["used"]) == (16, 8, 2)


def test_equal_arms_are_not_decided() -> None:
    same = [8, 4, 2, 0] * 12
    result = results(*(arm(name, seed, same) for name in ("grpo", "other", "base") for seed in range(3)))
    for gap in (of(result, "other")["against_reference"], of(result, "grpo")["against_base"]):
        assert set(gap["decisions"].values()) == {"not decided"}
        assert gap["words"] == "not decided at any K"
        assert gap["curve"]["1"][0] == 0
    assert of(result, "other")["against_reference"]["holm_p_value"] == 1.0
    assert of(result, "base")["against_base"] is None
    assert of(result, "grpo")["against_reference"] is None


def test_arms_of_one_method_with_other_seeds_are_not_decided() -> None:
    result = results(*(noisy(name, seed) for name in ("grpo", "again") for seed in range(5)))
    assert of(result, "again")["against_reference"]["words"] == "not decided at any K"


def test_a_large_gain_is_better_and_a_large_loss_worse() -> None:
    measured = [
        noisy(name, seed, shift) for name, shift in (("grpo", 0.2), ("up", 0.5), ("base", 0.2)) for seed in range(3)
    ]
    result = results(*measured, *(noisy("down", seed, -0.3) for seed in range(3)))
    assert of(result, "up")["against_reference"]["decisions"]["1"] == "better"
    down = of(result, "down")["against_base"]
    assert down["decisions"]["1"] == "worse"
    assert down["first_loss"]["possible"][0] == 1
    assert not down["first_loss"]["none"]
    assert down["curve"]["1"][2] < 0


def test_more_methods_make_the_bands_wider_and_holm_larger() -> None:
    grpo = [noisy("grpo", seed) for seed in range(3)]
    one = [noisy("a", seed, 0.05) for seed in range(3)]
    more = [noisy(name, seed) for name in ("b", "c", "d") for seed in range(3)]
    alone, among = (of(results(*grpo, *one, *rest), "a")["against_reference"] for rest in ([], more))
    assert alone["level"] == pytest.approx(0.95)
    assert among["level"] == pytest.approx(1 - 0.05 / 4)
    assert among["curve"]["1"][2] > alone["curve"]["1"][2]
    assert alone["holm_p_value"] == alone["p_value"] == among["p_value"]
    assert among["holm_p_value"] == pytest.approx(min(1, 4 * alone["p_value"]))


def test_differences_are_paired_by_seed() -> None:
    """Both arms move by as much from seed to seed, and the difference is the same under each."""
    solved = {0: [2, 9] * 8, 1: [6, 13] * 8}
    measured = [arm("grpo", seed, solved[seed]) for seed in (0, 1)]
    measured += [arm("up", seed, [c + 2 for c in solved[seed]]) for seed in (1, 0)]
    gap = of(results(*measured), "up")["against_reference"]
    assert gap["pairing"] == "by seed"
    assert gap["curve"]["1"][0] == pytest.approx(2 / 16)
    assert [point["1"] for point in gap["points"]] == pytest.approx([2 / 16, 2 / 16])


def test_how_seeds_are_paired() -> None:
    def seeds(name: str, *numbers: int | None) -> list[Measured]:
        return [arm(name, number) for number in numbers]

    assert pair(seeds("a", 0, 1, 2), seeds("b", 1, 2, 5)) == ([1, 2], [0, 1], "by seed")
    assert pair(seeds("a", 0, 1), seeds("b", 4, 5)) == ([0, 1], [0, 1], "in order: no seed is shared")
    assert pair(seeds("a", 0, 1), seeds("base", 7)) == ([0, 1], [0, 0], "all against one measurement")
    assert pair(seeds("theirs", None), seeds("b", 4, 5)) == ([0, 0], [0, 1], "one measurement against all")
    assert pair(seeds("a", 0, 1), seeds("b", 1)) == ([1], [0], "by seed")


def test_one_seed_is_told() -> None:
    assert ONE_SEED in results(arm("a"), arm("base"))["notes"]
    of_two = results(arm("a", 0), arm("a", 1), arm("base", 0))["notes"]
    assert TWO_SEEDS in of_two
    assert ONE_SEED not in of_two
    assert "seeds differ: a 2, b 1" in results(arm("a", 0), arm("a", 1), arm("b", 0))["notes"]


def test_the_difference_that_could_be_seen_is_the_half_width() -> None:
    result = results(*(noisy(name, seed) for name in ("grpo", "a") for seed in range(3)))
    _, low, high = of(result, "a")["against_reference"]["curve"]["1"]
    seen = result["could_be_seen"]
    assert seen == {"k": 1, "difference": pytest.approx((high - low) / 2), "seeds": 3, "against": "grpo"}


def test_without_the_reference_the_base_alone_is_compared_with() -> None:
    for reference in ("grpo", "base"):
        result = results(arm("a"), arm("base"), reference=reference)
        assert result["reference"] is None
        assert of(result, "a")["against_reference"] is None
        assert of(result, "a")["against_base"]["arm"] == "base"


def test_arms_at_their_own_temperature_meet_each_other() -> None:
    own = {"temperature": 0.6, "tuned": ["temperature"]}
    measured = [
        arm("grpo"),
        arm("a"),
        arm("base"),
        arm("base with prompt qwen", template="qwen", tuned=["template"], trained=False),
    ]
    measured += [
        arm("grpo at T 0.6", **own, arm="grpo"),
        arm("a at T 0.6", **own, arm="a"),
        arm("b at T 0.6", **own, arm="b"),
    ]
    measured += [arm("base at T 0.6", **own, trained=False, arm="base")]
    result = results(*measured)
    assert of(result, "a at T 0.6")["against_reference"]["arm"] == "grpo at T 0.6"
    assert of(result, "a at T 0.6")["against_base"]["arm"] == "base at T 0.6"
    assert of(result, "a")["against_reference"]["arm"] == "grpo"
    assert of(result, "a")["against_base"]["arm"] == "base"
    assert of(result, "base with prompt qwen")["against_base"]["arm"] == "base"
    assert of(result, "grpo at T 0.6")["against_reference"] is None
    assert result["methods_against_reference"] == 3
    without = results(*(entry for entry in measured if entry.arm not in ("grpo at T 0.6", "base at T 0.6")))
    assert of(without, "a at T 0.6")["against_reference"]["arm"] == "grpo"


def test_each_model_has_its_base() -> None:
    measured = [arm("a", model="x"), arm("b", model="y"), arm("base x", model="x", trained=False)]
    result = results(*measured, arm("base y", model="y", trained=False))
    assert of(result, "a")["against_base"]["arm"] == "base x"
    assert of(result, "b")["against_base"]["arm"] == "base y"


def test_what_stands_beside_pass_at_k() -> None:
    answers = {"p0": {"1": (12, 12), "2": (4, 0)}, "p1": {"3": (8, 0)}}
    facts = {
        "tokens_per_answer": 7.5,
        "outcomes": {"correct": 6, "no_answer": 2, "timeout": 1, "error": 1},
        "truncated": 0.5,
    }
    facts |= {"training": {"entropy": 0.25}, "training_seconds": 30.0}
    entry = of(results(replace(arm("a", 0, [12, 0], **facts), answers=answers)), "a")
    assert entry["cover"]["0.5"][0] == 0.5
    assert entry["pass_all_k"]["1"] == pytest.approx(12 / 32)
    assert entry["majority_at_k"]["1"] == pytest.approx(12 / 32)
    assert entry["guess_floor"]["1"] == pytest.approx(0.25)  # one of two answers is right, of the first problem alone
    assert entry["tokens_at_k"]["4"] == 30.0
    assert (entry["no_answer"], entry["verifier_failed"], entry["truncated"]) == (0.2, 0.2, 0.5)
    assert (entry["training"], entry["seconds"]) == ({"entropy": 0.25}, 30.0)
    assert entry["seeds"][0]["cover_curve"] == {"rate": [0.0, 0.75], "share": [1.0, 0.5]}


def test_majority_of_the_evaluation_is_used_where_problems_and_ks_are_the_same() -> None:
    stored = {str(k): 0.125 * k for k in (1, 2, 4, 8, 16)}
    assert of(results(arm("a", majority_at_k=stored)), "a")["majority_at_k"] == stored
    fewer = results(arm("a", majority_at_k=stored), arm("b", solved=[8] * 23))
    assert of(fewer, "a")["majority_at_k"]["1"] is None


def test_the_half_of_n() -> None:
    assert [half_k(ks) for ks in ((1,), (1, 2), (1, 2, 4, 8, 16), (1, 2, 4, 8, 15), (1, 2, 4, 8, 16, 20))] == [
        1,
        1,
        8,
        8,
        8,
    ]


def test_bands_come_back_from_their_values() -> None:
    gap = of(results(*(noisy(name, seed) for name in ("grpo", "a") for seed in range(2))), "a")["against_reference"]
    band = as_band("x", json.loads(json.dumps(gap)))
    assert (band.k, band.seeds, band.problems, band.judged) == ((1, 2, 4, 8, 16), 2, 48, 4)
    assert [band.mean[0], band.low[0], band.high[0]] == gap["curve"]["1"]


def test_an_arm_stands_against_the_base_at_its_own_prompt() -> None:
    bases = arm("base", 0, [8] * 8), replace(arm("base", 0, [4] * 8, template="plain"), place="b")
    result = results(*bases, arm("a", template="plain", solved=[6] * 8), arm("b", solved=[6] * 8))
    assert [(entry["name"], len(entry["seeds"])) for entry in result["arms"]][:2] == [
        ("base chat", 1),
        ("base plain", 1),
    ]
    assert of(result, "a")["against_base"]["arm"] == "base plain"
    assert of(result, "b")["against_base"]["arm"] == "base chat"


def test_a_hostile_list_of_tuned_facts_does_no_harm() -> None:
    assert of(results(arm("a", tuned=[["template"], {}]), arm("base")), "a")["against_base"]["arm"] == "base"


def test_a_difference_that_rests_on_one_shared_seed_says_so() -> None:
    measured = [arm("grpo", seed) for seed in (0, 1, 2)] + [arm("a", seed) for seed in (2, 3)]
    assert f"a and grpo share {ONE_SEED}" in results(*measured)["notes"]
    assert not any(ONE_SEED in note for note in results(*measured, arm("a", 1))["notes"])


def test_a_reference_that_is_no_arm_is_told_and_one_that_is_alone_is_not() -> None:
    line = "no arm is named other: arms are compared with their base only"
    assert line in results(arm("grpo"), arm("a"), reference="other")["notes"]
    for measured, reference in (((arm("grpo"), arm("base")), "grpo"), ((arm("a"),), "base")):
        assert not any("no arm" in note for note in results(*measured, reference=reference)["notes"])
