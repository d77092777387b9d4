"""Generated tasks. A task that needs a checker of its own has it in the same file."""
