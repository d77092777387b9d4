"""The process of one benchmark case. It needs only the standard library, so that a peer's interpreter can run it.

It reads one JSON object a line from stdin (`{"do": "setup"}`, `{"do": "run"}`), and answers with one a line on stdout. The
case's own output goes to stderr.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def cpu_seconds() -> float:
    """Return user and system seconds of this process, all threads, and of the children that it has waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


class PeakMemory:
    """The peak of resident bytes, above those that were resident when the block began.

    It is the kernel's own high-water mark if that can be reset (Linux), else the largest of a thread's samples every 2 ms. On
    CUDA it is the peak of torch's allocator.
    """

    def __enter__(self) -> PeakMemory:
        self.cuda = _cuda()
        self.sampled, self.stop, self.thread = 0, threading.Event(), None
        if self.cuda:
            self.cuda.synchronize()
            self.cuda.reset_peak_memory_stats()
            self.before = self.cuda.memory_allocated()
            return self
        _give_back()
        self.before = _status("VmRSS")
        self.kernel = _reset_high_water()
        if not self.kernel:
            self.thread = threading.Thread(target=self._sample, daemon=True)
            self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.cuda:
            self.cuda.synchronize()
            self.bytes = self.cuda.max_memory_allocated() - self.before
            return
        self.stop.set()
        if self.thread:
            self.thread.join()
        self.bytes = max((_status("VmHWM") if self.kernel else self.sampled) - self.before, 0)

    def _sample(self) -> None:
        while not self.stop.wait(0.002):
            self.sampled = max(self.sampled, _status("VmRSS"))


def _cuda() -> Any:
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized() else None


def _give_back() -> None:
    """Give free pages back to the kernel (glibc), so that no peak hides in the memory of an earlier repetition."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _reset_high_water() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(field: str) -> int:
    """Read a field of /proc/self/status in bytes; without /proc, the maximum since the process began."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measured(once: Callable[[], Any]) -> dict[str, Any]:
    """Run one repetition; return wall and CPU seconds, peak bytes, and the quantities that the case returns."""
    with PeakMemory() as peak:
        cpu, wall = cpu_seconds(), time.perf_counter()
        result = once()
        if peak.cuda:
            peak.cuda.synchronize()
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    quantities = result if isinstance(result, dict) else {}
    return {"wall_s": wall, "cpu_s": cpu, "peak_bytes": peak.bytes, "quantities": quantities}


def _pin(threads: int) -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def main() -> None:
    """Serve `python -m benchmarks.worker MODULE:FUNCTION ARGUMENTS THREADS`; FUNCTION(**ARGUMENTS) makes the timed callable."""
    target, arguments, threads = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the case prints must not mix with the answers
    once: Callable[[], Any] | None = None
    for line in sys.stdin:
        try:
            if json.loads(line)["do"] == "setup":
                module, _, function = target.partition(":")
                build = getattr(importlib.import_module(module), function)
                _pin(threads)  # before and after: the case may be the first to import torch
                once = build(**arguments)
                _pin(threads)
                answer: dict[str, Any] = {"ready": True}
            else:
                assert once is not None
                answer = measured(once)
        except Exception as error:  # the parent leaves this case out, or stops
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
