"""docs/methods/README.md is what `python -m studies.methods` writes, but for what it measures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simko import algorithms
from simko.algorithms import registry
from studies import methods

PAGE = methods.PAGE.read_text(encoding="utf-8")


def test_the_table_is_what_the_study_would_write() -> None:
    rows = methods.table_of(PAGE)
    fixed = [[cell for i, cell in enumerate(row) if i not in methods.MEASURED] for row in rows]
    expected = [[cell for i, cell in enumerate(row) if i not in methods.MEASURED] for row in methods.static_rows()]
    assert fixed == expected, "run `python -m studies.methods --static`"
    assert all(re.fullmatch(r"\d+\.\d\d", row[column]) for row in rows for column in methods.MEASURED)
    assert [row[i] for row in rows if row[0] == methods.linked("grpo") for i in methods.MEASURED] == ["1.00", "1.00"]


@pytest.mark.parametrize("name", methods.blocks())
def test_the_blocks_are_what_the_study_would_write(name: str) -> None:
    assert methods.filled(PAGE, name, methods.blocks()[name]) == PAGE, "run `python -m studies.methods --static`"


def test_files_to_read_exist_and_every_file_of_a_part_is_read() -> None:
    folder = Path(algorithms.__file__).parent
    read = {name for method in algorithms.names() for name in methods.reading(method)}
    assert all((folder / f"{name}.py").is_file() for name in read)
    registry.load()
    owners = {
        cls.__module__.rpartition(".")[2] for cls in registry.PARTS.values() if cls.__module__.startswith("simko.")
    }
    assert owners - {"plain"} <= read
    assert methods.reading("simko") == ["grpo", "simko"]


def test_a_step_of_each_method_can_be_measured(tmp_path: Path) -> None:
    """The built-in policy in place of the random model: every method makes an update."""
    sizes = methods.SIZES | {"new": 12, "prompt_words": 4, "prompts": 6}
    tiny = Path(methods.__file__).resolve().parent.parent / "agents" / "tiny"
    steps = dict(methods.steps_of(tiny, sizes))
    assert list(steps) == algorithms.names()
    for name in ("grpo", "eepo", "thr"):
        assert steps[name]()["updates"] == 1
