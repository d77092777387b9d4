"""simko: RLVR that raises pass@1 and keeps pass@K, on one consumer GPU.

Importing this registers the bundled environments with Gymnasium, and loads neither torch nor transformers. Where Gymnasium has
not been imported, they are registered when it is: until then nobody can ask it for one, and nobody waits for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

TYPE_CHECKING = False  # as typing has it: importing typing would take as long as all else here
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    import simko.envs as envs

__version__ = "0.1.0"
__all__ = ["__version__", "envs"]


class _AfterGymnasium:
    """Imports `simko.envs`, which registers the environments, as soon as Gymnasium has been imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Gymnasium's own spec, with a loader that tells us when it is done; None for everything else."""
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                importlib.import_module("simko.envs")

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def __getattr__(name: str) -> Any:
    if name == "envs":
        return importlib.import_module("simko.envs")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if "gymnasium" in sys.modules:
    importlib.import_module("simko.envs")
else:
    sys.meta_path.insert(0, _AfterGymnasium())
