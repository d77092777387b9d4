"""Everything about a run on disk, and how it ends."""
