"""What a verifier is audited with: a gold answer it can read, a right answer and a wrong one, and the corpora that apply."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from simko.envs.audit.corpus import Case, phrased
from simko.envs.audit.corpus.bombs import bombs
from simko.envs.audit.corpus.changed import changed, changed_in_general
from simko.envs.audit.corpus.gaming import gaming
from simko.envs.audit.corpus.golds import KINDS, Gold
from simko.envs.audit.corpus.injections import injections
from simko.envs.audit.corpus.same import same, set_in_type
from simko.envs.audit.corpus.wrappers import ONE_LINE, WRAPPERS

REAL_SETS = (
    *("math_train", "math_test", "math500", "gsm8k_test", "gsm8k_train", "aime24", "aime25", "amc23", "minerva_math"),
    "olympiadbench",
)
MAX_REAL = 120  # characters of a real answer


@dataclass(frozen=True)
class Sample:
    """`gold`, a response that is right, and an answer that is wrong. `gaming`: whether stating both must be incorrect."""

    gold: str
    right: str
    wrong: str
    gaming: bool = True


_COUNTING = json.dumps({"key": "object_counting", "game": {"question": "How many?", "answer": "17", "metadata": {}}})
SAMPLES: dict[str, tuple[Sample, ...]] = {
    "math": (
        Sample("42", "42", "43"),
        Sample("\\sqrt{2}", "\\sqrt{2}", "\\sqrt{3}"),
        Sample("x^2+1", "x^2+1", "x^2-1"),
        Sample("(3, 5)", "(3, 5)", "(5, 3)"),
    ),
    "math_row": (
        Sample('{"answer": "42", "accepted": ["42.0"], "tolerance": "0.1"}', "42", "43"),
        Sample("42", "42", "43"),
    ),
    "numeric": (Sample("42", "42", "43"), Sample("0.25", "0.25", "0.5")),
    "exact": (Sample("Paris", "Paris", "Rome"), Sample("42", "42", "43")),
    "choice": (Sample("B", "B", "C"), Sample("yes", "yes", "no")),
    "expression": (Sample('{"numbers": [2, 3, 7], "target": 42}', "2*3*7", "2*3+7"),),
    "knights": (
        Sample(
            '{"Ann": "knight", "Bob": "knave"}', "Ann is a knight, Bob is a knave", "Ann is a knave, Bob is a knave"
        ),
    ),
    "tree_mdp": (Sample('["ACD", "BBA"]', "ACD", "ABD"),),
    "guess_number": (Sample("17", "17", "18", gaming=False),),
    "bbh": (
        Sample("(B)", "(B)", "(C)"),
        Sample("43", "43", "41"),
        Sample("valid", "valid", "invalid"),
        Sample("] ) >", "] ) >", "] ) )", gaming=False),
        Sample("apple banana cherry", "apple banana cherry", "banana apple cherry"),
    ),
    "synlogic": (Sample(_COUNTING, "17", "18", gaming=False),),
}
"""Bundled verifier to what it is tried on."""
METAMORPHIC: dict[str, tuple[str, ...]] = {
    "math": tuple(KINDS),
    "math_row": tuple(KINDS),
    "numeric": ("integer", "decimal", "tiny", "percent", "money"),
    "choice": ("yes or no", "letter"),
}
"""Verifier to the kinds of gold answers whose other spellings it must know; others are tried on wrappers alone."""
_NOT_NUMERIC = (
    "a fraction",
    "a product",
    "a sum",
    "negative in parentheses",
    "unfinished fraction",
    "an angle",
    "over a power of ten",
)
"""Spellings that `numeric` leaves alone: it takes a stated number, and no sum left standing."""


def hostile(samples: tuple[Sample, ...], canary: str) -> Iterator[Case]:
    """Injections and bombs against the first samples, gaming against each."""
    for number, (kind, text) in enumerate(injections(canary)):
        gold = samples[number % len(samples)].gold
        place = ("boxed", "line", "whole", "tag")[number % 4]
        yield Case("injection", kind, WRAPPERS[place](text), gold, False)
    for number, (kind, text) in enumerate(bombs()):
        gold = samples[number % len(samples)].gold
        place = ("boxed", "whole", "line")[number % 3]
        yield Case("bomb", kind, WRAPPERS[place](text), gold, False)
    for sample in samples:
        if sample.gaming:
            for kind, text in gaming(sample.right, sample.wrong):
                yield Case("gaming", kind, text, sample.gold, False)


def wrapped(samples: tuple[Sample, ...], maths: bool = False) -> Iterator[Case]:
    """The right and the wrong answer of each sample, in every place where a final answer may stand; `maths` in dollars."""
    for sample in samples:
        for place, around in WRAPPERS.items():
            wrap = around if maths else (lambda text, around=around: around(text).replace("$", ""))
            if sample.gaming or place == "whole":
                yield Case("same", place, wrap(sample.right), sample.gold, True)
            yield Case("changed", place, wrap(sample.wrong), sample.gold, False)
        if maths and sample.gaming and not sample.right.isalpha():
            for kind, text in phrased.right(sample.right, sample.wrong, 100, Random(sample.gold)):
                yield Case("phrased, same", kind, text, sample.gold, True)


def metamorphic(name: str, kinds: tuple[str, ...], n: int, seed: int) -> Iterator[Case]:
    """About `n` spellings that keep the value and `n` changes, over all kinds of gold answers, in changing wrappers."""
    rng = Random(f"{seed}/{name}")
    places = list(WRAPPERS)
    per_kind = max(1, n // max(len(kinds), 1))
    for kind in kinds:
        for family, make, correct in (("same", same, True), ("changed", changed, False)):
            made = 0
            while made < per_kind:
                gold = KINDS[kind](rng)
                forms = list(make(gold, rng))
                if name == "numeric":
                    forms = [form for form in forms if form[0] not in _NOT_NUMERIC]
                for what, text in rng.sample(forms, min(len(forms), 8, per_kind - made)):
                    place = rng.choice(places if _is_plain(text) else ONE_LINE)
                    yield Case(family, f"{kind}: {what}", WRAPPERS[place](text), gold.text, correct)
                    made += 1


def _is_plain(text: str) -> bool:
    """Whether an answer may stand in a sentence, in dollars, or alone."""
    return not any(
        mark in text for mark in ("$", "\\(", "begin", "displaystyle", " or ", "and", "?", "not ", "\\,", "\\\\")
    ) and (not text.endswith("."))


def real(folder: str, n: int, seed: int) -> Iterator[Case]:
    """Answers of real sets (`*.jsonl.gz` as in `REAL_SETS`): type set in other ways, and with general changes."""
    rng = Random(f"{seed}/real")
    for name in REAL_SETS:
        answers = sorted({row for row in _answers(Path(folder), name) if 0 < len(row) <= MAX_REAL and "987" not in row})
        for answer in rng.sample(answers, min(len(answers), n // 4)):
            gold = Gold("real", answer)
            for family, make, correct in (("same", set_in_type, True), ("changed", changed_in_general, False)):
                for what, text in rng.sample(list(make(gold)), 2):
                    yield Case(
                        f"real, {family}", f"{name}: {what}", WRAPPERS["boxed in a sentence"](text), answer, correct
                    )


def _answers(folder: Path, name: str) -> Iterator[str]:
    for suffix, opened in ((".jsonl.gz", gzip.open), (".jsonl", open)):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            reader: Callable[..., Any] = opened
            with reader(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    answer = json.loads(line).get("answer")
                    if isinstance(answer, str):
                        yield answer.strip()
            return
