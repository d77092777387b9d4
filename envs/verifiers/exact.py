"""The verifier `exact`: the same text, apart from white space. Case counts, but not in `exact:nocase`."""

from __future__ import annotations

from simko.envs.verifiers.answer.extract import final_answer, wanted
from simko.types import Verdict


def exact(response: str, gold: str, nocase: bool = False) -> Verdict:
    """Grade a text. A run of white space is one blank. A whole response is an answer if it is one short line, or the gold."""

    def normal(text: str) -> str:
        text = " ".join(text.split())
        return text.casefold() if nocase else text

    if not gold.strip():
        return Verdict("error", 0.0)
    if wanted() in ("any", "whole") and normal(response) == normal(gold):
        return Verdict("correct", 1.0, response.strip()[:200])
    answer = final_answer(response, same=lambda a, b: normal(a) == normal(b))
    if answer.text is None:
        return Verdict("incorrect" if answer.conflict else "no_answer", 0.0, answer.shown)
    correct = normal(answer.text) == normal(gold)
    return Verdict("correct" if correct else "incorrect", float(correct), answer.shown)
