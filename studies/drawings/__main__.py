"""Write every drawing: `python -m studies.drawings`, or into another folder: `--out FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

from simko.files import write_atomically
from studies.drawings import safety, training
from studies.drawings.svg import Drawing

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
PICTURES = (
    *(training.loop, training.simko, training.head, training.engine, training.memory, training.cards),
    *(safety.contract, safety.verifiers, safety.promises, safety.statistics, safety.code),
)


def drawings() -> list[Drawing]:
    """Every drawing of the docs."""
    return [picture() for picture in PICTURES]


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Write the drawings of the docs.")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder (docs/images)")
    folder = parser.parse_args().out
    for drawing in drawings():
        write_atomically(folder / f"{drawing.name}.svg", drawing.svg())


if __name__ == "__main__":
    main()
