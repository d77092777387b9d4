"""Breaks `simko` on purpose, from outside: every run is a process of its own that is given a command line."""
