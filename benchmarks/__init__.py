"""Benchmarks: our code beside each peer's, in one run. `python -m benchmarks --list` names them."""
