"""The corpora themselves: many, made from a seed, and no case labelled against its own gold answer."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from simko.envs import grade
from simko.envs.audit.cases import METAMORPHIC, SAMPLES, hostile, metamorphic, real, wrapped
from simko.envs.audit.corpus.bombs import bombs
from simko.envs.audit.corpus.changed import changed
from simko.envs.audit.corpus.gaming import gaming
from simko.envs.audit.corpus.golds import KINDS, Gold, decimal
from simko.envs.audit.corpus.injections import CANARY_MODULE, injections
from simko.envs.audit.corpus.same import same


def test_there_are_hundreds_of_each_kind() -> None:
    attacks = list(injections("/nowhere/canary"))
    assert len(attacks) > 200
    assert sum(CANARY_MODULE in text or "/nowhere/canary" in text for _, text in attacks) > 120
    assert len(list(bombs())) > 300
    assert max(len(text) for _, text in bombs()) >= 1_000_000
    assert len(list(gaming("42", "43"))) > 120
    rng = random.Random(0)
    for make in (same, changed):
        assert sum(len(list(make(draw(rng), rng))) for draw in KINDS.values()) > 200


def test_a_seed_makes_the_same_cases() -> None:
    first, again, other = (list(metamorphic("math", tuple(KINDS), 100, seed)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("kind", KINDS)
def test_spellings_and_changes_never_meet(kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(20):
        gold = KINDS[kind](rng)
        right = {text for _, text in same(gold, rng)}
        assert gold.text in right
        assert not right & {text for _, text in changed(gold, rng)}


@pytest.mark.parametrize("kind", KINDS)
def test_math_knows_every_spelling_and_every_change(kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(4):
        gold = KINDS[kind](rng)
        for what, text in same(gold, rng):
            assert grade(f"\\boxed{{{text}}}", gold.text).outcome == "correct", (what, gold.text, text)
        for what, text in changed(gold, rng):
            assert grade(f"\\boxed{{{text}}}", gold.text).outcome == "incorrect", (what, gold.text, text)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_bundled_scorer_withstands_the_injections(name: str) -> None:
    for sample in SAMPLES[name]:
        assert grade(sample.right, sample.gold, name).correct
        assert not grade(sample.wrong, sample.gold, name).correct
    for case in hostile(SAMPLES[name], "/nowhere/canary"):
        if case.family != "bomb" or len(case.response) < 10_000:
            assert grade(case.response, case.gold, name).outcome in ("incorrect", "no_answer"), case
    for case in wrapped(SAMPLES[name], name in METAMORPHIC):
        assert grade(case.response, case.gold, name).correct is case.correct, case


@pytest.mark.parametrize("name", ["numeric", "choice", "math_row"])
def test_other_scorers_know_their_kinds(name: str) -> None:
    for case in metamorphic(name, METAMORPHIC[name], 200, 3):
        assert grade(case.response, case.gold, name).correct is case.correct, case


@pytest.mark.parametrize(("a", "b"), [(12, 13), (17, 19), (-11, 26), (1, 3)])
def test_seven_decimals_are_seven_whatever_they_end_in(a: int, b: int) -> None:
    gold = Gold("fraction", f"\\frac{{{a}}}{{{b}}}", {"value": Fraction(a, b)})
    forms = dict(changed(gold, random.Random(0)))
    assert len(forms["seven decimals, wrong"].partition(".")[2]) == 7


def test_decimals_are_exact() -> None:
    assert decimal(Fraction(-1, 8)) == "-0.125"
    assert decimal(Fraction(1230, 1)) == "1230"
    with pytest.raises(ValueError, match="no finite decimal"):
        decimal(Fraction(1, 3))


def test_real_answers_come_from_a_folder(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "math500.jsonl").write_text('{"answer": "\\\\frac{1}{2}"}\n{"answer": "(3, 4)"}\n{"answer": "987"}\n')
    cases = list(real(str(tmp_path), 40, 0))
    assert {case.gold for case in cases} == {"\\frac{1}{2}", "(3, 4)"}
    for case in cases:
        assert grade(case.response, case.gold).correct is case.correct, case
