"""Writing to disk: a file or a folder is there whole or not at all, and it has reached the disk when a call returns.

Covered: run folders, checkpoints, adapters, exports, converted GGUF files, results of an evaluation, what `env new` writes.
Not covered: `verify rescore --out FILE`, which may be a pipe or a device.

Every `OSError` that leaves this module names the file.
"""

from __future__ import annotations

import glob
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from simko.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SCRATCH = ".writing"
"""The end of a name under which something is being written. A kill may leave such a name; it means nothing."""
LOCK = ".lock"
_LOCK_IS_NEW = 2.0  # seconds
_SPARE_BYTES = 64 * 2**20  # tokenizer, configuration, file system
# A link could lead out of the folder. O_BINARY: without it Windows writes line feeds as two bytes.
_SAFE = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_BINARY"))
_ON_WINDOWS = os.name == "nt"


def write(path: Path, data: bytes) -> None:
    """Write a new file and wait until the disk has it. Raises `OSError`; then no file is left."""
    with _named(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFE, 0o666)
        try:
            _write_all(handle, data)
            os.fsync(handle)
        except BaseException:  # a signal may raise here too
            with suppress(OSError):
                path.unlink()
            raise
        finally:
            os.close(handle)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file. A reader, or a crash, sees the old content or the new, never half. Raises `OSError`."""
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


@contextmanager
def whole_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Yield a function that adds bytes to a new file, which takes the name `path` at the end. On an error nothing is left.

    For content that is too long to hold. Several processes may write the same name at once: the last one wins. Raises `OSError`.
    """
    for old in path.parent.glob(f".{glob.escape(path.name)}.*{SCRATCH}"):
        number = old.name.removesuffix(SCRATCH).rpartition(".")[2]
        if number.isdigit() and not psutil.pid_exists(int(number)):  # a killed process left it
            with suppress(OSError):
                old.unlink()
    scratch = path.with_name(f".{path.name}.{os.getpid()}{SCRATCH}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFE, 0o666)

    def add(data: bytes) -> None:
        with _named(path):
            _write_all(handle, data)

    try:
        try:
            yield add
            with _named(path):
                os.fsync(handle)
        finally:
            os.close(handle)
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise
    sync(path.parent)


def append(path: Path, data: bytes, durable: bool = True) -> None:
    """Add to the end of a file; `durable` waits for the disk. Raises `OSError`; then the file is as it was."""
    with _named(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _SAFE, 0o666)
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


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """Yield an empty scratch folder, which becomes `final` at the end. On an error nothing of it is left.

    The parent of `final` must exist. A folder that has the name `final` already is replaced. Raises `OSError`.
    """
    scratch = final.with_name(f".{final.name}{SCRATCH}")
    remove(scratch)
    try:
        scratch.mkdir()
        yield scratch
        replace_folder(scratch, final)
    except BaseException:
        remove(scratch)
        raise


def replace_folder(scratch: Path, final: Path) -> None:
    """Give a finished folder its name, and remove the folder that had the name before. Raises `OSError`."""
    sync_tree(scratch)  # the content first: a power cut must not leave the name on an empty folder
    old = final.with_name(f".{final.name}.old{SCRATCH}")
    remove(old)
    with _named(final):
        if final.exists():
            final.rename(old)
        scratch.rename(final)
    sync(final.parent)
    remove(old)


def remove(folder: Path) -> None:
    """Delete a folder if it exists. It loses its name first, so that no half of it is ever taken for the whole."""
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
    """Keep other processes that ask out of a folder.

    The lock is on the file `.lock` in the folder, which is deleted at the end. The kernel gives the lock back however the
    process ends; then an empty `.lock` may stay, which locks nothing.

    Raises:
        BlockingIOError: another process has the folder.
        OSError: the file cannot be made, or the file system has no locks.
    """
    path = folder / LOCK
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(f"{folder} is locked by another process") from error
    try:
        yield
    finally:
        # Before the release: afterwards the file may be another process's lock. Windows deletes no open file.
        with suppress(OSError):
            path.unlink()
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process has a folder by `locked`. The question takes the lock from nobody, and changes nothing.

    A lock file of the last seconds counts as held: its maker may be about to lock it, and asking would be in its way. Without
    `flock`, as on Windows, the file itself counts.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _SAFE  # O_NONBLOCK: a pipe in its place must not stop us
    try:
        handle = os.open(folder / LOCK, flags)
    except OSError:
        return False
    try:
        is_new = time.time() - os.fstat(handle).st_mtime < _LOCK_IS_NEW
        if fcntl is None or is_new:
            return True
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)  # gives a shared lock back


def check_space(folder: Path, size: int, what: str, mend: str) -> str:
    """What `size` bytes of weights, and the small files beside them, take of the disk of `folder`, in words.

    Raises:
        UserError: the disk has less. The line is "`what` takes ...; `mend`".
    """
    needed, free = size + _SPARE_BYTES, shutil.disk_usage(folder).free
    cost = f"{needed / 1e9:.2f} GB of disk, {free / 1e9:.2f} GB are free"
    if needed > free:
        raise UserError(f"{what} takes {cost}; {mend}")
    return cost


def odd_file(folder: Path) -> Path | None:
    """The first thing below `folder` that is neither a plain file nor a folder, or None.

    A link may lead out of the folder, to files that are not ours. Reading a pipe may wait without an end.
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
    """Wait until the disk has a file, or the names in a folder. Windows can wait for files only."""
    if _ON_WINDOWS and path.is_dir():
        return
    with _named(path):
        handle = os.open(path, os.O_RDWR if _ON_WINDOWS else os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as source:
        return file_digest(source, "sha256").hexdigest()


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in an `OSError` that is raised inside: those of `write` and `fsync` have no name."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
