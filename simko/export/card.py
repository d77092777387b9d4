"""The card of an exported model: README.md with pass@K as a picture and a table, the command, and what was lost on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from simko.console import clean, one_line
from simko.errors import UserError
from simko.export.command import train_command
from simko.files import write_atomically
from simko.report import hub_results
from simko.report.counts import curve_of, loss_of
from simko.report.foreign.rows import read_object
from simko.report.plot import draw_curves
from simko.report.table import describe_sampling, evaluation_markdown, held_out, model_name, sampling, trained_name
from simko.run.manifest import file_hash, versions
from simko.run.target import Target

PICTURE, FACTS = "pass_at_k.png", "export.json"
_MOST = 4  # evaluations that a card shows
_KINDS = {"adapter": "LoRA adapter", "merged": "Merged model", "gguf": "GGUF file"}
_USE = {
    "adapter": (
        "python",
        "from peft import AutoPeftModelForCausalLM\n\nmodel = AutoPeftModelForCausalLM.from_pretrained({name!r})",
    ),
    "merged": (
        "python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        "model = AutoModelForCausalLM.from_pretrained({name!r})\ntokenizer = AutoTokenizer.from_pretrained({name!r})",
    ),
    "gguf": ("sh", "ollama create my-model -f Modelfile && ollama run my-model\nllama-cli -m {file}"),
}


def evaluations(source: Target) -> list[dict[str, Any]]:
    """The run's own evaluations of the exported adapter on problems that it has not seen, newest last."""
    if source.run is None or source.adapter is None:
        return []
    digest = file_hash(source.adapter / "adapter_model.safetensors")
    results = []
    for path in sorted(source.run.eval_path.glob("*.json"), key=lambda path: path.stat().st_mtime):
        try:
            result = read_object(path)
            ours = digest is not None and result.get("adapter_sha256") == digest
            if ours and not result.get("overlap") and result.get("part") != "tuning" and describe_sampling(result):
                evaluation_markdown(result)  # a damaged one must not end an export
                results.append(result)
        except (UserError, KeyError, TypeError, ValueError, AttributeError, IndexError, OSError):
            continue
    return results


def write_card(
    folder: Path,
    kind: str,
    source: Target,
    facts: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    licence: str | None,
) -> None:
    """Write the card, the picture of the newest evaluation and `export.json` into a folder. Raises `OSError`.

    Args:
        folder: what is exported.
        kind: adapter, merged or gguf.
        source: the run or model that it is of.
        facts: of the export, for `export.json`; `lost` in it is a sentence for the card.
        results: what `evaluations` gave.
        licence: of the base, as the Hub calls it.
    """
    if results:
        write_atomically(folder / PICTURE, _picture(results[-1]))
    write_atomically(
        folder / "README.md",
        _front(kind, source, licence) + "\n" + _text(folder, kind, source, facts, results, licence),
    )
    write_facts(folder, {"exported": kind, "of": _trained(source), "versions": versions(), **facts})


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `export.json`. Raises `OSError`."""
    write_atomically(folder / FACTS, json.dumps(dict(facts), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def licence_of(location: str | None) -> str | None:
    """The licence that the card of a base model in a folder states, as the Hub calls it."""
    if location is None or not (card := Path(location, "README.md")).is_file():
        return None
    try:
        parts = card.read_text(encoding="utf-8")[: 1 << 16].split("---\n", 2)
        licence = yaml.safe_load(parts[1]).get("license") if len(parts) == 3 and not parts[0].strip() else None
    except (OSError, ValueError, AttributeError, yaml.YAMLError, RecursionError):
        return None
    return one_line(licence)[:60] if isinstance(licence, str) else None


def _front(kind: str, source: Target, licence: str | None) -> str:
    """What the Hub reads. `base_model` is left out where the base is not on the Hub."""
    settings = source.settings
    on_hub = settings.model.count("/") == 1 and not Path(settings.model).exists() and settings.model[0] not in "./~"
    relation = {"adapter": "adapter", "merged": "finetune", "gguf": "quantized"}[kind]
    data = hub_results.data_set(settings.env) if source.run is not None else None
    head: dict[str, Any] = {
        "library_name": {"adapter": "peft", "merged": "transformers", "gguf": "gguf"}[kind],
        "base_model": settings.model if on_hub else None,
        "base_model_relation": relation if on_hub else None,
        "license": licence,
        "datasets": [data] if data else None,
        "pipeline_tag": "text-generation",
        "tags": ["simko", "rlvr", "reinforcement-learning"],
    }
    text = yaml.safe_dump(
        {key: value for key, value in head.items() if value is not None}, sort_keys=False, allow_unicode=True
    )
    return f"---\n{text}---\n"


def _text(
    folder: Path,
    kind: str,
    source: Target,
    facts: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    licence: str | None,
) -> str:
    settings = source.settings
    base = f"`{_name(settings.model)}`"
    rows = [
        f"- Base model: {base}, licence {licence or 'not known here'}; "
        f"its weights were {_weights(settings.quantization)} in training.",
        f"- Trained: {_trained(source)}.",
    ]
    data = hub_results.data_set(settings.env)
    if source.run is not None:
        rows.append(f"- Problems: `{clean(settings.env)}`{f', from the data set {data}' if data else ''}.")
    if "lost" in facts:
        rows.append(f"- {facts['lost']}")
    name = _name(str(facts.get("name", folder.name)))  # while it is written, `folder` has a scratch name
    parts = [f"# {name}", f"{_KINDS[kind]}, exported by simko {versions()['simko']}.", "\n".join(rows)]
    language, use = _USE[kind]
    parts += ["## Use", f"```{language}\n{use.format(name=name, file=facts.get('file', ''))}\n```"]
    parts += ["## pass@K on held-out problems", *_measured(results)]
    if source.run is not None:
        parts += ["## The command", f"```sh\n{clean(train_command(source.run.config))}\n```"]
    return "\n\n".join(parts) + "\n"


def _measured(results: Sequence[Mapping[str, Any]]) -> list[str]:
    if not results:
        return ["Not measured for these weights."]
    parts = [f"![pass@K against K]({PICTURE})"]
    for result in reversed(results[-_MOST:]):
        parts += [f"**{clean(describe_sampling(result))}**", evaluation_markdown(result)]
    parts.append("One training run was measured. What another seed would give is not in these bands.")
    return parts


def _picture(result: Mapping[str, Any]) -> bytes:
    curves = [curve_of(result, trained_name(result))]
    if result.get("base"):
        curves.append(curve_of(result["base"], "base"))
    title = f"{model_name(result)} on {result['env']}"
    subtitle = f"{held_out(result)}, {sampling(result)}; shaded: 95 % band over problems"
    return draw_curves(curves, title, subtitle, loss_of(result))


def _trained(source: Target) -> str:
    settings = source.settings
    if source.run is None:
        return "an adapter of another program or run"
    return f"`{clean(settings.algorithm)}` on `{clean(settings.env)}`, step {source.step}, seed {settings.seed}"


def _weights(quantization: str) -> str:
    return "unquantised" if quantization == "none" else f"quantised ({quantization.upper()})"


def _name(path: str) -> str:
    return one_line(Path(path).name if Path(path).is_absolute() or path.startswith((".", "~")) else path)
