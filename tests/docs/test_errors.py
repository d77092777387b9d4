"""Every message to a user, read out of the source: one line, in the house's form, with a mend that exists."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import typer

from simko import algorithms
from simko.cli import app
from simko.config import EvalConfig, TrainConfig
from studies.pages import errors
from studies.pages.first_errors import FIRST
from studies.pages.messages import GAP, HOUSES, Message, messages

ROOT = Path(__file__).resolve().parents[2]
WORDS = 40
NAMES = ("MASTER_ADDR", "OpenEnv", "PassAtK", "PEFT", "SIMKO_", "SimKOTrainer", "WORLD_SIZE")
"""What a message may begin with in capitals."""
MENDS = """
add ask begin call check choose compare convert correct delete draw encode end evaluate export fetch free give go install join
keep leave let load look lower make measure mend merge move name pass pip press put raise return run save say score see set
shorten split start take train tune try unset update upload use wait widen write
"""
"""Verbs that begin a mend."""
FACTS = (
    "did you mean",
    "it must ",
    "known: ",
    "it has: ",
    "there are: ",
    "it reads ",
    "it has none",
    "is this ",
    "is it ",
)
"""A choice that is told is a mend, too."""
BARE = {
    "another of the … processes has ended, or its machine is gone": "simko/cli/runs.py adds how to go on",
    "stopped: … steps in a row were skipped: …": "each reason brings its mend",
    "… (--keep-good-rows leaves such rows out)": "it is the mend of a row that is refused",
    "…:…: column '….target' …": "the reason brings its mend",
}
"""Errors without a mend of their own."""
OTHERS = {
    "--api-key", "--cpu", "--max-model-len", "--merge", "--name", "--nproc-per-node", "--served-model-name",
}  # fmt: skip
"""Flags of vLLM, torchrun, accelerate and llama.cpp that a message tells of, and `--name` for any."""
JARGON = r"please|simply|just|invalid|illegal|fatal|abort\w*|utili[sz]e\w*|e\.g\.|i\.e\.|via|respectively|unable|malformed|oops"


def found() -> tuple[Message, ...]:
    return messages()


def told(wrong: Iterable[Message]) -> list[str]:
    return [f"{message.file}:{message.line}: {message.text}" for message in wrong]


def test_most_errors_of_the_source_are_found() -> None:
    """A plain count of the calls is near what the collector says: none is lost because its text is put together."""
    calls = sum(path.read_text().count("raise UserError(") for house in HOUSES for path in (ROOT / house).rglob("*.py")
                if not any(path.is_relative_to(ROOT / "simko" / link) for link in HOUSES))  # fmt: skip
    places = {(message.file, message.line) for message in found() if message.kind == "error"}
    assert calls > 500
    assert len(places) > 0.85 * calls


def test_a_message_is_one_line_without_a_full_stop() -> None:
    assert (
        told([m for m in found() if "\n" in m.text or (m.text.endswith((".", "!")) and not m.text.endswith("..."))])
        == []
    )


def test_a_message_begins_small() -> None:
    """It stands behind `simko: error: `."""
    assert told([m for m in found() if m.text[0].isupper() and not m.text.startswith(NAMES)]) == []


def has_mend(text: str) -> bool:
    if any(fact in text for fact in FACTS) or re.search(rf"[;:(,] ?(or )?{GAP}\)?$", text):
        return True  # the last: what is filled in brings the mend
    clauses = re.split(r"[;:(,]\s+|\s(?:or|and|then)\s", text)[1:]
    return any(
        re.match(rf"(?:so |or |then |first )?`?(?:{'|'.join(MENDS.split())}|simko|hf|--\w)\b", clause)
        for clause in clauses
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("config …: unknown key '…'", False),
        ("config …: unknown key '…'; did you mean '…'?", True),
        ("folder … is in use by another process", False),
        ("folder … is in use by another process; wait for it", True),
        ("…: damaged; …", True),
        ("model '…' has layers of kind …: not supported", False),
    ],
)
def test_what_counts_as_a_mend(text: str, expected: bool) -> None:
    assert has_mend(text) == expected


def test_an_error_says_how_to_mend_it() -> None:
    bare = [m for m in found() if m.kind == "error" and not has_mend(m.text) and m.text not in BARE]
    assert told(bare) == []
    assert set(BARE) <= {m.text for m in found()}


def test_a_message_is_short() -> None:
    assert told([m for m in found() if len(m.text.split()) > WORDS]) == []


def test_a_message_has_plain_words() -> None:
    assert told([m for m in found() if re.search(rf"\b({JARGON})(?!\w)", m.text, re.IGNORECASE)]) == []


def flags() -> set[str]:
    def below(command: Any) -> set[str]:
        names = {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]}
        inner = getattr(command, "commands", {}).values()
        return names.union(*map(below, inner))

    settings = [field.name for config in (TrainConfig, EvalConfig) for field in dataclasses.fields(config)]
    settings += [name for method in algorithms.names() for name in algorithms.settings(method)]
    settings += ["help", *algorithms.own_parts("grpo")]
    return below(typer.main.get_command(app)) | {f"--{name.replace('_', '-')}" for name in settings}


def test_flags_that_messages_name_exist() -> None:
    named = {flag: m for m in found() for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", m.text)}
    known = flags()
    assert len(named) > 50
    assert sorted(f"{flag} ({m.file})" for flag, m in named.items() if flag not in known | OTHERS) == []


def test_extras_and_pages_that_messages_name_exist() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    texts = [message.text for message in found()]
    named = {name for text in texts for name in re.findall(r"simko\[([\w-]+)\]", text)}
    assert len(named) > 4
    assert named <= extras
    places = {place for text in texts for place in re.findall(r"docs/[\w/]+\.md", text)}
    assert len(places) > 1
    assert [place for place in places if not (ROOT / place).is_file()] == []


def test_the_page_has_each_message_once_in_a_room() -> None:
    (page,) = errors.pages().values()
    lines = " ".join(page.split())
    assert [m.text for m in found() if " ".join(m.text.split()) not in lines] == []
    assert {errors.room(m.file) for m in found()} == set(errors.ORDER) == set(errors.ROOMS)


def test_what_the_page_adds_belongs_to_a_message() -> None:
    texts = [message.text for message in found()]
    assert [words for words in errors.MORE if not any(words in text for text in texts)] == []
    told = [*errors.MORE.values(), *(said for _, _, said in FIRST)]
    links = [link for said in told for link in re.findall(r"\]\(([^)#]+)", said)]
    assert [link for link in links if not (ROOT / "docs" / "reference" / link).is_file()] == []


def test_the_page_begins_with_messages_of_a_first_day() -> None:
    """Each is one message of the source; what it adds is not said again below."""
    (page,) = errors.pages().values()
    first, rest = page.split("\n## Settings and flags\n")
    assert len(FIRST) >= 20
    assert len(re.findall(r"^- \*\*", first, re.MULTILINE)) == len(FIRST)
    assert [said for _, _, said in FIRST if " ".join(said.split()) in " ".join(rest.split())] == []


def test_messages_that_are_nearly_all_gaps_stand_last() -> None:
    texts = ["…: … is …; it must be >= …", "…: the file is empty; give another"]
    assert [errors.thin(text) for text in texts] == [True, False]
    (page,) = errors.pages().values()
    lines = " ".join(page.split("\n## Settings and flags\n")[1].split())
    ours = {m.text for m in found() if m.kind == "error" and errors.room(m.file) == "Settings and flags"}
    flags = [errors.thin(text) for text in sorted(ours, key=lines.index)]
    assert any(flags)
    assert flags == sorted(flags)
