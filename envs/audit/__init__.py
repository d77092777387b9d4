"""Inspection from outside: the contract of an environment, rows of data, and verifiers."""
