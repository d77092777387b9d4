"""The fingerprint of a base model: a hash of its safetensors, saved beside the adapter that was trained on it.

An adapter fits every model of the same shape, and is noise on all of them but one. The hash covers each tensor's name, dtype,
shape and a few kilobytes of its data. So it costs milliseconds, and differs between a model and its fine-tunes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from simko.console import note_once
from simko.errors import UserError
from simko.files import digest, write

BASE_FILE, ADAPTER_FILE = "simko_base.json", "adapter_model.safetensors"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SAMPLE = 4096  # bytes that are hashed at the head, the middle and the tail of each tensor


def of_model(location: str) -> str | None:
    """Return the fingerprint of a folder, or of a Hub id in the cache; None if no safetensors have the usual names."""
    fingerprint = sha256()
    entries: list[tuple[str, str, Path, int, int]] = []
    for path in _weight_files(location):
        entries += _tensors(path)
    for name, about, path, start, stop in sorted(entries):  # sorted: sharding does not change it
        fingerprint.update(f"{name} {about}\n".encode())
        with path.open("rb") as source:
            for part in _samples(source, start, stop):
                fingerprint.update(part)
    return fingerprint.hexdigest() if entries else None


def record(folder: str | os.PathLike[str], base: str, fingerprint: str | None) -> None:
    """Write beside an adapter the fingerprint of the model called `base`, and a hash of the adapter.

    If `fingerprint` is None, nothing is written.
    """
    if fingerprint is not None:
        content = {"base_model": base, "weights_sha256": fingerprint}
        if (Path(folder) / ADAPTER_FILE).is_file():
            content["adapter_sha256"] = digest(Path(folder) / ADAPTER_FILE)
        write(Path(folder) / BASE_FILE, (json.dumps(content, indent=2) + "\n").encode())


def check(folder: str | os.PathLike[str], name: str, fingerprint: str | None) -> None:
    """Raise `UserError` if the adapter in `folder` was trained on other weights than those of the model `name`.

    It is raised, too, if the adapter is not the one that was saved there. Without a record nothing is checked.
    """
    path = Path(folder) / BASE_FILE
    if fingerprint is None or not path.is_file():
        return
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        base, weights, adapter = str(stored["base_model"]), str(stored["weights_sha256"]), stored.get("adapter_sha256")
        file = Path(folder) / ADAPTER_FILE
        changed = adapter is not None and file.is_file() and digest(file) != adapter
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it to load the adapter unchecked") from error
    if changed:
        raise UserError(
            f"adapter '{folder}': {ADAPTER_FILE} is not what was saved: damaged or swapped; put the old one back, or delete "
            f"{path} to load it all the same"
        )
    if weights != fingerprint:
        other = f"on '{base}'" if base != name else "on an earlier state of it"
        raise UserError(
            f"adapter '{folder}' was not trained on the weights of '{name}' but {other}; give the model that it was trained "
            f"on, or delete {path} to load it all the same"
        )


def note_other_name(folder: str | os.PathLike[str], base: str | None, name: str, fingerprint: str | None) -> None:
    """Say once that an adapter's configuration names another base than `name`, where no fingerprint was compared.

    An adapter that fits by shape may still belong to another model: a path of another machine tells nothing. If the base that
    it names is here, in a folder or in the cache, its weights are compared, and nothing is said if they are the same.
    """
    if base == name or (fingerprint is not None and (Path(folder) / BASE_FILE).is_file()):
        return
    try:
        theirs = None if base is None else of_model(os.path.expanduser(base))
    except (OSError, ValueError, KeyError, TypeError):  # no name of the Hub; or a damaged model that nobody asked for
        theirs = None
    if theirs is not None and theirs == fingerprint:
        return
    if base is None:
        what = "does not say which model it was trained on"
    elif theirs is None or fingerprint is None:
        what = f"was trained on '{base}', which is not here to compare"
    else:
        what = f"was trained on '{base}', whose weights are others or are stored in another dtype"
    note_once(f"adapter '{folder}' {what}; its shapes fit '{name}', on which it is loaded")


def _weight_files(location: str) -> list[Path]:
    """List the safetensors of a model by name; the list is empty if one is missing."""
    whole, index = _local(location, _WEIGHTS), _local(location, _INDEX)
    if whole is not None:
        return [whole]
    if index is None:
        return []
    names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    parts = [_local(location, str(name)) for name in names]
    return [part for part in parts if part is not None] if None not in parts else []


def _local(location: str, file: str) -> Path | None:
    folder = Path(location)
    if folder.is_dir():
        return folder / file if (folder / file).is_file() else None
    import huggingface_hub

    path: Any = huggingface_hub.try_to_load_from_cache(location, file)
    return Path(path) if isinstance(path, str) else None


def _tensors(path: Path) -> Iterator[tuple[str, str, Path, int, int]]:
    """Read name, dtype with shape, file, first byte and end of each tensor from a safetensors header."""
    with path.open("rb") as source:
        length = int.from_bytes(source.read(8), "little")
        header: dict[str, Any] = json.loads(source.read(min(length, path.stat().st_size)))
    for name, about in header.items():
        if name != "__metadata__":
            start, stop = about["data_offsets"]
            yield name, f"{about['dtype']} {about['shape']}", path, 8 + length + start, 8 + length + stop


def _samples(source: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    for at in (start, max(start, (start + stop - _SAMPLE) // 2), max(start, stop - _SAMPLE)):
        source.seek(at)
        yield source.read(min(_SAMPLE, stop - at))
