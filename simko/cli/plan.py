"""`plan`: does it fit, with which settings, what must be downloaded. Nothing is trained, and no weights are fetched."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import typer

from simko.cli import panels
from simko.cli.flags import config_flags, extra_settings
from simko.cli.modules import reach
from simko.cli.output import print_json
from simko.cli.recipes import RECIPE_FLAG, settings_file
from simko.cli.runs import CONFIG_FLAG, JSON_FLAG, overrides_of, resolved_config
from simko.config import TrainConfig
from simko.console import markdown
from simko.errors import UserError

if TYPE_CHECKING:
    from simko.memory.forecast import Plan
    from simko.memory.lookup import Facts

CARDS = (6, 8, 12, 16, 24)
_OTHER_ENGINE = "engine {}: what it takes in the rollout is not planned;\nthe lines above are those of engine local"
EPILOG = (
    "Takes the flags of `simko train`, of which --model, --env and --memory matter most. With --memory, or if there is a "
    "GPU, the plan is for a GPU (--device cpu: for the CPU). Exits 0 if it fits and 1 if it does not."
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    takes_more = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=takes_more, epilog=EPILOG)(plan)


@config_flags(TrainConfig, panels=panels.PLAN)
def plan(
    context: typer.Context,
    flags: Mapping[str, Any],
    config: str | None = CONFIG_FLAG,
    recipe: str | None = RECIPE_FLAG,
    table: bool = typer.Option(False, "--table", help="every model of the built-in table against cards of 6 to 24 GB"),
    as_json: bool = JSON_FLAG,
) -> None:
    """Forecast what a training run needs.

    Memory, download and disk, before anything is fetched.
    """
    from simko.memory import lookup

    config = settings_file(recipe, config=config)
    resolved = resolved_config(config, overrides_of(config, {**flags, **extra_settings(context.args)}))
    reach(resolved.env)
    if table:
        rows = _table(resolved)
        print_json(rows) if as_json else _print_table(rows)
        return
    facts = lookup.facts(resolved.model)
    device, memory, where = _machine(resolved)
    from simko.memory.planner import choose

    chosen = choose(
        facts.shape,
        lookup.job(resolved, device, facts, memory),
        memory,
        micro_batch_tokens=resolved.micro_batch_tokens,
        gradient_checkpointing=resolved.gradient_checkpointing,
        decode_weights=resolved.decode_weights,
        cache_bytes=resolved.cache_bytes,
    )
    note = _OTHER_ENGINE.format(resolved.engine) if resolved.engine == "generate_batch" else None
    print_json(_object(chosen, facts, where) | {"note": note}) if as_json else _print(chosen, facts, where)
    if note and not as_json:
        typer.echo(f"\n{note}")
    if not chosen.fits:
        raise typer.Exit(1)


def _machine(config: TrainConfig) -> tuple[Literal["cpu", "cuda"], float, str]:
    """Kind of device, its memory in bytes, and where that number is from."""
    from simko.fields import parse_bytes
    from simko.memory.lookup import machine_bytes

    card = None if config.device == "cpu" else _card()
    on_cpu = config.device == "cpu" or (card is None and config.memory is None)
    if on_cpu and config.device.startswith("cuda"):
        raise UserError(f"plan: --device {config.device}, but no GPU is here; give its memory as --memory 8GB")
    if config.memory is not None:
        return "cpu" if on_cpu else "cuda", parse_bytes(config.memory), "--memory"
    if card is None:
        return "cpu", float(machine_bytes()), "this machine"
    return "cuda", card[1], card[0]


def _card() -> tuple[str, float] | None:
    """Name and free bytes of the first GPU, as nvidia-smi says. It needs no torch."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=name,memory.free", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    name, _, free = (done.stdout.splitlines() or [""])[0].rpartition(",")
    return (name.strip(), float(free) * 2**20) if done.returncode == 0 and name else None


def _print(chosen: Plan, facts: Facts, where: str) -> None:
    from simko.memory.forecast import GB, USABLE, parameters_text, verdict

    shape, job, settings, held = chosen.shape, chosen.job, chosen.settings, chosen.forecast
    typer.echo(verdict(chosen))
    for line in chosen.advice:
        typer.echo(f"  fits if: {line}")
    typer.echo("")
    typer.echo(f"model     {shape.name}: {parameters_text(shape.parameters)} parameters ({facts.source})")
    typer.echo(
        f"job       {job.prompts} prompts x {job.group_size} answers a step; prompts to {job.longest_prompt:,} tokens,\n"
        f"          answers to {job.max_new_tokens:,}"
    )
    typer.echo(f"memory    {chosen.memory / GB:.1f} GB ({where}, {job.device}), {USABLE[job.device]:.0%} of it usable")
    typer.echo(
        f"download  {facts.download / GB:.2f} GB; on disk {facts.disk / GB:.2f} GB and checkpoints "
        f"{chosen.checkpoint_bytes / GB:.2f} GB"
    )
    typer.echo(
        f"settings  micro_batch_tokens {settings.micro_batch_tokens:,}, gradient_checkpointing "
        f"{'on' if settings.gradient_checkpointing else 'off'},\n"
        + (
            f"          decode_weights {settings.decode_weights}, cache_bytes {settings.cache_bytes:,} ({held.slots} slots)"
            if job.decodes_here
            else f"          decoded by {job.engine}"
        )
    )
    typer.echo("")
    typer.echo(f"{'GB':24} {'rollout':>8} {'update':>8}")
    for item in held.items:
        size = f"{item.bytes / GB:8.2f}" if item.bytes >= 0.005 * GB else f"{'<0.01':>8}"
        cells = (size if item.phase in ("both", p) else " " * 8 for p in ("rollout", "update"))
        typer.echo(f"{item.name:24} {' '.join(cells)}  {item.detail}"[:80].rstrip())
    typer.echo(f"{'together':24} {held.rollout / GB:8.2f} {held.update / GB:8.2f}")


def _object(chosen: Plan, facts: Facts, where: str) -> dict[str, Any]:
    from simko.memory.forecast import verdict

    held = chosen.forecast
    return {
        "fits": chosen.fits,
        "verdict": verdict(chosen),
        "fits_if": list(chosen.advice),
        "memory_bytes": chosen.memory,
        "memory_source": where,
        "rollout_bytes": held.rollout,
        "update_bytes": held.update,
        "items": [asdict(item) for item in held.items],
        "slots": held.slots,
        "settings": asdict(chosen.settings),
        "shape": {**asdict(chosen.shape), "parameters": chosen.shape.parameters},
        "shape_source": facts.source,
        "job": asdict(chosen.job),
        "download_bytes": facts.download,
        "disk_bytes": facts.disk,
        "checkpoint_bytes": chosen.checkpoint_bytes,
    }


def _table(config: TrainConfig) -> list[dict[str, Any]]:
    """Every built-in shape on each card, for 64 answers of 1,024 tokens to prompts of 256."""
    from simko.memory.forecast import Job
    from simko.memory.planner import choose
    from simko.memory.shapes import BUILT_IN

    rows = []
    for name, shape in BUILT_IN.items():
        job = Job("cuda", config.quantization, config.lora_rank, 8, 8, 256, 1024)
        plans = {card: choose(shape, job, card * 1e9) for card in CARDS}
        least = next((c for c, p in plans.items() if p.fits), None)
        at = plans[least or CARDS[-1]]
        rows.append(
            {
                "model": name,
                "parameters": shape.parameters,
                "rollout_bytes": at.forecast.rollout,
                "update_bytes": at.forecast.update,
                "slots": at.forecast.slots,
                "smallest_card_gb": least,
                "cards": {str(card): p.fits for card, p in plans.items()},
            }
        )
    return rows


def _print_table(rows: list[dict[str, Any]]) -> None:
    header = ["model", "parameters", "rollout GB", "update GB", "slots", *(f"{card} GB" for card in CARDS), "measured"]
    lines = []
    for row in rows:
        fits = ["fits" if row["cards"][str(card)] else "no" for card in CARDS]
        sizes = [f"{row['rollout_bytes'] / 1e9:.1f}", f"{row['update_bytes'] / 1e9:.1f}", str(row["slots"])]
        lines.append([row["model"], f"{row['parameters'] / 1e9:.2f} B", *sizes, *fits, "not yet run on a GPU"])
    typer.echo(markdown(header, lines))
