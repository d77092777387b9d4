"""One metric of every recorded step, read as metrics.jsonl grows: a run of thousands of steps asks for it again and again."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Column:
    """One metric of metrics.jsonl, as far as the file was read. A rewound file is another one, and is read from its start."""

    name: str
    file: tuple[int, int] | None = None  # device and inode
    offset: int = 0
    values: dict[int, Any] = field(default_factory=dict)

    def look(self, path: Path) -> dict[int, Any]:
        """Read on; return step and value of all lines so far. Raises `ValueError` at a line that is none."""
        if not path.exists():
            self.file, self.offset, self.values = None, 0, {}
            return self.values
        with path.open("rb") as lines:
            about = os.fstat(lines.fileno())
            if self.file != (about.st_dev, about.st_ino) or about.st_size < self.offset:
                self.file, self.offset, self.values = (about.st_dev, about.st_ino), 0, {}
            lines.seek(self.offset)
            for line in lines:
                if not line.endswith(b"\n"):  # cut short by a kill, or being written
                    break
                content = json.loads(line)
                if not is_metrics(content):
                    raise ValueError("no step")
                self.values[content["step"]] = content.get(self.name)
                self.offset += len(line)
        return self.values


def is_metrics(line: Any) -> bool:
    """Whether a line holds what `add` writes: a step, and numbers by name."""
    numbers = isinstance(line, dict) and all(v is None or isinstance(v, int | float) for v in line.values())
    return numbers and isinstance(line.get("step"), int) and line["step"] > 0
