from __future__ import annotations

import pickle
from pathlib import Path

import fake_envs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs import ByteTokenizer, load_tokenizer
from simko.errors import UserError

BYTES = ByteTokenizer()


@given(st.text())
def test_text_survives_encode_and_decode(text: str) -> None:
    ids = BYTES.encode(text)
    assert ids == list(text.encode())
    assert BYTES.decode(ids) == text


@given(st.lists(st.integers(0, 257)))
def test_any_ids_decode(ids: list[int]) -> None:
    assert BYTES.decode(ids, skip_special_tokens=True) == bytes(i for i in ids if i < 256).decode(errors="replace")


def test_special_tokens() -> None:
    assert len(BYTES) == 258
    assert BYTES.decode([104, 256, 105, 257]) == "h<eos>i<pad>"
    assert BYTES.decode([104, 256, 105, 257], skip_special_tokens=True) == "hi"
    assert BYTES.encode("<eos>") == list(b"<eos>")
    assert BYTES.eos_token_id == 256
    assert BYTES.pad_token_id == 257


@pytest.mark.parametrize("token", [-1, 258])
def test_an_id_outside_the_vocabulary_is_refused(token: int) -> None:
    with pytest.raises(ValueError, match=f"token {token} is outside the vocabulary of 258"):
        BYTES.decode([token])


def test_lone_surrogates_do_not_raise() -> None:
    assert BYTES.decode(BYTES.encode("a\ud800b")) == "a?b"


def test_pickle() -> None:
    assert pickle.loads(pickle.dumps(BYTES)).encode("hé") == BYTES.encode("hé")


def test_load_default_and_object() -> None:
    assert isinstance(load_tokenizer(None), ByteTokenizer)
    assert load_tokenizer(BYTES) is BYTES


def test_load_folder(tmp_path: Path) -> None:
    fake_envs.chat_tokenizer().save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.decode(loaded.encode("hé", add_special_tokens=False)) == "hé"
    assert load_tokenizer(str(tmp_path)).eos_token_id == 257


def test_what_cannot_be_loaded_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer '.*nothing' cannot be loaded .*give a folder"):
        load_tokenizer(tmp_path / "nothing")
    with pytest.raises(UserError, match="type int has no encode, decode"):
        load_tokenizer(3)  # type: ignore[arg-type]
