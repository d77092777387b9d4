"""`python -m simko.cli.cell`: the `simko` command as a cell of a comparison. It leaves when its standard input ends.

The input is a pipe that the comparison holds open. When that process is gone, however it ended, this one leaves at once, as
after `kill -9`: a run folder is whole at any moment.
"""

import os
import sys

# `-m` puts the working folder first. A file there must not stand in for an installed module; `simko` itself may be there only.
if sys.path and sys.path[0] in ("", os.getcwd()):
    sys.path.append(sys.path.pop(0))

import threading

from simko.cli import main


def leave_with_the_parent() -> None:
    """End this process when its standard input ends."""
    while os.read(0, 4096):
        pass
    os._exit(137)


if __name__ == "__main__":
    threading.Thread(target=leave_with_the_parent, name="simko-parent", daemon=True).start()
    main()
