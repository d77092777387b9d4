"""What a program may use: one record, which travels to the runner as JSON."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

CPU_SECONDS = 4.0
MAX_CPU_SECONDS = 600.0
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one program, all its tests together. Sizes are in bytes."""

    cpu_seconds: float = CPU_SECONDS
    memory_bytes: int = 512 * MIB
    """Address space of each process."""
    processes: int = 16
    """Processes and threads at a time; sandlock counts processes alone."""
    files: int = 64
    """Open descriptors of each process."""
    file_bytes: int = MIB
    output_bytes: int = MIB
    """Of the text that one input makes the program print."""
    result_bytes: int = 8 * MIB
    """Of everything that comes out."""

    @property
    def wall_seconds(self) -> float:
        """Wall-clock time, from which on a program that sleeps is ended."""
        return 2.5 * self.cpu_seconds + 2.0

    @property
    def patience_seconds(self) -> float:
        """Wall-clock time of a program that would compute, if a busy machine let it."""
        return 4 * self.wall_seconds

    def of_runner(self, uid: int | None, processes: int | None) -> dict[str, Any]:
        """The limits that the runner sets for itself. None: it sets none, because something else does."""
        return {**asdict(self), "uid": uid, "processes": processes}


def tasks_of_user() -> int:
    """How many processes and threads this user has, which RLIMIT_NPROC counts together."""
    count, me = 0, os.getuid()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == me:
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:  # it has ended
                continue
    return count
