"""docs/reference/cli.md: every command and its flags, from the command line itself."""

from __future__ import annotations


def pages() -> dict[str, str]:
    """The page of the commands."""
    return {}
