"""`export`: a trained policy as a transformers folder, a PEFT folder, a GGUF file, or a repository of the Hub; and its check."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simko.cli import panels
from simko.cli.flags import config_flags, flag
from simko.cli.output import print_json
from simko.config import EvalConfig, TrainConfig
from simko.console import note
from simko.errors import UserError

if TYPE_CHECKING:
    from simko.export.artefacts import Artefact
    from simko.run.target import Target

DTYPES = ("auto", "float32", "bfloat16", "float16")
_ENV_FLAGS = ("env", "data", "level", "template", "verifier", "max_new_tokens")
EPILOG = (
    "A run's newest checkpoint is exported, or with --best its best. --merged and --gguf take the weights that the policy was "
    "trained on: those of the quantised base, dequantised; --quantization none merges into the base as it was published."
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=EPILOG)(export)


@config_flags(
    EvalConfig, only=("best", "model", "quantization", "device", "threads", *_ENV_FLAGS), panels=panels.EXPORT
)
def export(
    flags: Mapping[str, Any],
    target: str = typer.Argument(metavar="RUN_OR_MODEL", help="run folder; or a model, with --adapter"),
    merged: str | None = typer.Option(
        None, "--merged", metavar="DIR", help="write base and adapter as one model, for transformers and vLLM"
    ),
    adapter: str | None = typer.Option(
        None,
        "--adapter",
        metavar="DIR",
        help="of a run: write its adapter, a plain PEFT folder; of a model: read this one",
    ),
    gguf: str | None = typer.Option(
        None,
        "--gguf",
        metavar="q8_0|q4_k_m|f16|bf16",
        help="write a GGUF file of that kind and a Modelfile, for llama.cpp and Ollama",
    ),
    out: str | None = typer.Option(
        None, "--out", metavar="DIR", help="of --gguf: its folder; NAME-KIND in the working folder where empty"
    ),
    push: str | None = typer.Option(
        None,
        "--push",
        metavar="REPO",
        help="upload to the Hub as org/name: the merged model with --merged, the GGUF file with --gguf, else the adapter",
    ),
    public: bool = typer.Option(False, "--public", help="make a new repository public; it is private otherwise"),
    dtype: str = typer.Option(
        "auto",
        "--dtype",
        metavar="|".join(DTYPES),
        help="of merged weights; auto is that of the base [auto]",
        show_default=False,
    ),
    check: bool = typer.Option(
        False, "--check", help="compare what was written with the policy on held-out problems; exit code 1 if they part"
    ),
    check_problems: int = typer.Option(
        16, "--check-problems", min=1, metavar="N", help="held-out problems of the check"
    ),
    check_samples: int = typer.Option(4, "--check-samples", min=2, metavar="N", help="samples a problem of the check"),
    check_gap: float | None = typer.Option(
        None,
        "--check-gap",
        min=0.0,
        metavar="X",
        help="largest mean gap of log-probs, in nats a token; by kind where empty",
    ),
    as_json: bool = typer.Option(False, "--json", help="print one JSON object"),
) -> None:
    """Export a run, or a model with an adapter.

    As merged weights, as an adapter, as a GGUF file, or to the Hub.
    """
    from simko.run.folder import RunFolder

    target = os.path.expanduser(target)
    merged, adapter, out = (path and os.path.expanduser(path) for path in (merged, adapter, out))
    _refuse_unused(merged, gguf, out, push, dtype, public, check, flags)
    is_run = RunFolder.is_run(target)
    source = _source(target, None if is_run else adapter, flags)
    out_adapter = Path(adapter) if is_run and adapter else None
    if not (merged or out_adapter or gguf or push):
        raise UserError(
            "export: nothing to do; give --merged DIR, --gguf KIND, --push REPO, or for a run --adapter DIR"
        )
    gguf, out_gguf = _place_of_gguf(target, gguf, out)
    _refuse_places({"--merged": merged, "--adapter": out_adapter, "--out": out_gguf})

    from simko.export import hub
    from simko.export.artefacts import Exporter

    client = hub.client_for(push) if push else None
    results = _results(source)
    with ExitStack() as stack:
        exporter = Exporter(source, results, client and hub.licence_at(client, source.settings.model))
        artefacts: list[Artefact] = []
        if out_adapter:
            artefacts.append(exporter.adapter(out_adapter))
        if merged:
            artefacts.append(exporter.merged(Path(merged), dtype))
        if gguf and out_gguf:
            artefacts.append(exporter.gguf(out_gguf, gguf))
        if not artefacts or (push and not (merged or gguf or out_adapter)):
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            artefacts.append(exporter.adapter(scratch / "adapter"))
        done = _told(
            source, artefacts, results, bool(push) and len(artefacts) == 1 and not (merged or gguf or out_adapter)
        )
        agrees = _check(exporter, artefacts, check_problems, check_samples, check_gap, done, as_json) if check else True
        if client is not None and push and agrees:
            done["pushed"] = hub.upload(client, push, _pushed(artefacts).folder, not public)
    if as_json:
        print_json(done)
    else:
        for what in ("adapter", "merged", "gguf", "pushed"):
            if what in done:
                typer.echo(f"{what}: {done[what]}")
    if not agrees:
        note("what was exported does not answer as the policy does" + ("; it was not uploaded" if push else ""))
        raise typer.Exit(1)


def _told(source: Target, artefacts: list[Artefact], results: Mapping[str, str], hidden: bool) -> dict[str, Any]:
    """What `--json` prints of what was written; a `hidden` artefact lies in a folder that goes away."""
    done: dict[str, Any] = {"step": source.step}
    for artefact in artefacts if not hidden else []:
        done[artefact.kind] = str(artefact.file or artefact.folder)
    if results:
        done["eval_results"] = sorted(results)
    return done


def _check(
    exporter: Any,
    artefacts: list[Artefact],
    problems: int,
    samples: int,
    gap: float | None,
    done: dict[str, Any],
    as_json: bool,
) -> bool:
    """Check each artefact, say what was seen, and keep it in its `export.json`; whether all agree with the policy."""
    from simko.export.card import FACTS, write_facts
    from simko.export.check import check, sample_reference
    from simko.report.foreign.rows import read_object

    reference = sample_reference(exporter.source, exporter.policy, problems, samples)
    exporter.release()  # two whole models need not be in memory
    done["check"] = {}
    for artefact in artefacts:
        checked = check(artefact, reference, gap)
        done["check"][artefact.kind] = dict(checked.facts)
        write_facts(artefact.folder, read_object(artefact.folder / FACTS) | {"check": dict(checked.facts)})
        if not as_json:
            typer.echo("\n".join(checked.lines))
    return all(facts["agrees"] for facts in done["check"].values())


def _pushed(artefacts: list[Artefact]) -> Artefact:
    """What is uploaded: the merged model, else the GGUF file, else the adapter."""
    order = {"merged": 0, "gguf": 1, "adapter": 2}
    return min(artefacts, key=lambda artefact: order[artefact.kind])


def _place_of_gguf(target: str, kind: str | None, out: str | None) -> tuple[str | None, Path | None]:
    """The kind in small letters, and the folder of the file."""
    if kind is None:
        return None, None
    from simko.agents.gguf_kinds import check_kind

    kind = check_kind(kind)
    return kind, Path(out) if out else Path(f"{Path(os.path.abspath(target)).name.removesuffix('.gguf')}-{kind}")


def _source(target: str, adapter: str | None, flags: Mapping[str, Any]) -> Target:
    """What is exported: a checkpoint of a run, or a model with an adapter."""
    from simko.run.folder import RunFolder
    from simko.run.target import resolve

    if not RunFolder.is_run(target) and Path(target, "config.yaml").is_file():
        raise UserError(f"export: run folder {target} has no checkpoints/; put that back")
    if not RunFolder.is_run(target) and adapter is None:
        raise UserError(f"export: {target} is not a run folder; give one, or a model with --adapter DIR")
    if adapter is not None and not (Path(adapter) / "adapter_config.json").is_file():
        raise UserError(
            f"export: --adapter {adapter} holds no adapter (no adapter_config.json); give the folder of the adapter to read"
        )
    env = None if RunFolder.is_run(target) else TrainConfig().env
    try:
        return resolve(EvalConfig(**{"target": target, "adapter": adapter, "env": env, **flags}))
    except UserError as error:
        raise UserError(f"export: {str(error).removeprefix('eval: ')}") from error


def _refuse_unused(
    merged: str | None,
    gguf: str | None,
    out: str | None,
    push: str | None,
    dtype: str,
    public: bool,
    check: bool,
    flags: Mapping[str, Any],
) -> None:
    """Raise `UserError` for a wrong dtype, and for a flag that is of another kind of export."""
    if dtype not in DTYPES:
        raise UserError(f"export: --dtype is '{dtype}'; use {', '.join(DTYPES)}")
    of_weights = [flag(name) for name in ("quantization", "device", "threads") if name in flags]
    if of_weights and not (merged or gguf or check):
        raise UserError(f"export: {of_weights[0]} is for merged weights; give --merged DIR, too, or leave it out")
    if dtype != "auto" and not merged:
        raise UserError("export: --dtype is for merged weights; give --merged DIR, too, or leave it out")
    if out and not gguf:
        raise UserError("export: --out is the folder of a GGUF file; give --gguf KIND, too, or leave it out")
    if public and not push:
        raise UserError("export: --public is for a repository on the Hub; give --push REPO, too, or leave it out")


def _refuse_places(places: Mapping[str, str | Path | None]) -> None:
    """Raise `UserError` if a folder is in use, or stands for two things."""
    seen: dict[Path, str] = {}
    for name, place in places.items():
        if place is None:
            continue
        path = Path(place)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"export: {path} exists and is not an empty folder; choose another")
        if path.absolute() in seen:
            raise UserError(f"export: {seen[path.absolute()]} and {name} are both {path}; give two folders")
        seen[path.absolute()] = name


def _results(source: Target) -> dict[str, str]:
    """The files of `.eval_results` by name: the run's evaluations of this adapter on public data sets. Else a line says why."""
    from simko.report.hub_results import FOLDER, of_run
    from simko.run.manifest import file_hash

    if source.run is None or source.adapter is None:
        return {}
    files, why = of_run(source.run.eval_path, file_hash(source.adapter / "adapter_model.safetensors"))
    if why:
        note(f"no {FOLDER}: {why}")
    return files
