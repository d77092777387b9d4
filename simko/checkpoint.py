"""The run folder: what a run writes, and how it comes back. JSON, YAML and safetensors only.

config.yaml      the resolved configuration        metrics.jsonl   one object a step
manifest.json    versions, machine, data hashes    rollouts/       every completion, one .jsonl.gz a step
checkpoints/     step-000025/ ...                  eval/           pass@K results and plots
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from simko.config import TrainConfig, read_yaml, write_yaml
from simko.errors import UserError
from simko.types import Group, Policy

_SUMS = "SHA256SUMS"


def problem_key(text: str) -> str:
    """A hash of a problem's text without case and white space: equal for what a reader would call the same problem."""
    return blake2b("".join(text.split()).casefold().encode(), digest_size=16).hexdigest()


class RunFolder:
    """A run on disk: `open` reads one; inside `opened` it is this process's to write."""

    def __init__(self, path: Path, config: TrainConfig) -> None:
        self.path, self.config = path, config
        self.metrics_path, self.rollouts_path = path / "metrics.jsonl", path / "rollouts"
        self.checkpoints_path, self.eval_path = path / "checkpoints", path / "eval"

    def refuse_used(self) -> RunFolder:
        """The same; raises `UserError` where something is there already: run folders are never reused."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
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
        return cls(Path(path), TrainConfig(**read_yaml(Path(path) / "config.yaml")))

    @staticmethod
    def is_run(path: str | Path) -> bool:
        """Whether `path` is a run folder."""
        return (Path(path) / "config.yaml").is_file() and (Path(path) / "checkpoints").is_dir()

    @contextmanager
    def opened(self, config: TrainConfig, step: int) -> Iterator[None]:
        """Make the folders, keep other processes out, and forget what was recorded after `step`.

        Raises:
            UserError: the folder cannot be written, or another process holds it.
        """
        try:
            for folder in (self.rollouts_path, self.checkpoints_path, self.eval_path):
                folder.mkdir(parents=True, exist_ok=True)
            handle = (self.path / ".lock").open("w")
        except OSError as error:
            raise UserError(f"run folder {self.path}: {error.strerror}; give another --out") from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel gives it back however the process ends
            except OSError as error:
                raise UserError(
                    f"run folder {self.path} is in use by another process; wait for it or stop it"
                ) from error
            self.config = config
            write_atomically(self.path / "config.yaml", write_yaml(config))
            self._rewind(step)
            yield

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Merge `content` into manifest.json."""
        path = self.path / "manifest.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_atomically(path, json.dumps({**before, **content}, indent=2, sort_keys=True) + "\n")

    def record(self, step: int, groups: Sequence[Group], metrics: Mapping[str, Any]) -> None:
        """One step: every completion to rollouts/, then its metrics as one line."""
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in _rollout_rows(step, groups))
        packed = gzip.compress("".join(lines).encode(), compresslevel=6, mtime=0)
        write_atomically(self.rollouts_path / f"{step:06d}.jsonl.gz", packed)
        with self.metrics_path.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"step": step, **metrics}) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, oldest first; a last line cut short by a kill is left out."""
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def rollouts(self, step: int) -> list[dict[str, Any]]:
        """Every completion of a step."""
        with gzip.open(self.rollouts_path / f"{step:06d}.jsonl.gz", "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def recorded_steps(self) -> list[int]:
        """Steps that have rollouts, in order."""
        return sorted(int(path.name.split(".")[0]) for path in self.rollouts_path.glob("[0-9]*.jsonl.gz"))

    def training_problems(self) -> set[str]:
        """`problem_key` of every problem the run trained on."""
        return {problem_key(row["problem"]) for step in self.recorded_steps() for row in self.rollouts(step)}

    def _rewind(self, step: int) -> None:
        kept = [json.dumps(line) + "\n" for line in self.metrics() if line["step"] <= step]
        write_atomically(self.metrics_path, "".join(kept))
        for later in self.recorded_steps():
            if later > step:
                (self.rollouts_path / f"{later:06d}.jsonl.gz").unlink()

    def checkpoints(self) -> list[Path]:
        """Checkpoint folders, oldest first."""
        return sorted(path for path in self.checkpoints_path.glob("step-*") if re.fullmatch(r"step-\d{6}", path.name))

    def latest_checkpoint(self) -> Path | None:
        """The newest checkpoint, or None.

        Raises:
            UserError: its files are not those that were saved.
        """
        paths = self.checkpoints()
        if not paths:
            return None
        verify_sums(paths[-1])
        return paths[-1]

    def adapter(self) -> Path | None:
        """The PEFT folder of the newest checkpoint."""
        latest = self.latest_checkpoint()
        return None if latest is None else latest / "adapter"

    def save_checkpoint(self, step: int, policy: Any, optimizer: torch.optim.Optimizer) -> Path:
        """Adapter, optimizer and step: complete under its name, or not there at all. Keeps the newest few."""
        final = self.checkpoints_path / f"step-{step:06d}"
        scratch = self.checkpoints_path / f".writing-{step:06d}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        policy.save(scratch / "adapter")
        save_file(_optimizer_tensors(policy, optimizer), scratch / "optimizer.safetensors")
        (scratch / "state.json").write_text(json.dumps({"step": step}) + "\n")
        files = sorted(path for path in scratch.rglob("*") if path.is_file())
        sums = "".join(f"{_digest(path)}  {path.relative_to(scratch)}\n" for path in files)
        (scratch / _SUMS).write_text(sums)
        for path in [*files, scratch / _SUMS]:
            _sync(path)
        shutil.rmtree(final, ignore_errors=True)
        scratch.rename(final)
        _sync(self.checkpoints_path)
        for old in self.checkpoints()[: -self.config.keep_checkpoints]:
            shutil.rmtree(old)
        return final

    def restore_optimizer(self, checkpoint: Path, policy: Any, optimizer: torch.optim.Optimizer) -> int:
        """Load the optimizer of a checkpoint whose adapter the policy already has; returns its step."""
        try:
            tensors = load_file(checkpoint / "optimizer.safetensors")
        except (SafetensorError, OSError) as error:
            raise UserError(f"checkpoint {checkpoint}: optimizer.safetensors is not readable ({error})") from error
        for name, parameter in policy.trainable_parameters():
            own = {
                key: tensors[f"{name}:{key}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{name}:{key}" in tensors
            }
            if own:
                optimizer.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device) for key, value in own.items()
                }
        return int(json.loads((checkpoint / "state.json").read_text())["step"])


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


def verify_sums(checkpoint: Path) -> None:
    """Raise `UserError` where a checkpoint's files differ from its SHA256SUMS."""
    try:
        lines = (checkpoint / _SUMS).read_text().splitlines()
        expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise UserError(
            f"checkpoint {checkpoint} is damaged: no readable {_SUMS}; delete it to use an older one"
        ) from error
    present = {str(path.relative_to(checkpoint)) for path in checkpoint.rglob("*") if path.is_file()} - {_SUMS}
    for name in sorted(set(expected) | present):
        if name not in expected or name not in present or _digest(checkpoint / name) != expected[name]:
            raise UserError(
                f"checkpoint {checkpoint} is damaged: {name} is not what was saved; delete it to use an older one"
            )


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never half."""
    data = content.encode() if isinstance(content, str) else content
    scratch = path.with_name(f".{path.name}.writing")
    with scratch.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    scratch.replace(path)


def _rollout_rows(step: int, groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    for group in groups:
        task = group.task
        for sample, c in enumerate(group.completions):
            yield {
                "step": step,
                "task": task.id,
                "level": task.level,
                "problem": task.problem,
                "gold": task.gold,
                "sample": sample,
                "text": c.text,
                "finish": c.finish,
                "outcome": c.verdict.outcome,
                "reward": c.verdict.reward,
                "extracted": c.verdict.extracted,
                "seconds": round(c.verdict.seconds, 6),
                "ids": c.ids.tolist(),
                "sampled": None if c.sampled.all() else c.sampled.astype(int).tolist(),
                "logprobs": [round(float(x), 5) for x in c.logprobs],
            }


def _optimizer_tensors(policy: Policy, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{name}:{key}": value.detach().cpu().contiguous()
        for name, parameter in policy.trainable_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
