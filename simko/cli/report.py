"""`report`: a run, several runs or a comparison as one page of HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from simko.cli.output import print_json
from simko.console import note, one_line
from simko.errors import UserError

if TYPE_CHECKING:
    from simko.report.forks import Forks

_MAPS = 1  # runs whose model is loaded: a page has one map
_FILES = (
    "config.yaml",
    "metrics.jsonl",
    "manifest.json",
    "eval/*.json",
    "forks/*",
    "results.json",
    "runs/*/*/eval/*.json",
)
_PATHS = typer.Argument(metavar="RUN...", help="run folders, results of `simko eval`, or a comparison's folder")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(report)


def report(
    paths: list[str] = _PATHS,
    out: str = typer.Option("report.html", "-o", "--out", metavar="FILE", help="where the page goes"),
    no_model: bool = typer.Option(False, "--no-model", help="load no model: no forking map, unless one is stored"),
    device: str = typer.Option("auto", "--device", help="device of the model: auto, cpu, cuda"),
    serve: bool = typer.Option(
        False, "--serve", help="write no file; serve the page to this machine, and follow the run"
    ),
    port: int = typer.Option(8765, "--port", min=0, max=65535, metavar="N", help="port for --serve; 0 takes any"),
    as_json: bool = typer.Option(False, "--json", help="print one JSON object"),
) -> None:
    """Show what a run did, on one page of HTML that needs no network.

    The page holds pass@1 and pass@K before and after, learning curves, concentration, what each token might have been instead,
    groups of answers, lost and won problems. Runs whose verifier, data or environment differ are never drawn together.
    """
    from simko.report.page.build import report as build

    places = [Path(path).expanduser() for path in paths]
    for path in places:
        if not path.exists():
            raise UserError(
                f"report: {path}: no such file or folder; give a run folder, a result or a comparison's folder"
            )
    forks = _forks(places, no_model, device)
    if serve:
        _serve(places, forks, port)
        return
    page, missing = build(places, forks)
    target = Path(out).expanduser()
    from simko.files import write_atomically

    data = page.encode("utf-8", "replace")
    try:
        write_atomically(target, data)
    except OSError as error:
        raise UserError(f"report: {target}: {error.strerror}; give another -o") from error
    for line in missing:
        note(line)
    if as_json:
        print_json({"report": str(target), "bytes": len(data), "missing": missing})
    else:
        typer.echo(f"report: {target} ({len(data) / 1000:.0f} kB)")


def _forks(paths: Sequence[Path], no_model: bool, device: str) -> dict[Path, Forks | str]:
    """The forking map of the first run, or why it has none. Only a link or a pipe in its folder is fatal."""
    from simko.report.page.source import is_run_folder, refuse_links

    entries: dict[Path, Forks | str] = {}
    runs = [path for path in paths if is_run_folder(path)]
    for path in runs[:_MAPS]:
        refuse_links(path)
        try:
            entries[path] = _stored(path) if no_model else _computed(path, device)
        except UserError as error:
            entries[path] = str(error)
        except Exception as error:  # the device, the disk, a foreign model or tokenizer: the rest of the page is made
            entries[path] = f"{type(error).__name__}: {one_line(str(error))[:200]}"
    return entries


def _stored(path: Path) -> Forks | str:
    """The newest map in the folder, whether or not its adapter is the newest."""
    from simko.report.forks import newest_forks, read_forks

    newest = newest_forks(path)
    return "--no-model was given, and none is stored" if newest is None else read_forks(newest)


def _computed(path: Path, device: str) -> Forks:
    from simko.cli.modules import reach_of
    from simko.forking import run_forks
    from simko.run.folder import RunFolder

    run = RunFolder.open(path)
    reach_of(None, str(path))
    return run_forks(run, device=device)


def _serve(paths: Sequence[Path], forks: dict[Path, Forks | str], port: int) -> None:
    from simko.report.page.build import finished
    from simko.report.page.build import report as build
    from simko.report.page.serve import HOST, server

    build(paths, forks)  # a mistake in the paths is told now, not in the browser

    def make() -> tuple[object, Callable[[], str]]:
        goes_on = not finished(paths)
        return (goes_on, _mark(paths)), lambda: build(paths, forks, refresh=goes_on)[0]

    with server(make, port) as httpd:
        typer.echo(f"report: http://{HOST}:{httpd.server_address[1]}/ (Ctrl-C ends it)")
        httpd.serve_forever()


def _mark(paths: Sequence[Path]) -> tuple[object, ...]:
    """What changes when a run goes on: names, sizes and times of its files."""
    files = [file for path in paths for name in _FILES for file in sorted(path.glob(name))] if paths else []
    marks: list[object] = []
    for file in [*files, *(path for path in paths if path.is_file())]:
        try:
            entry = file.stat()
        except OSError:
            continue
        marks.append((str(file), entry.st_mtime_ns, entry.st_size))
    return tuple(marks)
