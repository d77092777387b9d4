"""Runnable studies: `python -m studies.<name>` from a checkout. Not installed with the package."""
