"""The verifier `exact`: the same text, apart from white space. Case counts, but not in `exact:nocase`.

A letter with an accent is the same as one character or as two (Unicode's NFC). Other forms that Unicode calls compatible are
other texts: `x²` is not `x2`. Without case `ß` is `ss`, and the four letters i of Turkish, with and without a dot, are one.
"""

from __future__ import annotations

import unicodedata

from simko.envs.verifiers.answer.extract import final_answer, wanted
from simko.types import Verdict


def exact(response: str, gold: str, nocase: bool = False) -> Verdict:
    """Grade a text. A run of white space is one blank. A whole response is an answer if it is one short line, or the gold."""

    def normal(text: str) -> str:
        text = unicodedata.normalize("NFC", " ".join(text.split()))
        if not nocase:
            return text
        # Folding may take a letter and its accent apart, and leaves the dot of a large dotted I.
        return unicodedata.normalize("NFC", text.casefold()).replace("i\u0307", "i").replace("ı", "i")

    if not gold.strip():
        return Verdict("error", 0.0)
    if wanted() in ("any", "whole") and normal(response) == normal(gold):
        return Verdict("correct", 1.0, response.strip()[:200])
    answer = final_answer(response, same=lambda a, b: normal(a) == normal(b))
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    correct = normal(answer.text) == normal(gold)
    return Verdict("correct" if correct else "incorrect", float(correct), answer.shown)
