"""Grading, ours against math-verify in its documented use, on a fixed mix that both see in one run.

The mix holds answers of MATH train (`SIMKO_DATA`, else `../shared/data`; without data, answers made from a seed). Each has a
group of 8 candidate responses: half are right in another spelling, half are wrong. Every repetition has another mix, so that a
memory of verdicts does not help. Then two comparisons follow, once each: the classes of pairs on which the verdicts differ, and
all pairs of the sets' `extra` column. `exact match` compares the last box with the gold answer as text.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.common import Case, Options, Result, compare

TITLE = "grading, against math-verify"
GROUP = 8
_POLICY = (
    "about", "at least", "less", "a question", "equal to another", "another equal to it", "named twice", "goes to another",
    "about another", "not", "negated", "or another", "and another", "not equal", "named, not equal", "a base", "a modulus",
    "a base in parentheses", "half a bracket", "words around", "words in front", "a system", "thousand",
    "minus x is another", "x squared is not it", "an interval about it", "a tuple with it", "base dropped", "plus or minus",
    "the logarithm", "upper case", "other unit", "radians", "euro", "nearly", "three decimals", "seven decimals, wrong",
    "squared unit", "seven digits, wrong", "percent of it", "other equation", "hexadecimal", "digits apart", "in cents",
    "complement",
)  # fmt: skip
"""Changes on which graders may have different policies: they are compared, but are not in the fixed mix."""
_SHAPES: tuple[tuple[str, str], ...] = (
    ("integer", r"-?\d{1,7}"),
    ("fraction", r"-?\\frac\{\d{1,3}\}\{\d{1,3}\}"),
    ("surd", r"\d{1,2}\\sqrt\{\d{1,2}\}"),
    ("decimal", r"-?\d{1,4}\.\d{1,4}"),
    ("degrees", r"\d{1,3}\^\\circ"),
    ("percent", r"\d{1,2}\\%"),
)


def run(options: Options) -> Result:
    """Grade 200 gold answers x 8; with `--quick` 12 x 8."""
    golds = 12 if options.quick else 200
    common = {"golds": golds, "data": _data()}
    cases = [
        Case("ours", "benchmarks.verifier:ours", common, "ours"),
        Case("math-verify", "benchmarks.verifier:peer", common, needs={"math-verify": "math-verify==0.9.0"}),
    ]
    result = compare(
        "verifier", TITLE, cases, options, repeats=3, warmup=1, per="pairs",
        compared=("wall_s_per_pairs", "cpu_s_per_pairs"), targets={"wall_s_per_pairs/math-verify": 0.15},
        setting={"golds": golds, "group": GROUP, "data": common["data"] or "made from a seed"},
    )  # fmt: skip
    result.notes += agreement(mix(golds, 99, common["data"]))
    if common["data"]:
        result.notes += accuracy(extra_pairs(60 if options.quick else 1500))
    return result


Item = tuple[str, str, bool, str]  # gold, response, whether it is right, what was done


def mix(golds: int, seed: int, data: str | None) -> list[Item]:
    """Make `golds` answers with `GROUP` responses each, half of them right."""
    from simko.envs.audit.corpus.golds import KINDS, Gold
    from simko.envs.audit.corpus.wrappers import ONE_LINE, WRAPPERS

    rng = Random(seed)
    if data:
        answers = _answers(data)
        chosen = [_as_gold(answer) for answer in rng.sample(answers, golds)]
    else:
        chosen = [rng.choice(list(KINDS.values()))(rng) for _ in range(golds)]
    items: list[Item] = []
    for number, gold in enumerate(chosen):
        other: Gold = chosen[(number + 1) % len(chosen)]
        forms = _right(gold, rng), _wrong(gold, other, rng)
        for correct, texts in zip((True, False), forms, strict=True):
            for what, text in (rng.choice(texts) for _ in range(GROUP // 2)):
                items.append((gold.text, WRAPPERS[rng.choice(ONE_LINE[:3])](text), correct, f"{gold.kind}: {what}"))
    return items


def _right(gold: Any, rng: Random) -> list[tuple[str, str]]:
    from simko.envs.audit.corpus.same import same, set_in_type

    return list(set_in_type(gold)) + [("as it is", gold.text)] * 3 if gold.kind == "real" else list(same(gold, rng))


def _wrong(gold: Any, other: Any, rng: Random) -> list[tuple[str, str]]:
    from simko.envs.audit.corpus.changed import changed

    if gold.kind == "real":
        return [("another row's answer", other.text if other.text != gold.text else "987654")]
    return [(what, text) for what, text in changed(gold, rng) if what not in _POLICY]


def _as_gold(text: str) -> Any:
    """Take an answer of a set apart, if it is of a kind that `same` and `changed` can write anew."""
    from simko.envs.audit.corpus.golds import Gold

    kind = next((name for name, pattern in _SHAPES if re.fullmatch(pattern, text)), "real")
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    if kind in ("degrees", "percent"):
        return Gold(kind, text, {"n": numbers[0]})
    if kind == "integer" and int(text) not in (0, 1, -1):
        return Gold(kind, text, {"n": int(text)})
    if kind == "surd" and numbers[0] > 1:
        return Gold(kind, text, {"a": numbers[0], "b": numbers[1]})
    if kind == "decimal" and text[-1] != "0":
        return Gold(kind, text, {"value": Fraction(text)})
    if kind == "fraction" and numbers[1] > 1:
        value = Fraction(numbers[0], numbers[1])
        if value.denominator == numbers[1]:
            return Gold(kind, text, {"value": -value if text[0] == "-" else value})
    return Gold("real", text)


def ours(golds: int, data: str | None) -> Callable[[], dict[str, int]]:
    """Grade with `simko.envs.grade`, after its worker has started."""
    from simko.envs import grade
    from simko.envs.audit.verifier import NEEDS_WORKER

    grade(*NEEDS_WORKER)
    return _timed(golds, data, lambda gold, response: grade(response, gold).correct)


def peer(golds: int, data: str | None) -> Callable[[], dict[str, int]]:
    """Grade with `verify(parse(gold), parse(response))`; the gold answer of a group is parsed once."""
    from functools import lru_cache

    from math_verify import parse, verify

    parsed = lru_cache(maxsize=8)(lambda gold: parse(f"${gold}$"))
    return _timed(golds, data, lambda gold, response: bool(verify(parsed(gold), parse(response))))


def _timed(golds: int, data: str | None, correct: Callable[[str, str], bool]) -> Callable[[], dict[str, int]]:
    mixes = iter([mix(golds, seed, data) for seed in range(40)])

    def once() -> dict[str, int]:
        items = next(mixes)
        agreements = [correct(gold, response) is right for gold, response, right, _ in items]
        return {"pairs": len(items), "as_labelled": sum(agreements)}

    return once


def agreement(items: list[Item]) -> list[str]:
    """Count the pairs on which the two verdicts agree, and each class of pairs on which they do not."""
    from math_verify import parse, verify

    from simko.envs import grade

    classes: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for gold, response, right, what in items:
        mine, theirs = grade(response, gold).correct, bool(verify(parse(f"${gold}$"), parse(response)))
        if mine != theirs:
            name = f"{'right' if right else 'wrong'} answer, {what}: ours {_says(mine)}, math-verify {_says(theirs)}"
            classes[name] += 1
            examples.setdefault(name, f"gold {gold[:40]!r}, {response.splitlines()[-1][-60:]!r}")
    agreed = len(items) - sum(classes.values())
    return [f"agreement on {agreed} of {len(items)} pairs of the mix"] + [
        f"{count} x {name}; {examples[name]}" for name, count in classes.most_common(40)
    ]


def _says(correct: bool) -> str:
    return "correct" if correct else "incorrect"


def extra_pairs(count: int) -> list[Item]:
    """Collect pairs of the sets' `extra`: extractions by others, accepted forms, lists. Add as many with another row's answer."""
    from simko.envs import registry
    from simko.envs.data import golds as of_rows

    kinds = ("simko_target", "alt_answers", "final_answer", "other order", "one answer missing")
    items: list[Item] = []
    for id, splits in (("MATH", ("train", "eval")), ("Minerva", ("eval",)), ("OlympiadBench", ("eval",))):
        for split in splits:
            source: Any = registry.make(f"simko/{id}-v0", split=split, data=_data()).source
            pairs = [pair for pair in source.pairs() if pair.kind in kinds]
            for number, pair in enumerate(pairs):
                gold = of_rows.main_answer(pair.task.gold)
                items.append((gold, pair.response, pair.correct, f"{id} {pair.kind}"))
                later = pairs[(number + 7) % len(pairs)]
                if _plain(of_rows.main_answer(later.task.gold)) != _plain(gold) and later.correct:
                    items.append((gold, later.response, False, f"{id} another row's {later.kind}"))
    return Random(0).sample(items, min(count, len(items)))


def accuracy(items: list[Item]) -> list[str]:
    """Count the pairs that each grader gets right. math-verify gets the bare answer in dollars, its easiest form."""
    from math_verify import parse, verify

    from simko.envs import grade

    right: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = {}
    for gold, response, correct, kind in items:
        boxed = re.findall(r"\\boxed\{(.*)\}", response, re.DOTALL)
        stated = boxed[-1] if boxed else response.removeprefix("The answer is ").removesuffix(".")
        verdicts = {
            "ours": grade(response, gold).correct,
            "math-verify": bool(verify(parse(f"${gold.strip('$')}$"), parse(f"So it is ${stated.strip('$ ')}$."))),
            "exact match": stated.strip() == gold.strip(),
        }
        for name, verdict in verdicts.items():
            right[name] += verdict is correct
            by_kind.setdefault(kind, Counter())[name] += verdict is correct
        by_kind[kind]["n"] += 1
    lines = [
        f"pairs of extra, {len(items)}: " + ", ".join(f"{n} {100 * c / len(items):.2f} %" for n, c in right.items())
    ]
    return lines + [
        f"{kind}: " + ", ".join(f"{n} {c}" for n, c in counts.items()) for kind, counts in sorted(by_kind.items())
    ]


def _plain(text: str) -> str:
    return "".join(text.split())


def _answers(data: str) -> list[str]:
    import gzip
    import json

    with gzip.open(Path(data) / "math_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows: Iterator[Any] = (json.loads(line)["answer"].strip() for line in lines)
        return [answer for answer in rows if answer and len(answer) < 120]


def _data() -> str | None:
    for folder in (os.environ.get("SIMKO_DATA"), Path(__file__).resolve().parents[2] / "shared" / "data"):
        if folder and (Path(folder) / "math_train.jsonl.gz").is_file():
            return str(folder)
    return None
