"""CUDA graphs of decode steps, one for each bucket of slots and of attended length. Written with care; NOT YET RUN ON A GPU.

Launching its kernels bounds the time of a small batch's step; a graph launches them all at once. Its tensors have fixed
addresses and shapes. So tokens and positions are copied into buffers, and free slots run along to fill the bucket: they write
to places that the next prompt overwrites. A graph lives as long as its cache: one call of `generate`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from bitsandbytes.nn import Linear8bitLt
from jaxtyping import Float, Int
from torch import Tensor, nn

Forward = Callable[[Tensor, Tensor, int], Tensor]
Replay = Callable[[], Tensor]

_LIVE = 128  # attended lengths are multiples of this: with finer steps, recording would cost more than it saves
_WARM_UPS = 2


def recordable(model: nn.Module) -> bool:
    """Whether no layer of `model` asks the host in a decode step, which a recording cannot hold.

    LLM.int8() looks for outliers, and rotary embeddings whose frequencies follow the longest position look for that.
    """
    for layer in model.modules():
        kinds = getattr(layer, "rope_type", None)
        kinds = kinds.values() if isinstance(kinds, dict) else (kinds,)
        if isinstance(layer, Linear8bitLt) or any(kind and ("dynamic" in kind or kind == "longrope") for kind in kinds):
            return False
    return True


class StepGraphs:
    """Replays decode steps, which are recorded once for each bucket.

    Args:
        rows: number of slots; a graph has rows, rows / 2, rows / 4 ... of them.
        capacity: tokens of a slot.
        device: where the buffers are.
        record: turns a function into one that replays it; a test on a CPU passes one that just calls the function.
    """

    def __init__(
        self,
        rows: int,
        capacity: int,
        device: torch.device,
        record: Callable[[Replay], Replay] | None = None,
    ) -> None:
        self._rows, self._capacity = rows, capacity
        self._tokens = torch.zeros(rows, dtype=torch.int64, device=device)
        self._position = torch.zeros(rows, dtype=torch.int64, device=device)
        self._record = record or _Recorder(device)
        self._graphs: dict[tuple[int, int], Replay] = {}

    def step(
        self, forward: Forward, tokens: Int[Tensor, "N"], position: Int[Tensor, "N"], longest: int
    ) -> Float[Tensor, "N D"]:
        """Return the hidden states of the first N slots. The next step overwrites them.

        `forward(tokens, position, live)` does one step of the first `len(tokens)` slots; they attend to `live` positions.
        """
        count, bucket = len(tokens), self._rows
        while bucket // 2 >= count:
            bucket //= 2
        live = min(self._capacity, -(-(longest + 1) // _LIVE) * _LIVE)
        self._tokens[:count] = tokens
        self._position[:count] = position
        self._position[count:] = 0
        if (bucket, live) not in self._graphs:
            step = partial(forward, self._tokens[:bucket], self._position[:bucket], live)
            self._graphs[bucket, live] = self._record(step)
        return self._graphs[bucket, live]()[:count]


class _Recorder:
    """Records a step as a CUDA graph. All graphs share one pool of memory, since only one runs at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Replay) -> Replay:
        with torch.cuda.device(self._device):  # streams and graphs belong to the current device
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # first unrecorded, so that libraries initialise; writing twice is harmless
                for _ in range(_WARM_UPS):
                    step()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            # on this stream: by default all graphs share one, which belongs to the device of the first
            with torch.cuda.graph(graph, pool=self._pool, stream=side, capture_error_mode="thread_local"):
                output = step()

        def replay() -> Tensor:
            graph.replay()
            return output

        return replay
