"""The notebooks run from the first cell to the last, and what is committed of them holds nothing of one machine."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from studies.notebooks import FOLDER, PARAMETERS, execute, names, read, tidy, with_sizes

SMALL = {
    "own_environment": {"STEPS": 1, "PROMPTS": 4},
    "quick_start": {"STEPS": 1, "PROMPTS": 4, "PROBLEMS": 2, "SAMPLES": 4},
}
PRINTED = {
    "own_environment": ("ok   ", "'4'     correct", "'24'    incorrect", "right answers", "step 1\n  What divides"),
    "quick_start": ("(9-4)*(2+3)  correct", "right answers", "before  after", "image/png", " x "),
}


def output(notebook: object) -> str:
    """All that the cells printed, as text."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")  # type: ignore[attr-defined]
    every = [out for cell in cells for out in cell.outputs]
    return "\n".join(out.get("text", "") or "\n".join(map(str, out.get("data", {}))) for out in every)


def test_every_notebook_is_here() -> None:
    assert sorted(SMALL) == sorted(PRINTED) == names()


@pytest.mark.slow
def test_they_run(tmp_path: Path) -> None:
    """One after the other in one kernel, since most of a small run is the import of torch. No name is left for the second."""
    notebooks = {name: with_sizes(read(name), SMALL[name]) for name in names()}
    for notebook in notebooks.values():
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = []
    cells = [c for n in notebooks.values() for c in [nbformat.v4.new_code_cell("%reset -f"), *n.cells]]
    execute(nbformat.v4.new_notebook(cells=cells), tmp_path)
    for name, notebook in notebooks.items():
        printed = output(notebook)
        assert [text for text in PRINTED[name] if text not in printed] == [], printed


@pytest.mark.parametrize("name", sorted(SMALL))
def test_what_is_committed(name: str) -> None:
    """Outputs of every cell that prints; no path, no time; small; as `python -m studies.notebooks` tidies it."""
    notebook, text = read(name), (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    printed = output(notebook)
    assert [part for part in PRINTED[name] if part not in printed] == []
    assert not re.search(r"/(home|root|tmp|work|usr)/|\\\\Users|\d s/step|\d seconds", text)
    assert "FAIL" not in printed
    assert "stderr" not in {out.get("name") for cell in notebook.cells for out in cell.get("outputs", [])}
    assert len(text) < 200_000
    assert printed.count("image/png") <= 1
    assert notebook == tidy(read(name))
    (sizes,) = (cell.source for cell in notebook.cells if PARAMETERS in cell.metadata.get("tags", []))
    assert set(re.findall(r"^(\w+) = \d+", sizes, re.M)) == set(SMALL[name])


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_first_cell_installs_simko_where_it_is_missing(name: str) -> None:
    first = next(cell for cell in read(name).cells if cell.cell_type == "code")
    assert 'find_spec("simko") is None' in first.source
    assert "%pip install -q simko" in first.source
