"""How long a recipe that nobody has run may take: `python -m studies.recipe_times` prints a forecast for each.

Arithmetic of a card, as in `studies.scale`, with the same assumptions of what a card reaches. Nothing was measured on one. The
answers take half of their budget on average and all groups enter the update; the evaluations before and after are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from simko.config import TrainConfig
from simko.console import markdown
from simko.errors import UserError
from simko.memory.forecast import Plan
from simko.memory.lookup import Facts, job
from simko.memory.planner import choose
from simko.memory.shapes import Shape, built_in
from simko.recipes import names, recipe
from simko.settings import train_config
from studies.scale import Card, decode_seconds

USED = 0.5  # of the budget of an answer, on average
SHARED = 0.5  # seconds of a step besides: merging, the optimizer, records; as in studies.scale


@dataclass(frozen=True)
class Gpu:
    """What a card has: bytes, bytes a second that it reads, operations a second in bfloat16 with float32 sums."""

    memory: float
    bandwidth: float
    arithmetic: float


# The RTX 4090 is that of studies.scale. The RTX 4060 reads 272 GB/s by its data sheet; its arithmetic is that of the 4090, by
# multiprocessors (24 of 128) and clock (2.46 of 2.52 GHz).
GPUS = {
    "RTX 4060, 8 GB": Gpu(8e9, 272e9, 165e12 * 24 / 128 * 2.46 / 2.52),
    "RTX 4090, 24 GB": Gpu(24e9, 1008e9, 165e12),
}


def card(shape: Shape, gpu: Gpu, context: float) -> Card:
    """Seconds of a decode step, of a sequence in it, and of a token of the update, as in `studies.scale.Card.of`."""
    read, compute = 0.7 * gpu.bandwidth, 0.4 * gpu.arithmetic
    sequence = 2 * 2 * shape.kv_width * shape.layers * context / read + 2 * shape.parameters / compute
    return Card(0.012 + 2 * shape.parameters / read, sequence, 6 * shape.parameters / compute)


def settings(name: str) -> TrainConfig:
    """The resolved settings of a recipe."""
    return train_config(recipe(name).settings)


def plan(name: str) -> Plan:
    """The memory plan of a recipe for the card that it names, without its data and its model."""
    config = settings(name)
    shape = built_in(config.model)
    if shape is None:
        raise UserError(f"recipe {name}: model '{config.model}' is not in the built-in table")
    memory = GPUS[recipe(name).about.where].memory
    return choose(shape, job(config, "cuda", Facts(shape, "built-in table", 0, 0), memory), memory)


def hours(name: str) -> float:
    """Hours of a recipe on the card that it names."""
    config, chosen = settings(name), plan(name)
    length = round(USED * chosen.job.max_new_tokens)
    prompt = chosen.job.longest_prompt / 2
    speed = card(chosen.shape, GPUS[recipe(name).about.where], prompt + length / 2)

    def decode(answers: int) -> float:
        return decode_seconds([length] * answers, chosen.forecast.slots, speed)

    answers = config.prompts_per_step * config.group_size
    update = (answers * length + config.prompts_per_step * prompt) * speed.update
    looks = config.steps // config.eval_every if config.eval_every else 0
    looked = looks * decode(config.eval_every_problems * config.eval_every_samples)
    evaluated = 2 * decode(config.eval_problems * config.eval_samples)
    return (config.steps * (decode(answers) + update + SHARED) + looked + evaluated) / 3600


def time_text(name: str) -> str:
    """The forecast as a recipe writes it."""
    number = hours(name)
    return f"about {number:.0f} hours" if number < 48 else f"about {number / 24:.0f} days"


def memory_text(name: str) -> str:
    """The forecast of the peak as a recipe writes it."""
    chosen = plan(name)
    return f"{chosen.forecast.peak / 1e9:.1f} GB of {chosen.memory / 1e9:.0f} GB"


def main() -> None:
    """Print a row for each recipe that is a forecast."""
    rows = [
        [name, recipe(name).about.where, memory_text(name), f"{plan(name).forecast.slots}", time_text(name)]
        for name in names()
        if not recipe(name).about.measured
    ]
    print(markdown(["recipe", "card", "memory", "slots", "time"], rows))


if __name__ == "__main__":
    main()
