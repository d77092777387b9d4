"""Tokenizers for environments: our byte-level one, and a loader for any other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from simko.errors import UserError


@runtime_checkable
class TokenizerLike(Protocol):
    """What an environment needs of a tokenizer. Those of transformers fit, and so does `simko.envs.ByteTokenizer`."""

    eos_token_id: int | None

    def encode(self, text: str, add_special_tokens: bool = ...) -> list[int]:
        """Text to ids."""

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = ...) -> str:
        """Ids to text."""

    def __len__(self) -> int: ...


class ByteTokenizer:
    """One token for each UTF-8 byte (ids 0-255), then `<eos>` (256) and `<pad>` (257).

    No text encodes to a special token: `"<eos>"` is five bytes. Bytes that are not UTF-8 decode to U+FFFD.
    """

    eos_token_id: int | None = 256
    pad_token_id: int = 257
    all_special_ids: tuple[int, ...] = (256, 257)
    chat_template: str | None = None

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The bytes of `text`. `add_special_tokens` has no effect: there is nothing to add."""
        return list(text.encode("utf-8", errors="replace"))

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        """The text of `token_ids`. Raises `ValueError` for an id outside the vocabulary."""
        data = bytearray()
        for token in token_ids:
            if 0 <= token < 256:
                data.append(token)
            elif token in self.all_special_ids:
                data += b"" if skip_special_tokens else (b"<eos>", b"<pad>")[token - 256]
            else:
                raise ValueError(f"token {token} is outside the vocabulary of {len(self)}")
        return data.decode("utf-8", errors="replace")

    def __len__(self) -> int:
        return 258


def load_tokenizer(tokenizer: str | Path | TokenizerLike | None) -> TokenizerLike:
    """The tokenizer of an environment.

    None gives a `ByteTokenizer`; a folder or a Hub name is loaded with transformers; an object is taken as it is.
    Raises `UserError` if the name cannot be loaded, or if the object cannot encode and decode.
    """
    if tokenizer is None:
        return ByteTokenizer()
    if isinstance(tokenizer, str | Path):
        from transformers import AutoTokenizer  # imports torch, so only when a name is given

        try:
            return cast(TokenizerLike, AutoTokenizer.from_pretrained(os.path.expanduser(tokenizer)))
        except Exception as error:  # transformers raises OSError, ValueError, ImportError and more for a bad name
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"tokenizer '{tokenizer}' cannot be loaded ({reason}); give a folder with tokenizer files or a Hub name"
            ) from error
    missing = [name for name in ("encode", "decode", "__len__", "eos_token_id") if not hasattr(tokenizer, name)]
    if missing:
        raise UserError(
            f"tokenizer of type {type(tokenizer).__name__} has no {', '.join(missing)}; "
            "give a transformers tokenizer, a folder or Hub name, or an object with encode, decode and __len__"
        )
    return tokenizer
