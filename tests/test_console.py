"""Lines and tables for a person: unchanged, aligned, and without control characters."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from simko.console import clean, duration, markdown, note, one_line, say, table


def test_a_line_is_printed_as_it_is() -> None:
    console = Console(file=(out := io.StringIO()), width=20)
    line = "[INST] :smile: [red]1 + 1[/INST] " + "x" * 60
    say(console, line)
    say(console, "careful", "yellow")
    say(None, "to nobody")
    assert out.getvalue() == f"{line}\ncareful\n"


def test_colour_comes_from_the_style_alone() -> None:
    console = Console(file=(out := io.StringIO()), force_terminal=True, color_system="standard", no_color=False)
    say(console, "step 1 of 200")
    say(console, "careful", "yellow")
    assert out.getvalue().splitlines() == ["step 1 of 200", "\x1b[33mcareful\x1b[0m"]


def test_a_note_is_one_line_of_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    note("a\nb \x1b[2J")
    assert tuple(capsys.readouterr()) == ("", "simko: a b \N{REPLACEMENT CHARACTER}[2J\n")


def test_columns_are_aligned_and_the_last_is_free() -> None:
    rows = [("simko/X-v0", "1", "a long title"), ("b", "200", "")]
    assert table(("ID", "N", ""), rows).splitlines() == [
        "ID          N",
        "simko/X-v0  1    a long title",
        "b           200",
    ]
    assert table(("ID", "N"), []) == "ID  N"


def test_numbers_stand_on_the_right_below_a_rule() -> None:
    lines = table(("K", "majority\n(base)"), [("1", "25.0"), ("256", "100 (50.0)")], numbers=True).splitlines()
    assert lines == ["       majority", "  K      (base)", "───────────────", "  1        25.0", "256  100 (50.0)"]


def test_markdown_holds_the_same_cells() -> None:
    assert markdown(("a", "b"), [("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |"


@pytest.mark.parametrize(
    "hidden",
    [
        "\x1b", "\x9b", "\r", "\x08", "\x7f", "\u202e", "\u2066", "\u200f", "\u061c", "\u200b", "\ufeff", "\u2060", "\xad",
        "\u2028", "\U000e0041", "\ud800",
    ],
)  # fmt: skip
def test_what_a_reader_cannot_see_is_shown(hidden: str) -> None:
    assert clean(f"a{hidden}b") == "a\N{REPLACEMENT CHARACTER}b"
    clean(hidden).encode()


def test_letters_of_all_scripts_stay() -> None:
    text = "é e\u0301 می\u200cخواهم क्\u200dष 👨\u200d👩 ΩЖ漢\t∑\n"
    assert clean(text) == text


def test_what_a_model_wrote_does_not_drive_the_terminal() -> None:
    assert clean("a\tb\n\x07c") == "a\tb\n\N{REPLACEMENT CHARACTER}c"
    assert one_line(" a\n\n b\t") == "a b"


def test_durations() -> None:
    assert [duration(s) for s in (4.4, 75, 7500)] == ["4 s", "1 min 15 s", "2 h 05 min"]
