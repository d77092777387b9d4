"""A line of a report on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of the report. `mend` says what to do if the status is not ok."""

    status: Literal["ok", "warn", "fail"]
    detail: str
    mend: str = ""
