"""What the tokens of a group are shaded by: the stored entropy of its forks, else how surprising each sampled token was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simko.config import read_yaml
from simko.errors import UserError
from simko.report.forks import ForkGroup, newest_forks, read_forks
from simko.report.terminal.pieces import Decode, Piece, load_decode, pieces, surprisals

Nats = list[float | None]


@dataclass(frozen=True)
class Shades:
    """How a group is shaded.

    Attributes:
        kind: of the numbers.
        what: the same in words, for the line above the answers.
        of_sample: with "entropy", the nats of each token of an answer, by its sample.
        decode: ids to text; None without a tokenizer.
    """

    kind: Literal["entropy", "surprisal", "none"]
    what: str
    of_sample: Mapping[int, Nats]
    decode: Decode | None

    def pieces(self, row: Mapping[str, Any]) -> list[Piece]:
        """The pieces of an answer. One that has no stored entropy is not shaded by another quantity."""
        nats = self.of_sample.get(row["sample"]) if self.kind == "entropy" else surprisals(row)
        return pieces(row, nats, self.decode)[0]


def shades_of(run: Path, step: int, rows: Sequence[Mapping[str, Any]]) -> Shades:
    """The shades of a group of a run's step."""
    decode = load_decode(_model(run))
    words = "" if decode else ", by words: the model's tokenizer is not here"
    if of_sample := _entropies(run, step, rows):
        checkpoint, numbers = of_sample
        some = "" if len(numbers) == len(rows) else f", stored for {len(numbers)} of {len(rows)} answers"
        at = "" if checkpoint is None else f" at step {checkpoint}"
        return Shades("entropy", f"entropy of the policy{at}{some}{words}", numbers, decode)
    if any(surprisals(row) is not None for row in rows):
        return Shades("surprisal", f"surprisal, -log p of the sampled token{words}", {}, decode)
    return Shades("none", "nothing: the run recorded no log-probs", {}, decode)


def _model(run: Path) -> str:
    try:
        model = read_yaml(run / "config.yaml").get("model")
    except UserError:
        return ""
    return model if isinstance(model, str) else ""


def _entropies(run: Path, step: int, rows: Sequence[Mapping[str, Any]]) -> tuple[int | None, dict[int, Nats]] | None:
    """The entropy of each token, by sample, where the newest forks hold this group; and the step of their adapter."""
    path = newest_forks(run)
    if path is None:
        return None
    try:
        forks = read_forks(path)
    except UserError:
        return None
    for group in forks.groups:
        if group.source == "step" and group.task == rows[0]["task"] and (numbers := _of_group(group, rows)):
            return forks.step, numbers
    return None


def _of_group(group: ForkGroup, rows: Sequence[Mapping[str, Any]]) -> dict[int, Nats]:
    """Only answers with the same ids count: the problem may have been asked in another step, too."""
    ids = {row["sample"]: row.get("ids") for row in rows}
    numbers = {}
    for answer in group.answers:
        recorded = ids.get(answer.sample)
        if answer.tokens and isinstance(recorded, list) and recorded[: len(answer.ids)] == list(answer.ids):
            nats: Nats = [None] * len(recorded)
            for token in answer.tokens:
                nats[token.place] = token.entropy
            numbers[answer.sample] = nats
    return numbers
