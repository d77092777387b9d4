"""What `simko env new` writes: a package with one environment, its verifier and its tests, or the same in one file."""

from __future__ import annotations

import importlib.util
import keyword
from importlib import resources
from pathlib import Path
from string import Template

from simko.errors import UserError
from simko.files import whole_folder, write


def write_single(name: str) -> tuple[Path, str]:
    """Write `./NAME.py`; returns it and the environment's id. Raises `UserError` if the name is bad or taken."""
    path = Path(f"{name}.py")
    _refuse(name, path)
    title = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    write(path, _filled("single.py", name=name, title=title))
    return path, f"{name}:my/{title}-v0"


def write_package(name: str) -> tuple[Path, str]:
    """Write the folder `./NAME`, an installable project; returns it and the environment's id.

    Raises:
        UserError: the name is bad or taken.
    """
    root = Path(name)
    _refuse(name, root)
    if name == "tests" or not (name[0].isalpha() and name[-1].isalnum()):
        raise UserError(f"'{name}' cannot name a package to install; begin and end it with a letter, as in my_task")
    places = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "__init__.py": f"{name}/__init__.py",
        "tasks.py": f"{name}/tasks.py",
        "verifier.py": f"{name}/verifier.py",
        "test.py": f"tests/test_{name}.py",
    }
    with whole_folder(root) as scratch:
        for template, place in places.items():
            path = scratch / place
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, _filled(f"package/{template}", name=name, distribution=name.replace("_", "-")))
    return root, f"{name}:{name}/Env-v0"


def _filled(template: str, **words: str) -> bytes:
    """The text of a file in `templates/`, with `words` in the place of `$word`."""
    text = (resources.files("simko.cli") / "templates" / f"{template}.template").read_text(encoding="utf-8")
    return Template(text).substitute(words).encode()


def _refuse(name: str, path: Path) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        raise UserError(f"'{name}' is not a Python name; use letters, digits and underscores, as in my_task")
    if path.exists():
        raise UserError(f"{path} exists and is left as it is; take another name")
    if importlib.util.find_spec(name) is not None:
        raise UserError(f"a Python module '{name}' exists already and would be imported instead; take another name")
