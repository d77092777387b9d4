"""From the folder to the results of a comparison: which evaluation is which arm's, and what is written of them."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Any

from simko.compare.board import Board, Result
from simko.compare.cells import Evaluation
from simko.compare.plan import PLAN
from simko.compare.study import BASE, content_of
from simko.report.arms import read_cell
from simko.report.comparison_folder import write
from simko.report.measured import Measured

COMMAND = f"simko compare --config {PLAN} --out FOLDER"


def label(cell: Evaluation) -> str:
    """The name of an evaluation's arm in the results: `grpo`, `grpo at T 0.6`, `base with prompt qwen`."""
    if cell.choice == "prompt":
        return f"{cell.arm} with prompt {cell.template}"
    return f"{cell.arm} at T {cell.temperature:g}" if cell.choice == "temperature" else cell.arm


def final_results(board: Board) -> Iterator[tuple[Evaluation, Result]]:
    """Each evaluation on final problems that is there, with its result; the base model first."""
    for seed in board.plan.seeds:
        for arm in (BASE, *board.plan.arms):
            for cell in board.finals(arm, seed):
                if cell.temperature is not None and (result := board.result(cell)) is not None:
                    yield cell, result


def notes(board: Board) -> list[str]:
    """Lines that belong to the results: where settings are from, and what was chosen on tuning problems."""
    lines = []
    if board.plan.study.tuned:
        lines.append(", ".join(f"{key} {value}" for key, value in board.plan.study.tuned.items()))
    for arm in (BASE, *board.plan.arms):
        if (chosen := board.best(board.choices(arm))) is not None:
            lines.append(f"{arm}: best temperature on tuning problems {chosen.temperature:g}")
    if (prompts := board.prompts()) and (strongest := board.best(prompts)) is not None:
        lines.append(
            f"{BASE}: strongest prompt {strongest.template or f'{board.plan.common.template}, that of training'}"
        )
    return lines


def write_results(board: Board, reference: str = "grpo") -> dict[str, Any] | None:
    """Write the results of all final evaluations that are there, and return their content; None if there is none.

    However often it was interrupted, and by which commands it was made, a comparison has the same table.

    Raises:
        UserError: a result is damaged, or the folder cannot be written.
    """
    measured: list[Measured] = []
    for cell, result in final_results(board):
        tuned = {"": None, "prompt": "template", "temperature": "temperature"}[cell.choice]
        measured += read_cell(result.path, cell.arm, cell.seed, label(cell), tuned)
    if not measured:
        return None
    plan = content_of(board.plan.study)
    command = COMMAND if reference == "grpo" else f"{COMMAND} --reference {quote(reference)}"
    return write(board.folder, measured, reference=reference, plan=plan, commands=[command], notes=notes(board))
