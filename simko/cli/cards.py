"""`doctor --gpus`: do the cards of this machine tell each other the truth, how fast, and what mends it if not.

Each check runs in fresh processes (`simko.ranks.links`): a card that hangs would take this one along.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

from simko.cli.finding import Finding
from simko.compare.jobs import environment
from simko.console import one_line

PROGRAM = ("-m", "simko.ranks.links")
MEND = {"NCCL_P2P_DISABLE": "1"}
_GB = 1e9


@dataclass(frozen=True)
class Patience:
    """Seconds without a word after which processes are ended: while Python and torch load, and at work."""

    start: float = 120.0
    work: float = 60.0


@dataclass(frozen=True)
class Measured:
    """What a check's processes said, and what went wrong: nothing, numbers that changed, a hang, or a death."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    trouble: str = ""


def check_cards(
    cards: int, program: Sequence[str] = PROGRAM, patience: Patience | None = None
) -> Iterator[tuple[str, Finding, list[dict[str, Any]]]]:
    """Name, finding and numbers of each check, as soon as it has ended.

    With fewer than two cards the all-reduce runs between two processes on the CPU, so that at least this much is known.
    """
    patience = patience or Patience()
    if cards < 2:
        detail = "one CUDA card, and nothing to check between cards" if cards else "no CUDA card: no card was checked"
        yield "cards", Finding("warn" if not cards else "ok", detail), []
        measured = all_reduce("gloo", 2, {}, program, patience)
        mend = "see the reason; --devices cpu,cpu cannot work here" if measured.trouble else ""
        where = "between two processes on the CPU (gloo)"
        yield "all-reduce", _finding(measured, where, mend), measured.facts
        return
    pairs = list(permutations(range(cards), 2))
    measured = copies([(f"cuda:{source}", f"cuda:{target}") for source, target in pairs], program, patience)
    mend = (
        "torch's own copies between these cards cannot be trusted; an all-reduce may be right all the same: see below"
    )
    yield (
        "copies",
        _finding(measured, f"between all {len(pairs)} pairs", mend if measured.trouble else ""),
        measured.facts,
    )
    measured = all_reduce("nccl", cards, {}, program, patience)
    mend = _mend(cards, program, patience) if measured.trouble else ""
    shown = "".join(f", {name}={os.environ[name]}" for name in MEND if name in os.environ)
    yield "all-reduce", _finding(measured, f"of {cards} cards (NCCL{shown})", mend), measured.facts


def _mend(cards: int, program: Sequence[str], patience: Patience) -> str:
    """What makes the all-reduce right: each mend is tried."""
    if not all_reduce("nccl", cards, MEND, program, patience).trouble:
        return "export NCCL_P2P_DISABLE=1 (tried: with it the all-reduce is right)"
    if not all_reduce("gloo", cards, {}, program, patience).trouble:
        return "train with --collectives gloo (tried: right; NCCL_P2P_DISABLE=1 was tried too, and does not help)"
    return "neither NCCL_P2P_DISABLE=1 nor gloo helps (both tried): train on one card, and check driver and power"


def _finding(measured: Measured, where: str, mend: str) -> Finding:
    if measured.trouble:
        return Finding("fail", f"{where}: {measured.trouble}", mend)
    slowest = min(fact["bytes_per_second"] for fact in measured.facts) / _GB
    return Finding("ok", f"right {where}, {slowest:.1f} GB/s at the slowest")


def copies(pairs: Sequence[tuple[str, str]], program: Sequence[str], patience: Patience) -> Measured:
    """Check each pair of devices. A pair that hangs or dies does not keep the next one from its check."""
    facts: list[dict[str, Any]] = []
    troubles = []
    left = list(pairs)
    while left:
        (said,), trouble = _listen([["copies", json.dumps(left)]], {}, program, patience)
        facts += said
        for fact in said:
            left.pop(0)
            if fact["changed"]:
                troubles.append(f"{fact['source']} to {fact['target']}: {fact['changed']} numbers arrived changed")
        if trouble and left:
            source, target = left.pop(0)
            troubles.append(f"{source} to {target}: {trouble}")
    return Measured(facts, "; ".join(troubles))


def all_reduce(
    backend: str, size: int, extra: Mapping[str, str], program: Sequence[str], patience: Patience
) -> Measured:
    """Check the sum of `size` processes."""
    with tempfile.TemporaryDirectory(prefix="simko-doctor-") as folder:
        store = {"size": size, "backend": backend, "store": str(Path(folder) / "store")}
        jobs = [["sum", json.dumps({"rank": rank, **store})] for rank in range(size)]
        said, trouble = _listen(jobs, extra, program, patience)
    facts = [fact for facts in said for fact in facts]
    changed = sum(fact["changed"] for fact in facts)
    return Measured(facts, trouble or (f"{changed} sums are wrong" if changed else ""))


def _listen(
    jobs: Sequence[Sequence[str]], extra: Mapping[str, str], program: Sequence[str], patience: Patience
) -> tuple[list[list[dict[str, Any]]], str]:
    """Run the jobs side by side. What each said, and why they were ended or ended by themselves, if not well."""
    limit = str(round(patience.start + patience.work * 10))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="simko-doctor-"))
        paths = [Path(folder) / str(number) for number in range(len(jobs))]
        processes = []
        for (check, what), path in zip(jobs, paths, strict=True):
            out, errors = (stack.enter_context(path.with_suffix(end).open("wb")) for end in (".out", ".err"))
            command = [sys.executable, *program, check, limit, what]
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env=_environment(extra),
                start_new_session=True,
            )
            processes.append(process)
            stack.callback(_end, process)
        trouble = _wait(processes, paths, patience)
        said = [[fact for fact in _facts(path) if "ready" not in fact] for path in paths]
    return said, trouble


def _wait(processes: Sequence[subprocess.Popen[bytes]], paths: Sequence[Path], patience: Patience) -> str:
    """Until all have ended, one has failed, or none has said a word for too long. What went wrong, or nothing."""
    lines, heard = 0, time.monotonic()
    while True:
        codes = [process.poll() for process in processes]
        failed = [(code, number) for number, code in enumerate(codes) if code]
        if failed:  # one that a signal ended comes first: the others may have failed because of it
            code, number = min(failed)
            return f"process {number} {_death(code, paths[number])}"
        facts = [_facts(path) for path in paths]
        if all(code == 0 for code in codes):
            return "" if all(len(said) > 1 for said in facts) else "a process ended without a word"
        if sum(map(len, facts)) > lines:
            lines, heard = sum(map(len, facts)), time.monotonic()
        limit = patience.work if all(facts) else patience.start
        if time.monotonic() - heard > limit:
            silent = [str(number) for number, said in enumerate(facts) if codes[number] is None]
            return f"no answer within {limit:g} s (process {', '.join(silent)}); it was ended"
        time.sleep(0.05)


def _death(code: int, path: Path) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    text = path.with_suffix(".err").read_text(encoding="utf-8", errors="replace")
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "no reason given")
    return f"failed: {one_line(last)[:200]}"


def _facts(path: Path) -> list[dict[str, Any]]:
    """The whole lines that a process has written so far."""
    whole, _, _ = path.with_suffix(".out").read_text(encoding="utf-8", errors="replace").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it started. One that waits for a card inside the kernel cannot be killed, and is left behind."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    interface = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform.startswith("linux") else {}
    return {**interface, "TORCH_CPP_LOG_LEVEL": "ERROR", "OMP_NUM_THREADS": "1", **environment(), **extra}
