"""`simko env play` with a person at a real pseudo-terminal."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from timing import HANGS

from simko.cli import run

pty = pytest.importorskip("pty")
ROOT = Path(__file__).resolve().parents[2]
PROMPT = "\n> "


class Player:
    """A person who types lines and reads the screen."""

    def __init__(self, *arguments: str) -> None:
        self.screen = ""
        command = [sys.executable, "-W", "error", str(ROOT / "cli.py"), "env", "play", *arguments]
        self.terminal, theirs = pty.openpty()
        self.program = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "dumb"}
        )
        os.close(theirs)

    def hears(self, mark: str = PROMPT, seconds: float = HANGS) -> str:
        """What appears until the mark does, or until the program ends."""
        heard, until = b"", time.monotonic() + seconds
        while time.monotonic() < until:
            if not select.select([self.terminal], [], [], 0.1)[0]:
                continue
            try:
                part = os.read(self.terminal, 4096)
            except OSError:  # Linux: the other side is closed
                break
            heard += part.replace(b"\r", b"")
            if not part or mark.encode() in heard:
                break
        text = heard.decode(errors="replace")
        self.screen += text
        return text

    def types(self, text: str, then: str = PROMPT) -> str:
        """A line and Enter; returns what appears before the next prompt, the line itself left out."""
        os.write(self.terminal, (text if text == "\x04" else text + "\n").encode())
        return self.hears(then).removeprefix(text).strip().removesuffix(PROMPT.strip()).strip()

    def leaves(self) -> str:
        """Ctrl-D; returns the last words."""
        return self.types("\x04", then="\0")


@pytest.fixture
def players() -> Iterator[list[Player]]:
    made: list[Player] = []
    yield made
    for player in made:
        os.close(player.terminal)
        assert player.program.wait(timeout=HANGS) == 0, player.screen


def gold(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["env", "show", *arguments, "--json"]) == 0
    return str(json.loads(capsys.readouterr().out)["gold"])


def test_a_tool(players: list[Player], capsys: pytest.CaptureFixture[str]) -> None:
    right = gold(capsys, "simko/Calculator-v0", "--level", "1")
    players.append(player := Player("simko/Calculator-v0", "--level", "1"))
    opening = player.hears()
    assert "It may answer back" in opening
    a, b = re.findall(r"What is (\d+) \* (\d+)\?", opening)[0]
    assert player.types(f"<calc>{a}*{b}</calc>") == right
    assert player.types("<calc>x</calc>") == "Error: write numbers, + - * / and parentheses"
    assert player.types(right).startswith(f"correct, reward 1, read as '{right}'; gold: {right}")
    assert player.leaves().endswith("solved 1 of 1")


def test_two_turns_and_another_try(players: list[Player], capsys: pytest.CaptureFixture[str]) -> None:
    right = gold(capsys, "simko/GuessNumber-v0")
    players.append(player := Player("simko/GuessNumber-v0"))
    player.hears()
    assert player.types("0") == "Not 0. My number is higher. Guess once more."
    assert player.types(right).startswith("correct, reward 1")
    players.append(player := Player("simko/Arithmetic-v0", "--attempts", "2"))
    player.hears()
    assert player.types("-1") == "Incorrect. Try again."
    assert player.types("-2").startswith("incorrect, reward 0, read as '-2'; gold: ")
    assert player.leaves().endswith("solved 0 of 1")
    assert players[0].leaves().endswith("solved 1 of 1")
