"""How much of a text is another one word for word, and what a share of so many problems says."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from simko.envs.split import normalise

Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution


def cut(text: str, share: float) -> tuple[str, str] | None:
    """The first `share` of the characters of `text`, back to the end of a word, and the rest; None if one of them is empty.

    A text without white space there is cut inside of what it has.
    """
    text = text.strip()
    wanted = int(len(text) * share)
    ends = [at for at in range(wanted, wanted // 2, -1) if text[at : at + 1].isspace() and not text[at - 1].isspace()]
    at = ends[0] if ends else wanted
    start, rest = text[:at], text[at:]
    return (start, rest) if start.strip() and rest.strip() else None


def goes_on(continuation: str, rest: str) -> bool:
    """Whether a continuation begins with the whole `rest`: exact match, but for white space and Unicode NFKC."""
    text, wanted = normalise(continuation), normalise(rest)
    inside_a_word = wanted[-1:].isalnum() and text[len(wanted) : len(wanted) + 1].isalnum()
    return text.startswith(wanted) and not inside_a_word


def rouge_l(continuation: str, rest: str) -> float:
    """ROUGE-L (Lin 2004) of `rest` and as many words of the continuation: F1 by the longest common subsequence of words."""
    wanted = normalise(rest).split()
    words = normalise(continuation).split()[: len(wanted)]
    if not words or not wanted:
        return 0.0
    common = _longest_common(words, wanted)
    return 2 * common / (len(words) + len(wanted))


def wilson(count: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927). Of none in n it goes up to 3.84 / (n + 3.84).

    Raises:
        ValueError: unless `0 <= count <= of` and `of` is above 0.
    """
    if not 0 <= count <= of or of < 1:
        raise ValueError(f"no share: {count} of {of}")
    share, shrink = count / of, 1 + Z_95**2 / of
    middle = (share + Z_95**2 / (2 * of)) / shrink
    half = Z_95 / shrink * sqrt(share * (1 - share) / of + Z_95**2 / (4 * of**2))
    return (0.0 if count == 0 else middle - half), (1.0 if count == of else middle + half)


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for at, against in enumerate(other, 1):
            diagonal, row[at] = row[at], diagonal + 1 if word == against else max(row[at], row[at - 1])
    return row[-1]
