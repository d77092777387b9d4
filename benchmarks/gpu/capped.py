"""`simko ...` in a process that may use so much memory of the GPU: `python -m benchmarks.gpu.capped 8GB train --model ...`.

The cap is torch's own, `torch.cuda.set_per_process_memory_fraction`. It counts what torch reserves; CUDA's context and libraries
stand beside it, and the cap is lowered by what the planner counts for them. On a CPU nothing is capped, and the output says so.
"""

from __future__ import annotations

import sys

from simko.fields import parse_bytes


def cap(size: float) -> str:
    """Cap this process at `size` bytes of the GPU, context included; return the cap in words."""
    import torch

    from simko.memory.forecast import RUNTIME_BYTES

    if not torch.cuda.is_available():
        return f"none: there is no GPU ({size / 1e9:.2f} GB were asked for)"
    total = torch.cuda.get_device_properties(0).total_memory
    usable = size - RUNTIME_BYTES["cuda"]
    if not 0 < usable < total:
        return f"none: {size / 1e9:.2f} GB, less the context, is not between 0 and the {total / 1e9:.2f} GB of the card"
    torch.cuda.set_per_process_memory_fraction(usable / total)
    return f"{size / 1e9:.2f} GB, of which torch may reserve {usable / 1e9:.2f} GB"


def main(arguments: list[str]) -> None:
    """Cap the process, then run the simko command. The last line on stdout says the cap, and what torch reserved at most."""
    words = cap(parse_bytes(arguments[0], "the cap"))
    import torch

    from simko.cli import main as simko

    sys.argv = ["simko", *arguments[1:]]
    try:
        simko()
    finally:
        peak = torch.cuda.max_memory_reserved() / 1e9 if torch.cuda.is_available() else None
        print(f"cap: {words}" + ("" if peak is None else f"; torch reserved {peak:.2f} GB at most"), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
