"""What simko writes to disk goes through here: a file or a folder is there whole or not at all, and on the disk when it is.

Every `OSError` that leaves this module names the file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

SCRATCH = ".writing"
"""The end of a name under which something is being written; what a kill leaves of that name means nothing."""
_NEVER = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)  # a link could lead out of the folder
_locks: set[int] = set()


def write(path: Path, data: bytes) -> None:
    """Write a new file and wait until the disk has it. Raises `OSError`; then no file is left."""
    with _named(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NEVER, 0o666)
        try:
            _write_all(handle, data)
            os.fsync(handle)
        except BaseException:  # a signal's too
            with suppress(OSError):
                path.unlink()
            raise
        finally:
            os.close(handle)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never half. Raises `OSError`."""
    scratch = path.with_name(f".{path.name}{SCRATCH}")
    write(scratch, content.encode() if isinstance(content, str) else content)
    with _named(path):
        try:
            scratch.replace(path)
        except BaseException:
            with suppress(OSError):
                scratch.unlink()
            raise
    sync(path.parent)


def append(path: Path, data: bytes, durable: bool = True) -> None:
    """Add to the end of a file; `durable` waits for the disk. Raises `OSError`; then the file is as it was."""
    with _named(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NEVER, 0o666)
        try:
            before = os.fstat(handle).st_size
            try:
                _write_all(handle, data)
                if durable:
                    os.fsync(handle)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)


def replace_folder(scratch: Path, final: Path) -> None:
    """Give a finished folder its name, and remove what had that name before. Raises `OSError`."""
    sync_tree(scratch)
    old = final.with_name(f".{final.name}.old{SCRATCH}")
    remove(old)
    with _named(final):
        if final.exists():
            final.rename(old)
        scratch.rename(final)
    sync(final.parent)
    remove(old)


def remove(folder: Path) -> None:
    """Delete a folder, if there is one: first its name, so that no half of it is ever taken for the whole."""
    if not folder.name.endswith(SCRATCH) and folder.exists():
        hidden = folder.with_name(f".{folder.name}.old{SCRATCH}")
        shutil.rmtree(hidden, ignore_errors=True)
        with _named(folder):
            folder.rename(hidden)
        folder = hidden
    shutil.rmtree(folder, ignore_errors=True)


def clear_scratch(folder: Path) -> None:
    """Delete what a killed process left half written in `folder`."""
    for path in folder.glob(f".*{SCRATCH}"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that ask out of a folder; the kernel gives the lock back however the process ends.

    Raises `BlockingIOError` where another process has it. The lock is on the folder, so that it leaves no file behind; network
    file systems, which lock nothing but files open for writing, get a file `.lock`.
    """
    handle = os.open(folder, os.O_RDONLY)
    _locks.add(handle)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            _unlock(handle)
            handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | _NEVER, 0o666)
            _locks.add(handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        _unlock(handle)


def _unlock(handle: int) -> None:
    if handle in _locks:
        _locks.discard(handle)
        os.close(handle)


def _leave_locks() -> None:
    """A lock belongs to every copy of its handle: one in a child that an environment forked would outlive the run."""
    for handle in list(_locks):
        _unlock(handle)


os.register_at_fork(after_in_child=_leave_locks)


def odd_file(folder: Path) -> Path | None:
    """The first thing below `folder` that is neither a file nor a folder of its own; None where there is none.

    A link may lead out of the folder, so that what is read or written is elsewhere; a pipe is waited for without an end.
    """
    for place, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(place, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return path
    return None


def sync_tree(folder: Path) -> None:
    """Wait until the disk has every file and folder below `folder`."""
    for path in [*sorted(folder.rglob("*")), folder]:
        sync(path)


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    with _named(path):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    found = sha256()
    with path.open("rb") as source:
        while block := source.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An `OSError` inside gets the file's name, which those of `write` and `fsync` lack."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
