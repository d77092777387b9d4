"""docs/reference/settings.md: every setting, from the classes of simko.config."""

from __future__ import annotations


def pages() -> dict[str, str]:
    """The page of the settings."""
    return {}
