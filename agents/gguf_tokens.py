"""The tokenizer of a model as metadata of a GGUF file: tokens, their kinds, merges, special ids.

Two kinds are written: byte-level BPE (llama.cpp's `gpt2`) and BPE with a fallback on bytes (SentencePiece's kind, `llama`).
llama.cpp knows by name how a text is split before the merges. Here the name is found by how the tokenizer splits a few texts;
if it splits unlike all that are known, the file says `default`, and llama.cpp may turn a text into other tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Regex, pre_tokenizers

from simko.errors import UserError

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS: dict[str, tuple[str, ...]] = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "qwen2": (_WORDS.format(numbers=r"\p{N}"),),
    "llama-bpe": (_WORDS.format(numbers=r"\p{N}{1,3}"),),
}
"""`tokenizer.ggml.pre` to the expressions by which llama.cpp splits a text, one after the other (src/llama-vocab.cpp)."""
_TEXTS = (
    "It's 3.14, isn't it?  x12345 = y_1\n\n  z\t\tHELLO'S don't 'RE \"so\"...",
    "  two\r\n three \n\n\n äöü straße 日本語 1234567 12 ½ e\u0301 🙂🙂!",
    "f(x)=a1b22c333+(4*5)/6-7;\n\treturn {'k': [1,2]}   ",
)
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6  # `gguf.TokenType`
_MEND = "export it as --merged and convert that folder with llama.cpp's convert_hf_to_gguf.py"


@dataclass(frozen=True)
class Vocabulary:
    """What a file says of a tokenizer.

    Attributes:
        model: `gpt2` or `llama`.
        pre: llama.cpp's name of the split before the merges.
        known: whether it is a split that llama.cpp computes as the tokenizer does.
        tokens, kinds: one for each row of the embedding; rows without a token have an unused one.
        merges: pairs, each with a space between; only for `gpt2`.
        scores: minus the rank of the merge that makes a token; only for `llama`.
        ids: metadata keys to ids.
        flags: metadata keys to yes or no.
    """

    model: str
    pre: str
    known: bool
    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    merges: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    ids: dict[str, int] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)


def read_vocabulary(tokenizer: Any, rows: int, ends: Iterable[int] = (), bos: bool | None = None) -> Vocabulary:
    """Read the tokenizer of a model whose embedding has so many rows.

    `ends` are all ids that end an answer; those beside the tokenizer's EOS become the ends of a turn and of a message.
    `bos` says whether a prompt begins with BOS; where it is None, the tokenizer decides.

    Raises:
        UserError: the tokenizer is of a kind that is not written here.
    """
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    model: dict[str, Any] = {"type": type(tokenizer).__name__}
    if backend is not None:
        model = json.loads(backend.to_str())["model"]
    byte_level = backend is not None and "ByteLevel" in str(backend.pre_tokenizer)
    if model["type"] != "BPE" or not (byte_level or model.get("byte_fallback")):
        kind = model["type"] if model["type"] != "BPE" else "BPE without bytes"
        raise UserError(f"export: --gguf: a tokenizer of the kind {kind} is not written by simko; {_MEND}")
    tokens = [f"[PAD{i}]" for i in range(rows)]
    kinds = [_UNUSED] * rows
    for token, i in model["vocab"].items():
        if i < rows:
            tokens[i], kinds[i] = token, _kind_of(token, model, byte_level)
    for i, added in tokenizer.added_tokens_decoder.items():
        if i < rows:
            tokens[i] = str(added.content) if byte_level else str(added.content).replace("\u2581", " ")
            kinds[i] = _CONTROL if added.special else _USER_DEFINED
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    ids, flags = _ids(tokenizer, model, rows, sorted(ends)), _flags(tokenizer, byte_level, bos)
    if byte_level:
        pre = _split_of(backend.pre_tokenizer)
        return Vocabulary(
            "gpt2", pre or "default", pre is not None, tuple(tokens), tuple(kinds), tuple(merges), (), ids, flags
        )
    scores = _scores(tokens, kinds, merges)
    return Vocabulary("llama", "default", True, tuple(tokens), tuple(kinds), (), scores, ids, flags)


def add_vocabulary(writer: Any, vocabulary: Vocabulary, chat_template: str | None) -> None:
    """Write the tokenizer into a file's header."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.kinds))
    if vocabulary.scores:
        writer.add_token_scores(list(vocabulary.scores))
    if vocabulary.merges:
        writer.add_token_merges(list(vocabulary.merges))
    for key, number in vocabulary.ids.items():
        writer.add_uint32(f"tokenizer.ggml.{key}", number)
    for key, flag in vocabulary.flags.items():
        writer.add_bool(f"tokenizer.ggml.{key}", flag)
    if chat_template:
        writer.add_chat_template(chat_template)


def template_of(tokenizer: Any) -> str | None:
    """The text of a tokenizer's chat template, where it has one."""
    try:
        return str(tokenizer.get_chat_template()) if getattr(tokenizer, "chat_template", None) else None
    except ValueError:  # several templates, and none is the default
        return None


def _kind_of(token: str, model: dict[str, Any], byte_level: bool) -> int:
    if not byte_level and len(token) == 6 and token.startswith("<0x"):
        return _BYTE
    return _UNKNOWN if token == model.get("unk_token") else _NORMAL


def _scores(tokens: Sequence[str], kinds: Sequence[int], merges: Sequence[str]) -> tuple[float, ...]:
    """SentencePiece merges the pair whose token has the highest score: here the one whose merge stands first."""
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(merges):
        ranks.setdefault(pair.replace(" ", "", 1), rank)
    special = (_CONTROL, _USER_DEFINED, _UNUSED)
    return tuple(
        -1000.0 if kind in special else -float(ranks.get(token, 0)) for token, kind in zip(tokens, kinds, strict=True)
    )


def _ids(tokenizer: Any, model: dict[str, Any], rows: int, ends: Sequence[int]) -> dict[str, int]:
    others = [i for i in ends if i != tokenizer.eos_token_id]
    eos = tokenizer.eos_token_id
    if eos is None and others:
        eos = others.pop(0)
    named = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": eos,
        "unknown_token_id": model["vocab"].get(model.get("unk_token")),
        "padding_token_id": tokenizer.pad_token_id,
        "eot_token_id": others[0] if others else None,
        "eom_token_id": others[1] if len(others) > 1 else None,
    }
    return {key: int(i) for key, i in named.items() if i is not None and i < rows}


def _flags(tokenizer: Any, byte_level: bool, bos: bool | None) -> dict[str, bool]:
    bare, whole = (tokenizer.encode("x", add_special_tokens=special) for special in (False, True))
    if bos is None:
        bos = tokenizer.bos_token_id is not None and whole[:1] == [tokenizer.bos_token_id] and bare[:1] != whole[:1]
    flags = {"add_bos_token": bool(bos), "add_eos_token": False}
    if not byte_level:
        flags["add_space_prefix"] = str(tokenizer.convert_ids_to_tokens(bare[:1])[0]).startswith("\u2581")
    return flags


def _split_of(own: Any) -> str | None:
    """The name of the split that agrees with the tokenizer's own on all texts."""
    places = [[place for _, place in own.pre_tokenize_str(text)] for text in _TEXTS]
    for name, expressions in SPLITS.items():
        split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(e), "isolated") for e in expressions])
        if [[place for _, place in split.pre_tokenize_str(text)] for text in _TEXTS] == places:
            return name
    return None
