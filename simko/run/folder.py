"""The run folder: what a run writes, and how it comes back. JSON, YAML and safetensors only.

config.yaml      the resolved configuration        metrics.jsonl   one object a step
manifest.json    versions, machine, data hashes    rollouts/       every completion, one .jsonl.gz a step
checkpoints/     step-000025/ ..., best            verdicts/       every verdict, as it was reached
problems.txt     hashes of the training prompts    eval/           pass@K results and plots
heldout.jsonl    looks at few held-out problems,   solve_rates.jsonl  of the base model, with `keep_solved`
                 with `eval_every`

Three kinds of file show damage in three ways:

- config.yaml is one file that people edit. Its last line is the SHA-256 of the lines above it (`sealed`).
- A checkpoint is several files that belong together. SHA256SUMS beside them has a line for each, as `sha256sum` writes it.
- verdicts/*.jsonl grows by a line at a time, and a kill may cut the last. Each line ends in 6 bytes of BLAKE2: a line that
  does not fit its mark is left out, and that answer is graded again.

None of these says who wrote a file: whoever can write the folder can write the sums. So what is read is checked by type, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from simko.algorithms.stats import State
from simko.config import UNSTORED, TrainConfig, read_yaml, write_yaml
from simko.console import note
from simko.errors import UserError
from simko.files import LOCK, SCRATCH, clear_scratch, locked, odd_file, remove, write_atomically
from simko.run.checkpoint import damage, foreign, restore, save_checkpoint
from simko.run.places import data_path
from simko.run.records import LOOKS, Records

SOLVE_RATES = "solve_rates.jsonl"
_SEAL = "# sha256 of the lines above: "
_LAST_BEFORE_SEALS = "eval_top_p"  # older configs have no seal; one that has their last setting was not cut short


class RunFolder:
    """A run on disk. `open` reads one; inside `opened` it is this process's to write.

    Attributes:
        path: the folder.
        config: the run's configuration.
        records: what it recorded of each step: metrics, completions, problems.
    """

    def __init__(self, path: Path, config: TrainConfig) -> None:
        self.path, self.config, self.records = path, config, Records(path)
        self.checkpoints_path, self.eval_path = path / "checkpoints", path / "eval"
        self.verdicts_path, self._config_path = path / "verdicts", path / "config.yaml"
        self.best_path, self.solve_rates_path = self.checkpoints_path / "best", path / SOLVE_RATES

    def refuse_used(self) -> RunFolder:
        """Return self. Raises `UserError` if the folder is not empty: run folders are never reused.

        Leftovers of a run that died before it wrote config.yaml count as empty, and so do the solve rates of a run that was
        refused after it had measured them: they say themselves what they belong to.
        """
        if self.path.exists() and (not self.path.is_dir() or any(not _is_empty(path) for path in self.path.iterdir())):
            raise UserError(
                f"run folder {self.path} is not empty; continue it with --resume {self.path}, or give another --out"
            )
        return self

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run. Raises `UserError` if `path` is not a run folder, or its config is damaged."""
        if not cls.is_run(path):
            raise UserError(
                f"{path} is not a run folder: it has no config.yaml; train one with `simko train --out {path}`"
            )
        folder = Path(path).expanduser()
        run = cls(folder, _read_config(folder / "config.yaml"))
        names = ("manifest.json", "metrics.jsonl", "problems.txt", "rollouts", "verdicts", "eval", "tensorboard")
        for name in (*names, SOLVE_RATES, LOOKS):
            _refuse_odd(run.path / name)
        _refuse_odd(run.checkpoints_path, within=False)
        _refuse_odd(run.best_path)
        return run

    @staticmethod
    def is_run(path: str | Path) -> bool:
        """Whether `path` is a run folder."""
        folder = Path(path).expanduser()
        return (folder / "config.yaml").is_file() and (folder / "checkpoints").is_dir()

    @contextmanager
    def opened(self, config: TrainConfig, step: int | None = None, new: bool = False) -> Iterator[None]:
        """Make the folders and keep other processes out. With `step`, forget what was recorded after it.

        A `new` run that fails before it recorded anything leaves no folder. The lock goes with the process, however it
        ends.

        Raises:
            UserError: the folder cannot be written, another process holds it, or it should be new and is not.
        """
        made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            with self._locked():
                if new:
                    self.refuse_used()
                try:
                    self._make(config)
                    if step is not None:
                        self.records.rewind(step)
                    yield
                except UserError:
                    if new and not self.records.metrics_path.exists() and not self.checkpoints():
                        self._discard()
                    raise
        except UserError:
            for folder in made if new else ():
                with suppress(OSError):
                    folder.rmdir()  # fails unless it is empty; after the lock, whose file is in it
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Make the folder and lock it, or refuse with one line."""
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
            yield

    def _make(self, config: TrainConfig) -> None:
        try:
            for folder in self._folders():
                folder.mkdir(exist_ok=True)
            for folder in (self.path, self.records.rollouts_path, self.verdicts_path, self.checkpoints_path):
                clear_scratch(folder)
            if not self._config_path.exists():  # a resumed run keeps its own until `begin`: it may still be refused
                self.keep(config)
            self.config = config
        except OSError as error:
            raise self._refusal(error) from error

    def keep(self, config: TrainConfig) -> None:
        """Write `config` as the run's configuration."""
        write_atomically(self._config_path, sealed(write_yaml(config)))
        self.config = config

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, oldest first; see `Records.metrics`."""
        return self.records.metrics()

    def manifest(self) -> dict[str, Any]:
        """The content of manifest.json; empty if there is no such file, or it is damaged."""
        try:
            content = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def prompt_date(self) -> str | None:
        """The date in the prompts of a run whose chat template reads the clock; None if the run is new.

        Runs of an older version took the day on which they were last started.
        """
        manifest = self.manifest()
        try:
            if "prompt_date" in manifest:
                return datetime.fromisoformat(manifest["prompt_date"]).isoformat()
            started = datetime.fromisoformat(manifest["started"]).astimezone()
            return started.replace(tzinfo=None).isoformat()
        except (KeyError, ValueError, TypeError):  # whoever can write the folder can write this
            return None

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Merge `content` into manifest.json."""
        text = json.dumps({**self.manifest(), **content}, indent=2, sort_keys=True, allow_nan=False)
        write_atomically(self.path / "manifest.json", text + "\n")

    def weights_sha256(self) -> str | None:
        """The fingerprint of the run's base model (`simko.agents.fingerprint`): of the manifest, else of a checkpoint."""
        from simko.agents.fingerprint import BASE_FILE  # here: it loads peft and transformers

        stored = self.manifest().get("weights_sha256")
        stored = stored if len(str(stored)) == 64 else None  # for a while runs wrote a word here
        for checkpoint in reversed(self.checkpoints()):
            with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
                stored = stored or json.loads((checkpoint / "adapter" / BASE_FILE).read_bytes())["weights_sha256"]
        return stored if isinstance(stored, str) else None

    def checkpoints(self) -> list[Path]:
        """Checkpoint folders, oldest first."""
        return sorted(filter(_is_checkpoint, self.checkpoints_path.glob("step-*")), key=_step)

    def latest_checkpoint(self, say: Callable[[str], None] = note) -> Path | None:
        """The newest checkpoint that is intact and belongs to this run, or None if there is no checkpoint.

        `say` gets a line for each newer one that is refused.

        Raises:
            UserError: there are checkpoints, and all are damaged.
        """
        refused: list[str] = []
        for path in reversed(self.checkpoints()):
            reason = damage(path) or foreign(path, self.config)
            if reason is None:
                for line in refused:
                    say(f"{line}: refused; {path.name} is the newest that is intact")
                return path
            if path.exists():  # a running process may have removed it meanwhile
                refused.append(f"checkpoint {path} is damaged: {reason}")
        if refused:
            raise UserError(f"{'; '.join(refused)}; none is intact: delete them to start again at step 0")
        return None

    def begin(self, step: int, manifest: Mapping[str, Any]) -> None:
        """Go on from `step`: forget what was recorded after it, and write the manifest.

        Later checkpoints are damaged ones. They are renamed, so that they no longer count; nothing is deleted.

        Raises:
            UserError: the data is not what the run began with, or metrics.jsonl or heldout.jsonl is damaged.
        """
        # Everything that may refuse comes first, so that a run that cannot go on is left as it was.
        _refuse_other_data(self, manifest)
        self.records.metrics(), self.records.looks()
        for path in self.checkpoints():
            if _step(path) > step:
                aside = path.with_name(f"{path.name}.damaged")
                remove(aside)
                path.rename(aside)
        self.records.rewind(step)
        if self._config_path.read_text(encoding="utf-8") != sealed(write_yaml(self.config)):
            self.keep(self.config)
        metrics = self.records.metrics()
        if missing := set(range(1, step + 1)) - {line["step"] for line in metrics}:
            path = self.records.metrics_path
            note(f"{path}: the lines of {len(missing)} steps are gone, the first of step {min(missing)}")
        self._tidy()  # after the rewind: steps that are forgotten do not count for the best
        self.write_manifest(manifest)

    def best_checkpoint(self) -> Path | None:
        """The intact checkpoint that `checkpoints/best` points to, or None."""
        try:
            path = self.checkpoints_path / json.loads(self.best_path.read_text(encoding="utf-8"))["checkpoint"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return path if path in self.checkpoints() and (damage(path) or foreign(path, self.config)) is None else None

    def adapter(self, best: bool = False) -> Path | None:
        """The PEFT folder of the newest intact checkpoint, or of the best one; None if there is no checkpoint.

        Raises:
            UserError: all checkpoints are damaged; or the best one is asked for, and it is damaged or none is known.
        """
        checkpoint = self.best_checkpoint() if best else self.latest_checkpoint()
        if best and checkpoint is None:
            if self.best_path.exists():
                reason = "the checkpoint that checkpoints/best names is missing or damaged"
            else:
                reason = f"no best checkpoint yet: it needs a whole interval of {self.config.checkpoint_every} steps"
            raise UserError(f"run {self.path}: {reason}; leave --best out to take the newest")
        return None if checkpoint is None else checkpoint / "adapter"

    def save_checkpoint(
        self, step: int, policy: Any, optimizer: torch.optim.Optimizer, state: State | None = None
    ) -> Path:
        """Adapter, optimizer and state: complete under its name, or not there at all. Keeps the newest few and the best.

        Best is the highest mean training solve rate over the steps of a whole interval; the first of equals.

        Raises:
            UserError: a weight is not finite. OSError: the disk refuses. The checkpoints before it stay in both cases.
        """
        final = self.checkpoints_path / f"step-{step:06d}"
        save_checkpoint(final, step, self.config, policy, optimizer, state or {})
        self._tidy()
        return final

    def _tidy(self) -> None:
        """Point to the best checkpoint; remove all but it and the newest few. A function of what is on disk."""
        every = self.config.checkpoint_every
        solved = {at: rate or 0.0 for at, rate in self.records.column("solve_rate").items()}
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

    def restore(self, checkpoint: Path, policy: Any, optimizer: torch.optim.Optimizer) -> tuple[int, State]:
        """Load the optimizer of a checkpoint whose adapter the policy already has; returns its step, the method's state."""
        return restore(checkpoint, policy, optimizer)

    def _refusal(self, error: OSError) -> UserError:
        where = error.filename or self.path
        return UserError(f"run folder {self.path}: {where}: {error.strerror}; mend that, or give another --out")

    def _folders(self) -> tuple[Path, ...]:
        return self.records.rollouts_path, self.verdicts_path, self.eval_path, self.checkpoints_path

    def _discard(self) -> None:
        """Take back what `_make` made."""
        for name in ("config.yaml", "manifest.json", LOOKS):
            with suppress(OSError):
                (self.path / name).unlink()
        for folder in self._folders():
            with suppress(OSError):
                folder.rmdir()


def new_folder(config: TrainConfig) -> Path:
    """`config.out`, or a folder under runs/ that does not exist yet, named after the run."""
    if config.out:
        return Path(config.out)
    stem = f"{Path(config.model).absolute().name}-{config.env.rsplit('/', 1)[-1]}-{config.algorithm}-seed{config.seed}"
    stem = stem.lower().replace(":", "-")
    for number in range(1, 10_000):
        path = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
        if not path.exists():
            return path
    raise UserError("runs/ is full; give --out")


def check_adapter(folder: str | Path) -> Path:
    """The path of a PEFT folder. Raises `UserError` if it is part of a damaged checkpoint."""
    path = Path(folder).expanduser()
    checkpoint = path.resolve().parent
    is_part = path.resolve().name == "adapter" and _is_checkpoint(checkpoint)
    if is_part and (reason := damage(checkpoint)):
        raise UserError(f"checkpoint {checkpoint} is damaged: {reason}; take another one")
    return path


def sealed(text: str) -> str:
    """The text with a last line that shows whether it was changed or cut."""
    return f"{text}{_SEAL}{sha256(text.encode()).hexdigest()}\n"


def _is_checkpoint(path: Path) -> bool:
    return re.fullmatch(r"step-(\d{6}|[1-9]\d{6,8})", path.name) is not None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _refuse_odd(path: Path, within: bool = True) -> None:
    """Raise `UserError` if a part of a run folder is a link or a pipe, or, with `within`, contains one."""
    odd = path if path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir())) else None
    if odd := odd or (odd_file(path) if within else None):
        raise UserError(f"{odd} is a link or a pipe, not a file of the run; put the file itself there")


def _read_config(path: Path) -> TrainConfig:
    _refuse_odd(path)
    content = read_yaml(path)
    text, mark, seal = path.read_text(encoding="utf-8").rpartition(_SEAL)
    is_changed = seal != f"{sha256(text.encode()).hexdigest()}\n" if mark else _LAST_BEFORE_SEALS not in content
    if is_changed:
        raise UserError(
            f"config {path} is damaged or was edited; put the old file back, and give what may change as flags beside --resume"
        )
    content.pop("unsafe_no_sandbox", None)  # it counts only where a person types it
    if unknown := sorted(set(content) - ({entry.name for entry in fields(TrainConfig)} - set(UNSTORED))):
        raise UserError(
            f"config {path}: unknown key '{unknown[0]}': another version of simko wrote it; go on with that version"
        )
    return TrainConfig(**content)


def _is_empty(path: Path) -> bool:
    """Whether a part of a run folder is no run: an empty folder, the lock, solve rates, or a file that was being written."""
    if path.is_dir() and not path.is_symlink():
        return not any(path.iterdir())
    return path.name in (LOCK, SOLVE_RATES) or (path.name.startswith(".") and path.name.endswith(SCRATCH))


def _refuse_other_data(run: RunFolder, manifest: Mapping[str, Any]) -> None:
    """Raise `UserError` if the data file is not the one that the run began with. `manifest` is of now."""
    before, now = run.manifest().get("data_sha256"), manifest.get("data_sha256")
    if before and now != before:
        raise UserError(
            f"--resume {run.path}: {data_path(run.config)} has changed since the run began; put the old file back, "
            "or start another run with --out"
        )
