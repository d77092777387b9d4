"""Names of arms tell what differs, and a base model is there once a seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fake_arms import arm

from simko.report.arm_names import named_apart
from simko.report.measured import Measured


def named(*measured: Measured) -> list[tuple[str, int | None]]:
    return [(entry.arm, entry.seed) for entry in named_apart(measured, lambda line: None)]


def simko(place: str, seed: int = 0, **settings: Any) -> Measured:
    method = {key: settings.pop(key) for key in ("alpha", "smoothing") if key in settings}
    entry = arm(
        "simko", seed, settings={"learning_rate": 0.1, "threads": seed, "seed": seed, "method": method, **settings}
    )
    return replace(entry, place=f"runs/{place}/eval/x.json")


def test_seeds_of_one_setting_are_one_arm() -> None:
    assert named(simko("a", 0, alpha=0.2), simko("b", 1, alpha=0.2)) == [("simko", 0), ("simko", 1)]


def test_a_setting_that_differs_is_in_the_name() -> None:
    assert named(simko("a", alpha=0.2), simko("b", alpha=0.5)) == [("simko alpha 0.2", 0), ("simko alpha 0.5", 0)]


def test_a_setting_that_an_older_version_did_not_have_is_no_difference() -> None:
    assert named(simko("a", 0, alpha=0.2), simko("b", 1, alpha=0.2, smoothing="uniform")) == [
        ("simko", 0),
        ("simko", 1),
    ]
    coin = [("simko random_rewards None", 0), ("simko random_rewards 0.5", 0)]
    assert named(simko("a"), simko("b", random_rewards=0.5)) == coin


def test_many_settings_give_the_name_of_the_run() -> None:
    many = {"learning_rate": 1, "steps": 2, "group_size": 3, "alpha": 0.5}
    assert named(simko("a", alpha=0.2), simko("b", **many)) == [("simko (a)", 0), ("simko (b)", 0)]


def test_a_repeated_run_is_numbered_and_a_repeated_file_counts_once() -> None:
    assert named(simko("a"), simko("b"), simko("a")) == [("simko", 0), ("simko #2", 0)]


def test_one_base_a_seed_that_with_the_most_samples() -> None:
    few, many = arm("base", 0, [1] * 4, n=8), replace(arm("base", 0, [2] * 4, n=16), place="b")
    said: list[str] = []
    for order in ([few, many], [many, few]):
        (base,) = named_apart(order, said.append)
        assert base == many
    assert said == [f"base, seed 0: b is taken, {few.place} is left out"] * 2
    assert named(few, replace(few, place="b")) == [("base", 0)]


def test_base_models_of_two_models_have_two_names() -> None:
    assert named(arm("base", 0), replace(arm("base", 0, model="org/SmolLM2"), place="b")) == [
        ("base tiny", 0), ("base SmolLM2", 0)
    ]  # fmt: skip


def test_one_base_a_seed_also_where_its_problems_differ() -> None:
    assert named(arm("base", 0, [1] * 4), replace(arm("base", 0, [1] * 3), place="b")) == [("base", 0)]


def test_bases_at_other_prompts_are_two_arms() -> None:
    plain = replace(arm("base", template="plain"), place="b")
    assert named(arm("base"), plain) == [("base chat", 0), ("base plain", 0)]
    assert named(arm("base", quantization="nf4"), replace(arm("base"), place="b")) == [("base", 0)]
