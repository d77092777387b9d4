"""What the steps share: the checkout, a folder to work in, the files that were built, and virtual environments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


class FailedError(Exception):
    """A step failed; the text says why."""


class SkippedError(Exception):
    """A step cannot be tried here; the text says why."""


@dataclass
class Work:
    """A release at work: `folder` takes all that is built, `pythons` are interpreters beside those that are found."""

    folder: Path
    pythons: Sequence[str] = ()
    root: Path = ROOT
    built: list[Path] = field(default_factory=list)
    """The sdist and the wheel, once they are built."""

    @property
    def wheel(self) -> Path:
        """The wheel. Raises `SkippedError` where none was built."""
        return self._of(".whl")

    @property
    def sdist(self) -> Path:
        """The source distribution. Raises `SkippedError` where none was built."""
        return self._of(".tar.gz")

    def _of(self, suffix: str) -> Path:
        for path in self.built or sorted((self.folder / "dist").glob("*")):
            if path.name.endswith(suffix):
                return path
        raise SkippedError("nothing was built; run the step build first")

    def text(self, name: str) -> str:
        """A file of the checkout."""
        return (self.root / name).read_text(encoding="utf-8")

    def project(self) -> dict[str, Any]:
        """The table `project` of pyproject.toml."""
        return dict(tomllib.loads(self.text("pyproject.toml"))["project"])

    def run(self, command: Sequence[str | Path], cwd: Path | None = None, **variables: str) -> str:
        """What a command prints. Raises `FailedError` with its last line where it fails."""
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [str(word) for word in command], cwd=cwd or self.root, capture_output=True, text=True, errors="replace",
            env={**inherited, "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUTF8": "1", **variables},
        )  # fmt: skip
        if done.returncode:
            lines = [line for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
            told = (
                [line for line in lines if re.search(r"error|failed", line, re.IGNORECASE)]
                or lines
                or ["nothing printed"]
            )
            raise FailedError(
                f"`{' '.join(str(word) for word in command)[:80]}` ends with {done.returncode}: {told[-1][:300]}"
            )
        return done.stdout

    def venv(self, name: str, python: str = sys.executable) -> Path:
        """The interpreter of a new virtual environment, which sees nothing of this one."""
        folder = self.folder / f"venv-{name}"
        self.run([python, "-m", "venv", "--clear", folder])
        return folder / ("Scripts" if os.name == "nt" else "bin") / "python"
