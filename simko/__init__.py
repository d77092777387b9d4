"""simko: RLVR that raises pass@1 at less cost to pass@K, on one consumer GPU.

Importing this registers the bundled environments with Gymnasium. It loads neither torch nor transformers.
"""

from simko import envs

__version__ = "0.1.0"
__all__ = ["__version__", "envs"]
