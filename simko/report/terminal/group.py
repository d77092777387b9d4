"""A group side by side: each answer with its verdict, its extracted answer, its reward, and its tokens shaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, RenderableType
from rich.console import Group as Lines
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from simko.console import clean, one_line
from simko.report.terminal.choice import Alike, RecordedGroup
from simko.report.terminal.numbers import number, short
from simko.report.terminal.pieces import Piece, cut
from simko.report.terminal.series import BARS, PLAIN_BARS, bars

LEVELS = (0.29, 0.69, 1.39, 2.77)
"""Nats from which a token is shaded, and darker. A sampled token of that surprisal has a probability of 3/4, 1/2, 1/4, 1/16."""
SHADES = ("", "black on #fff0b3", "black on #ffd166", "black on #ff9f5a", "white on #c8321f")
_MARKS = {"correct": ("✓", "bold green"), "incorrect": ("✗", "bold red"), "no_answer": ("∅", "bold yellow")}
_FAILED = ("!", "bold magenta")
_NARROWEST, _WIDEST = 36, 60  # columns of an answer
_JOINERS = {ord(c): "\N{REPLACEMENT CHARACTER}" for c in "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"}


@dataclass(frozen=True)
class Shown:
    """An answer as it is drawn."""

    alike: Alike
    pieces: Sequence[Piece]


def level(nats: float | None) -> int:
    """The shade of a token: 0 is none, 4 the darkest."""
    return 0 if nats is None else sum(nats >= least for least in LEVELS)


def visible(text: str) -> str:
    """`text` with everything that cannot be seen replaced, joiners too: they may be why two equal answers differ."""
    return clean(text).translate(_JOINERS)


def legend(what: str, colour: bool) -> Text:
    """The line that says what the shades mean. Without colour the bars below an answer mean the same."""
    if not colour:
        return Text(f"bars: {what}, a bar a token, highest at {LEVELS[-1]:g} nats or more")
    line = Text(f"shades: {what}, in nats: ")
    for shade, least in zip(SHADES[1:], LEVELS, strict=True):
        line.append(f" {least:g}+ ", shade)
    return line


def group_view(group: RecordedGroup, answers: Sequence[Shown], console: Console, limit: int = 1500) -> RenderableType:
    """The problem, its gold answer, and the answers in as many columns as the terminal has room for.

    Of each text at most `limit` characters are drawn.
    """
    problem, gold = (_cut(group.rows[0][name], limit) for name in ("problem", "gold"))
    about = Table.grid(padding=(0, 1))
    about.add_column(style="bold", no_wrap=True)
    about.add_column(overflow="fold")
    about.add_row("problem", Text(problem))
    if system := group.rows[0].get("system"):
        about.add_row("system", Text(_cut(str(system), limit)))
    about.add_row("gold", Text(gold))
    judged = sum(row["outcome"] not in ("timeout", "error") for row in group.rows)
    failed = len(group.rows) - judged
    solved = f"{group.correct} of {judged} right" + (f", the verifier failed on {failed}" if failed else "")
    about.add_row("answers", Text(solved))
    return Lines(about, Text(), _columns([_panel(shown, console, limit) for shown in answers], console.width))


def columns_of(width: int, answers: int) -> int:
    """In how many columns answers stand: two at 80, four at 160."""
    return max(1, min(answers, (width + 1) // (_NARROWEST + 1)))


def _columns(panels: Sequence[RenderableType], width: int) -> Table:
    count = columns_of(width, len(panels))
    grid = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    each = min(_WIDEST, (width - count + 1) // count) if count > 1 else width
    for _ in range(count):
        grid.add_column(width=each)
    for start in range(0, len(panels), count):
        row = panels[start : start + count]
        grid.add_row(*row, *[""] * (count - len(row)))
    return grid


def _panel(shown: Shown, console: Console, limit: int) -> Panel:
    row, plain = shown.alike.row, console.color_system is None or console.no_color
    mark, style = _MARKS.get(str(row["outcome"]), _FAILED)
    head = Text.assemble(
        (f"{mark} {visible(one_line(str(row['outcome'])))[:20]}", style), f"  reward {short(number(row['reward']))}"
    )
    if row.get("finish") == "length":
        head.append("  cut off at the budget", "yellow")
    lines: list[RenderableType] = [head]
    extracted = row["extracted"]
    answer = (
        Text("no answer found", "dim") if extracted is None else Text(visible(_short(one_line(extracted), 200)), "bold")
    )
    lines += [Text.assemble("answer: ", answer), Text()]
    parts = cut(shown.pieces, limit)
    lines.append(_text(parts))
    if plain and any(part.nats is not None for part in parts):
        ramp = BARS if console.encoding.lower().startswith("utf") else PLAIN_BARS
        tokens = [part.nats for part in parts if not part.spoken]
        lines += [Text(), Text(bars(tokens, ramp, 0.0, LEVELS[-1]), overflow="fold")]
    samples = ", ".join(map(str, shown.alike.samples))
    equal = len(shown.alike.samples)
    title = f"samples {_short(samples, 18)} ({equal} equal)" if equal > 1 else f"sample {samples}"
    ids = row.get("ids")
    count = f"{len(ids)} tokens" if isinstance(ids, list) else None
    return Panel(
        Lines(*lines), box=box.ROUNDED, title=Text(title), title_align="left", subtitle=count and Text(count),
        subtitle_align="right", border_style=style.removeprefix("bold "),
    )  # fmt: skip


def _text(parts: Sequence[Piece]) -> Text:
    text = Text(overflow="fold")
    for part in parts:
        text.append(visible(part.text), "dim italic" if part.spoken else SHADES[level(part.nats)])
    return text


def _cut(text: str, limit: int) -> str:
    return visible("".join(part.text for part in cut([Piece(text)], limit)))


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def list_of(groups: Sequence[RecordedGroup], width: int, most: int = 8) -> Text:
    """A line for each of the first groups: its id, how many answers are right, and the head of its problem."""
    shown = groups[:most]
    ids = [_short(visible(one_line(group.task)), 40) for group in shown]
    column = max(map(len, ids), default=0)
    text = Text(no_wrap=True, overflow="ellipsis")
    for id, group in zip(ids, shown, strict=True):
        room = max(10, width - column - 12)
        head = _short(visible(one_line(group.problem[: 4 * room])), room)
        text.append(f"{group.correct:>3}/{len(group.rows):<3}  {id:<{column}}  {head}\n")
    if len(groups) > most:
        text.append(f"and {len(groups) - most} more\n", "dim")
    text.rstrip()
    return text
