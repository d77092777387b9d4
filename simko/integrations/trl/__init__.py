"""Our tasks, verifiers, pass@K and SimKO's loss inside TRL's `GRPOTrainer` (and so inside Unsloth's, which patches it).

`dataset` and `reward` bring any environment or verifier; `environment` is an `environment_factory`; `PassAtK` draws the curve
during training; `SimKOTrainer` is `GRPOTrainer` with SimKO's loss. The extra is `simko[trl]`, tested with TRL 1.16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simko.errors import UserError
from simko.integrations.trl.tasks import dataset, environment, reward

if TYPE_CHECKING:
    from simko.integrations.trl.callback import PassAtK
    from simko.integrations.trl.trainer import SimKOTrainer

__all__ = ["PassAtK", "SimKOTrainer", "dataset", "environment", "reward"]


def __getattr__(name: str) -> Any:
    """Import what needs TRL only when it is asked for. Raises `UserError` if TRL is not installed."""
    if name not in ("PassAtK", "SimKOTrainer"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import trl  # noqa: F401
    except ImportError as error:
        raise UserError(f"simko.integrations.trl.{name} needs TRL: pip install 'simko[trl]'") from error
    if name == "PassAtK":
        from simko.integrations.trl.callback import PassAtK

        return PassAtK
    from simko.integrations.trl.trainer import SimKOTrainer

    return SimKOTrainer
