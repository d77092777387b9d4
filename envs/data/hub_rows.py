"""A data set of the Hugging Face Hub as rows, of any name: `ORG/NAME`, or `ORG/NAME:CONFIG`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simko.envs.data.loading import ENDINGS, Row, in_own_width
from simko.errors import UserError

_ID = re.compile(r"[\w.-]+/[\w.-]+(?::[\w.-]+)?")
_HELD_OUT = ("test", "validation", "eval", "valid", "dev")
_MEND = "check the name, or download it and give the file"


def is_hub_id(data: str) -> bool:
    """Whether `data` names a data set of the Hub: its form is ORG/NAME, and neither a file nor its ending says otherwise."""
    path = Path(data).expanduser()
    local = data.startswith((".", "~", "/")) or path.exists() or data.lower().endswith(ENDINGS)
    return not local and _ID.fullmatch(data) is not None


def hub_parts(name: str) -> dict[str, list[Row]]:
    """The rows of each part: `train` and `eval` (the Hub's test part, else its validation), or the only part as `train`.

    Raises:
        UserError: the extra is not installed, the data set cannot be fetched, or it has neither part.
    """
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            f"data {name}: there is no such file; to fetch it from the Hub, pip install 'simko[hub]'"
        ) from error
    hub, _, config = name.partition(":")
    try:
        parts: Mapping[str, Any] = datasets.load_dataset(hub, config or None)
        names = list(parts)
        held_out = next((part for part in _HELD_OUT if part in names), None)
        chosen = {"train": "train"} if "train" in names else {}
        if held_out is not None:
            chosen["eval" if chosen else "train"] = held_out
        elif not chosen and len(names) == 1:
            chosen["train"] = names[0]
        rows = {ours: _rows(parts[theirs]) for ours, theirs in chosen.items()}
    except Exception as error:  # the Hub fails in many ways, and the mend is the same for all
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise UserError(f"data {name}: cannot be fetched from the Hub ({reason}); {_MEND}") from error
    if not rows:
        raise UserError(f"data {name}: its parts are {', '.join(names)}, and none is train or test; {_MEND}")
    return rows


def _rows(part: Any) -> list[Row]:
    schema = getattr(getattr(part, "features", None), "arrow_schema", None)
    return [row if schema is None else in_own_width(row, schema) for row in part]
