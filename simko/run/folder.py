"""The run folder: what a run writes, and how it comes back. JSON, YAML and safetensors only.

config.yaml      the resolved configuration        metrics.jsonl   one object a step
manifest.json    versions, machine, data hashes    rollouts/       every completion, one .jsonl.gz a step
checkpoints/     step-000025/ ..., best            verdicts/       every verdict, as it was reached
problems.txt     hashes of the training prompts    eval/           pass@K results and plots
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from simko.config import TrainConfig, read_yaml, write_yaml
from simko.errors import UserError
from simko.files import clear_scratch, locked, odd_file, remove, write_atomically
from simko.run.checkpoint import damage, foreign, restore, save_checkpoint
from simko.run.records import Records, problem_key

__all__ = ["RunFolder", "check_adapter", "new_folder", "problem_key", "sealed", "write_atomically"]

_SEAL = "# sha256 of the lines above: "
_WITHOUT_SEAL = "eval_top_p"  # the last setting of configs that have none: such a file is whole


def _say(line: str) -> None:
    print(f"simko: {line}", file=sys.stderr)


class RunFolder(Records):
    """A run on disk: `open` reads one; inside `opened` it is this process's to write."""

    def __init__(self, path: Path, config: TrainConfig) -> None:
        super().__init__(path)
        self.path, self.config = path, config
        self.checkpoints_path, self.eval_path = path / "checkpoints", path / "eval"
        self.verdicts_path, self._config_path = path / "verdicts", path / "config.yaml"
        self.best_path = self.checkpoints_path / "best"

    def refuse_used(self) -> RunFolder:
        """The same; raises `UserError` where something is there already: run folders are never reused.

        What a process left that was killed before it had written the config is nothing.
        """
        if self.path.exists() and (not self.path.is_dir() or any(not _is_empty(path) for path in self.path.iterdir())):
            raise UserError(
                f"run folder {self.path} is not empty; continue it with --resume {self.path}, or give another --out"
            )
        return self

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run; raises `UserError` where `path` is none, or its config is damaged."""
        if not cls.is_run(path):
            raise UserError(
                f"{path} is not a run folder: it has no config.yaml; train one with `simko train --out {path}`"
            )
        run = cls(Path(path), _read_config(Path(path) / "config.yaml"))
        for name in ("manifest.json", "metrics.jsonl", "problems.txt", "rollouts", "verdicts", "eval", "tensorboard"):
            _refuse_odd(run.path / name)
        _refuse_odd(run.checkpoints_path, within=False)
        _refuse_odd(run.best_path)
        return run

    @staticmethod
    def is_run(path: str | Path) -> bool:
        """Whether `path` is a run folder."""
        return (Path(path) / "config.yaml").is_file() and (Path(path) / "checkpoints").is_dir()

    @contextmanager
    def opened(self, config: TrainConfig, step: int | None = None, new: bool = False) -> Iterator[None]:
        """Make the folders and keep other processes out; forget what was recorded after `step`, where that is given.

        A `new` run that fails before anything was recorded leaves no folder. The lock goes with the process, however it
        ends.

        Raises:
            UserError: the folder cannot be written, another process holds it, or it should be new and is not.
        """
        there = self.path.exists()
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.path))
            except BlockingIOError as error:
                raise UserError(
                    f"run folder {self.path} is in use by another process; wait for it or stop it"
                ) from error
            except OSError as error:
                raise self._refusal(error) from error
            if new:
                self.refuse_used()
            try:
                self._make(config)
                if step is not None:
                    self.rewind(step)
                yield
            except UserError:
                if new and not self.metrics_path.exists() and not self.checkpoints():
                    self._discard(there)
                raise

    def _make(self, config: TrainConfig) -> None:
        try:
            for folder in (self.rollouts_path, self.verdicts_path, self.eval_path, self.checkpoints_path):
                folder.mkdir(exist_ok=True)
            for folder in (self.path, self.rollouts_path, self.verdicts_path, self.checkpoints_path):
                clear_scratch(folder)
            if not self._config_path.exists():  # a resumed run's stays until it is sure that it can go on
                self.keep(config)
            self.config = config
        except OSError as error:
            raise self._refusal(error) from error

    def keep(self, config: TrainConfig) -> None:
        """Make `config` that of the run."""
        write_atomically(self._config_path, sealed(write_yaml(config)))
        self.config = config

    def manifest(self) -> dict[str, Any]:
        """manifest.json; empty where there is none, or a damaged one."""
        try:
            content = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Merge `content` into manifest.json."""
        text = json.dumps({**self.manifest(), **content}, indent=2, sort_keys=True, allow_nan=False)
        write_atomically(self.path / "manifest.json", text + "\n")

    def checkpoints(self) -> list[Path]:
        """Checkpoint folders, oldest first."""
        return sorted(filter(_is_checkpoint, self.checkpoints_path.glob("step-*")), key=_step)

    def latest_checkpoint(self, say: Callable[[str], None] = _say) -> Path | None:
        """The newest checkpoint that is intact and of this run; None where there is none. `say` hears of each other one.

        Raises:
            UserError: there are some, and none is intact.
        """
        damaged: list[str] = []
        for path in reversed(self.checkpoints()):
            found = damage(path) or foreign(path, self.config)
            if found is None:
                for line in damaged:
                    say(f"{line}: refused; {path.name} is the newest that is intact")
                return path
            if path.exists():  # not one that a running process has just removed
                damaged.append(f"checkpoint {path} is damaged: {found}")
        if damaged:
            raise UserError(f"{'; '.join(damaged)}; none is intact: delete them to start again at step 0")
        return None

    def begin(self, step: int, manifest: Mapping[str, Any]) -> None:
        """Go on from `step`: forget what was recorded after it, and write the manifest.

        Later checkpoints, which are damaged, are renamed: they count no longer, and nothing is deleted.

        Raises:
            UserError: the data is not what the run began with, or metrics.jsonl is damaged.
        """
        _refuse_other_data(self, manifest)
        self.metrics()  # before anything is changed
        for path in self.checkpoints():
            if _step(path) > step:
                aside = path.with_name(f"{path.name}.damaged")
                remove(aside)
                path.rename(aside)
        self.rewind(step)
        if self._config_path.read_text(encoding="utf-8") != sealed(write_yaml(self.config)):
            self.keep(self.config)
        if missing := set(range(1, step + 1)) - {line["step"] for line in self.metrics()}:
            _say(f"{self.metrics_path}: the lines of {len(missing)} steps are gone, the first of step {min(missing)}")
        self._tidy()
        self.write_manifest(manifest)

    def best_checkpoint(self) -> Path | None:
        """The intact checkpoint that `checkpoints/best` points to; None where there is none."""
        try:
            path = self.checkpoints_path / json.loads(self.best_path.read_text(encoding="utf-8"))["checkpoint"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return path if path in self.checkpoints() and damage(path) is None else None

    def adapter(self) -> Path | None:
        """The PEFT folder of the newest intact checkpoint; see `latest_checkpoint`."""
        latest = self.latest_checkpoint()
        return None if latest is None else latest / "adapter"

    def save_checkpoint(self, step: int, policy: Any, optimizer: torch.optim.Optimizer, method: Any = None) -> Path:
        """Adapter, optimizer and state: complete under its name, or not there at all. Keeps the newest few and the best.

        Best is the mean training solve rate over the steps of a whole interval; the first of equals.

        Raises:
            UserError: a weight is not finite. OSError: the disk refuses. The checkpoints before it stay in both cases.
        """
        final = self.checkpoints_path / f"step-{step:06d}"
        save_checkpoint(final, step, self.config, policy, optimizer, method)
        self._tidy()
        return final

    def _tidy(self) -> None:
        """Point to the best checkpoint, and remove those beyond it and the newest few. A function of what is on disk."""
        every, solved = self.config.checkpoint_every, {m["step"]: m.get("solve_rate") or 0.0 for m in self.metrics()}
        means: dict[str, float] = {}
        for path in self.checkpoints():
            step = _step(path)
            if step % every == 0 and all(at in solved for at in range(step - every + 1, step + 1)):
                means[path.name] = sum(solved[at] for at in range(step - every + 1, step + 1)) / every
        best = max(means, key=lambda name: means[name], default=None)
        if best is not None:
            measure = f"mean training solve rate of the {every} steps before it"
            text = json.dumps({"checkpoint": best, "value": means[best], "measure": measure}, indent=2) + "\n"
            if not self.best_path.exists() or self.best_path.read_bytes() != text.encode():
                write_atomically(self.best_path, text)
        for old in self.checkpoints()[: -self.config.keep_checkpoints]:
            if old.name != best:
                remove(old)

    def restore(self, checkpoint: Path, policy: Any, optimizer: torch.optim.Optimizer, method: Any = None) -> int:
        """Load the optimizer and method of a checkpoint whose adapter the policy already has; returns its step."""
        return restore(checkpoint, policy, optimizer, method)

    def _refusal(self, error: OSError) -> UserError:
        where = error.filename or self.path
        return UserError(f"run folder {self.path}: {where}: {error.strerror}; mend that, or give another --out")

    def _discard(self, there: bool) -> None:
        """Take back what `opened` made."""
        for name in ("config.yaml", "manifest.json"):
            with suppress(OSError):
                (self.path / name).unlink()
        folders = (self.rollouts_path, self.verdicts_path, self.eval_path, self.checkpoints_path)
        for folder in (*folders, *(() if there else (self.path,))):
            with suppress(OSError):
                folder.rmdir()


def new_folder(config: TrainConfig) -> Path:
    """`config.out`, or a folder under runs/ that does not exist yet, named after the run."""
    if config.out:
        return Path(config.out)
    stem = f"{Path(config.model).name}-{config.env.rsplit('/', 1)[-1]}-{config.algorithm}-seed{config.seed}".lower()
    for number in range(1, 10_000):
        path = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
        if not path.exists():
            return path
    raise UserError("runs/ is full; give --out")


def check_adapter(folder: str | Path) -> Path:
    """The path of a PEFT folder; raises `UserError` where it is part of a checkpoint, and that is damaged."""
    path = Path(folder)
    checkpoint = path.resolve().parent
    is_part = path.resolve().name == "adapter" and _is_checkpoint(checkpoint)
    if is_part and (found := damage(checkpoint)):
        raise UserError(f"checkpoint {checkpoint} is damaged: {found}; take another one")
    return path


def _is_checkpoint(path: Path) -> bool:
    return re.fullmatch(r"step-(\d{6}|[1-9]\d{6,8})", path.name) is not None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _refuse_odd(path: Path, within: bool = True) -> None:
    """Raise `UserError` where a part of a run folder, or what is `within` it, is a link or a pipe and no file of its own."""
    odd = path if path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir())) else None
    if odd := odd or (odd_file(path) if within else None):
        raise UserError(f"{odd}: a link or a pipe, and no file of the run; put the file itself there")


def sealed(text: str) -> str:
    """A text with a last line that tells whether it was changed or cut."""
    return f"{text}{_SEAL}{sha256(text.encode()).hexdigest()}\n"


def _read_config(path: Path) -> TrainConfig:
    _refuse_odd(path)
    content = read_yaml(path)
    text, mark, seal = path.read_text(encoding="utf-8").rpartition(_SEAL)
    if (mark and seal != f"{sha256(text.encode()).hexdigest()}\n") or (not mark and _WITHOUT_SEAL not in content):
        raise UserError(
            f"config {path} is damaged or was edited; put it back (what may change goes as flags beside --resume)"
        )
    if unknown := sorted(set(content) - {entry.name for entry in fields(TrainConfig)}):
        raise UserError(f"config {path}: unknown key '{unknown[0]}': it is of another simko; go on with that one")
    return TrainConfig(**content)


def _is_empty(path: Path) -> bool:
    """Whether a part of a run folder says nothing: an empty folder, or a file that was being written."""
    if path.is_dir() and not path.is_symlink():
        return not any(path.iterdir())
    return path.name == ".lock" or (path.name.startswith(".") and path.name.endswith(".writing"))


def _refuse_other_data(run: RunFolder, manifest: Mapping[str, Any]) -> None:
    """Raise `UserError` where the data file is not the one that the run began with; `manifest` is of now."""
    before, now = run.manifest().get("data_sha256"), manifest.get("data_sha256")
    if before and now != before:
        raise UserError(
            f"--resume {run.path}: {run.config.data} has changed since the run began; put the old file back, "
            "or start another run with --out"
        )
