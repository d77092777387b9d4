"""Where a text is cut, what counts as word for word, and the interval of a share."""

from __future__ import annotations

import pytest

from simko.report.recited import cut, goes_on, rouge_l, wilson

TEXT = "A robe takes 2 bolts of blue fiber and half that much white fiber."


@pytest.mark.parametrize("share", [0.6, 0.4])
def test_a_text_is_cut_at_the_end_of_a_word(share: float) -> None:
    pieces = cut(TEXT, share)
    assert pieces is not None
    start, rest = pieces
    assert start + rest == TEXT
    assert rest.startswith(" ")
    assert not start.endswith(" ")
    assert share - 0.1 < len(start) / len(TEXT) <= share


def test_a_text_without_white_space_is_cut_inside() -> None:
    assert cut("0123456789", 0.6) == ("012345", "6789")
    assert cut("a 0123456789", 0.6) == ("a 01234", "56789")
    assert cut("x", 0.6) is None
    assert cut("  ", 0.6) is None


def test_word_for_word() -> None:
    rest = " and half that\nmuch 3"
    assert goes_on("and  half that much 3", rest)
    assert goes_on(" and half that much 3\nIt takes 2", rest)
    assert not goes_on(" and half that much 30", rest)
    assert not goes_on(" and half that", rest)
    assert not goes_on("", rest)


def test_rouge_l() -> None:
    assert rouge_l("a b c d and more of it", "a b c d") == 1.0
    assert rouge_l("a x c y", "a b c d") == pytest.approx(0.5)
    assert rouge_l("a", "a b c") == pytest.approx(2 * 1 / 4)
    assert rouge_l("d c b a e", "a b c d") == 0.25
    assert rouge_l("", "a b") == 0.0


def test_wilson() -> None:
    assert wilson(0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert wilson(10, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    for count, of in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="no share"):
            wilson(count, of)
