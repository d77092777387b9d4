"""Environments in a file of the working folder: `my_task:my/Env-v0` finds ./my_task.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def reach(env_id: str | None) -> None:
    """Make the module of `"module:id"` importable from the working folder, unless it is installed.

    The folder goes to the end of the search path, so that nothing in it can stand in for an installed package.
    """
    module, _, _ = (env_id or "").rpartition(":")
    top = module.partition(".")[0]
    if not top.isidentifier() or module == "jsonl" or importlib.util.find_spec(top) is not None:
        return
    here = Path.cwd()
    if (here / f"{top}.py").is_file() or (here / top / "__init__.py").is_file():
        sys.path.append(str(here))
        importlib.invalidate_caches()
