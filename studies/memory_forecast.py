"""Which models fit which card: `python -m studies.memory_forecast`. A forecast from shapes; nothing was measured on a GPU.

Counts what is alive in each phase at 32 live answers of 1,024 tokens, micro-batches of 4,096 tokens with gradient checkpointing:
rollout = 4-bit weights + head and embeddings in bf16 + adapter + KV cache; update = the same without the cache, with
gradients, optimizer, one layer's activations, the layers' inputs and the head's chunk. A gigabyte is left to CUDA itself.
"""

from __future__ import annotations

from dataclasses import dataclass

GB = 1e9
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8  # 4 bits, an 8-bit scale each 64, a float32 scale each 256 of those
CARDS = (8, 12, 16, 24)
ANSWERS, TOKENS, MICRO_BATCH, RANK, SLACK = 32, 1024, 4096, 16, 1.0 * GB


@dataclass(frozen=True)
class Shape:
    """What memory depends on; widths in elements, from each model's published config.json."""

    name: str
    layers: int
    hidden: int
    intermediate: int
    kv_width: int
    vocabulary: int
    tied: bool
    query_width: int = 0

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(in, out) of the quantised layers of one block."""
        q = self.query_width or self.hidden
        attention = [(self.hidden, q), (self.hidden, self.kv_width), (self.hidden, self.kv_width), (q, self.hidden)]
        return attention + [(self.hidden, self.intermediate)] * 2 + [(self.intermediate, self.hidden)]

    @property
    def parameters(self) -> float:
        """All weights, norms aside."""
        return self.layers * sum(a * b for a, b in self.linears) + self.vocabulary * self.hidden * (
            1 if self.tied else 2
        )


SHAPES = (
    Shape("SmolLM2-135M", 30, 576, 1536, 192, 49_152, True),
    Shape("Qwen2.5-0.5B", 24, 896, 4864, 128, 151_936, True),
    Shape("Llama-3.2-1B", 16, 2048, 8192, 512, 128_256, True),
    Shape("Qwen2.5-1.5B", 28, 1536, 8960, 256, 151_936, True),
    Shape("SmolLM2-1.7B", 24, 2048, 8192, 2048, 49_152, True),
    Shape("Llama-3.2-3B", 28, 3072, 8192, 1024, 128_256, True),
    Shape("Qwen2.5-3B", 36, 2048, 11008, 256, 151_936, True),
    Shape("Qwen2.5-7B", 28, 3584, 18944, 512, 152_064, False),
    Shape("Llama-3.1-8B", 32, 4096, 14336, 1024, 128_256, False),
    Shape("Qwen2.5-14B", 48, 5120, 13824, 1024, 152_064, False),
)


def forecast(shape: Shape) -> tuple[float, float]:
    """Peak bytes of the rollout and of the update."""
    quantised = shape.layers * sum(a * b for a, b in shape.linears) * NF4_BYTES
    plain = shape.vocabulary * shape.hidden * 2 * (1 if shape.tied else 2)
    adapter = shape.layers * sum(RANK * (a + b) for a, b in shape.linears) * 4
    cache = 2 * shape.layers * shape.kv_width * ANSWERS * TOKENS * 2
    inputs = shape.layers * MICRO_BATCH * shape.hidden * 2
    one_layer = MICRO_BATCH * (8 * shape.hidden + 4 * shape.intermediate) * 2 + 2 * shape.hidden * shape.intermediate
    head = 2 * 64 * 2**20 + 3 * MICRO_BATCH * shape.hidden * 4
    common = quantised + plain + adapter + SLACK
    return common + cache, common + 3 * adapter + inputs + one_layer + head


def main() -> None:
    """Print the table."""
    print("| model | parameters | rollout GB | update GB | " + " | ".join(f"{card} GB" for card in CARDS) + " |")
    print("|---" * (4 + len(CARDS)) + "|")
    for shape in SHAPES:
        rollout, update = (bytes_ / GB for bytes_ in forecast(shape))
        fits = " | ".join("fits" if max(rollout, update) <= 0.93 * card else "no" for card in CARDS)
        print(f"| {shape.name} | {shape.parameters / 1e9:.2f} B | {rollout:.1f} | {update:.1f} | {fits} |")


if __name__ == "__main__":
    main()
