"""`env audit`: every row of every set at hand, a line each."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from simko.cli.modules import reach
from simko.cli.output import print_json, print_table
from simko.console import clean, note

if TYPE_CHECKING:
    from simko.envs.audit.rows import Audit

IDS = typer.Argument(None, metavar="[ID]...", help="environment ids; every registered one if left out")
DATA = typer.Option(None, "--data", metavar="PATH", help="data file or folder; if left out: SIMKO_DATA, else the Hub")
CHECKS = typer.Option(True, "--checks/--no-checks", help="run the two contract checkers too")
OPTIONS = typer.Option(None, "--env-options", metavar="TEXT", help="of the problems, as size=500,seed=3")
PYTHON = typer.Option(None, "--python", metavar="PATH", help="interpreter that has the foreign package")
JSON_FLAG = typer.Option(False, "--json", help="print JSON")


def _unsafe(value: bool) -> bool:
    if value:
        from simko.envs.code import jails

        jails.configure(unsafe=True)
        note("programs run without a sandbox (--unsafe-no-sandbox); they may read and change whatever this user may")
    return value


UNSAFE = typer.Option(
    False, "--unsafe-no-sandbox", help="run programs (verifier code) without a sandbox", callback=_unsafe
)
HEADER = ("ID", "SPLIT", "ROWS", "TASKS", "GOLD", "OTHER GOLD", "PAIRS RIGHT", "CHECKS", "SECONDS", "")


def audit(
    ids: list[str] | None = IDS,
    data: str | None = DATA,
    checks: bool = CHECKS,
    unsafe: bool = UNSAFE,
    env_options: str | None = OPTIONS,
    python: str | None = PYTHON,
    as_json: bool = JSON_FLAG,
) -> None:
    """Check all rows of the sets at hand.

    Rows against rows published, gold answers against themselves and against another row's, pairs whose verdict is known, both
    environment checkers. Exits 1 if something fails, and 2 if a named environment has no data.
    """
    from simko.envs import specs
    from simko.envs.audit.rows import audit as run
    from simko.envs.foreign.options import read_options
    from simko.errors import UserError

    options = read_options(env_options, python) or None
    for id in ids or ():
        reach(id)
    sources = {info.id: info.source for info in specs()}
    named = ids or [id for id, source in sources.items() if not source.startswith("data=")]  # the user's own: name it
    entries: list[Audit] = []
    for id in named:
        generated = sources.get(id) == "procedural" and not ids  # takes no data
        entries += run(id, None if generated else data, checks, options)
        if ids and entries[-1].unavailable:
            raise UserError(entries[-1].unavailable)
    if as_json:
        print_json({"passed": all(entry.passed for entry in entries), "sets": [_object(entry) for entry in entries]})
    else:
        _print(entries)
    if not all(entry.passed for entry in entries):
        raise typer.Exit(1)


def _print(entries: list[Audit]) -> None:
    print_table([_row(entry) for entry in entries if not entry.unavailable], HEADER)
    for entry in entries:
        if entry.unavailable:
            typer.echo(f"no data  {entry.id}: {clean(entry.unavailable)}")
        if entry.pairs:
            kinds = ", ".join(f"{kind} {right} / {total}" for kind, (right, total) in sorted(entry.pairs.items()))
            typer.echo(f"pairs    {entry.id} {entry.split}: {clean(kinds)}")
        for text in entry.notes:
            typer.echo(f"note     {entry.id} {entry.split}: {clean(text)}")
        for text in entry.findings:
            typer.echo(f"{'finding' if entry.passed else 'FAILED':7}  {entry.id} {entry.split}: {clean(text)}")
    failed = [f"{entry.id} {entry.split}" for entry in entries if not entry.passed]
    looked = sum(entry.unavailable is None for entry in entries)
    typer.echo(f"{looked - len(failed)} of {looked} sets passed" + (f"; failed: {', '.join(failed)}" if failed else ""))


def _row(entry: Audit) -> tuple[str, ...]:
    right, total = entry.pairs_total
    return (
        entry.id,
        entry.split,
        f"{entry.rows} / {entry.published}" if entry.published else f"{entry.rows}",
        str(entry.tasks),
        f"{entry.gold[0]} / {entry.gold[1]}",
        f"{entry.other_gold[0]} / {entry.other_gold[1]}",
        f"{right} / {total}" + (f" ({100 * right / total:.2f} %)" if total else ""),
        f"{entry.checks[0]} / {entry.checks[1]}",
        f"{entry.seconds:.1f}",
        "ok" if entry.passed else "FAILED",
    )


def _object(entry: Audit) -> dict[str, Any]:
    return {**asdict(entry), "passed": entry.passed}
