"""Every rule decides its example; what the rules are for, in order."""

from __future__ import annotations

import pytest

from simko.envs import grade
from simko.envs.verifiers.math.comparison import Comparison
from simko.envs.verifiers.math.readings import cleaned
from simko.envs.verifiers.math.rules import RULES

EXAMPLES: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "same text": (("x+1", "x + 1", True), ("\\text{}", "\\text{ }", False)),
    "degree sign left out": (("2\\sin 30^\\circ", "2\\sin 30", True),),
    "degrees and radians": (("90^\\circ", "\\frac{\\pi}{2}", True), ("90^\\circ", "\\frac{\\pi}{3}", False)),
    "time of day": (("4:30 \\text{ p.m.}", "4:30", False), ("4:30 \\text{ p.m.}", "4:30 am", False)),
    "units differ": (("5\\text{ cm}", "5\\text{ m}", False),),
    "minutes of arc": (("42", "42'", False),),
    "units taken off": (("5\\text{ cm}", "5", True), ("5\\text{ cm}", "6\\text{ cm}", False)),
    "exact numbers": (("0.5", "\\frac12", True), ("\\frac13", "0.333333", True), ("\\frac13", "0.3333", False)),
    "ratio and fraction": (("3:2", "\\frac{3}{2}", True),),
    "decimal comma": (("3.5", "3,5", True),),
    "value and its rounding": (
        ("\\frac{\\sqrt3}{3}", "\\frac{\\sqrt3}{3} \\approx 0.577", True),
        ("\\frac{\\sqrt3}{3}", "\\frac{1}{\\sqrt3} \\approx 0.58", True),
        ("\\frac{\\sqrt3}{3}", "\\frac{\\sqrt3}{3} \\approx 0.578", False),
        ("\\frac{\\sqrt3}{3}", "\\frac{\\sqrt2}{3} \\approx 0.577", False),
        ("\\frac23", "x = \\frac23 \\approx 0.67", True),
        ("\\frac23", "\\frac23 \\approx 0.66", False),
        ("-\\frac23", "-\\frac23 \\approx -0.67", True),
        ("42", "42 \\approx 43", False),
        ("2^{100}", "2^{100} \\approx 1.27 \\times 10^{30}", True),
        ("2^{100}", "2^{100} \\approx 1.26 \\times 10^{30}", False),
        ("\\frac13", "\\frac13 \\approx 33.3\\%", True),
        ("500\\pi", "500\\pi \\approx 1570", True),
        ("500\\pi", "500\\pi \\approx 1571 \\approx 1560", False),
    ),
    "value equals its rounding": (
        ("\\frac{\\sqrt3}{3}", "\\frac{\\sqrt3}{3} = 0.577", True),
        ("\\frac13", "x = \\frac26 = 0.33", True),
        ("\\pi", "\\pi = 3.14...", True),
    ),
    "congruence": (("4", "2^{2024} \\equiv 4 \\pmod 7", True), ("4", "2^{2024} = 4 \\pmod 7", True)),
    "conditions": (("x>5", "(5,\\infty)", True), ("(-\\infty,3)", "2x<6", True), ("x>5", "y>5", False)),
    "in parentheses": (("42", "(42)", True), ("(x)", "y", False)),
    "named point": (("(1,2)", "P(1,2)", True),),
    "shapes": (("(1,2)", "(1,2.0)", True), ("(1,2)", "[1,2)", False), ("1,2", "2,1", True)),
    "terms with dots": (("1+2+\\cdots+n", "1+\\frac42+...+n", True), ("1+2+\\cdots+n", "1+3+\\cdots+n", False)),
    "equations": (("42", "x=42", True), ("y=2x", "y=3x", False), ("42", "41=42", False)),
    "inequalities": (("x+y<5", "10>2x+2y", True), ("x+y<5", "x+y", False)),
    "exact values": (("7", "3+4", True), ("1+1", "3+0", False)),
    "formulas": (("\\sqrt{12}", "2\\sqrt{3}", True), ("x^2", "\\int x", False)),
}


class Noted(Comparison):
    """A comparison that keeps the last decision, which is that of the whole."""

    last: tuple[str, bool] = "", False

    def decided(self, gold: str, answer: str, rule: str, verdict: bool) -> bool:
        self.last = rule, verdict
        return verdict


def test_every_rule_has_an_example_in_the_order_of_the_rules() -> None:
    assert list(EXAMPLES) == [rule.__name__.replace("_", " ") for rule in RULES]
    assert all((rule.__doc__ or "").count("\n") == 0 for rule in RULES)


@pytest.mark.parametrize(("rule", "example"), [(rule, example) for rule in EXAMPLES for example in EXAMPLES[rule]])
def test_the_rule_decides(rule: str, example: tuple[str, str, bool]) -> None:
    gold, answer, verdict = example
    comparison = Noted()
    assert comparison.equal(cleaned(gold), cleaned(answer)) is verdict
    assert comparison.last == (rule, verdict)
    assert comparison.depth == -1


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("4:30 \\text{ p.m.}", "4:30 pm", True),
        ("4:30 \\text{ p.m.}", "4:30 \\text{ PM}", True),
        ("4:30 \\text{ p.m.}", "4:30", False),
        ("4:30 \\text{ p.m.}", "4:30 \\text{ a.m.}", False),
        ("9 \\text{ a.m.}", "9", True),
        ("9 \\text{ a.m.}", "9 \\text{ p.m.}", False),
        ("4:30", "4:30 \\text{ p.m.}", True),
        ("\\text{11:00 AM}", "11:00 a.m.", True),
        ("\\frac{\\sqrt3}{3}", "\\frac{\\sqrt3}{3} \\approx 0.577", True),
        ("\\frac{\\sqrt3}{3}", "\\frac{\\sqrt3}{3} \\approx 0.578", False),
        ("0.577", "\\frac{\\sqrt3}{3} \\approx 0.577", False),
        ("\\frac{\\pi}{4}", "\\frac{\\pi}{4} = 45^\\circ", True),
        ("\\frac{\\pi}{4}", "\\frac{\\pi}{4} = 46^\\circ", False),
        ("\\frac{\\pi}{4}", "\\frac{\\pi}{4}^\\circ", False),
        ("30\\%", "\\frac{3}{10} \\times 100\\% = 30\\%", True),
        ("30\\%", "10\\% + 20\\% = 30\\%", True),
        ("30\\%", "10\\% + 30\\% = 30\\%", False),
        ("12", "48 \\times 25\\% = 12", True),
        ("12", "48 \\times 26\\% = 12", False),
    ],
)
def test_times_and_roundings(gold: str, answer: str, correct: bool) -> None:
    assert grade(f"So it is $\\boxed{{{answer}}}$.", gold).correct is correct


def test_items_within_items_end_somewhere() -> None:
    gold = "(" * 8 + "1,2" + "),2" * 8
    assert grade(f"\\boxed{{{gold.replace('1', '1.0')}}}", gold).outcome == "incorrect"
    assert grade(f"\\boxed{{{gold}}}", gold).correct
