"""`export`: a trained policy as a plain transformers folder, a PEFT folder, or a repository of the Hub."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simko.cli.flags import config_flags, flag
from simko.cli.output import print_json
from simko.config import EvalConfig, TrainConfig
from simko.console import note
from simko.errors import UserError
from simko.files import write_atomically

if TYPE_CHECKING:
    from simko.run.target import Target

DTYPES = ("auto", "float32", "bfloat16", "float16")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "simko_base.json")
_LATER = "export to a folder and upload that later with `hf upload`"
EPILOG = (
    "A run's newest checkpoint is exported, or with --best its best. --merged takes the weights that the policy was trained "
    "on: those of the quantised base, dequantised; --quantization none merges into the base as it was published."
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=EPILOG)(export)


@config_flags(EvalConfig, only=("best", "model", "quantization", "device", "threads"))
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
    push: str | None = typer.Option(
        None,
        "--push",
        metavar="REPO",
        help="upload to the Hub as org/name: the merged model with --merged, else the adapter",
    ),
    public: bool = typer.Option(False, "--public", help="make a new repository public; it is private otherwise"),
    dtype: str = typer.Option(
        "auto",
        "--dtype",
        metavar="|".join(DTYPES),
        help="of merged weights; auto is that of the base [auto]",
        show_default=False,
    ),
    as_json: bool = typer.Option(False, "--json", help="print one JSON object"),
) -> None:
    """Export a run, or a model with an adapter.

    As merged weights, as an adapter, or to the Hub.
    """
    from simko.run.folder import RunFolder

    target = os.path.expanduser(target)
    merged, adapter = (path and os.path.expanduser(path) for path in (merged, adapter))
    _refuse_unused(merged, push, dtype, public, flags)
    is_run = RunFolder.is_run(target)
    source = _source(target, None if is_run else adapter, flags)
    out_adapter = Path(adapter) if is_run and adapter else None
    if not (merged or out_adapter or push):
        raise UserError("export: nothing to do; give --merged DIR, --push REPO, or for a run --adapter DIR")
    for path in (merged, out_adapter):
        _refuse_used(path)
    if merged and out_adapter and Path(merged).absolute() == out_adapter.absolute():
        raise UserError(f"export: --merged and --adapter are both {merged}; give two folders")
    hub = _hub(push) if push else None
    results = _results(source)

    done: dict[str, Any] = {"step": source.step}
    with ExitStack() as stack:
        folder = out_adapter
        if out_adapter:
            done["adapter"] = str(write_adapter(source, out_adapter, results))
        if merged:
            done["merged"] = str(write_merged(source, Path(merged), dtype, results))
            folder = Path(merged)
        if hub is not None and push:
            if folder is None:
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                folder = write_adapter(source, scratch / "adapter", results)
            done["pushed"] = _upload(hub, push, folder, not public)
    if results:
        done["eval_results"] = sorted(results)
    if as_json:
        print_json(done)
        return
    for what in ("adapter", "merged", "pushed"):
        if what in done:
            typer.echo(f"{what}: {done[what]}")


def write_adapter(source: Target, folder: Path, results: Mapping[str, str]) -> Path:
    """Copy the adapter to a folder that is there whole or not at all; returns the folder.

    Beside it there are a card and the files of `.eval_results`, `results` (name to text).

    Raises:
        UserError: the folder is not empty or cannot be written.
    """
    from simko.agents.merging import export_folder
    from simko.report import hub_results

    with export_folder(folder) as scratch:
        for name in ADAPTER_FILES:
            if source.adapter is not None and (source.adapter / name).is_file():
                shutil.copyfile(source.adapter / name, scratch / name)
        hub_results.write(results, scratch)
        _write_card(source, scratch, "peft")
    return folder


def write_merged(source: Target, folder: Path, dtype: str, results: Mapping[str, str]) -> Path:
    """Merge adapter and base into a plain transformers folder; returns it.

    Its generation config ends an answer where training did: at the model's EOS ids and at the end of a chat turn.

    Raises:
        UserError: the folder is not empty or cannot be written, or the model cannot be loaded.
    """
    from simko.agents.loading import find_model, stored_dtype
    from simko.build import make_policy
    from simko.envs import PromptFormat
    from simko.report import hub_results

    weights: Any = stored_dtype(find_model(source.settings.model)) if dtype == "auto" else dtype
    policy = make_policy(source.settings, source.adapter, weights)
    words = PromptFormat(policy.tokenizer, source.settings.template, stop_ids=policy.eos_ids)
    policy.merge(folder, words.stop_ids)
    hub_results.write(results, folder)
    _write_card(source, folder, "transformers")
    return folder


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
            f"export: --adapter {adapter} holds no adapter (no adapter_config.json); with a model, --adapter is the one to read"
        )
    env = None if RunFolder.is_run(target) else TrainConfig().env
    try:
        return resolve(EvalConfig(**{"target": target, "adapter": adapter, "env": env, **flags}))
    except UserError as error:
        raise UserError(f"export: {str(error).removeprefix('eval: ')}") from error


def _refuse_unused(merged: str | None, push: str | None, dtype: str, public: bool, flags: Mapping[str, Any]) -> None:
    """Raise `UserError` for a wrong dtype, and for a flag that is of another kind of export."""
    if dtype not in DTYPES:
        raise UserError(f"export: --dtype is '{dtype}'; use {', '.join(DTYPES)}")
    of_merged = [flag(name) for name in ("quantization", "device", "threads") if name in flags]
    of_merged += ["--dtype"] if dtype != "auto" else []
    if of_merged and not merged:
        raise UserError(f"export: {of_merged[0]} is of merged weights; give --merged DIR, too, or leave it out")
    if public and not push:
        raise UserError("export: --public is of a repository of the Hub; give --push REPO, too, or leave it out")


def _refuse_used(folder: str | Path | None) -> None:
    path = None if folder is None else Path(folder)
    if path is not None and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"export: {path} exists and is not an empty folder; choose another")


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


def _write_card(source: Target, folder: Path, library: str) -> None:
    """README.md with the metadata that the Hub reads. `base_model` is left out if the base is not on the Hub."""
    settings = source.settings
    on_hub = settings.model.count("/") == 1 and not Path(settings.model).exists() and settings.model[0] not in "./~"
    base = [f"base_model: {json.dumps(settings.model)}"] if on_hub else []
    head = ["---", f"library_name: {library}", *base, "tags: [simko, rlvr, reinforcement-learning]", "---", ""]
    how = f"`{settings.algorithm}` on `{settings.env}`, step {source.step}" if source.run else "an adapter"
    what = "LoRA adapter" if library == "peft" else "Merged model"
    text = (
        f"{what} exported by simko.\n\nBase: `{Path(settings.model).name}` ({settings.quantization}). Trained: {how}.\n"
    )
    write_atomically(folder / "README.md", "\n".join(head) + text)


def _hub(repo: str) -> Any:
    """The Hub's client, after it has answered once: a refusal should come before an hour of merging."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"export: --push {repo} is not a repository name ({_line(error)}); use org/name") from error
    if constants.HF_HUB_OFFLINE:
        raise UserError(f"export: --push {repo}: HF_HUB_OFFLINE is set; unset it, or {_LATER}")
    client = huggingface_hub.HfApi()
    try:
        client.whoami()
    except Exception as error:  # whatever the HTTP client raises
        raise _refusal(repo, error) from error
    return client


def _upload(client: Any, repo: str, folder: Path, private: bool) -> str:
    note(f"uploading {folder} to {repo}")
    try:
        address = client.create_repo(repo, private=private, exist_ok=True)
        client.upload_folder(folder_path=folder, repo_id=repo, commit_message="Upload from simko")
    except Exception as error:  # as above
        raise _refusal(repo, error) from error
    return str(address)


def _refusal(repo: str, error: Exception) -> UserError:
    """One line for what went wrong at the Hub, or on the way to it."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    name = type(error).__name__
    if "Token" in name:
        why, mend = "there is no token of the Hub here", "run `hf auth login`"
    elif status in (401, 403):
        why, mend = "the Hub does not let you write there", "run `hf auth login` with a token that may write"
    elif (status is None and isinstance(error, OSError)) or "Connect" in name or "Timeout" in name:
        why, mend = "the Hub is out of reach", f"go online, or {_LATER}"
    else:
        why, mend = _line(error), "mend that and try again"
    return UserError(f"export: --push {repo}: {why}; {mend}")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
