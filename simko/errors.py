"""The one exception for mistakes that a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A user's mistake, told in one line: what is wrong, where (file, line, field, value), and the mend.

    The command line prints this line and exits with 2; `--debug` shows the traceback.
    """


class TooFewTasksError(UserError):
    """More tasks are asked for than a split has; `count` is how many it has."""

    def __init__(self, line: str, count: int) -> None:
        super().__init__(line)
        self.count = count


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest of `names`, or the empty string if none is close."""
    matches = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""
