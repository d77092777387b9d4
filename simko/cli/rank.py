"""`python -m simko.cli.rank`: the `simko` command as one of several ranks that `--devices` started.

When the process that started it is gone, however it ended, the kernel sends this one SIGTERM (on Linux). So it saves the last
whole step and leaves.
"""

import os
import sys

# `-m` puts the working folder first. A file there must not stand in for an installed module; `simko` itself may be there only.
if sys.path and sys.path[0] in ("", os.getcwd()):
    sys.path.append(sys.path.pop(0))

import ctypes
import signal

from simko.cli import main


def end_with_the_launcher() -> None:
    """Get SIGTERM when the launcher ends. (A rank has a session of its own, so it gets no signal of the terminal.)"""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, from linux/prctl.h
    if os.getppid() != int(os.environ["SIMKO_LAUNCHER"]):  # it ended before that
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    end_with_the_launcher()
    main()
