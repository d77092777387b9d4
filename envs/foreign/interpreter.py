"""The interpreter that has a foreign package: the user names it, by `--python` or in the environment, and no file does."""

from __future__ import annotations

import os
import shutil

from simko.errors import UserError

VARIABLE = "SIMKO_PYTHON"


def interpreter(python: str | None) -> str | None:
    """The absolute path of the interpreter that the user named, else that of the variable `SIMKO_PYTHON`, else None.

    A link is not followed: that of a virtual environment finds other packages than what it leads to. Raises `UserError`.
    """
    name = python or os.environ.get(VARIABLE)
    if not name:
        return None
    path = os.path.expanduser(name)
    if os.path.isdir(path):  # a virtual environment
        path = os.path.join(path, "bin", "python")
    found = shutil.which(path)
    if found is None:
        where = "--python" if python else VARIABLE
        raise UserError(f"{where} {name}: there is no such program; give the python of a virtual environment")
    return os.path.abspath(found)
