"""metrics.jsonl, read while another process writes it: only what was added since the last look, and never too much at once.

A resumed run writes the file anew, without the steps that it takes again (`Records.rewind`). Then everything is read again.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from simko.report.terminal.numbers import number

Line = dict[str, float | None]
"""The numbers of a step by name; `step` among them."""
_CHUNK = 4 << 20
_TAIL = 64  # bytes before the place where reading goes on: they show that the file is still the one that was read
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


@dataclass
class News:
    """What a look found.

    Attributes:
        lines: the steps that were added, oldest first.
        restarted: whether the file is another one than before, so that `lines` begin with its first.
        more: whether there is more to read at once.
    """

    lines: list[Line] = field(default_factory=list)
    restarted: bool = False
    more: bool = False


class MetricsFile:
    """A metrics.jsonl that grows.

    Attributes:
        damaged: how many lines were passed over: not what a step writes, or not later than the line before.
    """

    def __init__(self, path: Path, chunk: int = _CHUNK) -> None:
        self._path, self._chunk = path, chunk
        self._reset(None)

    def _reset(self, identity: tuple[int, int] | None) -> None:
        self._identity, self._offset, self._tail = identity, 0, b""
        self._in_long_line, self._step, self.damaged = False, 0, 0

    def look(self) -> News:
        """Read on, up to a few megabytes. A file that is not there, or cannot be read, has no lines."""
        try:
            handle = os.open(self._path, _FLAGS)
        except OSError:
            return News()
        if not stat.S_ISREG(os.fstat(handle).st_mode):  # a folder or a pipe
            os.close(handle)
            return News()
        with os.fdopen(handle, "rb", buffering=0) as file:
            about = os.fstat(file.fileno())
            identity = about.st_dev, about.st_ino
            news = News(restarted=self._identity is not None and not self._is_same(file, identity, about.st_size))
            if news.restarted or self._identity is None:
                self._reset(identity)
            file.seek(self._offset)
            data = file.read(self._chunk)
        end = data.rfind(b"\n") + 1
        if end:
            *lines, _ = data[:end].split(b"\n")
            news.lines = [line for text in lines if (line := self._line(text)) is not None]
        elif len(data) == self._chunk:  # no step writes such a line: it is passed over piece by piece
            self._in_long_line, end = True, len(data)
        self._offset += end
        self._tail = (self._tail + data[:end])[-_TAIL:]
        news.more = len(data) == self._chunk
        return news

    def _is_same(self, file: FileIO, identity: tuple[int, int], size: int) -> bool:
        """Whether the file still begins with what was read."""
        if identity != self._identity or size < self._offset:
            return False
        file.seek(self._offset - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _line(self, text: bytes) -> Line | None:
        in_long_line, self._in_long_line = self._in_long_line, False
        line = None if in_long_line else parsed(text)
        if line is None or not line["step"] or line["step"] <= self._step:
            self.damaged += 1
            return None
        self._step = int(line["step"])
        return line


def parsed(text: bytes) -> Line | None:
    """The numbers of a line; None if it is not one that a step writes. What is not finite is None."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("step"), int) or isinstance(content["step"], bool):
        return None
    line = {name: number(value) for name, value in content.items()}
    step = line["step"]
    return line if step is not None and 0 < step < 1e9 else None
