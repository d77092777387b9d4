"""studies/scale: its simulation against one that goes step by step, and docs/results/scale.md against what it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.console import markdown
from studies import scale

PAGE = (Path(__file__).parents[2] / "docs" / "results" / "scale.md").read_text(encoding="utf-8")
CARD = scale.Card(step=10.0, sequence=1.0, update=0.0)


def token_by_token(lengths: list[int], slots: int) -> float:
    """Seconds of an engine with refill: one decode step after the other."""
    queue, live, seconds = list(lengths), list[int](), 0.0
    while queue or live:
        live += [queue.pop(0) for _ in range(min(slots - len(live), len(queue)))]
        seconds += CARD.step + CARD.sequence * len(live)
        live = [left - 1 for left in live if left > 1]
    return seconds


@given(st.lists(st.integers(1, 12), max_size=12), st.integers(1, 5))
def test_a_slot_that_is_free_takes_the_next_answer(lengths: list[int], slots: int) -> None:
    assert scale.decode_seconds(lengths, slots, CARD) == token_by_token(lengths, slots)
    waiting = sum(token_by_token(lengths[i : i + slots], slots) for i in range(0, len(lengths), slots))
    assert scale.decode_seconds(lengths, slots, CARD, refill=False) == waiting


def test_a_ring_sends_each_byte_about_twice_over_each_link() -> None:
    link = scale.Link("", bandwidth=100.0, hop=0.5)
    assert link.all_reduce(1000, 1) == 0
    assert link.all_reduce(1000, 2) == 2 * (500 / 100 + 0.5)
    assert link.all_reduce(1000, 4) == 6 * (250 / 100 + 0.5)


def test_the_host_s_share_gives_the_published_speed() -> None:
    card = scale.Card.of(scale.BUILT_IN["Qwen2.5-1.5B"])
    assert 300 * 600 / scale.decode_seconds([600] * 300, 300, card) == pytest.approx(8300, rel=0.05)


def test_a_better_deal_is_no_slower() -> None:
    case = scale.Case("", 32, 8, 16)
    turn, order, length = (scale.mean_seconds(case, 4, way) for way in ("in turn", "in order", "by length"))
    assert turn > order > length
    assert scale.mean_seconds(case, 1, "by length") == scale.mean_seconds(case, 1, "in turn")  # alone nothing is dealt


def test_the_page_is_what_the_command_prints() -> None:
    assert markdown(scale.ADAPTER_HEAD, scale.adapters()) in PAGE, "run `python -m studies.scale`"
    assert markdown(scale.STEP_HEAD, scale.steps(scale.CASES[0])) in PAGE
    for case in scale.CASES:
        table = PAGE[PAGE.index(f"**{case.name}**, {case.slots} slots a card:") :]
        (row,) = re.findall(r"\| 4 \|.*", table)[:1]
        assert row.split(" | ")[4] == f"{scale.mean_seconds(case, 4):.1f}", "run `python -m studies.scale`"
    for names in (scale.WAYS, scale.ASSUMED):
        assert all(f"- {name}: {text}." in " ".join(PAGE.split()) for name, text in names.items())


def test_the_picture_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "CASES", scale.CASES[:1])
    assert scale.draw().startswith(b"\x89PNG")
