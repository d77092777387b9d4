"""Where a response states its final answer."""
