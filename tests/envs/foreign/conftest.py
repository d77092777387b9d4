from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # stand_ins


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that finds the stand-in packages."""
    import stand_ins

    return stand_ins.interpreter(tmp_path_factory.mktemp("interpreter"))


@pytest.fixture(autouse=True, scope="module")
def _no_interpreter_of_the_user() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SIMKO_PYTHON", raising=False)
        yield
