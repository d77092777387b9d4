"""Generated tasks, each beside its checker."""
