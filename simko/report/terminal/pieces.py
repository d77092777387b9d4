"""An answer as pieces of text, each with a number of nats: its tokens, or its words where no tokenizer is at hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import simko
from simko.report.terminal.numbers import number

Decode = Callable[[Sequence[int]], str]
_MOST_TOKENS = 20_000  # longer answers are shaded by words: decoding piece by piece would take seconds
_HALF = "\N{REPLACEMENT CHARACTER}"


class Piece(NamedTuple):
    """Text that is shaded as one. `nats` is None where nothing is known; `spoken`: by the environment, not the policy."""

    text: str
    nats: float | None = None
    spoken: bool = False


def load_decode(model: str) -> Decode | None:
    """Ids to text, by the tokenizer of a model that is on this machine. None if there is none; nothing is downloaded.

    Only `tokenizer.json` is read, without transformers and torch.
    """
    path = _tokenizer_file(model)
    if path is None:
        return None
    from tokenizers import Tokenizer  # here: most commands decode nothing

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # the library raises plain Exception for a damaged file
        return None

    def decode(ids: Sequence[int]) -> str:
        text: str = tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    return decode


def _tokenizer_file(model: str) -> Path | None:
    if model == "tiny":
        return Path(simko.__file__).parent / "agents" / "tiny" / "tokenizer.json"
    folder = Path(model).expanduser()
    if folder.is_dir():
        path = folder / "tokenizer.json"
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(model, "tokenizer.json")
    except ValueError:  # not a name of the Hub
        return None
    return Path(cached) if isinstance(cached, str) else None


def surprisals(row: Mapping[str, Any]) -> list[float | None] | None:
    """-log p of each token of a recorded answer, in nats; None where the environment spoke. None: none are recorded."""
    ids, logprobs = row.get("ids"), row.get("logprobs")
    if not isinstance(ids, list) or not isinstance(logprobs, list) or len(ids) != len(logprobs):
        return None
    spoken = spoken_places(row)
    values = [number(value) for value in logprobs]
    return [None if value is None or i in spoken else max(0.0, -value) for i, value in enumerate(values)]


def spoken_places(row: Mapping[str, Any]) -> set[int]:
    """The places of tokens that the environment spoke."""
    sampled = row.get("sampled")
    return {i for i, flag in enumerate(sampled) if flag == 0} if isinstance(sampled, list) else set()


def pieces(
    row: Mapping[str, Any], nats: Sequence[float | None] | None, decode: Decode | None
) -> tuple[list[Piece], bool]:
    """The pieces of a recorded answer, and whether they are its tokens. `nats` has a number for each token.

    They are words, shaded by the place of the words in the answer, without a tokenizer, or if it gives another text.
    """
    text, ids = row["text"], row.get("ids")
    if not isinstance(ids, list) or nats is None or len(nats) != len(ids):
        return [Piece(text)], False
    if decode is not None and len(ids) <= _MOST_TOKENS and all(isinstance(i, int) and 0 <= i < 1 << 31 for i in ids):
        spoken = spoken_places(row)
        try:
            tokens = _tokens(ids, nats, spoken, decode)
        except Exception:  # an id that this tokenizer does not know: it is another model's
            tokens = []
        if tokens and (spoken or text.strip() in "".join(token.text for token in tokens)):
            return tokens, True
    return _words(text, nats), False


def _tokens(ids: Sequence[int], nats: Sequence[float | None], spoken: set[int], decode: Decode) -> list[Piece]:
    """A piece for each token; tokens that hold parts of one character make one piece, with the largest of their numbers.

    Each is decoded behind the piece before it, because some decoders drop a blank at the head of a text.
    """
    out: list[Piece] = []
    before = start = 0
    for end in range(1, len(ids) + 1):
        prefix, text = decode(ids[before:start]), decode(ids[before:end])
        if text.endswith(_HALF) and end - start < 4 and end < len(ids):
            continue  # the middle of a character
        known = [value for value in nats[start:end] if value is not None]
        out.append(Piece(text[len(prefix) :], max(known, default=None), start in spoken))
        before, start = start, end
    return out


def _words(text: str, nats: Sequence[float | None]) -> list[Piece]:
    """Words with the blanks before them, each with the largest number of the tokens that stand about there."""
    out = []
    for match in re.finditer(r"\s*\S+|\s+$", text):
        first = match.start() * len(nats) // max(1, len(text))
        last = max(first + 1, -(-match.end() * len(nats) // max(1, len(text))))
        known = [value for value in nats[first:last] if value is not None]
        out.append(Piece(match[0], max(known, default=None)))
    return out


def cut(parts: Sequence[Piece], limit: int) -> list[Piece]:
    """At most about `limit` characters: two thirds from the head, one from the tail, between them how many are left out."""
    total = sum(len(part.text) for part in parts)
    if total <= limit:
        return list(parts)
    head, size = [], 0
    room = limit * 2 // 3
    for part in parts:
        if size >= room:
            break
        head.append(part._replace(text=part.text[: room - size]))
        size += len(head[-1].text)
    tail: list[Piece] = []
    shown = size
    for part in reversed(parts):
        if shown >= limit:
            break
        tail.insert(0, part._replace(text=part.text[-(limit - shown) :]))
        shown += len(tail[0].text)
    return [*head, Piece(f"\n[... {total - shown:,} characters are not shown ...]\n", None, True), *tail]
