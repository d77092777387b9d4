"""Stop strings: they are looked for in the decoded text of a sequence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


class StopStrings:
    """Tells whether a stop string has just appeared in the decoded tokens.

    The whole text is decoded, as the environment decodes it, but only after a token that can complete a stop string. Such a
    token's own text holds the last character of a stop string, or tells nothing (part of a character, or nothing visible).
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str]) -> None:
        if any(not text for text in stop):
            raise ValueError("a stop string is empty")
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._last = {text[-1] for text in stop}
        self._may_end: dict[int, bool] = {}

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether a stop string appears in the text of `ids`, given that none did before the last of them."""
        if not self._stop or not self._candidate(ids[-1]):
            return False
        text = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return any(stop in text for stop in self._stop)

    def _candidate(self, token: int) -> bool:
        if token not in self._may_end:
            text = self._tokenizer.decode([token], skip_special_tokens=True)
            whole = bool(text.strip()) and "\ufffd" not in text
            self._may_end[token] = not whole or any(last in text for last in self._last)
        return self._may_end[token]


def first_end(ids: Sequence[int], start: int, ends: Collection[int], stops: StopStrings) -> int:
    """How many of `ids` a sequence has that ends at one of `ends` or at a stop string, at `start` or behind it; 0: it goes on."""
    for count in range(start + 1, len(ids) + 1):
        if ids[count - 1] in ends or stops.ended(ids[:count]):
            return count
    return 0


def cut(text: str, stop: Sequence[str]) -> str:
    """Return `text` up to the first stop string and with it: it was sampled, too."""
    places = [(place, -len(s)) for s in stop if (place := text.find(s)) >= 0]
    if not places:
        return text
    place, length = min(places)
    return text[: place - length]
