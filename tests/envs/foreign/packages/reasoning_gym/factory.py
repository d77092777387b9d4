from typing import Any

DATASETS: dict[str, Any] = {}
