"""Processes of one world, started by a test and ended with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 400  # seconds; a hang is a failure, and a busy machine is none


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """That of the tests, without a launcher's variables."""
    launcher = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "envs")))
    inherited = {name: value for name, value in os.environ.items() if name not in launcher}
    return {**inherited, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **more}


@contextmanager
def world_of(size: int, command: Sequence[str], log: Path, **more: str) -> Iterator[list[subprocess.Popen[str]]]:
    """`size` processes of a command of Python, by rank; each writes to `<log>.<rank>`. At the end none is left."""
    port, processes = str(free_port()), []
    try:
        for rank in range(size):
            place = {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)} if size > 1 else {}
            variables = environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, **place, **more)
            with Path(f"{log}.{rank}").open("w") as output:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, *command], env=variables, stdout=output, stderr=subprocess.STDOUT, text=True
                    )
                )
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_world(size: int, command: Sequence[str], log: Path, **more: str) -> list[tuple[int, str]]:
    """The exit code and the output of each of `size` processes."""
    with world_of(size, command, log, **more) as processes:
        return ended(processes, log)


def ended(processes: Sequence[subprocess.Popen[str]], log: Path) -> list[tuple[int, str]]:
    codes = [process.wait(DEADLINE) for process in processes]
    return [(code, Path(f"{log}.{rank}").read_text()) for rank, code in enumerate(codes)]


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; fail at the deadline."""
    for _ in range(DEADLINE * 20):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def merged(base: Mapping[str, object], more: Mapping[str, object]) -> list[str]:
    """Settings as flags."""
    flags: list[str] = []
    for name, value in {**base, **more}.items():
        flags += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    return flags
