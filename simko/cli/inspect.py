"""`inspect`: the answers to one problem side by side, as a run recorded them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simko.cli.output import print_json, terminal
from simko.errors import UserError

if TYPE_CHECKING:
    from simko.report.terminal.choice import RecordedGroup
    from simko.report.terminal.shades import Shades
    from simko.run.records import Records

_MOST_STEPS = 200  # that a search looks through, the last ones first


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(inspect)


def inspect(
    run: str = typer.Argument(metavar="RUN", help="run folder"),
    problem: str | None = typer.Option(
        None, "--problem", metavar="ID", help="id of a problem or its beginning, or a text in problem, gold or answers"
    ),
    step: int | None = typer.Option(None, "--step", metavar="N", min=1, help="step; the last recorded where empty"),
    full: bool = typer.Option(False, "--full", help="show long texts whole"),
    as_json: bool = typer.Option(False, "--json", help="print one JSON object"),
) -> None:
    """Show the answers to one problem side by side.

    Each has its verdict, and its tokens are shaded by entropy. Without --problem it is the group whose answers disagree
    most. docs/guides/seeing.md says what the shades mean.
    """
    from simko.report.terminal.choice import most_mixed
    from simko.report.terminal.shades import shades_of
    from simko.run.records import Records

    path = Path(run).expanduser()
    if not (path / "rollouts").is_dir():
        raise UserError(
            f"{path} is not a run folder with recorded answers: it has no rollouts/; give the folder of a run"
        )
    number, groups = _found(Records(path), path, problem, step)
    group, *others = most_mixed(groups)
    shades = shades_of(path, number, group.rows)
    if as_json:
        print_json(_as_json(path, number, group, others, shades), ascii_only=True)
    else:
        _show(path, number, group, others, shades, full)


def _found(records: Records, path: Path, wanted: str | None, step: int | None) -> tuple[int, list[RecordedGroup]]:
    """A step and its groups that are wanted. Without `step` it is the last step that has one.

    Raises:
        UserError: no step is recorded, the step is not, or no group is wanted.
    """
    from simko.report.terminal.choice import RecordedGroup, matching
    from simko.run.records import groups_of

    recorded = records.recorded_steps()
    if not recorded:
        raise UserError(f"{path}: no step is recorded yet; `simko watch {path}` shows how the run stands")
    if step is not None and step not in recorded:
        raise UserError(
            f"--step {step}: {path} has no such step; give one of its {len(recorded)}, from {recorded[0]} to {recorded[-1]}"
        )
    places = [step] if step is not None else recorded[::-1][: _MOST_STEPS if wanted else 1]
    for number in places:
        groups = [RecordedGroup(rows) for rows in groups_of(records.rollouts(number))]
        if chosen := groups if wanted is None else matching(groups, wanted):
            return number, chosen
    if wanted is None:
        raise UserError(f"{path}: step {places[0]} recorded no answer; take another --step")
    where = f"step {places[0]}" if len(places) == 1 else f"the last {len(places)} steps"
    raise UserError(
        f"--problem {wanted!r:.80}: no problem of {where} has such an id or text; leave --problem out to see which there are"
    )


def _show(
    path: Path, step: int, group: RecordedGroup, others: Sequence[RecordedGroup], shades: Shades, full: bool
) -> None:
    from rich.text import Text

    from simko.console import one_line
    from simko.report.terminal.choice import without_doubles
    from simko.report.terminal.group import Shown, group_view, legend, list_of, visible

    console = terminal()
    answers = [Shown(alike, shades.pieces(alike.row)) for alike in without_doubles(group.rows)]
    console.print(
        Text.assemble((one_line(str(path)), "bold"), f"  step {step}  problem {visible(one_line(group.task))}")
    )
    console.print(legend(shades.what, console.color_system is not None and not console.no_color))
    console.print()
    console.print(group_view(group, answers, console, 1 << 30 if full else 1500))
    if others:
        console.print(
            Text("\nother problems of the step, the most mixed first (right / answers); --problem ID shows one", "bold")
        )
        console.print(list_of(others, console.width))


def _as_json(
    path: Path, step: int, group: RecordedGroup, others: Sequence[RecordedGroup], shades: Shades
) -> dict[str, Any]:
    first = group.rows[0]
    return {
        "run": str(path),
        "step": step,
        "shaded_by": shades.kind,
        "shaded_by_what": shades.what,
        "problem": {name: first.get(name) for name in ("task", "level", "problem", "system", "gold")},
        "samples": [_sample(row, shades) for row in group.rows],
        "others": [{"task": other.task, "correct": other.correct, "samples": len(other.rows)} for other in others],
    }


def _sample(row: Mapping[str, Any], shades: Shades) -> dict[str, Any]:
    from simko.report.terminal.numbers import number

    names = ("sample", "outcome", "reward", "parts", "extracted", "finish", "text")
    pieces = [
        {"text": piece.text, "nats": piece.nats, **({"spoken": True} if piece.spoken else {})}
        for piece in itertools.islice(shades.pieces(row), 100_000)
    ]
    values = {name: row[name] for name in names if name in row} | {"reward": number(row["reward"])}
    if "parts" in row:
        values["parts"] = {name: number(value) for name, value in row["parts"].items()}
    return values | {"pieces": pieces}
