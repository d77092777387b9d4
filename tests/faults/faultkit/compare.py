"""What two runs must have in common: all of it but wall-clock times."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

TIMES = ("seconds", "started", "ended", "finished", "time")
TIMELESS = (".lock",)


def content(run: Path, ignore: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every file of a run folder by its relative name: its bytes, or for JSON its values without times.

    Names that begin with one of `ignore` are left out.
    """
    names = {str(path.relative_to(run)): path for path in sorted(run.rglob("*")) if path.is_file()}
    return {
        name: _of(path) for name, path in names.items() if path.name not in TIMELESS and not name.startswith(ignore)
    }


def difference(run: Path, reference: Path, ignore: tuple[str, ...] = ()) -> str | None:
    """The first thing in which a run differs from the reference, or None."""
    mine, theirs = content(run, ignore), content(reference, ignore)
    for name in sorted(set(mine) | set(theirs)):
        if name not in mine:
            return f"{name} is missing"
        if name not in theirs:
            return f"{name} is there, and is not in the reference"
        if mine[name] != theirs[name]:
            return f"{name} differs: {_where(mine[name], theirs[name])}"
    return None


def end_difference(run: Path, reference: Path) -> str | None:
    """As `difference`, but compare only the newest checkpoint: a run that was stopped has kept others."""
    if (what := difference(run, reference, ("checkpoints", "config.yaml"))) is not None:
        return what
    mine, theirs = weights(run), weights(reference)
    names = [name for name in sorted(set(mine) | set(theirs)) if mine.get(name) != theirs.get(name)]
    return f"the newest checkpoint differs in {names}" if names else None


def weights(run: Path) -> dict[str, bytes]:
    """The newest checkpoint's files."""
    newest = sorted((run / "checkpoints").glob("step-[0-9]*[0-9]"))[-1]
    return {str(p.relative_to(newest)): p.read_bytes() for p in sorted(newest.rglob("*")) if p.is_file()}


def not_finite(run: Path) -> str | None:
    """The first file of a run that holds a NaN or an infinity, or None."""
    import torch
    from safetensors.torch import load_file

    def refuse(word: str) -> None:
        raise ValueError(word)

    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = str(path.relative_to(run))
        if path.suffix == ".safetensors":
            if not all(torch.isfinite(tensor).all() for tensor in load_file(path).values()):
                return f"{name} holds weights that are not finite"
        elif path.name.endswith((".json", ".jsonl", ".jsonl.gz")):
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            whole = [data.decode()] if path.suffix == ".json" else data.decode().splitlines()
            try:
                for line in whole:
                    json.loads(line.split("\t")[0], parse_constant=refuse)
            except ValueError as error:
                return f"{name} holds what JSON has not: {error}"
    return None


def _of(path: Path) -> Any:
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        data = gzip.decompress(data)
    if path.name.endswith((".jsonl", ".jsonl.gz")) and path.parent.name != "verdicts":
        return [_timeless(json.loads(line)) for line in data.decode().splitlines()]
    if path.suffix == ".json" and "adapter" not in path.parts:
        return _timeless(json.loads(data))
    if path.name == "SHA256SUMS":  # of state.json, where it holds a time
        return sorted(line for line in data.decode().splitlines())
    return data


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if not k.startswith(TIMES)}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def _where(mine: Any, theirs: Any) -> str:
    if isinstance(mine, list) and isinstance(theirs, list):
        if len(mine) != len(theirs):
            return f"{len(mine)} lines, the reference has {len(theirs)}"
        line = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
        return f"line {line + 1}: {_where(mine[line], theirs[line])}"
    if isinstance(mine, dict) and isinstance(theirs, dict):
        key = next(k for k in sorted(set(mine) | set(theirs)) if mine.get(k) != theirs.get(k))
        return f"{key} is {str(mine.get(key))[:80]}, the reference has {str(theirs.get(key))[:80]}"
    return f"{len(mine)} bytes, the reference has {len(theirs)}"
