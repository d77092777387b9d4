"""Ours beside each peer, in one run: `python -m benchmarks --list`."""
