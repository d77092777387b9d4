"""The old name of `simko.run.folder`, kept for one release."""

from simko.run.folder import RunFolder

__all__ = ["RunFolder"]
