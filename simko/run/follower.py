"""The run folder of a rank that is not the main one: it writes nothing. What its run needs it hears from rank 0.

So the machines of a run need no common file system: a checkpoint that is gone on with travels from rank 0 to the others. Metrics
and looks at held-out problems stay in memory, where alarms and streaks read them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from simko import ranks
from simko.algorithms.stats import State
from simko.config import TrainConfig, as_dict
from simko.run.folder import RunFolder, new_folder
from simko.run.records import Look, Records, finite
from simko.types import Group


class FollowerRecords(Records):
    """Metrics and looks in memory."""

    def __init__(self) -> None:
        super().__init__(Path())
        self._lines: list[dict[str, Any]] = []
        self._looks: list[Look] = []

    def hear(self, lines: Sequence[Mapping[str, Any]], looks: Sequence[str]) -> None:
        """Take over what rank 0 has on disk."""
        self._lines, self._looks = (
            [dict(line) for line in lines],
            [Look.read(look.encode("utf-8", "surrogatepass")) for look in looks],
        )

    def add(self, step: int, groups: Sequence[Group], metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the metrics of a step."""
        line = finite(metrics)
        self._lines.append({"step": step, **line})
        return line

    def metrics(self) -> list[dict[str, Any]]:
        """The lines so far."""
        return list(self._lines)

    def column(self, name: str) -> dict[int, Any]:
        """A metric of each step so far, by step."""
        return {line["step"]: line.get(name) for line in self._lines}

    def add_look(self, look: Look) -> None:
        """Keep a look."""
        self._looks.append(look)

    def looks(self) -> list[Look]:
        """The looks so far."""
        return list(self._looks)

    def rewind(self, step: int) -> None:
        """Forget what came after `step`."""
        self._lines = [line for line in self._lines if line["step"] <= step]
        self._looks = [look for look in self._looks if look.step <= step]


class Follower(RunFolder):
    """What a rank other than 0 has in place of the run folder."""

    def __init__(self, config: TrainConfig, env_folder: str | None = None) -> None:
        super().__init__(Path(config.out), replace(config, logger="none"))
        self._env_folder = env_folder
        self.records: FollowerRecords = FollowerRecords()
        self._date: str | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @contextmanager
    def opened(self, config: TrainConfig, step: int | None = None, new: bool = False) -> Iterator[None]:
        """Nothing is opened, and nothing locked."""
        self.config = config
        yield

    def hear(self, said: ranks.Parcel) -> Path | None:
        """Take over what `briefed` sends; returns the checkpoint to go on from, which `restore` deletes, or None."""
        self._date = said.facts["date"]
        self.records.hear(said.facts["metrics"], said.facts["looks"])
        if said.facts["checkpoint"] is None:
            return None
        self._scratch = tempfile.TemporaryDirectory(prefix="simko-")
        checkpoint = Path(self._scratch.name) / str(said.facts["checkpoint"])
        for name, content in said.tensors.items():
            (checkpoint / name).parent.mkdir(parents=True, exist_ok=True)
            (checkpoint / name).write_bytes(content.numpy().tobytes())
        return checkpoint

    def restore(self, checkpoint: Path, policy: Any, optimizer: torch.optim.Optimizer) -> tuple[int, State]:
        """Load the optimizer; returns the step, and the method's state."""
        start, state = super().restore(checkpoint, policy, optimizer)
        if self._scratch:
            self._scratch.cleanup()
        return start, state

    def keep(self, config: TrainConfig) -> None:
        """Only remember it."""
        self.config = config

    def prompt_date(self) -> str | None:
        """That of rank 0."""
        return self._date

    def manifest(self) -> dict[str, Any]:
        """Where the environment's module is; rank 0 has the rest."""
        return {"env_folder": self._env_folder}

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Rank 0 writes it."""

    def begin(self, step: int, manifest: Mapping[str, Any]) -> None:
        """Forget what came after `step`."""
        self.records.rewind(step)

    def checkpoints(self) -> list[Path]:
        """Rank 0 has them."""
        return []

    def save_checkpoint(
        self, step: int, policy: Any, optimizer: torch.optim.Optimizer, state: State | None = None
    ) -> Path:
        """Rank 0 saves it."""
        return self.path


def run_of(config: TrainConfig, resume: RunFolder | None) -> RunFolder:
    """The run of this rank: on rank 0 `resume`, or a new folder; on the others a follower.

    Raises:
        UserError: the folder of a new run is not empty.
    """
    if not ranks.world().main:
        return Follower(config if resume is None else resume.config)
    return resume or RunFolder(new_folder(config), config).refuse_used()


def joined(open_run: Callable[[], tuple[RunFolder | None, TrainConfig]]) -> tuple[RunFolder | None, TrainConfig]:
    """What `open_run` gives on rank 0: a run to go on with (else None) and its settings. Other ranks read no folder for it.

    A new run has its folder's name, which depends on the folders that rank 0 sees.
    """
    found: list[Any] = []

    def settings() -> Any:
        run, config = open_run()
        config = config if run else replace(config, out=str(new_folder(config)))
        found.extend((run, config))
        return [run is not None, as_dict(config, stored=False), run and run.manifest().get("env_folder")]

    resumed, values, env_folder = ranks.of_main(settings)
    if found:
        return found[0], found[1]
    config = TrainConfig(**values)
    return Follower(config, env_folder) if resumed else None, config


def agreed(config: TrainConfig) -> TrainConfig:
    """The settings of rank 0, but for the device, on every rank. Followers log nothing."""
    values = ranks.of_main(lambda: as_dict(config, stored=False))
    return config if ranks.world().main else replace(TrainConfig(**values), device=config.device, logger="none")


def briefed(run: RunFolder, resumed: bool) -> Path | None:
    """The checkpoint that the run goes on from, or None. Followers hear what rank 0 has on disk.

    Raises:
        UserError: all checkpoints are damaged, or the records are.
    """
    if ranks.world().alone:
        return run.latest_checkpoint() if resumed else None
    checkpoints: list[Path] = []

    def said() -> ranks.Parcel:
        if not ranks.world().main:
            return ranks.Parcel()
        facts: dict[str, Any] = {"date": run.prompt_date(), "metrics": run.metrics(), "checkpoint": None}
        facts["looks"] = [look.line() for look in run.records.looks()]
        checkpoint = run.latest_checkpoint() if resumed else None
        if checkpoint is None:
            return ranks.Parcel(facts)
        checkpoints.append(checkpoint)
        paths = [path for path in checkpoint.rglob("*") if path.is_file()]
        contents = [torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8) for path in paths]
        names = [path.relative_to(checkpoint).as_posix() for path in paths]
        return ranks.Parcel({**facts, "checkpoint": checkpoint.name}, dict(zip(names, contents, strict=True)))

    heard = ranks.share(said)[0]
    return run.hear(heard) if isinstance(run, Follower) else next(iter(checkpoints), None)
