r"""New names for variables that latex2sympy confuses: it lower-cases every letter, so `R^2 - r^2` would be 0."""

from __future__ import annotations

import re

from simko.envs.verifiers.reading.text import words

_VARIABLE = re.compile(r"\\([A-Za-z]+)|[A-Za-z]")
_TAKEN_FOR_ANOTHER = words("gamma Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega")  # gamma: Euler's constant
_FREE = "xyzuvwpqrstabcfghjklmno"  # not e, i: constants; not d: dx is one symbol


def one_case(gold: str, answer: str) -> tuple[str, str] | None:
    """Two admitted texts with every upper-case variable renamed to a lower-case letter that neither has.

    The same variable gets the same name in both. None if there are not enough letters.
    """
    variables = [match for text in (gold, answer) for match in _VARIABLE.finditer(text)]
    used = {match[0] for match in variables}
    renamed = sorted({m[0] for m in variables if (m[1] in _TAKEN_FOR_ANOTHER if m[1] else m[0].isupper())})
    if not renamed:
        return gold, answer
    # A letter gets its own lower case if that is free, so that most texts look alike from one question to the next.
    free = [letter for letter in _FREE if letter not in used]
    names: dict[str, str] = {}
    for variable in renamed:
        lower = variable.lower()
        name = lower if lower in free else next(iter(free), None)
        if name is None:
            return None
        free.remove(name)
        names[variable] = name

    def rename(text: str) -> str:
        return _VARIABLE.sub(lambda m: names.get(m[0], m[0]), text)

    return rename(gold), rename(answer)
