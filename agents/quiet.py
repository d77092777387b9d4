"""Quiet: transformers without its progress bars and notes."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

import transformers

_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars, notes and deprecation warnings of the libraries. Errors still come through.

    One thread at a time is inside; others wait. Filters and log level are the process's, and so is what the libraries switch
    while they load or save a model: tying, initialisation, the default dtype, the random state.
    """
    with _ONE_AT_A_TIME, _silenced():
        yield


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    log = transformers.utils.logging
    level, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(level)
        if bar:
            log.enable_progress_bar()
