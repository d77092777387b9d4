"""The child processes that make reasoning-gym's items and grade answers to them. Run by path, as `worker.py` is.

It is a fork server, made of the same parts as that of `simko.envs.verifiers.worker`. Its workers take four requests, each with
its limit of CPU `seconds`:
  - `hello`: the version and the names of all tasks, or why the package cannot be imported;
  - `items`: some items of a task, question and answer each;
  - `prepare`: make one item, and grade its own answer once, so that what a scorer imports late is imported;
  - `score`: grade an answer to that item.
While a worker scores, an audit hook refuses every event but those of arithmetic: no file, import, process, socket and no
code that is compiled. `gym_reading` stands in for `eval` and `parse_expr` then.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = os.path.join(os.path.dirname(HERE), "verifiers", "worker")
_FOLDERS = {"simko.envs.verifiers.worker": [WORKER], "simko.envs.foreign": [HERE]}
for _name in ("simko", "simko.envs", "simko.envs.verifiers", *_FOLDERS):
    if _name not in sys.modules:  # empty packages: of simko a worker can import these two folders and nothing else
        sys.modules[_name] = ModuleType(_name)
        sys.modules[_name].__path__ = _FOLDERS.get(_name, [])

from simko.envs.foreign import gym_reading  # noqa: E402
from simko.envs.verifiers.worker import guard, worker  # noqa: E402

MEMORY_BYTES = 4 << 30  # of addresses: numpy alone takes one
KEPT = 4  # data sets in memory
why_missing: list[str] = []


class Switch(guard.Guard):
    """The audit hook, which forbids only while an answer is graded."""

    def __init__(self) -> None:
        super().__init__()
        self.is_on = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise `ForbiddenError` for an event that is not on the list, while an answer is graded."""
        if self.is_on:
            super().__call__(event, arguments)

    @contextmanager
    def turned(self, on: bool) -> Iterator[None]:
        """The hook on or off, inside `with`."""
        before, self.is_on = self.is_on, on
        try:
            yield
        finally:
            self.is_on = before


class Desk:
    """What a worker has at hand: data sets, and the item that was prepared."""

    def __init__(self, switch: Switch) -> None:
        self.switch = switch
        self.sets: dict[str, Any] = {}
        self.item: tuple[Any, Any] | None = None

    def _tree(self, text: str) -> Any:
        with self.switch.turned(False):  # the parser reports that it compiles, though it only reads
            return gym_reading.tree(text)

    def data_set(self, request: dict[str, Any]) -> Any:
        """The data set of a request's `task` and `config`."""
        from reasoning_gym import create_dataset

        key = json.dumps([request["task"], request["config"]], sort_keys=True)
        if key not in self.sets:
            while len(self.sets) >= KEPT:
                self.sets.pop(next(iter(self.sets)))
            self.sets[key] = create_dataset(request["task"], **request["config"])
        return self.sets[key]

    def hello(self, request: dict[str, Any]) -> dict[str, Any]:
        """The version of the package, and the names of its tasks."""
        if why_missing:
            return {"missing": why_missing[0]}
        from importlib.metadata import version

        from reasoning_gym.factory import DATASETS

        try:
            number = version("reasoning-gym")
        except Exception:  # a copy without metadata
            number = ""
        return {"tasks": sorted(DATASETS), "version": number}

    def items(self, request: dict[str, Any]) -> dict[str, Any]:
        """Question and answer of `count` items from `first` on."""
        whole = self.data_set(request)
        items = [whole[index] for index in range(request["first"], request["first"] + request["count"])]
        return {"items": [[item["question"], item.get("answer")] for item in items]}

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make an item, and grade its own answer and two others without the hook."""
        whole = self.data_set(request)
        entry = whole[request["index"]]
        self.item = whole, entry
        for text in (entry.get("answer"), "0", "x + 1"):
            with suppress(Exception), gym_reading.in_place(self._tree):  # a scorer raises whatever it likes
                whole.score_answer(text, copy.deepcopy(entry))
        return {"ready": True}

    def score(self, request: dict[str, Any]) -> dict[str, Any]:
        """The score of an answer to the item. A scorer that raises says `raised`."""
        if self.item is None:
            raise ValueError("no item")
        whole, entry = self.item
        entry = copy.deepcopy(entry)
        self.switch.event = None
        try:
            with gym_reading.in_place(self._tree), self.switch.turned(True):
                reply: dict[str, Any] = {"score": float(whole.score_answer(request["answer"], entry))}
        except MemoryError:
            reply = {"error": "memory"}
        except (Exception, guard.ForbiddenError) as error:
            reply = {"raised": type(error).__name__}
        return {"forbidden": self.switch.event} if self.switch.event is not None else reply


def serve(channel: int) -> None:
    """Be a worker: answer the requests that come over a socket until it closes or one fails."""
    worker.confine(MEMORY_BYTES)
    switch = Switch()
    desk = Desk(switch)
    os.write(channel, json.dumps({"pid": os.getpid()}).encode() + b"\n")
    sys.addaudithook(switch)
    for line in worker.lines(channel):
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["seconds"] + worker.SPARE_SECONDS)  # its signal ends the process
        try:
            reply = {"hello": desk.hello, "items": desk.items, "prepare": desk.prepare, "score": desk.score}[
                request["do"]
            ](request)
            text = json.dumps(reply, allow_nan=False)
        except Exception as error:  # what a generator raises is told, and ends nothing but this worker
            text = json.dumps({"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]})
        signal.setitimer(signal.ITIMER_PROF, 0)
        data = text.encode() + b"\n"
        while data:
            data = data[os.write(channel, data) :]
        if "error" in text[:10] or "forbidden" in text[:14]:
            return


def warm() -> None:
    """Import the package. If that fails, the workers say why."""
    warnings.simplefilter("ignore")  # a warning would read the source file that it is about
    try:
        import reasoning_gym  # noqa: F401
    except BaseException as error:  # a package may even exit
        why_missing.append(" ".join(f"{type(error).__name__}: {error}".split())[:300])


if __name__ == "__main__":
    worker.main(warm, serve)
