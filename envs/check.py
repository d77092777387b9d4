"""The public entry to the contract checker: `simko.envs.check.check(ID)`."""

from simko.envs.audit.contract import check

__all__ = ["check"]
