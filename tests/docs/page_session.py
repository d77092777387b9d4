"""One page, followed by a reader: its blocks run in order in a fresh folder, in this process wherever that is safe.

Python blocks share one namespace, as cells of a notebook do. A block of nothing but `simko` lines calls the command line of this
process, so torch is imported once for all pages; any other shell block goes to bash.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
from blocks import Block, logical_lines, simple
from command_lines import flags_of

from simko.algorithms import registry
from simko.cli import run
from simko.envs import verifiers

_NUMBER = re.compile(r"[-+]?\d(?:[\d,.]*\d)?")


@dataclass
class Screen:
    """What a block prints: standard output alone, and both streams as a terminal mixes them."""

    out: io.StringIO = field(default_factory=io.StringIO)
    both: io.StringIO = field(default_factory=io.StringIO)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Take what this process prints."""
        with contextlib.redirect_stdout(_Pane(self.out, self.both)), contextlib.redirect_stderr(_Pane(self.both)):
            yield

    def shows(self, expected: str, loose: bool) -> bool:
        """Whether it is what a page says. If `loose`, numbers and widths may be others."""
        pattern = _pattern(_without_numbers(expected) if loose else expected)
        texts = [self.out.getvalue(), self.both.getvalue()]
        return any(re.fullmatch(pattern, _without_numbers(text) if loose else text) for text in texts)


def _pattern(expected: str) -> str:
    """What a page says, as a regular expression."""
    rest = r"[^\n]*"
    return "".join(
        rf"(?:{rest}\n)*" if line.strip() == "..." else rest.join(map(re.escape, line.split("..."))) + "\n"
        for line in expected.splitlines()
    )


def _without_numbers(text: str) -> str:
    """Each number as 0, each run of blanks or of table rules as one."""
    lines = (re.sub("─+", "─", _NUMBER.sub("0", line)) for line in text.splitlines())
    return "".join(" ".join(line.split()) + "\n" for line in lines)


class _Pane(io.StringIO):
    """A stream that writes into others."""

    def __init__(self, *behind: io.StringIO) -> None:
        super().__init__()
        self.behind = behind

    def write(self, text: str) -> int:
        for stream in self.behind:
            stream.write(text)
        return len(text)


class HereJob:
    """A cell of a comparison in this process, done when it begins. It trains and evaluates as ever, and imports nothing anew."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        with (
            log.open("a", encoding="utf-8") as output,
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
        ):
            self.code = run(arguments)

    def poll(self) -> int:
        """The exit code."""
        return self.code

    def stop(self) -> None:
        """It has ended."""

    def wait(self) -> None:
        """It has ended."""


class PageSession:
    """A reader of one page. `folder` is empty, and is the working folder of this process."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        registry.load()
        self.tables: list[tuple[MutableMapping[Any, Any], dict[Any, Any]]] = [
            (table, dict(table)) for table in (gymnasium.registry, verifiers._authors, registry.PARTS, registry.METHODS)
        ]

    def follow(self, block: Block) -> Screen:
        """Run a block, and check its exit code. Raises `AssertionError` that names the page and the line."""
        screen = Screen()
        if block.file is not None:
            self._write(block, block.file)
        elif block.kind == "python":
            self._python(block, screen)
        elif block.kind == "bash":
            lines = logical_lines(block.text)
            code = 0
            if all(simple(line) and line.startswith("simko ") for line in lines):
                code = self._commands(block, lines, screen)
            else:
                assert not block.more, f"{self.name}:{block.line}: only `simko` lines can be run with more words"
                code = self._bash(block, screen)
            assert code == block.code, f"{self.name}:{block.line}: exit code {code}\n{screen.both.getvalue()}"
        return screen

    def forget(self) -> None:
        """What this process knows of the page's modules: environments, verifiers, methods."""
        for table, kept in self.tables:
            table.clear()
            table.update(kept)
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").is_relative_to(self.folder):
                del sys.modules[name]
        importlib.invalidate_caches()

    def _write(self, block: Block, name: str) -> None:
        """The file, and a first import of a module. A second version of a file is read by a new process, so to speak."""
        if (self.folder / name).exists():
            self.forget()
        (self.folder / name).write_text(block.text, encoding="utf-8")
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)  # it tells versions apart by second and size
        importlib.invalidate_caches()
        if name.endswith(".py"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                importlib.import_module(name.removesuffix(".py"))

    def _python(self, block: Block, screen: Screen) -> None:
        code = compile("\n" * block.line + block.text, self.name, "exec")
        with screen.shown(), warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(code, self.namespace)  # a page of ours

    def _commands(self, block: Block, lines: list[str], screen: Screen) -> int:
        """The exit code of the last line; the ones before have to succeed. `more` goes to the lines that take it."""
        taken, code = not block.more, 0
        for n, line in enumerate(lines):
            words = shlex.split(line)[1:]
            if block.more and accepts(words, block.more):
                words, taken = [*words, *block.more], True
            with screen.shown(), _no_input():
                code = run(words)
            if code and n + 1 < len(lines):
                break
        assert taken, f"{self.name}:{block.line}: no line takes {' '.join(block.more)}"
        return code

    def _bash(self, block: Block, screen: Screen) -> int:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", block.text],
            cwd=self.folder,
            env={**os.environ, "PATH": os.pathsep.join([str(self._programs()), os.environ["PATH"]])},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        screen.out.write(done.stdout)
        screen.both.write(done.stdout + done.stderr)
        return done.returncode

    def _programs(self) -> Path:
        """A folder with `simko`, `python` and `pytest` of this interpreter."""
        folder = self.folder.parent / "bin"
        if not folder.exists():
            folder.mkdir()
            for command, start in (("simko", "-m simko"), ("pytest", "-m pytest"), ("python", "")):
                (folder / command).write_text(f'#!/bin/sh\nexec "{sys.executable}" {start} "$@"\n')
                (folder / command).chmod(0o755)
        return folder


def accepts(words: list[str], more: tuple[str, ...]) -> bool:
    """Whether a command has the flags in `more`."""
    return {word.partition("=")[0] for word in more if word.startswith("--")} <= flags_of(words)


@contextlib.contextmanager
def _no_input() -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before
