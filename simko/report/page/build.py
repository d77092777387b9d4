"""A report: what the paths hold, put in order on one page of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from simko.console import one_line
from simko.errors import UserError
from simko.files import is_locked
from simko.report.forks import Forks
from simko.report.page import curves, learning
from simko.report.page.escape import esc, line
from simko.report.page.forkmap import fork_map
from simko.report.page.groups import group_browser
from simko.report.page.lost import lost_and_won
from simko.report.page.measure import Sheet, sheets
from simko.report.page.record import alarm_list, record
from simko.report.page.shell import Section, html_page
from simko.report.page.source import RunData, is_run_folder, manifest_of, read_run
from simko.report.terminal.state import ENDED, status_of

_MOST_RECORDS = 12
_MOST_CELLS = 7  # runs inside a comparison's folder whose metrics are drawn


def report(
    paths: Sequence[Path], forks: Mapping[Path, Forks | str] | None = None, refresh: bool = False
) -> tuple[str, list[str]]:
    """The page of some runs, results or comparison folders, and the lines about what is missing.

    `forks` holds for a run's folder its forking map, or why there is none. Equal content gives equal pages.

    Raises:
        UserError: a path does not exist, or holds nothing that a report can show.
    """
    runs: list[RunData] = []
    others: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(
                f"report: {path}: no such file or folder; give a run folder, a result or a comparison's folder"
            )
        if is_run_folder(path):
            runs.append(read_run(path))
        else:
            others.append(path)
    notes: list[str] = []
    parts = sheets(runs, others, notes)
    if others and not runs and not parts:
        raise UserError(f"report: {one_line('; '.join(notes))}")
    missing = [f"{run.name}: {text}" if len(runs) > 1 else text for run in runs for text in run.missing]
    metrics = runs or _cells(others, notes)
    body = [
        Section("before-after", "pass@1 and pass@K, before and after", _each(parts, curves.before_after)),
        Section("curve", "The curve", _each(parts, curves.pass_curve)),
        Section("learning", "Learning curves", _with_metrics(metrics, learning.learning)),
        Section("concentration", "Concentration", _with_metrics(metrics, learning.concentration)),
        Section("forks", "The forking map", _maps(runs, forks or {})),
        Section("groups", "Groups: every sample of a problem", group_browser(runs, missing) if runs else ""),
        Section("lost", "Lost and won problems", _each(parts, lost_and_won, whole=True)),
        Section("cover", "Cover curve", _each(parts, curves.cover)),
        Section("record", "Command, configuration, manifest", _records(runs, others)),
    ]
    lines = [one_line(text) for text in dict.fromkeys([*missing, *notes])]
    return html_page(_title(runs, others), _lead(runs, lines), body, refresh), lines


def finished(paths: Sequence[Path]) -> bool:
    """Whether no process goes on with a run among the paths; a comparison's folder has its results then.

    A run says `finished` before its evaluation: as long as a process has its folder, pass@K may still come.
    """
    runs = [path for path in paths if is_run_folder(path)]
    folders = [path for path in paths if path.is_dir() and path not in runs]
    over = all(status_of(manifest_of(path), is_locked(path))[0] in ENDED for path in runs)
    return over and all((path / "results.json").is_file() for path in folders)


def _each(parts: Sequence[Sheet], draw: Callable[..., str], whole: bool = False) -> str:
    blocks = [draw(part if whole else part.result) for part in parts]
    if len(blocks) < 2:
        return "".join(blocks)
    names = [", ".join(line(arm, 40) for arm in part.comparison.arms[:4]) for part in parts]
    return "".join(f"<h3>{name}</h3>{block}" for name, block in zip(names, blocks, strict=True))


def _with_metrics(runs: Sequence[RunData], draw: Callable[[Sequence[RunData]], str]) -> str:
    """Runs of different environments, data or verifiers are drawn apart."""
    groups: dict[tuple[str, ...], list[RunData]] = {}
    drawn = [run for run in runs if run.metrics]
    for run in drawn:
        groups.setdefault((*_measured_on(run), _verifier_of(run, drawn)), []).append(run)
    if not groups:
        return '<p class="note">No metrics were recorded.</p>' if runs else ""
    if len(groups) == 1:
        return draw(next(iter(groups.values())))
    apart = '<p class="note">Runs whose environment, data or verifier differ are drawn apart.</p>'
    return apart + "".join(
        f"<h3>{', '.join(line(run.name, 40) for run in group)}</h3>{draw(group)}" for group in groups.values()
    )


def _measured_on(run: RunData) -> tuple[str, ...]:
    """What decides the numbers of a step beside the verifier: two runs that differ in any of it share no picture."""
    return tuple(str(v) for v in (run.config.get("env"), run.config.get("level"), run.manifest.get("data_sha256")))


def _verifier_of(run: RunData, runs: Sequence[RunData]) -> str:
    """The verifier of a run. One that names none has its environment's own, which another run's evaluation may name."""
    alike = [run, *(other for other in runs if _measured_on(other) == _measured_on(run))]
    names = [other.config.get("verifier") or (other.evaluation or {}).get("verifier") for other in alike]
    others = {str(name) for name in names if name}
    return str(names[0] or (others.pop() if len(others) == 1 else None))


def _maps(runs: Sequence[RunData], forks: Mapping[Path, Forks | str]) -> str:
    blocks = []
    drawn = False
    for run in runs:
        entry = forks.get(run.path, run.forks or "no forks are stored, and no model was loaded")
        if isinstance(entry, Forks) and not drawn:
            block, drawn = fork_map(entry), True
        elif isinstance(entry, Forks):
            block = f'<p class="note">Its map is in a report of its own: simko report {line(run.path)}</p>'
        else:
            block = f'<p class="note">No forking map: {esc(one_line(entry))}.</p>'
        blocks.append(f"<h3>{line(run.name)}</h3>{block}" if len(runs) > 1 else block)
    return "".join(blocks)


def _cells(folders: Sequence[Path], notes: list[str]) -> list[RunData]:
    """Of a comparison's folder the first seed of each arm, for the learning curves."""
    cells: list[RunData] = []
    for folder in folders:
        seen: set[str] = set()
        for place in sorted(folder.glob("runs/*/seed-*")) if folder.is_dir() else []:
            if place.parent.name in seen or not is_run_folder(place):
                continue
            seen.add(place.parent.name)
            try:
                run = read_run(place)
            except UserError as error:
                notes.append(str(error))
                continue
            run.name = f"{place.parent.name}, {place.name}"
            cells.append(run)
    return cells[:_MOST_CELLS]


def _records(runs: Sequence[RunData], others: Sequence[Path]) -> str:
    blocks = []
    for i, run in enumerate(runs[:_MOST_RECORDS]):
        block = record(run, whole=i < 2)
        blocks.append(f"<h3>{line(run.name)}</h3>{block}" if len(runs) > 1 else block)
    if others:
        files = "".join(f"<li><code>{line(path)}</code></li>" for path in others)
        blocks.append(f"<p>Read from:</p><ul>{files}</ul>")
    return "".join(blocks)


def _title(runs: Sequence[RunData], others: Sequence[Path]) -> str:
    names = [run.name for run in runs] + [path.resolve().name for path in others]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"simko report: {shown}"


def _lead(runs: Sequence[RunData], missing: Sequence[str]) -> str:
    parts = [f"<p>{_told(run)}</p>" for run in runs[:4]]
    parts.append(alarm_list(runs))
    if missing:
        items = "".join(f"<li>{esc(text, 400)}</li>" for text in missing[:20])
        parts.append(f'<p class="note">Not in this report, or to know:</p><ul class="missing">{items}</ul>')
    return "".join(parts)


def _told(run: RunData) -> str:
    """What the run is, in a sentence."""
    result = run.evaluation or {}
    method, env, model = (run.config.get(key) or result.get(key) for key in ("algorithm", "env", "model"))
    words = [f"<strong>{line(method or 'unknown method', 60)}</strong> on {line(env or 'an unknown environment', 80)}"]
    words.append(f"with {line(Path(str(model)).name if model else 'an unknown model', 60)}")
    if run.metrics:
        size = [run.config.get(key) for key in ("prompts_per_step", "group_size")]
        each = f" of {size[0]} × {size[1]} answers" if all(isinstance(n, int) for n in size) else ""
        words.append(f"for {run.metrics[-1]['step']} steps{each}")
    status = run.manifest.get("status")
    return " ".join(words) + (f"; {line(status, 40)}." if status else ".")
