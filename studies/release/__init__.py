"""Is this commit fit to be released? `python -m studies.release` builds it, installs it, tries it, and says so line by line."""
