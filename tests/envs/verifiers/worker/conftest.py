"""Real workers, started once for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simko.envs.verifiers.worker.pool import Pool


@pytest.fixture(scope="module")
def workers() -> Iterator[Pool]:
    """A pool of its own, with sympy."""
    pool = Pool()
    yield pool
    pool.close()
