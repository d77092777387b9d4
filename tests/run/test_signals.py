"""Signals: at once, at the end of what is deferred, and the second one ends everything."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from simko.run.signals import Stopped, StopSignals

pytestmark = pytest.mark.usefixtures("default_signals")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_an_exception_with_its_exit_code(number: int, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught, StopSignals():
        os.kill(os.getpid(), number)
    assert caught.value.code == code
    assert isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(number) is before


def test_what_is_deferred_is_done_first() -> None:
    done = []

    def work() -> None:
        with StopSignals() as stop:
            with stop.deferred():
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGTERM)
                done.append(1)
            done.append(2)

    with pytest.raises(Stopped):
        work()
    assert done == [1]


def test_an_exception_that_got_lost_comes_again() -> None:
    with StopSignals() as stop:
        with contextlib.suppress(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped), stop.deferred():
            raise AssertionError("not reached")


def test_another_thread_leaves_signals_alone() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def inside() -> None:
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize(("first", "code"), [("SIGINT", 130), ("SIGTERM", 130)])
def test_the_second_control_c_leaves_at_once(first: str, code: int) -> None:
    script = f"""
import os, signal
from simko.run.signals import StopSignals
with StopSignals() as stop, stop.deferred():
    os.kill(os.getpid(), signal.{first})
    print("deferred", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("not reached", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "deferred\n", "")
