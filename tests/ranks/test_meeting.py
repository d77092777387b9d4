"""Ranks that wait for one that never comes: a signal ends them, although they wait inside C++."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
from timing import HANGS, wait_until

from simko.cli.launch import _free_port

pytestmark = pytest.mark.usefixtures("default_signals")

RANK = """
from simko.ranks.start import started
from simko.run.signals import StopSignals
with StopSignals(), started():
    pass
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_signal_ends_a_rank_that_waits_for_the_others() -> None:
    port = _free_port()
    world = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with subprocess.Popen([sys.executable, "-c", RANK], env={**os.environ, **world}) as process:
        assert wait_until(lambda: listens(port) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        assert process.wait(HANGS / 2) == -signal.SIGINT
