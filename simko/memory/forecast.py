"""Memory before the run: what each phase of training holds, and settings that fit. Pure arithmetic, no torch; all sizes in bytes.

Training alternates between two phases and the larger one decides. The rollout holds the model, a merged copy of it where that
is decoded with, and the decode engine's cache; the update holds the model, gradients, optimizer, activations of one
micro-batch and the head's chunk. docs/how/memory.md says which of these numbers were measured where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simko import sizes
from simko.memory.shapes import Shape
from simko.types import EngineName

Phase = Literal["both", "rollout", "update"]
GB = 1e9
MICRO_BATCH_TOKENS = 8192  # where memory allows; halved down to the longest row where it does not
# What a slot's sampling holds for each id: logits, shifted, probabilities in float32, cumulated in float64.
SAMPLING_BYTES = 4 + 4 + 4 + 8
# In float32 on a CPU: the tile of logits, its exponentials, and a work space of the product.
HEAD_TILE_BYTES = {"cpu": 3 * 4 * sizes.CPU_TILE_ELEMENTS, "cuda": sizes.CUDA_TILE_BYTES}
# For each entry of a layer that is merged in half precision: the weight twice, and in float32 the weight, what is added, the
# sum, and three arrays that tell what rounding took.
MERGING_BYTES = 2 * 2 + 6 * 4
# Interpreter and libraries, measured on CPU with torch 2.13 and transformers 5.23; CUDA's context is an assumption.
RUNTIME_BYTES = {"cpu": 0.48e9, "cuda": sizes.CUDA_CONTEXT_BYTES}
USABLE = {"cpu": 0.90, "cuda": 0.97}
ASLEEP_BYTES = 1.0e9  # of a vLLM that sleeps on the card: CUDA's context of its process, its graphs; an assumption


@dataclass(frozen=True)
class Job:
    """What is to be trained where. Tokens are of one sequence; `longest_prompt` and `max_new_tokens` are upper bounds.

    With `reference` (a KL term) the base model's log-probs of all answers are computed before the first update, and with several
    `updates` the old policy's. Neither forward keeps activations.
    """

    device: Literal["cpu", "cuda"]
    quantization: str
    lora_rank: int
    prompts: int
    group_size: int
    longest_prompt: int
    max_new_tokens: int
    eval_rows: int = 0
    reference: bool = False
    keep_checkpoints: int = 2
    updates: int = 1
    needs: frozenset[str] = frozenset()
    """Statistics that the training method asks for; see `head_extra_bytes` and `step_hidden_bytes`."""
    engine: EngineName = "local"
    engine_share: float = 0.0
    engine_card: float = 0.0
    """Whole memory of the card, of which engine `vllm` takes `engine_share`."""

    @property
    def rows(self) -> int:
        """Sequences of a step."""
        return self.prompts * self.group_size

    @property
    def capacity(self) -> int:
        """Longest sequence, in tokens."""
        return self.longest_prompt + self.max_new_tokens

    @property
    def slot_tokens(self) -> int:
        """Tokens of a slot of the engine: on CUDA it looks every few steps, and slots run on until then."""
        return self.capacity + (sizes.CUDA_SYNC_EVERY - 1 if self.device == "cuda" else 0)

    @property
    def decodes_here(self) -> bool:
        """Whether the trained model itself decodes."""
        return self.engine in ("local", "generate_batch")

    @property
    def engine_bytes(self) -> float:
        """What vLLM has on the card while it decodes."""
        return self.engine_share * self.engine_card if self.engine == "vllm" else 0.0

    @property
    def item(self) -> int:
        """Bytes of a number of the computation: float32 on CPU, 16 bits on CUDA."""
        return 4 if self.device == "cpu" else 2


@dataclass(frozen=True)
class Settings:
    """What the planner chooses. None of it changes what is learned, but for rounding."""

    micro_batch_tokens: int
    gradient_checkpointing: bool
    decode_weights: Literal["live", "merged"]
    cache_bytes: int


@dataclass(frozen=True)
class Item:
    """One thing that is held, in which phase, and what its size follows from."""

    name: str
    bytes: float
    phase: Phase
    detail: str = ""


@dataclass(frozen=True)
class Forecast:
    """What both phases hold."""

    items: tuple[Item, ...]
    slots: int

    def phase(self, phase: Phase) -> float:
        """Bytes alive in a phase, what both hold included."""
        return sum(item.bytes for item in self.items if item.phase in ("both", phase))

    @property
    def rollout(self) -> float:
        """Peak bytes of the rollout."""
        return self.phase("rollout")

    @property
    def update(self) -> float:
        """Peak bytes of the update."""
        return self.phase("update")

    @property
    def peak(self) -> float:
        """Peak bytes of the run."""
        return max(self.rollout, self.update)


@dataclass(frozen=True)
class Plan:
    """Chosen settings, their forecast, and whether they fit into `memory` bytes; `advice` where they do not."""

    shape: Shape
    job: Job
    settings: Settings
    forecast: Forecast
    memory: float
    advice: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the peak stays below what is usable of the memory, and vLLM's share holds what it needs."""
        return self.forecast.peak <= self.memory * USABLE[self.job.device] and not engine_lacks(self.shape, self.job)

    @property
    def checkpoint_bytes(self) -> float:
        """Disk for the checkpoints kept (adapter, two moments), one more while it is written."""
        return (self.job.keep_checkpoints + 1) * 12 * self.shape.adapter_parameters(self.job.lora_rank)


def verdict(plan: Plan) -> str:
    """One line: whether it fits, how much of what, and in which phase."""
    held = plan.forecast
    phase = "rollout" if held.rollout >= held.update else "update"
    if engine_lacks(plan.shape, plan.job):
        return (
            f"does not fit: vLLM's share of {plan.job.engine_bytes / GB:.2f} GB does not hold its weights and one answer, "
            f"{least_engine_bytes(plan.shape, plan.job) / GB:.2f} GB"
        )
    return (
        f"{'fits' if plan.fits else 'does not fit'}: {held.peak / GB:.2f} of {plan.memory / GB:.1f} GB, in the {phase} "
        f"({'rollout' if phase == 'update' else 'update'} {min(held.rollout, held.update) / GB:.2f})"
    )


def least_engine_bytes(shape: Shape, job: Job) -> float:
    """What vLLM needs at least: the model, unquantised, the keys and values of one sequence, and its runtime."""
    return shape.parameters * job.item + job.capacity * kv_bytes(shape, job.item) + RUNTIME_BYTES[job.device]


def engine_lacks(shape: Shape, job: Job) -> bool:
    """Whether vLLM is to decode on this card, in a share that is too small for it."""
    return job.engine == "vllm" and job.engine_bytes < least_engine_bytes(shape, job)


def parameters_text(count: float) -> str:
    """A number of parameters: `1.54 B`, and `0.9 M` below ten million."""
    return f"{count / 1e9:.2f} B" if count >= 1e7 else f"{count / 1e6:.1f} M"


def kv_bytes(shape: Shape, item: int) -> int:
    """Bytes of keys and values that one token takes in all layers."""
    return sizes.kv_bytes(shape.layers, shape.kv_width, item)


def slot_bytes(shape: Shape, job: Job) -> int:
    """What the engine counts for one slot: its cache, and its share of logits and sampling."""
    return job.slot_tokens * kv_bytes(shape, job.item) + sizes.LOGIT_BYTES * shape.vocabulary


def key_share(job: Job) -> float:
    """Keys an answer's attention gathers, for each token of a packed micro-batch: every answer of a group gets its prompt's."""
    prompt, new, n = job.longest_prompt, job.max_new_tokens, job.group_size
    return (prompt + n * (prompt + new)) / (prompt + n * new)


def activation_bytes(shape: Shape, rank: int, item: int, keys: float = 1.0) -> float:
    """Bytes that one layer keeps for the backward, a token: with LoRA on every linear layer, the base frozen.

    `keys` is `key_share`. In half precision the float32 adapter keeps a float32 copy of each layer's input, and norms keep
    theirs. Of a mixture it is the mean of its layers. Held against what autograd saves in tests/memory/test_forecast.py.
    """
    if not shape.experts:
        return _block_bytes(shape, len(shape.linears), shape.intermediate, rank, item, keys)
    dense = shape.dense_layers / shape.layers
    plain = _block_bytes(shape, len(shape.linears), shape.intermediate, rank, item, keys) if dense else 0.0
    mixed = _block_bytes(shape, len(shape.blocks[-1][1]), shape.shared_width, rank, item, keys)
    # frozen experts keep gate, up and their product for each token and expert, and the output that the router weighs
    mixed += item * shape.active * (3 * shape.expert_width + shape.hidden)
    return dense * plain + (1 - dense) * mixed


def _block_bytes(shape: Shape, linears: int, i: int, rank: int, item: int, keys: float) -> float:
    d, q, kv = shape.hidden, shape.query_width, shape.kv_width
    ranks, scales = rank * linears, 2 + shape.heads
    norms = (q + kv if shape.qk_norm else 0) * 4
    norms += 4 * 2 * q if shape.attention else 0  # latent attention: parts with and without positions, put together
    inner = 4 if shape.gated else 2
    attention = 2 * q + 2 * keys * q  # query, output; keys and values repeated for each head
    if item == 4:
        return 4 * (4 * d + q + attention + inner * i + ranks + scales) + norms
    casts = (3 + (2 if shape.gated else 1)) * d + q + i  # the inputs of q, k, v, gate, up; of o; of down
    return 4 * (casts + 2 * d + ranks + scales) + 2 * (attention + (inner - 1) * i) + norms


def head_extra_bytes(shape: Shape, job: Job, tokens: int) -> float:
    """What the loss head holds for `job.needs` beside the statistics that every method gets, for a micro-batch of `tokens`.

    The gradient of the entropy has a sum of its own for each token, and a tile of moments. A nucleus entropy may sweep again
    for each token: then it keeps those tokens' states and their gradient.
    """
    sums = 4 * tokens * shape.hidden
    moments = 4 * sizes.CPU_TILE_ELEMENTS if job.device == "cpu" else sizes.CUDA_TILE_BYTES // 4
    grad = sums + moments if "entropy_grad" in job.needs else 0
    nucleus = sums + 2 * job.item * tokens * shape.hidden if "nucleus_entropy" in job.needs else 0
    return grad + nucleus


def step_hidden_bytes(shape: Shape, job: Job) -> float:
    """Hidden states of all answers of a step, which a method with "hidden" among its needs reads at once."""
    return job.rows * job.max_new_tokens * shape.hidden * job.item if "hidden" in job.needs else 0


def forecast(shape: Shape, job: Job, settings: Settings) -> Forecast:
    """Everything that is held at the worst moment of each phase: the longest rows, all slots taken, a full micro-batch."""
    item, rank = job.item, job.lora_rank
    adapter = 4 * shape.adapter_parameters(rank)
    largest = max(a * b for a, b in shape.linears)
    slots = max(1, min(settings.cache_bytes // slot_bytes(shape, job), max(job.rows, job.eval_rows)))
    micro = max(settings.micro_batch_tokens, job.capacity)
    micro = min(micro, max(job.rows * job.capacity, 1))
    if not job.decodes_here:
        slots = job.rows
    merged = settings.decode_weights == "merged" and job.decodes_here
    per_layer = activation_bytes(shape, rank, item, key_share(job))
    recompute = settings.gradient_checkpointing
    token_bytes = shape.layers * (shape.hidden * item if recompute else per_layer)
    prefill = min(sizes.PREFILL_TOKENS, job.prompts * job.longest_prompt)
    casts = 0 if item == 4 else 4  # an adapter computes in float32; a merged copy keeps it apart at first
    copied = merged and not (job.device == "cuda" and job.quantization == "int8")  # such layers decode as they are
    scratch = {"cpu": 4 * 3 * largest, "cuda": 2 * largest}[job.device] if job.quantization != "none" else 0
    here = int(job.decodes_here)
    head = Item(
        "loss head",
        HEAD_TILE_BYTES[job.device] + micro * shape.hidden * (2 * item + 16) + head_extra_bytes(shape, job, micro),
        "update",
        "tiles of logits, E[W], its gradient",
    )
    backward = Item(
        "backward of a layer",
        micro * ((per_layer if recompute else 0) + shape.inner_width * (2 * item + (4 if item == 2 else 0))) + scratch,
        "update",
        "MLP gradients" + (", layer recomputed" if recompute else ""),
    )
    items = [
        Item(
            "runtime", RUNTIME_BYTES[job.device], "both", "Python, torch" if job.device == "cpu" else "CUDA, libraries"
        ),
        Item(
            f"weights ({job.quantization})",
            shape.quantised_bytes(job.quantization, item),
            "both",
            f"{parameters_text(shape.linear_parameters)} linear",
        ),
        Item(
            "experts",
            item * shape.expert_parameters,
            "both",
            f"{parameters_text(shape.expert_parameters)}, neither quantised nor adapted",
        ),
        Item(
            "embedding, head, norms",
            item * (shape.embedding_parameters + shape.small_parameters),
            "both",
            f"{shape.vocabulary:,} x {shape.hidden}" + (", tied" if shape.tied else ", twice"),
        ),
        Item("adapter", adapter, "both", f"LoRA rank {rank}, float32"),
        Item("optimizer", 2 * adapter, "both", "AdamW: two float32 moments"),
        Item(
            "merged copy",
            shape.linear_parameters * item if copied else 0,
            "rollout",
            "of the linear layers",
        ),
        Item(
            "merging a layer",
            max(0, MERGING_BYTES * largest - slots * slot_bytes(shape, job)) if copied and item == 2 else 0,
            "rollout",
            "the largest, before there is a cache",
        ),
        Item(
            "cache of keys and values",
            here * slots * job.slot_tokens * kv_bytes(shape, item),
            "rollout",
            f"{slots} slots x {job.slot_tokens:,} tokens",
        ),
        Item(
            "logits and sampling",
            here * slots * shape.vocabulary * SAMPLING_BYTES,
            "rollout",
            f"{slots} x {shape.vocabulary:,} ids",
        ),
        Item(
            "prefill",
            here * prefill * ((3 * shape.inner_width + 4 * shape.hidden) * item + shape.inner_width * casts),
            "rollout",
            f"{prefill:,} tokens a forward",
        ),
        Item("dequantised layer", here * scratch, "rollout", "the largest, while it is computed"),
        Item("gradients", adapter, "update", "of the adapter"),
        Item(
            "activations",
            micro * token_bytes,
            "update",
            f"{micro:,} tokens, " + ("recomputed" if recompute else "all layers kept"),
        ),
        Item(
            "log-probs kept",
            (job.reference + (job.updates > 1)) * job.rows * job.max_new_tokens * 4,
            "update",
            " and ".join(["of the base model"] * job.reference + ["of the old policy"] * (job.updates > 1)),
        ),
        Item(
            "hidden states of the step",
            max(0.0, step_hidden_bytes(shape, job) - micro * token_bytes),
            "update",
            "beyond the activations, which their pass does not keep",
        ),
        Item("attention masks", micro * job.capacity * item, "update", "of packed rows"),
        max(head, backward, key=lambda entry: entry.bytes),
    ]
    phases: tuple[Phase, Phase] = ("rollout", "update")
    held = {phase: sum(i.bytes for i in items if i.phase in ("both", phase)) for phase in phases}
    spare, least = (0.05, 0.0) if job.device == "cuda" else (0.03, 0.04e9)
    for phase, bytes_ in held.items():
        detail = f"{spare:.0%} of the phase" + (f" and {least / GB:.2f} GB" if least else "")
        items.append(Item("fragments", spare * (bytes_ - RUNTIME_BYTES[job.device]) + least, phase, detail))
    if job.engine == "vllm":
        items.append(Item("vLLM, awake", job.engine_bytes, "rollout", f"{job.engine_share:.0%} of the card"))
        items.append(Item("vLLM, asleep", ASLEEP_BYTES, "update", "its process; an assumption"))
    return Forecast(tuple(entry for entry in items if entry.bytes), int(slots))
