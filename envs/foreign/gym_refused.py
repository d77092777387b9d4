"""Tasks of reasoning-gym that are refused by name, each with the reason. `python -m studies.reasoning_gym` finds them."""

from __future__ import annotations

REFUSED: dict[str, str] = {}
