"""docs/methods/NAME.md: a page for each training method, from its docstring, its settings and what was measured."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from simko import algorithms
from simko.algorithms import registry
from simko.algorithms.docstrings import docstring_of
from simko.config import TINY_LOSS_PRESET
from simko.console import markdown
from studies import methods as study
from studies.pages import frontier, tables
from studies.pages.docstring import Block, blocks, of_method, safe, wrapped
from studies.pages.docstring import markdown as as_markdown

ROOT = Path(__file__).resolve().parent.parent.parent
EVIDENCE = {
    "verified": "The formula was read in the paper or in its code.",
    "reconstructed": "The formula is reconstructed: it was put together from what others write about the paper.",
}
_DEPARTS = re.compile(r"(?:Sources?|Departures?|Choices|Where the released)\b")
"""How the paragraph begins from which on a docstring says where the method departs from its source."""


def pages() -> dict[str, str]:
    """The page of each method."""
    registry.load()
    return {f"methods/{name}.md": page(name) for name in algorithms.names()}


def page(name: str) -> str:
    """The page of one method."""
    about = algorithms.description(name)
    formula, departures = said_of(name)
    title = re.sub(r" \((?:after )?arXiv[^)]*\)", "", about["title"])
    sections = {
        "When to use it": f"{wrapped(safe(about['when']))}\n\n{command(name)}",
        "Formula": "\n\n".join(filter(None, (as_markdown(formula), wrapped(_rest(name))))),
        "Source and departures": as_markdown(departures),
        "Its parts": parts(about),
        "Settings": settings(about),
        "What it is checked against": evidence(about),
        "Its place on the frontier": place(name),
        "What a step costs": cost(name),
        "What to read": reading(name),
    }
    text = "\n\n".join(f"## {heading}\n\n{content}" for heading, content in sections.items() if content)
    return f"# {title}\n{tables.MARKER}\n\n{_first(about)}\n\n{text}\n"


def said_of(name: str) -> tuple[list[Block], list[Block]]:
    """What the docstring of its file says of a method, without its title: the formula, and where it departs from its source."""
    module = registry.find(name)[0].module
    own = {name, *(part.name for part in algorithms.get(name).parts if type(part).__module__ == module)}
    found = [block for block in blocks(docstring_of(module))[1:] if not block.text.startswith("When to use ")]
    kept = of_method(found, own, _labels(module))
    begins = next((i for i, block in enumerate(kept) if block.kind == "item" or _DEPARTS.match(block.text)), len(kept))
    return kept[:begins], kept[begins:]


def _labels(module: str) -> dict[str, list[str]]:
    """For each method and part of a file, the words that stand for it in the file's docstring."""
    labels = {name: [f"`{name}`"] for (_, name), part in registry.PARTS.items() if part.__module__ == module}
    for method in registry.METHODS.values():
        if method.module == module:
            labels[method.name] = [f"`{method.name}`", method.title.partition(":")[0]]
    return labels if len(labels) > 1 else {}


def _first(about: dict[str, Any]) -> str:
    """What the method is, in a sentence for each part of its own, and its paper."""
    own = [kind for kind, part in about["parts"].items() if part != algorithms.own_parts("grpo")[kind]]
    kinds = own or ["advantage", "loss"]
    sentences = [f"{_part_line(kind, about['parts'][kind])}." for kind in kinds]
    return wrapped(" ".join([*map(safe, sentences), f"Source: {_linked(about['source'])}."]))


def _part_line(kind: str, part: str) -> str:
    return _part_lines()[kind, f"`{part}`"]


@cache
def _part_lines() -> dict[tuple[str, str], str]:
    return {(kind, part): line for kind, part, line in study.parts_rows()}


def _linked(text: str) -> str:
    return re.sub(r"arXiv (\d{4}\.\d{5})(v\d+)?", r"[arXiv \1\2](https://arxiv.org/abs/\1\2)", text)


def _rest(name: str) -> str:
    """Where the formulas of the other parts are."""
    if name == "grpo":
        return "A method is made of parts. What the page of another method does not name is as here."
    owners: dict[str, list[str]] = {}
    for kind, part in algorithms.own_parts(name).items():
        if part != algorithms.own_parts("grpo")[kind] and (owner := _owner(kind, part)) != name:
            owners.setdefault(owner, []).append(kind)
    others = [
        f"The {' and the '.join(kinds)} {'are those' if len(kinds) > 1 else 'is that'} of [{owner}]({owner}.md)."
        for owner, kinds in owners.items()
    ]
    return " ".join([*others, "What is not named here is as in [grpo](grpo.md)."])


def _owner(kind: Any, part: str) -> str:
    """The method whose page has the formula of a part: that of its name, else the first of its file."""
    if part in registry.METHODS:
        return part
    module = registry.part_class(kind, part).__module__
    return next(name for name, method in registry.METHODS.items() if method.module == module)


def parts(about: dict[str, Any]) -> str:
    """The table of the parts."""
    rows = [[kind, f"`{part}`", _part_line(kind, part)] for kind, part in about["parts"].items() if part != "none"]
    compose = "[Training methods](README.md#what-a-part-is) says how parts compose."
    return f"{markdown(('kind', 'part', 'what it is'), rows)}\n\n{compose}"


def settings(about: dict[str, Any]) -> str:
    """The table of the settings, and what is special about some."""
    rows = [
        row
        for part in algorithms.get(about["name"]).parts
        for row in tables.setting_rows(type(part), about["defaults"])
    ]
    notes = [
        f"The preset `{about['name']}:{name}` sets {_values(values)}."
        if values
        else f"The preset `{about['name']}:{name}` sets nothing else."
        for name, values in about["presets"].items()
    ]
    if tiny := TINY_LOSS_PRESET.get(about["parts"]["loss"]):
        notes.append(f"With the built-in policy, `--model tiny`, the defaults are {_values(tiny)}.")
    if about["inert"]:
        names = ", ".join(f"`{tables.flag(name)}`" for name in about["inert"])
        notes.append(f"With one update a rollout batch, the default, these have no effect: {names}.")
    return "\n\n".join([tables.table(rows), *([wrapped(" ".join(notes))] if notes else [])])


def _values(values: Any) -> str:
    return ", ".join(f"`{key}` {tables.shown(value)}" for key, value in values.items())


def evidence(about: dict[str, Any]) -> str:
    """What was read, and the tests that hold the code against it."""
    name, tests = about["name"], ROOT / "tests"
    file = registry.find(name)[0].module.rpartition(".")[2]
    slow = next(n for n in (name, file) if (tests / "reference_methods" / f"{n}.py").is_file())
    return wrapped(
        f"{EVIDENCE[about['evidence']]} `tests/reference_methods/{slow}.py` is a slow version that was written from the formula "
        f"alone. These tests hold the method against it, or against numbers worked out by hand: {', '.join(_tests(name))}."
    )


def _tests(name: str) -> list[str]:
    """The tests of methods in which the name stands by itself."""
    return [f"`{file}`" for file, words in _words_of_tests().items() if name in words]


@cache
def _words_of_tests() -> dict[str, set[str]]:
    """The words of each file of tests/algorithms."""
    files = sorted((ROOT / "tests" / "algorithms").glob("test_*.py"))
    return {path.name: set(re.findall(r"\w+", path.read_text(encoding="utf-8"))) for path in files}


def place(name: str) -> str:
    """Where it got in the comparison; a method that is another by another name refers to that one."""
    text = frontier.place(name)
    if text is not frontier.NO_ARM:
        return text
    same = [other for other in algorithms.names() if algorithms.own_parts(other) == algorithms.own_parts(name)]
    for other in same:
        if other != name and algorithms.get(other).parts == algorithms.get(name).parts:
            return f"It trains the same update as [{other}]({other}.md), and has its place."
    return text


def cost(name: str) -> str:
    """Time and memory of a step, beside GRPO's."""
    (row,) = (row for row in study.table_of(study.PAGE.read_text(encoding="utf-8")) if row[0] == study.linked(name))
    time, memory = (row[column] for column in study.MEASURED)
    if name == "grpo":
        return "The others are measured by it: [Training methods](README.md#how-to-read-the-table) has its seconds and bytes."
    return wrapped(
        f"{time} times the CPU time of a step of GRPO, and {memory} times its memory, on a small random model. "
        "[Training methods](README.md#how-to-read-the-table) says how that was measured."
    )


def command(name: str) -> str:
    """The shortest command that trains with a method."""
    return f"```bash\n# shows the settings; without --dry-run it trains\nsimko train --algorithm {name} --dry-run\n```"


def reading(name: str) -> str:
    """The files of the method, in the order in which they build on one another."""
    files = ", then ".join(f"`simko/algorithms/{module}.py`" for module in study.reading(name))
    return wrapped(f"{files}.")
