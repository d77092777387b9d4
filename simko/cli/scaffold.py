"""What `simko env new` writes: a package with one environment, its verifier and its tests, or the same in one file."""

from __future__ import annotations

import importlib.util
import keyword
from pathlib import Path
from string import Template

from simko.errors import UserError

SINGLE = '''"""The environment my/$title-v0: problems, their gold answers, and who grades. `pytest $name.py` tests it."""

import simko.envs


@simko.envs.verifier("$name")
def check(response, gold):
    return response.strip() == gold  # a bool, a reward, None where there is no answer, or a simko.types.Verdict


@simko.envs.task("my/$title-v0", verifier="$name", levels=(1, 2, 3), max_new_tokens=16)
def $name(rng, level):
    """What the environment asks, in a line."""
    a, b = (int(n) for n in rng.integers(10**level, size=2))
    return f"{a} + {b} =", str(a + b)


def test_$name():
    from simko.envs.check import check

    assert [result for result in check("$name:my/$title-v0") if not result.passed] == []
'''

PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$distribution"
version = "0.1.0"
description = "The environment $name/Env-v0"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["simko"]

[project.optional-dependencies]
test = ["pytest"]

[tool.setuptools]
packages = ["$name"]

[tool.pytest.ini_options]
pythonpath = ["."]
"""

README = """# $distribution

The environment `$name/Env-v0`: problems in `$name/tasks.py`, who grades them in `$name/verifier.py`.

```bash
pip install -e .
pytest
simko env check $name:$name/Env-v0
simko env play $name:$name/Env-v0
simko train --env $name:$name/Env-v0 --model Qwen/Qwen2.5-0.5B-Instruct
```

```python
import gymnasium

env = gymnasium.make("$name:$name/Env-v0")
```
"""

INIT = '''"""The environment $name/Env-v0. Importing this registers it."""

from $name import tasks, verifier

__all__ = ["tasks", "verifier"]
'''

TASKS = '''"""The problems: each is made from a random generator and a level."""

from __future__ import annotations

import json

import numpy as np
import simko.envs


@simko.envs.task(
    "$name/Env-v0",
    verifier="$name",
    levels={1: "two numbers", 2: "three numbers", 3: "four numbers"},
    max_new_tokens=64,
)
def problem(rng: np.random.Generator, level: int) -> tuple[str, str, str]:
    """Different numbers with a given sum."""
    count = level + 1
    total = int(rng.integers(20, 1000))
    text = f"Write {count} different whole numbers above 0 whose sum is {total}, separated by commas."
    gold = json.dumps({"count": count, "total": total})  # what the verifier compares with: any text
    first = range(1, count)
    right = [*first, total - sum(first)]  # for the contract checker, since here the gold itself is no answer
    return text, gold, ", ".join(map(str, right))
'''

VERIFIER = '''"""Who grades: what the policy wrote against the gold answer."""

from __future__ import annotations

import json
import re

import simko.envs


@simko.envs.verifier("$name")
def check(response: str, gold: str) -> bool | None:
    """Reads the last line. True or False, or None where it holds no answer at all.

    It may also return a reward as a float, or a whole `simko.types.Verdict`. What the policy wrote is never executed.
    """
    wanted = json.loads(gold)
    lines = response.strip().splitlines()
    numbers = [int(digits) for digits in re.findall(r"[0-9]{1,9}", lines[-1])] if lines else []
    if not numbers:
        return None
    different = len(set(numbers)) == len(numbers) == wanted["count"]
    return different and min(numbers) > 0 and sum(numbers) == wanted["total"]
'''

TESTS = """from __future__ import annotations

import gymnasium
import pytest
from simko.envs.check import check as check_contract

from $name.verifier import check

ID = "$name:$name/Env-v0"


def test_it_keeps_the_contract() -> None:
    assert [result for result in check_contract(ID) if not result.passed] == []


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        ("4, 6", True),
        ("First 3 and 7?\\n1, 9", True),
        ("5, 5", False),
        ("0, 10", False),
        ("4, 7", False),
        ("1, 2, 7", False),
        ("no idea", None),
        ("", None),
    ],
)
def test_verifier(response: str, verdict: bool | None) -> None:
    assert check(response, '{"count": 2, "total": 10}') is verdict


def test_an_episode() -> None:
    env = gymnasium.make(ID, level=1)
    _, info = env.reset(seed=0)
    task = env.unwrapped.source.get(info["task"])
    reward = 0.0
    for token in [*task.extra["answer"].encode(), min(env.unwrapped.stop_ids)]:  # the default tokens are bytes
        assert reward == 0.0
        _, reward, terminated, truncated, info = env.step(token)
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["verdict"]["outcome"] == "correct"
"""


def write_single(name: str) -> tuple[Path, str]:
    """Write `./NAME.py`; returns it and the environment's id. Raises `UserError` where the name is bad or taken."""
    path = Path(f"{name}.py")
    _refuse(name, path)
    title = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    path.write_text(Template(SINGLE).substitute(name=name, title=title), encoding="utf-8")
    return path, f"{name}:my/{title}-v0"


def write_package(name: str) -> tuple[Path, str]:
    """Write the folder `./NAME`, an installable project; returns it and the environment's id.

    Raises `UserError` where the name is bad or taken.
    """
    root = Path(name)
    _refuse(name, root)
    if name == "tests" or not (name[0].isalpha() and name[-1].isalnum()):
        raise UserError(f"'{name}' cannot name a package to install; begin and end it with a letter, as in my_task")
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"{name}/__init__.py": INIT,
        f"{name}/tasks.py": TASKS,
        f"{name}/verifier.py": VERIFIER,
        f"tests/test_{name}.py": TESTS,
    }
    for place, text in files.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        content = Template(text).substitute(name=name, distribution=name.replace("_", "-"))
        path.write_text(content, encoding="utf-8")
    return root, f"{name}:{name}/Env-v0"


def _refuse(name: str, path: Path) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        raise UserError(f"'{name}' is not a Python name; use letters, digits and underscores, as in my_task")
    if path.exists():
        raise UserError(f"{path} exists and is left as it is; take another name")
    if importlib.util.find_spec(name) is not None:
        raise UserError(f"a Python module '{name}' exists already and would be imported instead; take another name")
