"""The pictures of the report's page: `python -m studies.screenshots RUN` takes them with Chromium. RUN may be a page, too."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from simko.cli import run as simko
from simko.errors import UserError

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SHOTS = {  # width and height of the window, in pixels, and more flags
    "report.png": (1000, 1500, ()),
    "report-phone.png": (390, 1300, ("--blink-settings=preferredColorScheme=0",)),
}


def browser() -> str:
    """The path of a Chromium. Raises `UserError` if there is none."""
    for name in PROGRAMS:
        if path := shutil.which(name):
            return path
    raise UserError(f"no browser was found ({', '.join(PROGRAMS)}); install chromium")


def shoot(program: str, page: Path, out: Path, width: int, height: int, more: Sequence[str] = ()) -> None:
    """Take one picture of a page. Raises `UserError` if the browser leaves none."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
    size = f"--window-size={width},{height}"
    command = [program, *flags, *more, size, f"--screenshot={out}", page.resolve().as_uri()]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode or not out.is_file():
        raise UserError(
            f"{program} took no picture of {page} (exit code {ended.returncode}); start it by hand to see why"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the report of a run into a scratch folder, unless it is one, and take both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder (docs/images)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        page = options.run
        if page.is_dir():
            page = Path(scratch) / "report.html"
            if simko(["report", str(options.run), "-o", str(page)]):
                raise UserError(f"{options.run} has no report; mend what is said above")
        for name, (width, height, more) in SHOTS.items():
            shoot(browser(), page, options.out / name, width, height, more)


if __name__ == "__main__":
    main()
