"""Studies that run from a checkout, by `python -m studies.<name>`. They are not installed with the package."""
