"""`--devices 0,1`: one command as a process for each device, started by torch's own launcher.

The launcher (torch.distributed.launcher, what torchrun calls) starts the ranks, sees one fail and ends the others. This
module adds what a person at a terminal expects: one line instead of tables, the exit code that one process would have, each
signal once, and no folder left in /tmp.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from simko.compare.jobs import environment
from simko.console import note
from simko.errors import UserError
from simko.run.signals import STOPPING, Stopped

PROGRAM = ("-m", "simko.cli.rank")
HELP = (
    "start a process for each of these: cards by number, as 0,1, or cpu,cpu. They share the work, and the update is that of "
    "one process"
)
_HERE = "127.0.0.1"
_TRIES = 3
_TOLD = {
    *(128 + number for number in STOPPING),
    *(-number for number in STOPPING),
}  # exit codes of who was told to stop


def read_devices(text: str | None, flags: Mapping[str, Any]) -> list[str]:
    """`0,1` as `["cuda:0", "cuda:1"]`, `cpu,cpu` as it is, None as the empty list. `flags`: what else was typed.

    Raises:
        UserError: no such list, a card twice, a card that is not there, cards beside CPUs, `--device` as well, or this is a
            rank already.
    """
    if text is None:
        return []
    if "device" in flags:
        raise UserError(f"--devices {text} and --device {flags['device']}: give one of the two")
    if "WORLD_SIZE" in os.environ:
        raise UserError(
            f"--devices {text}: it starts processes, and this one was started with WORLD_SIZE={os.environ['WORLD_SIZE']}; "
            "leave out --devices, or call simko without torchrun"
        )
    words = [word.strip().lower().removeprefix("cuda:") for word in text.split(",")]
    if all(word == "cpu" for word in words):
        return words
    if not all(word == "cpu" or (word.isascii() and word.isdecimal()) for word in words):
        raise UserError(f"--devices '{text}': give the numbers of cards, as 0,1, or cpu,cpu for processes on the CPU")
    if "cpu" in words:
        raise UserError(f"--devices {text}: cards and CPUs cannot share a run; give the one or the other")
    cards = [int(word) for word in words]
    twice = sorted({card for card in cards if cards.count(card) > 1})
    if twice:
        raise UserError(f"--devices {text}: card {twice[0]} stands twice; a card takes one process, so name it once")
    import torch

    count = torch.cuda.device_count()
    for card in cards:
        if card >= count:
            there = f"{count} ({', '.join(map(str, range(count)))})" if count else "none that torch can use"
            raise UserError(
                f"--devices {text}: there is no card {card}; this machine has {there}; see `simko doctor`, or give cpu,cpu"
            )
    return [f"cuda:{card}" for card in cards]


def one_device(devices: Sequence[str]) -> dict[str, str]:
    """The setting `device` of a process that has one of `devices`: of several cards, each rank takes its own by itself."""
    if not devices:
        return {}
    return {"device": devices[0] if len(devices) == 1 or devices[0] == "cpu" else "auto"}


def launch(devices: Sequence[str], arguments: Sequence[str], program: Sequence[str] = PROGRAM) -> int:
    """Run `simko ARGUMENTS` as a rank on each of `devices`, and return the exit code that one process would have.

    `program`: arguments of Python that come first.

    Raises:
        Stopped: a signal came before there were ranks.
        UserError: no local port could be had.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    with _in_environment(_settings(devices, environment())), _Forwarding() as signals:
        try:
            _start(len(devices), [*program, *arguments])
        except ChildFailedError as error:
            ends = [(failure.timestamp, rank, failure.exitcode) for rank, failure in error.failures.items()]
        else:
            return 0
    rank, code = cause(ends)
    stopped = signals.requested is not None and (code < 0 or code in _TOLD)
    if code < 0 and code not in _TOLD:
        why = "did not stop and was ended" if stopped else "was ended"
        note(f"rank {rank} on {devices[rank]} {why} by {signal.Signals(-code).name}; the others were told to stop")
    if stopped:
        return 128 + (signals.requested or 0)
    return 128 - code if code < 0 else code


def cause(ends: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Of failed ranks as (second, rank, exit code): rank and code of the one that made the others fail.

    The first to end, and of several in a second the one that a signal killed, then one that failed by itself, then one with
    a user's mistake. One that was told to stop comes last.
    """

    def order(end: tuple[int, int, int]) -> tuple[bool, int, int, int]:
        second, rank, code = end
        return code in _TOLD, second, 0 if code < 0 else code, rank

    _, rank, code = min(ends, key=order)
    return rank, code


def _start(processes: int, arguments: Sequence[str]) -> None:
    """Start the ranks and wait for them; raises torch's `ChildFailedError` if one fails."""
    from torch.distributed import DistNetworkError
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("torch.distributed.elastic") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.CRITICAL + 1)
    literal = [argument.replace("$", "$$") for argument in arguments]  # torch reads `${local_rank}` as a macro
    for left in reversed(range(_TRIES)):
        with tempfile.TemporaryDirectory(prefix="simko-ranks-") as folder:
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                logs_specs=DefaultLogsSpecs(log_dir=folder),
                run_id=uuid.uuid4().hex,
                rdzv_endpoint=f"{_HERE}:{_free_port()}",
                rdzv_backend="static",  # the other one, c10d, unpickles what it reads from the network
                rdzv_configs={"rank": 0},
                max_restarts=0,
                local_addr=_HERE,
                signals_to_handle="",  # `_Forwarding` handles them; torch kills ranks that need more than 30 s to stop
            )
            try:
                elastic_launch(config, sys.executable)(*literal)
                return
            except DistNetworkError as error:  # another process took the port in between
                if not left:
                    raise UserError(
                        f"--devices: no local port for the processes ({error}); see that the loopback interface is up"
                    ) from error


def _settings(devices: Sequence[str], outer: Mapping[str, str]) -> dict[str, str]:
    """The environment of the ranks, but for what torch adds.

    A rank has its share of the cores, for torch and for the BLAS, unless OMP_NUM_THREADS says another number. (torchrun sets 1.)
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings = {
        **outer,
        "SIMKO_LAUNCHER": str(os.getpid()),  # for `simko.cli.rank`
        "OMP_NUM_THREADS": outer.get("OMP_NUM_THREADS", str(max(1, cores // len(devices)))),
        "TORCH_CPP_LOG_LEVEL": outer.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }
    if sys.platform.startswith("linux"):  # else gloo takes the card of the host's name, which may not resolve
        settings["GLOO_SOCKET_IFNAME"] = outer.get("GLOO_SOCKET_IFNAME", "lo")
    if devices[0] != "cpu":
        visible = outer.get("CUDA_VISIBLE_DEVICES")
        cards = [int(device.removeprefix("cuda:")) for device in devices]
        names = [name.strip() for name in visible.split(",")] if visible else None
        settings["CUDA_VISIBLE_DEVICES"] = ",".join(names[card] if names else str(card) for card in cards)
    return settings


@contextmanager
def _in_environment(settings: Mapping[str, str]) -> Iterator[None]:
    """`settings` as this process's environment, from which torch makes that of the ranks."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _Forwarding:
    """Inside `with`, a signal to stop goes to each rank, once. Ranks have sessions of their own: the terminal tells them nothing.

    As in one process, a second SIGINT has them leave at once. A third one kills them.

    Attributes:
        requested: the number of the first signal that came, or None.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._interrupts = 0
        self.requested: int | None = None

    def __enter__(self) -> _Forwarding:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        ranks = _ranks()
        if not ranks and self.requested is None:
            raise Stopped(number)
        self._interrupts += number == signal.SIGINT
        if self.requested is None or number == signal.SIGINT:
            for pid in ranks:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if self._interrupts > 2 else number)
        self.requested = self.requested or number


def _ranks() -> list[int]:
    """The processes that the launcher started: children that lead a session."""
    import psutil

    pids = []
    for child in psutil.Process().children():
        with suppress(psutil.Error, ProcessLookupError):
            if child.status() != psutil.STATUS_ZOMBIE and os.getsid(child.pid) == child.pid:
                pids.append(child.pid)
    return pids


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HERE, 0))
        return int(probe.getsockname()[1])
