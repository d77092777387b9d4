"""Counts the file-system operations of a process beneath a folder, and at one of them kills it or refuses.

Counted: opening for writing, each write that reaches the kernel, fsync, rename, link, mkdir, unlink, rmdir, truncate, and
safetensors' own file writer (which writes from Rust: one operation). Installed in the child alone, before simko starts.
"""

from __future__ import annotations

import builtins
import errno as errors
import io
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

SPACE = ("open", "write", "mkdir", "serialize", "link", "symlink")
"""Operations that a full disk refuses."""


@dataclass
class _Plan:
    root: str
    kill_at: int
    torn: bool
    error_at: int
    error: int
    lasting: bool
    stall_at: int
    stall: float
    log: int
    count: int = 0


_real_open, _real_os = builtins.open, {name: getattr(os, name) for name in dir(os)}


def install(
    root: str, kill_at: int = 0, torn: bool = False, error_at: int = 0, error: int = errors.ENOSPC, lasting: bool = True,
    stall_at: int = 0, stall: float = 0.0, log: str = "",
) -> None:  # fmt: skip
    """Watch `root`; operations count from 1.

    Args:
        root: the folder whose operations count.
        kill_at: before this operation the process gets SIGKILL; with `torn` a write is half done first.
        torn: see `kill_at`.
        error_at: this operation raises `OSError(error)`; with `lasting` so do all later ones that take space.
        error: errno.
        lasting: see `error_at`.
        stall_at: before this operation the process waits for `stall` seconds.
        stall: seconds.
        log: a file that gets a line for each operation.
    """
    fd = _real_os["open"](log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if log else -1
    plan = _Plan(os.path.realpath(root), kill_at, torn, error_at, error, lasting, stall_at, stall, fd)
    for name in ("replace", "rename", "link", "symlink"):
        setattr(os, name, _two_paths(plan, name))
    for name in ("mkdir", "unlink", "remove", "rmdir", "truncate"):
        setattr(os, name, _one_path(plan, name))
    for name in ("fsync", "fdatasync", "ftruncate"):
        setattr(os, name, _of_descriptor(plan, name))
    os.open, os.write = _os_open(plan), _os_write(plan)  # type: ignore[assignment]
    builtins.open = io.open = _open(plan)  # type: ignore[assignment]
    shutil._USE_CP_SENDFILE = False  # type: ignore[attr-defined]
    _wrap_safetensors(plan)


def _point(plan: _Plan, kind: str, path: str, half: Callable[[], Any] | None = None) -> None:
    path = os.path.abspath(path)
    if path != plan.root and not path.startswith(plan.root + "/"):
        return
    plan.count += 1
    if plan.log >= 0:
        _real_os["write"](plan.log, f"{kind} {path[len(plan.root) :]}\n".encode())
    if plan.count == plan.kill_at:
        if plan.torn and half is not None:
            half()
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    if plan.count == plan.stall_at:
        time.sleep(plan.stall)
    if plan.error_at and (
        plan.count == plan.error_at or (plan.lasting and plan.count > plan.error_at and kind in SPACE)
    ):
        if half is not None:
            half()
        _refuse(plan, path)


def _refuse(plan: _Plan, path: str) -> NoReturn:
    raise OSError(plan.error, os.strerror(plan.error), path)


def _name(path: Any, dir_fd: int | None = None) -> str:
    if isinstance(path, int):
        return os.readlink(f"/proc/self/fd/{path}")
    text = os.fsdecode(path)
    return text if dir_fd is None else os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), text)


def _one_path(plan: _Plan, name: str) -> Callable[..., Any]:
    real = _real_os[name]

    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        _point(plan, "unlink" if name == "remove" else name, _name(path, kwargs.get("dir_fd")))
        return real(path, *args, **kwargs)

    return call


def _two_paths(plan: _Plan, name: str) -> Callable[..., Any]:
    real = _real_os[name]

    def call(source: Any, to: Any, *args: Any, **kwargs: Any) -> Any:
        _point(plan, "rename" if name == "replace" else name, _name(to, kwargs.get("dst_dir_fd")))
        return real(source, to, *args, **kwargs)

    return call


def _of_descriptor(plan: _Plan, name: str) -> Callable[..., Any]:
    real = _real_os[name]

    def call(fd: Any, *args: Any) -> Any:
        _point(plan, name, _name(fd if isinstance(fd, int) else fd.fileno()))
        return real(fd, *args)

    return call


def _os_open(plan: _Plan) -> Callable[..., Any]:
    def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> Any:
        if flags & (os.O_WRONLY | os.O_RDWR):
            _point(plan, "open", _name(path, kwargs.get("dir_fd")))
        return _real_os["open"](path, flags, *args, **kwargs)

    return call


def _os_write(plan: _Plan) -> Callable[..., Any]:
    def call(fd: int, data: Any) -> Any:
        name = _name(fd)
        _point(plan, "write", name, lambda: _real_os["write"](fd, bytes(data)[: len(data) // 2]))
        return _real_os["write"](fd, data)

    return call


def _open(plan: _Plan) -> Callable[..., Any]:
    class Raw(io.FileIO):
        def write(self, data: Any) -> Any:
            content = bytes(data)
            _point(plan, "write", _name(self.fileno()), lambda: io.FileIO.write(self, content[: len(content) // 2]))
            return super().write(content)

    def call(
        file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None, errors: str | None = None,
        newline: str | None = None, closefd: bool = True, opener: Any = None,
    ) -> Any:  # fmt: skip
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        _point(plan, "open", _name(file))
        raw = Raw(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        buffered: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)

    return call


def _wrap_safetensors(plan: _Plan) -> None:
    import safetensors.torch as module
    from safetensors import SafetensorError

    real = module.serialize_file

    def call(tensors: Any, filename: Any, *args: Any, **kwargs: Any) -> Any:
        def half() -> None:
            real(tensors, filename, *args, **kwargs)
            content = Path(filename).read_bytes()
            with _real_open(filename, "wb") as out:
                out.write(content[: len(content) // 2])

        try:
            _point(plan, "serialize", _name(filename), half)
        except OSError as error:  # as the Rust code says it
            raise SafetensorError(
                f"Error while serializing: I/O error: {error.strerror} (os error {error.errno})"
            ) from error
        return real(tensors, filename, *args, **kwargs)

    module.serialize_file = call
