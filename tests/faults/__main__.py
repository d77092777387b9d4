"""`python tests/faults`: every scenario, one table. `make faults` runs this."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from faultkit.table import main

if __name__ == "__main__":
    sys.exit(main())
