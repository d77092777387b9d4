"""Run the notebooks with the sizes that stand in them, and keep what they print: `python -m studies.notebooks [NAME ...]`.

They are committed with their outputs: who reads them on GitHub sees what comes out, and cannot run a cell there. What differs
from run to run is left out: times, counts of cells, and the version of Python.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
PARAMETERS = "parameters"
"""The tag of the cell that holds the sizes, as papermill knows it."""
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def names() -> list[str]:
    """Names of the notebooks."""
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(name: str) -> Any:
    """A notebook by its name. Raises `ValidationError` for one that no notebook program would open."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def with_sizes(notebook: Any, sizes: Mapping[str, int]) -> Any:
    """The notebook with other sizes in its cell of parameters."""
    (cell,) = (cell for cell in notebook.cells if PARAMETERS in cell.metadata.get("tags", []))
    cell.source = "\n".join(f"{name} = {value}" for name, value in sizes.items())
    return notebook


def execute(notebook: Any, folder: Path) -> None:
    """Run all cells in `folder`, in a kernel of their own. What they print stands in the notebook afterwards.

    Raises:
        CellExecutionError: a cell raised something.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / ".ipython")}
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute(env=environment)


def tidy(notebook: Any) -> Any:
    """The notebook without what differs from run to run, and from machine to machine."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({key: value for key, value in cell.metadata.items() if key == "tags"})
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [
                output for output in cell.outputs if output.get("name") != "stderr"
            ]  # warnings of one machine
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
    return notebook


def main() -> None:
    """Run the notebooks, or those that are named, and write them with what they print."""
    for name in sys.argv[1:] or names():
        with tempfile.TemporaryDirectory() as folder:
            notebook = read(name)
            execute(notebook, Path(folder))
        nbformat.validate(tidy(notebook))
        nbformat.write(notebook, FOLDER / f"{name}.ipynb")


if __name__ == "__main__":
    main()
