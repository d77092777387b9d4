r"""Variables that latex2sympy would take for others: it lower-cases every letter, so that `R^2 - r^2` became 0."""

from __future__ import annotations

import re

from simko.envs.verifiers.reading.text import words

_VARIABLE = re.compile(r"\\([A-Za-z]+)|[A-Za-z]")
_TAKEN_FOR_ANOTHER = words("gamma Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega")  # gamma: Euler's constant
_FREE = "xyzuvwpqrstabcfghjklmno"  # not e, i: constants; not d: dx is one symbol


def one_case(gold: str, answer: str) -> tuple[str, str] | None:
    """Two admitted texts with every upper-case variable renamed to a lower-case letter that neither has.

    The same variable gets the same name in both. None where there are not enough letters.
    """
    found = [match for text in (gold, answer) for match in _VARIABLE.finditer(text)]
    used = {match[0] for match in found}
    renamed = sorted({m[0] for m in found if (m[1] in _TAKEN_FOR_ANOTHER if m[1] else m[0].isupper())})
    if not renamed:
        return gold, answer
    # A letter keeps its own lower case where that is free, so that most texts look alike from one question to the next.
    free = [letter for letter in _FREE if letter not in used]
    names: dict[str, str] = {}
    for variable in renamed:
        own = variable.lower()
        name = own if own in free else next((letter for letter in free), None)
        if name is None:
            return None
        free.remove(name)
        names[variable] = name

    def rename(text: str) -> str:
        return _VARIABLE.sub(lambda m: names.get(m[0], m[0]), text)

    return rename(gold), rename(answer)
