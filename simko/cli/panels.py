"""Panels: which flag stands under which heading of `--help`, in the order in which a person decides.

A panel's name is the option's `rich_help_panel`, typer's own attribute, so other readers of the command line find it there.
Settings that no table names are for experts: a new one shows at the end of the help until somebody gives it a place.
"""

from __future__ import annotations

from collections.abc import Mapping

Panels = Mapping[str, tuple[str, ...]]

START, TASK, MODEL, METHOD = "Start", "Task", "Model", "Method"
BUDGET, MEMORY, LOOKING, EXPERT = "Budget", "Memory and devices", "Looking and records", "Expert"
SAMPLING = "Sampling"
METHOD_NOTE = "A method's own settings are flags too, as --alpha 0.3. `simko algorithms simko` lists those of simko."

TRAIN: Panels = {
    START: ("config", "recipe", "resume", "out", "seed", "dry_run", "as_json"),
    TASK: (
        "env", "level", "data", "columns", "template", "verifier", "attempts", "max_new_tokens", "env_options",
    ),
    MODEL: ("model", "adapter", "quantization", "lora_rank", "lora_alpha"),
    METHOD: ("algorithm", "learning_rate", "temperature", "keep_solved"),
    BUDGET: ("steps", "prompts_per_step", "group_size", "eval_problems", "eval_samples"),
    MEMORY: ("device", "devices", "memory", "gradient_checkpointing", "engine"),
    LOOKING: (
        "logger", "eval_every", "eval_every_problems", "eval_every_samples", "checkpoint_every", "keep_checkpoints",
    ),
    "Expert: task and grading": (
        "keep_good_rows", "max_prompt_tokens", "verifier_workers", "code_seconds", "unsafe_no_sandbox", "python",
        "preflight_prompts", "force", "solve_samples", "solve_rates", "random_rewards",
    ),
    "Expert: update": (
        "target_modules", "updates_per_batch", "warmup_steps", "weight_decay", "max_grad_norm", "tis_clip",
    ),
    "Expert: evaluation": (
        "eval_temperature", "eval_top_p", "tuning_problems", "tuning_samples", "problem_seed", "temperatures", "templates",
    ),
    "Expert: decoding and memory": (
        "decode_weights", "micro_batch_tokens", "cache_bytes", "burn_in", "threads", "engine_url",
        "engine_adapter_folder", "engine_connections", "engine_timeout", "engine_share", "collectives", "digest_every",
    ),
}  # fmt: skip
"""Of `train`."""

PLAN: Panels = {
    START: (*TRAIN[START], "table"), MODEL: TRAIN[MODEL], MEMORY: TRAIN[MEMORY],
    **{panel: names for panel, names in TRAIN.items() if panel != START},
}  # fmt: skip
"""Of `plan`: what takes memory comes first."""

COMPARE: Panels = {
    "Comparison": (
        "algorithms", "seeds", "config", "out", "reference", "random_control", "jobs", "budget", "dry_run", "as_json",
    ),
    **TRAIN,
}  # fmt: skip
"""Of `compare` and `sweep`."""

EVAL: Panels = {
    START: ("config", "out", "as_json"),
    SAMPLING: (
        "n", "problems", "split", "temperature", "top_p", "training_sampling", "seed", "max_new_tokens", "part",
        "problem_seed",
    ),
    MODEL: ("best", "base", "model", "adapter", "quantization"),
    TASK: ("env", "level", "data", "columns", "template", "verifier", "attempts", "env_options"),
    LOOKING: ("samples", "probing"),
    MEMORY: ("device", "devices", "threads", "engine"),
    EXPERT: (
        "keep_good_rows", "allow_overlap", "max_prompt_tokens", "code_seconds", "unsafe_no_sandbox", "python",
        "engine_url", "engine_adapter_folder",
    ),
}  # fmt: skip
"""Of `eval`, `sample` and `chat`."""

EXPORT: Panels = {
    "What to write": ("merged", "adapter", "gguf", "out", "dtype", "as_json"),
    "To the Hub": ("push", "public"),
    "Check it": ("check", "check_problems", "check_samples", "check_gap"),
    "Run or model": ("best", "model", "quantization", "device", "threads"),
    "Task of the check, and of a model": ("env", "level", "data", "template", "verifier", "max_new_tokens"),
}
"""Of `export`."""

COMMANDS: Panels = {
    "Train and measure": ("train", "eval", "recipes", "plan", "algorithms"),
    "Look at a run or a model": ("watch", "inspect", "report", "sample", "chat"),
    "Compare": ("compare", "sweep", "results"),
    "Tasks and verifiers": ("env", "verify"),
    "Take it elsewhere": ("export",),
    "This machine": ("doctor",),
}
"""Which command of `simko` stands under which heading."""

NOTES = {METHOD: METHOD_NOTE}
"""A line below the flags of a panel."""


def panel_of(panels: Panels, name: str) -> str | None:
    """The panel of a parameter; None if no table names it."""
    return next((panel for panel, names in panels.items() if name in names), None)


def place_of(panels: Panels, name: str) -> int:
    """Where a parameter stands among all; behind the others if no table names it."""
    order = [other for names in panels.values() for other in names]
    return order.index(name) if name in order else len(order)
