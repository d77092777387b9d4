"""simko: RLVR that raises pass@1 and keeps pass@K, on one consumer GPU.

Importing this registers the bundled environments with Gymnasium and loads neither torch nor transformers.
"""

from __future__ import annotations

import simko.envs as envs  # registers the environments

__version__ = "0.1.0"
__all__ = ["__version__", "envs"]
