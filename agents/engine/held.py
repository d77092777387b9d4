"""The model that an engine decodes with: built for each call, or once for all turns of a rollout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class HeldModel:
    """Calls `build`, and inside `hold()` gives its result again until `version` changes.

    A merged copy is as large as the model and must not outlive the rollout: the update needs that memory. So the last `hold()`
    that ends drops it.

    Attributes:
        builds: how often `build` was called.
    """

    def __init__(self, build: Callable[[], Any], version: Callable[[], object]) -> None:
        self._build, self._version = build, version
        self._holders, self.builds = 0, 0
        self._model: Any = None
        self._of: object = None

    def __call__(self) -> Any:
        """The model with the weights as they are now."""
        version = self._version()
        if self._model is not None and self._of == version:
            return self._model
        self._model = None  # before the next is built: two copies may not fit
        model, self.builds = self._build(), self.builds + 1
        if self._holders:
            self._model, self._of = model, version
        return model

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Inside, the model is built once for each state of the weights."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._model = None
