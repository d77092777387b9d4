"""Answers as pieces: tokens where there is a tokenizer that fits, else words, and never more than fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from simko.envs.tokenizers import ByteTokenizer
from simko.report.terminal.pieces import Piece, cut, load_decode, pieces, surprisals


def row(text: str, logprobs: Sequence[float | None] | None = None, **more: Any) -> dict[str, Any]:
    ids = ByteTokenizer().encode(text)
    return {"text": text, "ids": ids, "logprobs": [-1.0] * len(ids) if logprobs is None else list(logprobs), **more}


def decode(ids: Sequence[int]) -> str:
    return ByteTokenizer().decode(ids)


def test_a_piece_is_a_token_and_a_character_is_whole() -> None:
    answer = row("aé b", [-0.5, -1.0, -3.0, 0.0, None])
    parts, are_tokens = pieces(answer, surprisals(answer), decode)
    assert are_tokens
    assert parts == [Piece("a", 0.5), Piece("é", 3.0), Piece(" ", 0.0), Piece("b", None)]


def test_bytes_that_are_no_text_are_shown() -> None:
    answer = row("x") | {"ids": [120, 255, 254, 253, 252, 251, 121], "logprobs": [-1.0] * 7}
    parts, are_tokens = pieces(answer, surprisals(answer), decode)
    assert are_tokens
    assert "".join(part.text for part in parts) == "x\ufffd\ufffd\ufffd\ufffd\ufffdy"


def test_what_the_environment_said_has_no_shade() -> None:
    answer = row("ab", [-1.0, -2.0], sampled=[1, 0])
    assert pieces(answer, surprisals(answer), decode)[0] == [Piece("a", 1.0), Piece("b", None, True)]


def test_blanks_survive_a_decoder_that_drops_them() -> None:
    def drops(ids: Sequence[int]) -> str:
        return " ".join(f"w{i}" for i in ids)  # as sentencepiece does with the first blank

    answer = {"text": "w1 w2 w3", "ids": [1, 2, 3], "logprobs": [-1.0, -2.0, -3.0]}
    assert [part.text for part in pieces(answer, surprisals(answer), drops)[0]] == ["w1", " w2", " w3"]


@pytest.mark.parametrize(
    "other",
    [None, lambda ids: "something else", lambda ids: 1 / 0],
    ids=["no tokenizer", "another model's", "an id that it does not know"],
)
def test_without_a_tokenizer_words_are_shaded_by_their_place(other: Any) -> None:
    answer = row("aa bb cc", [-0.1, -0.2, -0.3, -0.4, -0.5, -2.0, -0.6, -0.7])
    parts, are_tokens = pieces(answer, surprisals(answer), other)
    assert not are_tokens
    assert parts == [Piece("aa", 0.2), Piece(" bb", 0.5), Piece(" cc", 2.0)]


@pytest.mark.parametrize(
    "damaged",
    [
        {"ids": None}, {"logprobs": None}, {"logprobs": [1.0]}, {"ids": "abc"}, {"logprobs": "abc"}, {"ids": []},
        {"ids": [-1, 2**70], "logprobs": [0, 0]}, {"ids": ["a"] * 3}, {"logprobs": ["a", float("nan"), 10**400]},
        {"sampled": 5}, {"sampled": [0, "x"]},
    ],
)  # fmt: skip
def test_a_damaged_row_shows_its_text(damaged: dict[str, Any]) -> None:
    answer = row("abc") | damaged
    parts, _ = pieces(answer, surprisals(answer), decode)
    assert "".join(part.text for part in parts) == "abc"


def test_a_very_long_answer_is_not_decoded_piece_by_piece() -> None:
    calls = 0

    def counted(ids: Sequence[int]) -> str:
        nonlocal calls
        calls += 1
        return decode(ids)

    answer = row("ab " * 10_000)
    parts, are_tokens = pieces(answer, surprisals(answer), counted)
    assert (are_tokens, calls, "".join(part.text for part in parts)) == (False, 0, answer["text"])


def test_a_long_text_keeps_head_and_tail() -> None:
    parts = [Piece("a" * 400, 1.0), Piece("b" * 400, 2.0), Piece("c" * 400, 3.0)]
    short = cut(parts, 300)
    assert "".join(part.text for part in short) == (
        "a" * 200 + "\n[... 900 characters are not shown ...]\n" + "c" * 100
    )
    assert [part.nats for part in short] == [1.0, None, 3.0]
    assert cut(parts, 1200) == parts


def test_the_tokenizer_of_the_built_in_policy_is_found() -> None:
    found = load_decode("tiny")
    assert found is not None
    answer = {"text": "1+2", "ids": _tiny_ids("1+2"), "logprobs": [-1.0] * len(_tiny_ids("1+2"))}
    assert [part.text for part in pieces(answer, surprisals(answer), found)[0]] == ["1", "+", "2"]


def _tiny_ids(text: str) -> list[int]:
    from tokenizers import Tokenizer

    import simko

    ids: list[int] = (
        Tokenizer.from_file(str(Path(simko.__file__).parent / "agents/tiny/tokenizer.json")).encode(text).ids
    )
    return ids


def test_a_model_without_a_tokenizer_here_has_none(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "tokenizer.json").write_text("{")
    names = ("", "nobody/nothing", "a b?c", str(tmp_path), str(tmp_path / "bad"))
    assert [load_decode(name) for name in names] == [None] * 5
