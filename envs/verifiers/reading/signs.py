r"""Unicode mathematics as LaTeX: `10²³`, `x₁`, `√2`, `½`, `⌊x⌋`, fullwidth and mathematical letters and digits.

A character that Unicode calls a superscript, a subscript, a fraction, a wide, a small or a styled form of another is read as
that other. Decimal digits of every script are digits: `४२` is 42. What only looks like a digit, such as `①`, becomes U+FFFD,
which nothing reads. A letter and its accent are one character (NFC).
"""

from __future__ import annotations

import re
import unicodedata

_SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "×": r"\times ", "÷": r"\div ", "·": r"\cdot ",
    "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "√": r"\sqrt ", "∛": r"\sqrt[3] ", "∜": r"\sqrt[4] ", "∞": r"\infty ",
    "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≦": r"\le ", "≧": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "∼": r"\sim ", "≡": r"\equiv ", "≅": r"\cong ", "°": r"^\circ ", "º": r"^\circ ", "˚": r"^\circ ", "℃": r"^\circ C",
    "℉": r"^\circ F", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∉": r"\notin ", "∅": r"\emptyset ", "⌀": r"\emptyset ",
    "±": r"\pm ", "∓": r"\mp ", "⟨": r"\langle ", "⟩": r"\rangle ", "〈": r"\langle ", "〉": r"\rangle ", "⌊": r"\lfloor ",
    "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "∠": r"\angle ", "△": r"\triangle ", "∆": r"\Delta ",
    "∨": r"\lor ", "∧": r"\land ", "¬": r"\neg ", "→": r"\to ", "⇒": r"\implies ", "∴": r"\therefore ", "∖": r"\setminus ",
    "∣": "|", "⁄": "/", "∕": "/", "′": "'", "″": "''", "…": r"\ldots ", "µ": r"\mu ", "¢": r"\text{ cents}",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "。": ".", "、": ",",
    "“": "", "”": "", "‘": "'", "’": "'", "\xad": "", "\x00": "\ufffd",
    "➖": "-", "˗": "-", "➕": "+", "➗": r"\div ", "✕": r"\times ", "✖": r"\times ", "⨯": r"\times ", "⨉": r"\times ",
    "∶": ":", "꞉": ":", "⋯": r"\ldots ", "≃": r"\simeq ", "≐": r"\doteq ", "✓": "", "✔": "",
    "٫": ".", "٬": ",", "٪": "%", "،": ",", "؛": ";",  # Arabic: decimal point, thousands, percent, comma, semicolon
}  # fmt: skip
_BLANKS = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
# No width: joiners, invisible operators, variation selectors. Marks of direction stay: they may turn what is printed.
_UNSEEN = (0x200B, 0x200C, 0x200D, 0x2060, 0x2061, 0x2062, 0x2064, 0xFEFF, 0xFE0E, 0xFE0F)
_RAISED_BLOCKS = ((0xB2, 0xBA), (0x2B0, 0x2FF), (0x1D2C, 0x1DC0), (0x2070, 0x20A0), (0x2C7C, 0x2C7E))
_LETTERS = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|chi|psi|omega|Gamma|Delta|"
    "Theta|Lambda|Xi|Sigma|Phi|Psi|Omega"
)
_WRITTEN = re.compile(r"[0-9+\-()=A-Za-z]")


def _greek(code: int) -> str | None:
    """The command of a Greek letter, or None."""
    match = re.match(
        r"GREEK (?:(SMALL|CAPITAL) LETTER )?(?:LUNATE )?(\w+)(?: SYMBOL)?$", unicodedata.name(chr(code), "")
    )
    if match is None:
        return None
    name = match[2].replace("LAMDA", "LAMBDA")
    name = name.capitalize() if match[1] == "CAPITAL" else name.lower()
    return f"\\{name} " if _LETTERS.fullmatch(name) else None


def _table() -> dict[int, str]:
    table = {ord(sign): written for sign, written in _SIGNS.items()} | dict.fromkeys(map(ord, _BLANKS), " ")
    table |= dict.fromkeys(_UNSEEN, "")
    for code in (*range(0x391, 0x3D7), 0x3F1, 0x3F5):
        if code not in table and (command := _greek(code)):
            table[code] = command
    for code in (*range(0xBC, 0xBF), *range(0x2150, 0x2160), 0x2189):
        if "⁄" in (parts := unicodedata.normalize("NFKC", chr(code))) and not parts.endswith("⁄"):
            above, _, below = parts.partition("⁄")
            table[code] = rf"\frac{{{above}}}{{{below}}}"
    for code in (*range(0xFF01, 0xFF5F), *range(0xFE50, 0xFE6C), 0x210E, 0x2113, 0x212F, *range(0x1D400, 0x1D800)):
        if code not in table and len(plain := unicodedata.normalize("NFKC", chr(code))) == 1:
            table[code] = plain if plain.isascii() else table.get(ord(plain), plain)
    return table


def _raised() -> dict[str, tuple[str, str]]:
    """Each superscript and subscript: `^` or `_`, and the plain character."""
    scripts = {}
    for first, last in _RAISED_BLOCKS:
        for code in range(first, last):
            tag, _, plain = unicodedata.decomposition(chr(code)).partition(" ")
            if tag in ("<super>", "<sub>") and code != 0xBA:
                written = "".join(chr(int(point, 16)) for point in plain.split()).replace("−", "-")
                if _WRITTEN.fullmatch(written):
                    scripts[chr(code)] = "^" if tag == "<super>" else "_", written
    return scripts


_TABLE = _table()
_RAISED = _raised()
_ABOVE, _BELOW = ("".join(sign for sign, (place, _) in _RAISED.items() if place == where) for where in "^_")
_RUN = re.compile(f"[{_ABOVE}]+|[{_BELOW}]+")


def _script(match: re.Match[str]) -> str:
    return _RAISED[match[0][0]][0] + "{" + "".join(_RAISED[sign][1] for sign in match[0]) + "}"


def plain_signs(text: str) -> str:
    """`text` with its mathematical signs as LaTeX; characters that only look like digits become U+FFFD."""
    if text.isascii():
        return text.replace("\x00", "\ufffd")
    text = _RUN.sub(_script, unicodedata.normalize("NFC", text)).translate(_TABLE)
    return text if text.isascii() else "".join(_digit(c) if c.isdigit() and not c.isascii() else c for c in text)


def _digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return "\ufffd" if value is None else str(value)
