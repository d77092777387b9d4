"""Environments in a file of the working folder: `my_task:my/Env-v0` finds ./my_task.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from simko.errors import UserError


def reach(env_id: str | None, before: object = None) -> None:
    """Make the module of `"module:id"` importable from the working folder, unless it is installed.

    The folder goes to the end of the search path, so that nothing in it can stand in for an installed package. `before` is the
    folder in which a run found the module. It is only named: whoever wrote a run folder must not choose what is imported.

    Raises:
        UserError: the module is not here, and it was in `before`.
    """
    module, _, _ = (env_id or "").rpartition(":")
    top = module.partition(".")[0]
    if not top.isidentifier() or module == "jsonl" or importlib.util.find_spec(top) is not None:
        return
    here = Path.cwd()
    if (here / f"{top}.py").is_file() or (here / top / "__init__.py").is_file():
        sys.path.append(str(here))
        importlib.invalidate_caches()
    elif isinstance(before, str):
        raise UserError(
            f"environment '{env_id}': there is no module {top} here; the run found it in {before}: go there, or set "
            f"PYTHONPATH={before}"
        )


def reach_of(env_id: str | None, target: str) -> None:
    """`reach` for the environment `env_id`, or for that of the run folder `target`."""
    from simko.run.folder import RunFolder

    if env_id is None and RunFolder.is_run(target):
        run = RunFolder.open(target)
        reach(run.config.env, run.manifest().get("env_folder"))
    else:
        reach(env_id)
