"""Text of models, data and files for an HTML page: escaped, cut, and with what cannot be seen as visible marks."""

from __future__ import annotations

import html
import unicodedata

LONGEST = 2000
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_MARKS = 4
"""Combining marks in a row that are shown: more would climb over the lines above."""


def visible(text: str, longest: int = LONGEST) -> str:
    """`text` with control, format, private and half characters as marks: ESC is `␛`, U+202E is `⟨U+202E⟩`.

    A bidirectional override would turn the page round, a zero-width character hides, and half of a surrogate pair cannot be
    encoded. A text of more than `longest` characters is cut, and the length is said.
    """
    if len(text) <= longest and text.isascii() and text.isprintable():
        return text
    out: list[str] = []
    marks = 0
    for c in text[:longest]:
        category = unicodedata.category(c)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if c in "\n\t":
            out.append(c)
        elif c == "\r":
            out.append("␍")
        elif ord(c) < 0x20:
            out.append(chr(0x2400 + ord(c)))
        elif category in _HIDDEN or marks > _MARKS:
            out.append(f"⟨U+{ord(c):04X}⟩")
        else:
            out.append(c)
    if len(text) > longest:
        out.append(f" … [cut: {len(text):,} characters]")
    return "".join(out)


def esc(value: object, longest: int = LONGEST) -> str:
    """A value as HTML text, or as the value of a quoted attribute."""
    return html.escape(visible(str(value), longest))


def line(value: object, longest: int = 160) -> str:
    """The same in one line."""
    return esc(" ".join(str(value).split()), longest)


def token(text: str) -> str:
    """A token as HTML: blanks and breaks at its ends would not be seen otherwise."""
    return html.escape(visible(text, 80).replace("\n", "⏎").replace("\t", "⇥")) or "∅"
