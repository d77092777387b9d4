"""`verify audit`, `explain`, `rescore`."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simko.cli.audit import UNSAFE
from simko.cli.modules import reach, reach_of
from simko.cli.output import print_json, print_table
from simko.console import clean
from simko.errors import UserError

if TYPE_CHECKING:
    from simko.envs.audit.verifier import Audit
    from simko.run.rescore import Rescore

JSON_FLAG = typer.Option(False, "--json", help="print JSON")
MODULE = typer.Option(
    None,
    "--module",
    rich_help_panel="A verifier and answers of your own",
    metavar="MODULE",
    help="import this first: it registers the verifier",
)
HEADER = ("FAMILY", "TRIED", "WRONG", "UNDECIDED", "MEAN ms", "SLOWEST ms")
SHOWN = 15
NO_ANSWER = "no such thing"


def add_to(app: typer.Typer) -> None:
    """Register the commands as a group."""
    group = typer.Typer(
        help="Verifiers: audit one, explain a verdict, grade a run again.",
        rich_markup_mode=None,
        invoke_without_command=True,
    )
    group.callback()(_help)
    for command in (audit, explain, rescore):
        group.command()(command)
    app.add_typer(group, name="verify")


def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def audit(
    verifier: str = typer.Argument("math", metavar="[VERIFIER]", help="a name as in math:boxed, or module:function"),
    module: str | None = MODULE,
    n: int = typer.Option(400, "--n", metavar="N", help="about so many cases of each family", min=1),
    seed: int = typer.Option(0, "--seed", metavar="N", help="of the metamorphic cases"),
    data: str | None = typer.Option(
        None,
        "--data",
        rich_help_panel="A verifier and answers of your own",
        metavar="DIR",
        help="add the answers of the sets in this folder",
    ),
    gold: str | None = typer.Option(
        None,
        "--gold",
        rich_help_panel="A verifier and answers of your own",
        metavar="TEXT",
        help="a gold answer that your verifier reads",
    ),
    right: str | None = typer.Option(
        None,
        "--right",
        rich_help_panel="A verifier and answers of your own",
        metavar="TEXT",
        help="a right answer to --gold; the same text if left out",
    ),
    wrong: str = typer.Option(
        NO_ANSWER,
        "--wrong",
        rich_help_panel="A verifier and answers of your own",
        metavar="TEXT",
        help="a wrong answer to --gold",
    ),
    limit: float = typer.Option(1.0, "--limit", metavar="SECONDS", help="an answer that takes longer fails"),
    as_json: bool = JSON_FLAG,
) -> None:
    """Try hostile texts and near misses on a verifier.

    It runs in a process of its own, which is watched for executions and killed if it hangs. Exits 1 if the audit fails.
    """
    from simko.envs.audit.cases import Sample
    from simko.envs.audit.verifier import audit as run

    if not (math.isfinite(limit) and limit > 0):
        raise UserError(f"--limit {limit:g}: give seconds above 0")
    if gold is None and (right is not None or wrong != NO_ANSWER):
        raise UserError("--right and --wrong are answers to a gold answer; give --gold, too")
    data = data and os.path.expanduser(data)
    if data is not None and not Path(data).is_dir():
        raise UserError(f"--data {data}: no such folder")
    samples = None if gold is None else (Sample(gold, gold if right is None else right, wrong),)
    report = run(verifier, module=module, n=n, seed=seed, data=data, samples=samples, limit=limit)
    if as_json:
        print_json({**asdict(report), "tried": report.tried, "passed": report.passed})
    else:
        _print_audit(report)
    if not report.passed:
        raise typer.Exit(1)


def _print_audit(report: Audit) -> None:
    rows = [
        (
            name,
            str(f.tried),
            str(f.wrong),
            str(f.undecided),
            f"{1000 * f.seconds / f.tried:.2f}",
            f"{1000 * f.slowest:.1f}",
        )
        for name, f in report.families.items()
    ]
    print_table(rows, HEADER)
    counts = (
        ("false positives", report.false_positives), ("false negatives", report.false_negatives),
        ("executions", report.executions), ("hangs", report.hangs), ("deaths", report.deaths),
        ("exceptions", report.exceptions),
        (f"over {report.limit:g} s", report.slow),
    )  # fmt: skip
    typer.echo(", ".join(f"{count} {name}" for name, count in counts))
    typer.echo(f"grew by {report.growth_mib:g} MiB and {report.growth_descriptors} descriptors")
    for line in report.findings:
        typer.echo(clean(line).replace("\n", "\\n"))
    typer.echo(f"{report.verifier}: {report.tried} cases, {'passed' if report.passed else 'FAILED'}")


def explain(
    gold: str = typer.Argument(metavar="GOLD", help="the gold answer"),
    answer: str = typer.Argument(metavar="ANSWER", help="the response; - reads it from stdin"),
    verifier: str = typer.Option("math", "--verifier", metavar="NAME", help="as in math:boxed"),
    module: str | None = MODULE,
    unsafe: bool = UNSAFE,
    as_json: bool = JSON_FLAG,
) -> None:
    """Say step by step how a response is graded."""
    _import(module)
    from simko.envs.audit.explain import explain as run

    if answer == "-":
        answer = typer.get_binary_stream("stdin").read().decode("utf-8", "replace")
    explanation = run(gold, answer, verifier)
    if as_json:
        print_json({"gold": gold, "verifier": verifier, **asdict(explanation)})
        return
    for step in explanation.steps:
        typer.echo(f"{step.what:14}  {'  ' * step.depth}{clean(step.detail)}")
    typer.echo(f"{'seconds':14}  {explanation.verdict.seconds:.6f}")


def rescore(
    run: str = typer.Argument(metavar="RUN", help="a run folder"),
    verifier: str | None = typer.Option(None, "--verifier", metavar="NAME", help="the run's own if left out"),
    module: str | None = MODULE,
    unsafe: bool = UNSAFE,
    out: str | None = typer.Option(None, "--out", metavar="FILE", help="write every change here, a JSON line each"),
    as_json: bool = JSON_FLAG,
) -> None:
    """Grade a run's stored rollouts again.

    Says which rewards change, and which gradients would have had another sign. Writes nothing without --out.
    """
    _import(module)
    from simko.run.folder import RunFolder
    from simko.run.rescore import rescore as again

    folder = RunFolder.open(run)
    reach_of(None, run)
    out = out and os.path.expanduser(out)
    if out is not None and (os.path.isdir(out) or not os.path.isdir(os.path.dirname(os.path.abspath(out)))):
        raise UserError(f"--out {out}: give a file in a folder that exists")
    report = again(folder, verifier)
    if out is not None:
        lines = (json.dumps(asdict(change), ensure_ascii=False) + "\n" for change in report.changes)
        try:
            Path(out).write_text("".join(lines), encoding="utf-8", errors="surrogatepass")
        except OSError as error:
            raise UserError(f"--out {out}: {error.strerror}; choose another file") from error
    if as_json:
        content: dict[str, Any] = asdict(report)
        print_json({**content, "changes": content["changes"][:SHOWN]})
    else:
        _print_rescore(report)


def _print_rescore(report: Rescore) -> None:
    was = "" if report.verifier == report.stored_verifier else f" (stored: '{report.stored_verifier}')"
    typer.echo(
        f"{report.run}: {report.completions} completions in {report.groups} groups, graded by '{report.verifier}'{was}"
    )
    typer.echo(f"mean reward        {report.mean_reward[0]:.4f} -> {report.mean_reward[1]:.4f}")
    typer.echo(f"rewards changed    {report.rewards_changed}")
    typer.echo(f"gradient signs     {report.signs_changed} changed, in {report.groups_changed} groups")
    for what, count in report.outcomes.items():
        typer.echo(f"    {count:6}  {what}")
    if report.changes:
        signs = {-1: "-", 0: "0", 1: "+"}
        rows = [
            (
                str(c.step), clean(c.task), str(c.sample), f"{c.outcome[0]} -> {c.outcome[1]}",
                f"{signs[c.sign[0]]} -> {signs[c.sign[1]]}", repr(c.gold[:30]), repr((c.extracted or "")[:40]),
            )
            for c in report.changes[:SHOWN]
        ]  # fmt: skip
        print_table(rows, ("STEP", "TASK", "SAMPLE", "OUTCOME", "SIGN", "GOLD", "EXTRACTED"))
        if len(report.changes) > SHOWN:
            typer.echo(f"and {len(report.changes) - SHOWN} more; --out FILE has them all")


def _import(module: str | None) -> None:
    """Import an author's module, which registers its verifiers."""
    if module is None:
        return
    import importlib

    reach(f"{module}:")
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # an author's module may do whatever it likes
        kind = "" if isinstance(error, ImportError | UserError) else f"{type(error).__name__}: "
        raise UserError(f"--module {module}: {kind}{' '.join(str(error).split())}") from error
