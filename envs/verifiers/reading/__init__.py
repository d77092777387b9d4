"""One way to read an answer: its text, numbers, units and shape."""
