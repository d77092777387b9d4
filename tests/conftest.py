"""One thread, no network, deterministic hypothesis, and jaxtyping checked by beartype: for every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook

with install_import_hook(["simko.head", "simko.algorithms", "simko.update"], "beartype.beartype"):
    import simko.algorithms
    import simko.head
    import simko.update  # noqa: F401

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)


def _at_once(handle: int) -> None:
    os.fstat(handle)  # one that is not open is refused, as by the real call


os.fsync = (
    _at_once  # no test pulls the plug, and a run waits for its disk some 70 times; tests/faults has the real call
)

settings.register_profile(
    "simko", derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("simko")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot show, and say why."""
    model = os.environ.get("SIMKO_TEST_MODEL")
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
        if item.get_closest_marker("model") and not model:
            item.add_marker(pytest.mark.skip(reason="needs SIMKO_TEST_MODEL=<folder of a real model>"))


_INHERITED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGCHLD", "SIGPROF", "SIGTSTP", "SIGCONT")


@pytest.fixture
def default_signals() -> Iterator[None]:
    """Signals as in a terminal: a child of a job under `nohup` or in the background inherits that they are ignored or blocked.

    A fixture of a wider scope is set up before this one: it must not start a process that is to be signalled.
    """
    numbers = [getattr(signal, name) for name in _INHERITED if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers) if hasattr(signal, "pthread_sigmask") else None
    yield
    if blocked is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def clean_registry() -> Iterator[None]:
    """The tables of training methods are what they were, afterwards."""
    from simko.algorithms import registry

    registry.load()
    before = dict(registry.PARTS), dict(registry.METHODS)
    yield
    for table, kept in zip((registry.PARTS, registry.METHODS), before, strict=True):
        table.clear()
        table.update(kept)  # type: ignore[arg-type]
