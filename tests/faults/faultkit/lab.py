"""Where the scenarios run: a few fork servers, a scratch folder, reference runs; and the table of what they found."""

from __future__ import annotations

import itertools
import queue
import random
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faultkit.compare import difference
from faultkit.runs import TINY, Ran, Server, can_mount

Trial = Callable[[Server, Path, Any], str | None]
"""(server, an empty folder of its own, the item) to what went wrong, or None."""


@dataclass
class Result:
    """A row of the table."""

    name: str
    tried: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: str = ""
    note: str = ""

    @property
    def survived(self) -> int:
        """Trials without a failure."""
        return self.tried - len(self.failures)


class Lab:
    """Fork servers and a scratch folder. A context manager.

    A quick one has a single server, which has the small disk, too: a server imports torch, and that costs more than its trials.
    """

    def __init__(self, base: Path, jobs: int = 2, quick: bool = False, seed: int = 0, share: str = "1/1") -> None:
        self.base, self.jobs, self.quick, self.seed = base, 1 if quick else jobs, quick, seed
        self.seconds: dict[Path, float] = {}
        """How long each reference run took."""
        self.part, self.parts = map(int, share.split("/"))
        self._servers: queue.Queue[Server] = queue.Queue()
        self._stack = ExitStack()
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}
        self._folders = itertools.count(1)

    def __enter__(self) -> Lab:
        for _ in range(self.jobs):
            self._servers.put(self._stack.enter_context(Server(self.base, full=self._small_disk())))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _small_disk(self) -> Path | None:
        folder = self.folder()
        return folder if self.quick and can_mount(folder) is None else None

    def random(self, name: str) -> random.Random:
        """The random generator of one scenario."""
        return random.Random(f"{self.seed}/{name}")

    def some(self, items: Sequence[Any], count: int, name: str) -> list[Any]:
        """All items, or in a quick run `count` of them, drawn with the seed."""
        if not self.quick or len(items) <= count:
            return list(items)
        chosen = sorted(self.random(name).sample(range(len(items)), count))
        return [items[i] for i in chosen]

    def each(self, name: str, trial: Trial, items: Iterable[Any], jobs: int = 0) -> Result:
        """Try every item, several at a time; a trial that raises has failed."""
        items = list(items)[self.part - 1 :: self.parts]
        with ThreadPoolExecutor(jobs or self.jobs) as pool:
            outcomes = list(pool.map(lambda item: self._try(trial, item), items))
        failures = [f"{item}: {what}" for item, what in zip(items, outcomes, strict=True) if what]
        return Result(name, len(items), failures)

    @contextmanager
    def server(self) -> Iterator[Server]:
        """Lend one of the servers."""
        server = self._servers.get()
        try:
            yield server
        finally:
            self._servers.put(server)

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made at the first call."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]

    def reference(self, *more: str) -> Path:
        """The folder of an uninterrupted run with these flags over those of `TINY`: it lies in `run`."""

        def make() -> Path:
            with self.server() as server:
                folder = self.folder()
                ran = server.run([*TINY, *more, "--out", "run"], folder)
                if ran.rc:
                    raise RuntimeError(f"the reference run fails: {ran.brief()}")
                self.seconds[folder / "run"] = ran.seconds
                return folder / "run"

        return self.once(f"reference {' '.join(more)}", make)

    def folder(self) -> Path:
        """A new, empty folder."""
        path = self.base / f"{next(self._folders):05d}"
        path.mkdir()
        return path

    def _try(self, trial: Trial, item: Any) -> str | None:
        folder = self.folder()
        try:
            with self.server() as server:
                return trial(server, folder, item)
        except Exception as error:
            return f"the trial raised {type(error).__name__}: {error}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def finish(server: Server, cwd: Path, more: Sequence[str] = (), seen: Path | None = None, **kwargs: Any) -> Ran:
    """Do what a user does after a crash: `--resume`, or the same command again if no run has begun.

    `seen` is `cwd` as this process reaches it, where that differs.
    """
    ran = server.run(["train", "--resume", "run"], cwd, **kwargs) if ((seen or cwd) / "run").exists() else None
    if ran is None or (ran.refusal and "is not a run folder" in ran.refusal):
        ran = server.run([*TINY, *more, "--out", "run"], cwd, **kwargs)
    return ran


def finished_as(ran: Ran, cwd: Path, reference: Path, ignore: tuple[str, ...] = ()) -> str | None:
    """What is wrong with a run that should have come to the end, as the reference did."""
    if ran.rc:
        return f"does not go on: {ran.brief()}"
    return ran.trouble() or difference(cwd / "run", reference, ignore)
