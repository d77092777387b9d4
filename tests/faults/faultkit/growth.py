"""Memory, descriptors and children of a long run."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from statistics import median

from faultkit.environments import _flags
from faultkit.lab import Lab, Result
from faultkit.runs import Server

MAY_GROW = 8 << 20  # bytes between the fourth fifth of the steps and the last; the allocator's pools fill until then


def nothing_grows(lab: Lab) -> Result:
    """Resident memory, descriptors, threads and children stay as they are over hundreds of steps."""
    steps = 60 if lab.quick else 1000

    def trial(server: Server, cwd: Path, _: int) -> str | None:
        seen: list[tuple[int, dict[str, int]]] = []
        over = threading.Event()

        def watch(pid: int) -> None:
            metrics = cwd / "run" / "metrics.jsonl"
            while not over.is_set():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    done = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
                    seen.append((done, _measure(pid)))
                if not Path(f"/proc/{pid}/fd").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                    return
                time.sleep(0.2)

        flags = [*_flags("faulty_envs:faults/Worker-v0"), "--steps", str(steps), "--checkpoint-every", "20"]
        ran = server.run([*flags, "--out", "run"], cwd, watch=watch, limit=600)
        over.set()
        if ran.rc or ran.trouble():
            return ran.trouble() or ran.brief()
        early = [sizes for done, sizes in seen if 3 * steps // 5 < done <= 4 * steps // 5]
        late = [sizes for done, sizes in seen if 4 * steps // 5 < done < steps]
        if not early or not late:
            return f"not enough was seen: {len(seen)} looks"
        if not any(sizes["children"] for sizes in late):
            return "no verifier worker was needed"
        for key, room in {"bytes": MAY_GROW, "descriptors": 0, "threads": 0, "children": 0}.items():
            typical = median if key == "bytes" else min  # a file that is being written is no leak
            before, after = typical(e[key] for e in early), typical(e[key] for e in late)
            if after > before + room:
                return f"{key} grow from {before:,.0f} to {after:,.0f} within {steps} steps"
        return None

    return lab.each(f"no growth of memory, descriptors, threads or children over {steps} steps", trial, [0])


def _measure(pid: int) -> dict[str, int]:
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = int(status.split("RssAnon:")[1].split()[0])
    return {
        "bytes": kilobytes << 10,
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": int(status.split("Threads:")[1].split()[0]),
        "children": sum(len(path.read_text().split()) for path in Path(f"/proc/{pid}/task").glob("*/children")),
    }
