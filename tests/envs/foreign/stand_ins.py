"""What the tests of foreign worlds stand on: an interpreter that finds the stand-in packages, and a server of OpenEnv."""

from __future__ import annotations

import json
import random
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).parent / "packages"


def has(python: str, package: str) -> bool:
    """Whether an interpreter that was named has a package."""
    if not python:
        return False
    path = Path(python)
    program = str(path / "bin" / "python" if path.is_dir() else path)
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([program, "-P", "-c", code], check=False).returncode == 0


def interpreter(folder: Path) -> str:
    """A program like this interpreter that finds the stand-in packages before any other."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{PACKAGES}" exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


class Guessing:
    """A game on the server: guess a number out of three. Options of a reset make it misbehave."""

    def __init__(self) -> None:
        self.steps, self.number, self.mode = 0, 0, ""

    def reset(self, seed: int, mode: str = "", **more: Any) -> dict[str, Any]:
        rng = random.Random(None if mode == "unseeded" else seed)
        self.steps, self.mode, low = 0, mode, rng.randint(1, 900)
        self.number = low + rng.randint(0, 2)
        text = "Guess my number." if mode == "same" else f"Guess my number, {low} to {low + 2}."
        text = " " if mode == "blank" and seed == 0 else text
        return {"observation": {"message": text, "inner": {"text": text}}, "reward": None, "done": False}

    def step(self, action: dict[str, Any]) -> Any:
        said = str(action.get("message", action.get("arguments", {}).get("message"))).strip()
        self.steps += 1
        if said == "slow":
            time.sleep(1.5)
        if said == "hang up":
            return None
        if said == "raise":
            return {"type": "error", "data": {"message": "no\nnumber", "code": "EXECUTION_ERROR"}}
        wild: dict[str, Any] = {
            "nan": {"observation": {"message": "-"}, "reward": float("nan"), "done": False},
            "huge": {"observation": {"message": "-"}, "reward": 1e300, "done": False},
            "long number": {"observation": {"message": "-"}, "reward": 10**400, "done": False},
            "maybe": {"observation": {"message": "-"}, "reward": 1.0, "done": "yes"},
            "list": [1],
            "deep": {"observation": {"message": json.loads("[" * 200 + "]" * 200)}, "reward": 0, "done": False},
            "nothing": {"observation": {"message": "-"}, "reward": None, "done": False},
            "long": {"observation": {"message": "x\x1b[2J" * 9_000}, "reward": 0.0, "done": False},
        }
        if said in wild:
            return wild[said]
        is_right = said == str(self.number)
        hint = "" if is_right else "higher" if said.isdigit() and int(said) < self.number else "lower"
        return {"observation": {"message": hint}, "reward": float(is_right), "done": is_right}


class Handler(socketserver.StreamRequestHandler):
    """One session: lines of JSON, as the messages of a WebSocket."""

    def handle(self) -> None:
        server: Any = self.server
        game = Guessing()
        with server.lock:
            server.sessions += 1
            is_full = server.sessions > server.most
            server.all_sessions += 1
        try:
            if is_full:
                self._say({"type": "error", "data": {"message": "full", "code": "CAPACITY_REACHED"}})
                return
            for line in self.rfile:
                message = json.loads(line)
                server.messages.append(message)
                reply = game.reset(**message["data"]) if message["type"] == "reset" else game.step(message["data"])
                if reply is None:
                    return
                self._say(
                    reply if isinstance(reply, dict) and "type" in reply else {"type": "observation", "data": reply}
                )
        except OSError:
            pass  # the client has gone
        finally:
            with server.lock:
                server.sessions -= 1

    def _say(self, reply: dict[str, Any]) -> None:
        self.wfile.write(json.dumps(reply).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self, most: int = 8, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.sessions, self.most, self.all_sessions = 0, most, 0
        self.messages: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(most: int = 8, port: int = 0) -> Iterator[Server]:
    """A server in a thread."""
    server = Server(most, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
