"""The old name of `simko.envs.puzzles` and `simko.envs.data`. Gymnasium specs saved before 0.2 still use it."""

from simko.envs import data, puzzles

__path__ = [*puzzles.__path__, *data.__path__]
