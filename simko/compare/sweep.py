"""The end of a sweep: the table of all candidates, and `tuned.yaml`, a study with the best setting of each arm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from simko.compare.board import Board
from simko.compare.study import candidates, content_of, grid_hash
from simko.console import table
from simko.files import write_atomically

TUNED = "tuned.yaml"


def scores(board: Board) -> dict[str, list[float | None]]:
    """The score of each candidate at each seed, as `simko.compare.board.score` defines it. A missing score is None."""
    every: dict[str, list[float | None]] = {}
    for name in board.plan.arms:
        results = [board.result(board.candidate(name, seed)) for seed in board.plan.seeds]
        every[name] = [None if result is None else result.score for result in results]
    return every


def best(board: Board) -> dict[str, str]:
    """The best candidate of each arm, by its mean over seeds; of equal ones the first. An arm that is not whole has none."""
    every, chosen = scores(board), {}
    for arm, of_arm in candidates(board.plan.study).items():
        means = {name: sum(known) / len(known) for name in of_arm if (known := _whole(every[name]))}
        if len(means) == len(of_arm):
            chosen[arm] = max(means, key=lambda name: means[name])
    return chosen


def sweep_table(board: Board) -> str:
    """All candidates with their scores in percent; the best of each arm is marked."""
    chosen, every = best(board).values(), scores(board)
    grids = board.plan.study.grids
    rows = []
    for arm, of_arm in candidates(board.plan.study).items():
        for name, settings in of_arm.items():
            cells = ["-" if score is None else f"{100 * score:.1f}" for score in every[name]]
            known = _whole(every[name])
            tried = ", ".join(f"{key} {settings[key]}" for key in grids.get(arm, {}))
            rows.append(
                [
                    name,
                    *cells,
                    f"{100 * sum(known) / len(known):.1f}" if known else "-",
                    f"{tried}{'  <- best' if name in chosen else ''}",
                ]
            )
    return table(["candidate", *(f"seed {seed}" for seed in board.plan.seeds), "score", "setting"], rows)


def write_tuned(board: Board) -> Path | None:
    """Write tuned.yaml if every arm has its best setting; return its path. Raises `OSError`."""
    chosen, every, study = best(board), candidates(board.plan.study), board.plan.study
    if len(chosen) < len(every):
        return None
    mark, name = grid_hash(study), board.folder.resolve().name  # no path: the file goes into other people's folders
    content: dict[str, Any] = {
        "common": content_of(study)["common"],
        "arms": {arm: every[arm][name] for arm, name in chosen.items()},
        "tuned": {"sweep": name, "grid_sha256": mark},
    }
    path = board.folder / TUNED
    others = range(max(board.plan.seeds) + 1, max(board.plan.seeds) + 6)  # the sweep has chosen by its own
    head = (
        f"# The best setting of each arm, from the sweep {name} (grid {mark}): mean of pass@K on tuning problems.\n"
        f"# simko compare --config {TUNED} --seeds {','.join(map(str, others))} --out FOLDER\n"
    )
    write_atomically(path, head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path


def _whole(of_seeds: list[float | None]) -> list[float]:
    """The scores if none is missing, else an empty list."""
    known = [score for score in of_seeds if score is not None]
    return known if len(known) == len(of_seeds) else []
