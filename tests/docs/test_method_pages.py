"""The pages of the methods: what a docstring says is on the page as it stands, and what it says of a comparison is so."""

from __future__ import annotations

import re

import pytest

from simko import algorithms
from simko.algorithms import registry
from simko.algorithms.docstrings import docstring_of, when_to_use
from simko.cli import run
from studies.pages import docstring, frontier, methods

NAMES = algorithms.names()
NOT_COMPARED = "We have not compared it with other methods."
NOT_DECIDED = "Our comparison of two seeds does not tell it from GRPO."


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {path.removeprefix("methods/").removesuffix(".md"): text for path, text in methods.pages().items()}


def test_each_method_has_a_page_with_every_section(pages: dict[str, str]) -> None:
    assert list(pages) == NAMES
    needed = ("When to use it", "Formula", "Its parts", "Settings", "What it is checked against")
    for name, page in pages.items():
        headings = re.findall(r"^## (.*)$", page, re.MULTILINE)
        assert [heading for heading in headings if heading in needed] == list(needed), name
        assert headings[-3:] == ["Its place on the frontier", "What a step costs", "What to read"], name
        assert "arxiv.org/abs/" in page or name == "simko_pass_at_k", name


@pytest.mark.parametrize("name", NAMES)
def test_each_method_says_in_short_sentences_when_to_use_it(name: str) -> None:
    when = algorithms.description(name)["when"]
    assert when.startswith("Take it ")
    sentences = re.split(r"(?<=[.;:]) ", when)
    assert 2 <= len(sentences) <= 6
    assert max(len(sentence.split()) for sentence in sentences) <= 30


def test_what_is_said_of_a_comparison_is_so() -> None:
    study = frontier.Results.read("study")
    for name in set(NAMES) - {"grpo", "casp"}:
        when, arms = algorithms.description(name)["when"], study.arms_of(name)
        decided = [k for arm in arms for ks in study.decided(arm, "reference").values() for k in ks]
        assert (NOT_COMPARED in when) == (not arms), name
        assert (NOT_DECIDED in when) == (bool(arms) and not decided), name
        assert name != "maxrl" or decided == [16]
    assert study.decided("maxrl", "reference") == {"better": [16], "worse": []}


def test_points_of_the_frontier_are_those_of_the_results() -> None:
    study = frontier.Results.read("study")
    assert study.seeds == ["0", "1"]
    assert study.arms_of("grpo") == ["grpo", "grpo_low_lr", "grpo_kl"]
    assert study.arms_of("aer") == []
    assert [round(gain, 1) for gain in study.gains("maxrl", 1)] == [12.3, 12.4]  # 39.2 - 26.8, 39.4 - 27.0
    assert frontier.Results.read("headline").arms_of("simko") == ["simko_maxrl"]
    assert "| `maxrl` | `learning_rate` 0.00025 | +12.3, +12.4 |" in frontier.place("maxrl")
    assert "no arm of our comparison" in frontier.place("aer")


@pytest.mark.parametrize("name", NAMES)
def test_formulas_stand_on_the_page_as_in_the_docstring(name: str, pages: dict[str, str]) -> None:
    shown = [line for block in re.findall(r"```text\n(.*?)```", pages[name], re.DOTALL) for line in block.splitlines()]
    module = registry.find(name)[0].module
    lines = [line[4:] for line in docstring_of(module).splitlines() if line.startswith("    ") and line.strip()]
    others = {other.name for other in registry.METHODS.values() if other.module == module} - {name}
    assert set(filter(None, shown)) <= set(lines)
    if not others:
        assert [line for line in shown if line] == [line for line in lines if line in shown] != [] or name == "casp"
    own = [line for line in lines if line.split()[0] == name]
    assert set(own) <= set(shown)
    parts = {part.name for part in algorithms.get(name).parts}
    assert [line for line in shown if line and line.split()[0] in others - parts] == []


def test_the_page_of_casp_refers_to_simko(pages: dict[str, str]) -> None:
    assert "The loss is that of [simko](simko.md)." in pages["casp"]
    assert "It trains the same update as [simko](simko.md), and has its place." in pages["casp"]


def test_the_command_shows_when_to_use_a_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["algorithms", "f_grpo"]) == 0
    assert "Take it if your problems differ much" in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_the_command_of_a_page_is_read(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = re.findall(r"^simko (.*)$", methods.command(name), re.MULTILINE)
    assert run(line.split()) == 0
    assert f"algorithm: {name}\n" in capsys.readouterr().out


def test_a_docstring_may_speak_of_several_methods_or_of_none() -> None:
    text = "Two.\n\nWhen to use `a`: take it\nalways.\n\nWhen to use `b`: never."
    assert when_to_use(text, "a") == "Take it always."
    assert when_to_use(text, "b") == "Never."
    assert when_to_use(text, "c") == ""
    assert when_to_use("One.\n\nWhen to use it: now.", "c") == "Now."
    assert docstring_of("no.such.module") == ""


DOC = """Title.

    a   x = 1
        more of a
    b   x = 2
    all of them

`a` and `b` differ. Here:
- `b` is long,
  and goes on
 2. for all
"""


def test_blocks_of_a_docstring() -> None:
    found = docstring.blocks(DOC)
    kinds = [(block.kind, block.text) for block in found]
    assert kinds == [
        ("text", "Title."),
        ("code", "a   x = 1\n    more of a\nb   x = 2\nall of them"),
        ("text", "`a` and `b` differ. Here:"),
        ("item", "`b` is long, and goes on"),
        ("item", "for all"),
    ]
    mine = docstring.of_method(found, {"a"}, {"a": ["`a`"], "b": ["`b`"]})
    assert [block.text for block in mine] == [
        "Title.",
        "a   x = 1\n    more of a\nall of them",
        "`a` and `b` differ. Here:",
        "for all",
    ]
    assert docstring.markdown(mine[1:]).startswith("```text\na   x = 1\n    more of a\nall of them\n```\n\n`a` and")


def test_text_is_not_taken_for_markdown() -> None:
    assert docstring.safe("V* of `x*y` and _a_ but a_b, x <b> and a < b") == (
        "V\\* of `x*y` and \\_a\\_ but a_b, x &lt;b> and a < b"
    )
    words = " ".join(["word"] * 24)
    lines = docstring.wrapped(f"{words} word wo = 1 - 2 and `a code span`").splitlines()
    assert all(not re.match(r"[-=] ", line) for line in lines)
    assert any("`a code span`" in line for line in lines)
