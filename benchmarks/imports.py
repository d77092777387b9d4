"""How long `import simko` and `simko --help` take beside TRL's, each in a fresh interpreter.

Both are timed as processes from start to end, files in the page cache (the first round is not counted).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import Case, Options, Result, compare

TITLE = "import and --help, against TRL's"


def run(options: Options) -> Result:
    """Seconds of the import and of the help text."""
    cases = [
        Case("simko", "benchmarks.imports:fresh", {"package": "simko"}, role="ours"),
        Case("trl", "benchmarks.imports:fresh", {"package": "trl"}, needs={"trl": "trl==1.16.0"}),
        Case("python", "benchmarks.imports:fresh", {"package": "sys"}, role="other"),
    ]
    return compare("imports", TITLE, cases, options, repeats=7, compared=("import_s", "help_s"))


def fresh(package: str) -> Callable[[], dict[str, float]]:
    """Processes of this interpreter: one that imports the package, one that prints its help."""
    script = Path(sys.executable).with_name(package)
    helps = {"sys": [sys.executable, "--help"], "simko": [sys.executable, "-m", "simko", "--help"]}
    commands = {
        "import_s": [sys.executable, "-c", f"import {package}"],
        "help_s": helps.get(package, [str(script), "--help"]),
    }

    def once() -> dict[str, float]:
        seconds = {}
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds[name] = time.perf_counter() - began
        return seconds

    return once
