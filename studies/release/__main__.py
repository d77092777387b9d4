"""`python -m studies.release` (`make release-check`) tries what a release promises: a line for each step, exit 1 if one failed.

It needs the extra `release`, and an index of packages for the steps `build`, `install`, `oldest` and `pythons`. It uploads
nothing, and it leaves its work in `--out` only.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from studies.release import installed, tree
from studies.release.work import FailedError, SkippedError, Work

STEPS: dict[str, Callable[[Work], str]] = {
    "files": tree.no_loose_files,
    "version": tree.one_version,
    "changelog": tree.changelog,
    "build": tree.build,
    "twine": tree.twine,
    "content": tree.same_content,
    "install": installed.clean,
    "oldest": installed.oldest,
    "pythons": installed.pythons,
}
"""The steps, in order. Each returns what it found, or raises `FailedError` or `SkippedError` with the reason."""


def check(work: Work, names: list[str], say: Callable[[str], None] = print) -> int:
    """Run these steps; a line for each. Return how many failed."""
    failures = 0
    for name in names:
        began = time.monotonic()
        try:
            state, detail = "ok", STEPS[name](work)
        except SkippedError as reason:
            state, detail = "skipped", str(reason)
        except FailedError as reason:
            state, detail = "failed", str(reason)
            failures += 1
        say(f"{name:10} {state:8} {' '.join(detail.split())} ({time.monotonic() - began:.0f} s)")
    return failures


def main() -> int:
    """Check this checkout."""
    parser = argparse.ArgumentParser(prog="python -m studies.release", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), help="these steps")
    parser.add_argument("--out", type=Path, help="a folder for what is built and installed; else one that is deleted")
    parser.add_argument("--pythons", nargs="+", default=[], metavar="PATH", help="more interpreters to try")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="simko-release-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        work = Work(folder.resolve(), options.pythons)
        return int(check(work, options.only, lambda line: print(line, flush=True)) > 0)
    finally:
        if options.out is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
