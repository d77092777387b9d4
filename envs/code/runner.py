"""The process inside the sandbox: it runs one program and writes out the values of the calls it was given.

A script of its own process, made of the standard library; simko never imports it. It reads one request as JSON from stdin and
writes lines of JSON to what stdout was: `["begun"]` before the program's first statement, then a line for each step. The program
shares this process and may forge every line. A forged value helps it only if it equals the expected one, which is not here.

Values are tagged, so that plain ones survive JSON: see `encode`. `values.py` reads them on the other side.
"""

from __future__ import annotations

import json
import os
import resource
import select
import sys
import time
import types
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes 10 ms to import
    from typing import Any

MAX_DEPTH, MAX_NODES = 60, 200_000
CHUNK = 65_536


class NoValue(Exception):  # noqa: N818
    """The value is not plain data, or too large."""


class Encoder:
    """A value as JSON: `null`, `true`, numbers and texts as they are, a list as a list, all else as `{tag: ...}`."""

    def __init__(self) -> None:
        self.nodes = 0

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The tagged form. An instance of a subclass gives its plain content. Raises `NoValue`."""
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise NoValue("too large")
        kind = type(value)
        if value is None or kind is bool:
            return value
        if issubclass(kind, int):
            number = int.__add__(value, 0)
            return number if -(2**53) < number < 2**53 else {"i": hex(number)}
        if issubclass(kind, float):
            return self._float(float.__pos__(value))
        if issubclass(kind, str):
            return value if kind is str else "".join(str.__iter__(value))
        if issubclass(kind, complex):
            return {"c": [self._float(value.real), self._float(value.imag)]}
        if issubclass(kind, bytes | bytearray):
            return {"b": bytes(value).hex()}
        if issubclass(kind, list):
            return [self.encode(item, depth + 1) for item in list.__iter__(value)]
        if issubclass(kind, tuple):
            return {"t": [self.encode(item, depth + 1) for item in tuple.__iter__(value)]}
        if issubclass(kind, set):
            return {"s": [self.encode(item, depth + 1) for item in set.__iter__(value)]}
        if issubclass(kind, frozenset):
            return {"z": [self.encode(item, depth + 1) for item in frozenset.__iter__(value)]}
        if issubclass(kind, dict):
            pairs = dict.items(value)
            return {"d": [[self.encode(key, depth + 1), self.encode(item, depth + 1)] for key, item in pairs]}
        raise NoValue(kind.__name__)

    def _float(self, number: float) -> Any:
        return number if number - number == 0 else {"f": repr(number)}


def restrict(limits: dict[str, Any]) -> None:
    """Give up what a privileged user may do, then set the limits. Nothing of the program has run yet."""
    if limits["uid"] is not None:
        os.setgroups([])
        os.setresgid(limits["uid"], limits["uid"], limits["uid"])
        os.setresuid(limits["uid"], limits["uid"], limits["uid"])
    for name, most in (
        ("CORE", 0),
        ("FSIZE", limits["file_bytes"]),
        ("NOFILE", limits["files"]),
        ("AS", limits["memory_bytes"]),
        ("NPROC", limits["processes"]),
    ):
        if most is not None:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    limit_cpu(limits["cpu_seconds"])


def limit_cpu(seconds: float) -> None:
    """Let this process use so many seconds of the processor in all, counted from its start and rounded up."""
    most = max(1, int(-(-seconds // 1)))
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))


def module(name: str) -> dict[str, Any]:
    """A fresh module that a program can be run in. Dataclasses look theirs up in `sys.modules`."""
    made = types.ModuleType(name)
    sys.modules[name] = made
    return made.__dict__


def run_steps(request: dict[str, Any], send: Callable[[list[Any]], None]) -> None:
    """Run the program once, then each step in its namespace: `do`, `value` or `assert`."""
    space = module("program")
    try:
        exec(compile(request["program"], "<program>", "exec", dont_inherit=True), space)
    except BaseException as error:
        send(["failed", type(error).__name__])
        return
    if (entry := request["entry"]) is not None:
        bound = space.get(entry)
        if bound is None and "Solution" in space:
            bound = getattr(space["Solution"](), entry, None)
        space[request["name"]] = bound
    for number, (kind, source) in enumerate(request["steps"]):
        try:
            if kind == "value":
                result = eval(compile(source, "<check>", "eval", dont_inherit=True), space)
                send([number, "value", Encoder().encode(result)])
            else:
                exec(compile(source, "<check>", "exec", dont_inherit=True), space)
                if kind == "assert":
                    send([number, "held", request["secret"]])
        except BaseException as error:
            send([number, "failed", type(error).__name__])


def run_cases(request: dict[str, Any], send: Callable[[list[Any]], None]) -> None:
    """Run the program once for each input, in a process of its own; stdin is the input, stdout comes out as text."""
    try:
        program = compile(request["program"], "<program>", "exec", dont_inherit=True)
    except BaseException as error:
        send(["failed", type(error).__name__])
        return
    left = float(request["limits"]["cpu_seconds"])
    for number, text in enumerate(request["inputs"]):
        if left <= 0:
            return
        output, status, used = run_case(program, text.encode("utf-8", "surrogatepass"), left, request["output_bytes"])
        left -= used
        if output is None or status != 0:
            send([number, "failed", "output" if output is None else f"exit {status}"])
        else:
            send([number, "output", output.decode("utf-8", "replace")])


def run_case(program: types.CodeType, text: bytes, left: float, most: int) -> tuple[bytes | None, int, float]:
    """The output (None if there was too much of it), the exit status and the CPU seconds of one run."""
    stdin, out = os.pipe()
    collect, stdout = os.pipe()
    feed: int | None = out
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            limit_cpu(left)
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
            sys.stdin, sys.stdout = open(0, encoding="utf-8"), open(1, "w", encoding="utf-8")  # noqa: SIM115
            exec(program, module("__main__"))
            status = 0
        except SystemExit as end:
            status = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
        finally:
            try:
                sys.stdout.flush()
            finally:
                os._exit(status & 255)
    os.close(stdin)
    os.close(stdout)
    os.set_blocking(out, False)
    os.set_blocking(collect, False)
    output, ended = bytearray(), None
    while True:
        readable, writable, _ = select.select([collect], [feed] if feed is not None else [], [], 0.02)
        if writable:
            try:
                text = text[os.write(out, text[:CHUNK]) :]
            except BrokenPipeError:
                text = b""
            if not text:
                os.close(out)
                feed = None
        part = os.read(collect, CHUNK) if readable else None
        output += part or b""
        if len(output) > most:
            os.kill(pid, 9)
        if len(output) > most or part == b"" or (ended and not readable):  # a process of its own may hold the pipe
            break
        if ended is None and not readable:
            ended = _ended(pid)
    os.close(collect)
    if feed is not None:
        os.close(feed)
    _, status, usage = ended or os.wait4(pid, 0)
    used = usage.ru_utime + usage.ru_stime
    return bytes(output) if len(output) <= most else None, os.waitstatus_to_exitcode(status), used


def _ended(pid: int) -> tuple[int, int, Any] | None:
    """What `os.wait4` says of a process that has ended; None if it runs."""
    result = os.wait4(pid, os.WNOHANG)
    return result if result[0] else None


def main() -> None:
    """Read the request, give up everything, run."""
    with open(0, "rb", closefd=False) as stream:
        request = json.loads(stream.read())
    channel = os.dup(1)
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    sys.argv[:] = ["program"]
    restrict(request["limits"])
    end, write, text_of = os._exit, os.write, json.dumps

    def send(line: list[Any]) -> None:
        data = text_of(line).encode() + b"\n"
        while data:
            data = data[write(channel, data) :]

    send(["begun", time.process_time()])
    try:
        (run_cases if request["inputs"] is not None else run_steps)(request, send)
    finally:
        end(0)  # no atexit of the program's, no waiting for its threads


if __name__ == "__main__":
    main()
