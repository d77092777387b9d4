"""The guide for authors does what it says: its blocks are run in order, and print what stands below them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "tutorials" / "environment.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; `expected` is the `text` block that follows it, if one does."""

    line: int
    kind: str
    code: str
    expected: str | None

    @property
    def file(self) -> str | None:
        """The file that the block is, where its first line names one."""
        named = re.match(r"# (\w+\.py)\n", self.code)
        return named[1] if named else None


def blocks(text: str) -> list[Block]:
    matches = list(FENCE.finditer(text))
    made = []
    for n, match in enumerate(matches):
        after = matches[n + 1] if n + 1 < len(matches) else None
        follows = after is not None and after[1] == "text" and not text[match.end() : after.start()].strip()
        expected = after[2] if after is not None and follows else None
        made.append(Block(text[: match.start()].count("\n") + 1, match[1], match[2], expected))
    return made


BLOCKS = blocks(GUIDE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file of the guide, and a `simko` command on the PATH."""
    folder = tmp_path_factory.mktemp("guide")
    for block in BLOCKS:
        if block.file:
            (folder / block.file).write_text(block.code)
    (folder / "bin").mkdir()
    for command, module in (("simko", "simko"), ("pytest", "pytest")):
        script = folder / "bin" / command
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        script.chmod(0o755)
    return folder


@pytest.mark.parametrize("block", BLOCKS, ids=[f"line-{b.line}-{b.kind}" for b in BLOCKS])
def test_block(block: Block, place: Path) -> None:
    runners = {"python": [sys.executable, "-W", "error", "-c"], "bash": ["bash", "-e", "-o", "pipefail", "-c"]}
    if block.kind not in runners:
        assert block.kind in ("text", "sh"), "python, bash (both run), text (what is printed) or sh (not run)"
        return
    path = os.pathsep.join([str(place / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        [*runners[block.kind], block.code],
        cwd=place,
        env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join([str(place), str(ROOT)])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if block.expected is not None:
        assert done.stdout == block.expected
    elif block.kind == "python":
        assert done.stdout == "", "what a block prints stands below it"


def test_the_guide_is_read() -> None:
    kinds = [block.kind for block in BLOCKS]
    assert kinds.count("python") >= 12
    assert kinds.count("bash") >= 6
    assert sum(block.expected is not None for block in BLOCKS) == kinds.count("text")
    assert sum(block.file is not None for block in BLOCKS) >= 6
    assert max(map(len, GUIDE.read_text(encoding="utf-8").splitlines())) <= 130
