"""Pages of docs/ that are written from the code, so that nothing is said twice: `python -m studies.pages`."""
