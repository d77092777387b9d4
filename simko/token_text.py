"""A single token as text. Tokens of bytes are often no whole character: their bytes stand as `\\xe2`, and nothing is lost."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def token_text(tokenizer: Any, id: int) -> str:
    """The text of one id; special tokens by their names. A tokenizer that does not know it gives `<id 7>`."""
    try:
        piece = tokenizer.convert_ids_to_tokens(id)
        text = tokenizer.decode([id], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    except Exception:  # a foreign tokenizer, and an id of a padded vocabulary: the map goes on
        return f"<id {id}>"
    if not isinstance(piece, str):
        return f"<id {id}>"
    if _REPLACEMENT in text or not text:
        return _bytes_of(piece) or text or piece
    if piece.startswith("▁") and not text.startswith(" "):  # sentencepiece drops the blank at the head of a text
        return " " + text
    return str(text)


def _bytes_of(piece: str) -> str | None:
    """The bytes of a piece of a byte-level tokenizer, undecodable ones escaped; None if it is of another kind."""
    if match := re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", piece):
        data = bytes([int(match[1], 16)])
    else:
        table = _byte_level()
        if not piece or not all(c in table for c in piece):
            return None
        data = bytes(table[c] for c in piece)
    return data.decode("utf-8", "backslashreplace")


@cache
def _byte_level() -> dict[str, int]:
    """GPT-2's letters for bytes: printable ones stand for themselves, the others are moved up from 256 in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
