"""The header of a GGUF file, read without its weights. It needs the package `gguf`, and no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simko.errors import UserError

_END_KEYS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")


class GgufHeader:
    """Keys and tensors of a GGUF file.

    Attributes:
        tensors: name to shape.
        parameters: numbers in all tensors.
        end_ids: token ids that end an answer, sorted.

    Raises:
        UserError: the package is missing, or the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            import gguf
        except ImportError as error:
            raise UserError(
                f"model '{path}' is a GGUF file, which needs another package: pip install 'simko[gguf]'"
            ) from error
        try:
            self._reader: Any = gguf.GGUFReader(path)
            self.tensors = {str(t.name): tuple(int(size) for size in t.shape) for t in self._reader.tensors}
            self.parameters = sum(int(tensor.n_elements) for tensor in self._reader.tensors)
            ends = [self._reader.get_field(key) for key in _END_KEYS]
            self.end_ids = sorted({int(entry.contents()) for entry in ends if entry is not None})
        except Exception as error:  # a damaged file fails in numpy, in struct or in the reader itself
            line = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(f"model '{path}': not a readable GGUF file ({line}); fetch it again") from error

    def text(self, key: str) -> str:
        """The value of a key as text. Raises `KeyError` if there is no such key."""
        entry = self._reader.get_field(key)
        if entry is None:
            raise KeyError(key)
        return str(entry.contents())

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number of the architecture, as in `block_count`. Raises `KeyError` if it is missing without a default."""
        entry = self._reader.get_field(f"{self.text('general.architecture')}.{key}")
        if entry is None and default is None:
            raise KeyError(key)
        return default if entry is None else int(entry.contents())  # type: ignore[return-value]
