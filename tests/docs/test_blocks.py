"""The pages do what they say: their blocks are run in order, and print what stands below them."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from blocks import Block, blocks, commands, fences, name_of, pages
from command_lines import check_settings, parsed
from page_session import HereJob, PageSession

from simko.compare import session as comparison
from simko.compare.runner import Runner

KINDS = {
    "python": "run",
    "bash": "run",
    "sh": "not run, and says why",
    "text": "what is printed, or a drawing",
    "yaml": "settings, or another file",
    "json": "one value a line, or one in all",
    "toml": "a part of a file",
}
LEARNS = {"README.md": ("run",), "docs/start.md": ("runs/short",), "docs/tutorials/method.md": ("runs/mine",)}
"""Runs of pages that must change the policy."""
PAGES = pages()
TEXTS = {page: page.read_text(encoding="utf-8") for page in pages(generated=True)}
BLOCKS = {page: blocks(TEXTS[page]) for page in TEXTS}
COMMANDS = {
    page: [line for b in BLOCKS[page] if b.kind in ("bash", "sh", "") and not b.code for line in commands(b.text)]
    for page in TEXTS
}


def runs(block: Block) -> bool:
    return block.kind in ("python", "bash") and block.reason is None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder on the search path, as a reader has it; what was changed round it is put back."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place), str(Path(__file__).resolve().parents[2])]))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(comparison, "Runner", partial(Runner, launch=HereJob, pause=lambda: None))
    monkeypatch.delenv("SIMKO_DATA", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    before = dict(os.environ)
    yield place
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("default_signals")
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs, BLOCKS[page]))], ids=name_of)
def test_blocks_run_and_print_what_stands_below(page: Path, folder: Path) -> None:
    session = PageSession(name_of(page), folder)
    try:
        for block in filter(runs, BLOCKS[page]):
            screen = session.follow(block)
            printed = screen.both.getvalue()
            if block.expected is not None:
                same = screen.shows(block.expected, loose=block.loose)
                assert same, f"{session.name}:{block.line} prints\n{printed}\n--- and the page says\n{block.expected}"
            elif block.kind == "python":
                assert printed == "", f"{session.name}:{block.line}: what a block prints stands below it"
        for run in LEARNS.get(session.name, ()):
            lines = (folder / run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
            assert any(json.loads(line).get("grad_norm", 0) > 0 for line in lines), (
                f"{session.name}: {run} learned nothing"
            )
    finally:
        session.forget()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_says_why_not(page: Path, tmp_path: Path) -> None:
    assert fences(TEXTS[page]) == 2 * len(BLOCKS[page]), "a fence begins in the first column and has one word"
    for block in BLOCKS[page]:
        where = f"{name_of(page)}:{block.line}"
        assert block.kind in KINDS, f"{where}: '{block.kind}' is none of {KINDS}"
        assert (block.kind == "sh") <= (block.reason is not None), f"{where}: <!-- not run: why --> stands above sh"
        assert block.reason is None or len(block.reason) > 5, where
        assert not (block.kind == "bash" and block.reason), f"{where}: what is not run is sh"
        if block.kind == "yaml":
            check_settings(block.text, tmp_path)
        elif block.kind == "toml":
            tomllib.loads(block.text)
        elif block.kind == "json":
            _read_json(block.text)
        elif block.kind == "python":
            compile(block.text, where, "exec")


@pytest.mark.parametrize("page", [page for page in COMMANDS if COMMANDS[page]], ids=name_of)
def test_commands_are_read_by_the_command_line(page: Path) -> None:
    for words in COMMANDS[page]:
        try:
            parsed(words)
        except Exception as error:
            pytest.fail(f"simko {' '.join(words)}: {error}")


def test_code_fits_a_screen() -> None:
    long = [
        f"{name_of(page)}:{block.line}"
        for page in PAGES
        for block in BLOCKS[page]
        if block.kind in ("python", "bash", "sh") and max(map(len, block.text.splitlines()), default=0) > 130
    ]
    assert long == []


def _read_json(text: str) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        for line in text.splitlines():
            json.loads(line)
