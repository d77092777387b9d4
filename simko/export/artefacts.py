"""What an export writes: an adapter, a merged model, a GGUF file; each in a folder of its own, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import torch

from simko.agents import LoraPolicy
from simko.agents.loading import find_model, pick_dtype, stored_dtype
from simko.agents.merging import export_folder
from simko.agents.rounding import Lost
from simko.build import make_policy
from simko.console import note
from simko.envs import PromptFormat
from simko.envs.registry import resolve as resolve_env
from simko.errors import UserError
from simko.export.card import evaluations, licence_of, write_card
from simko.export.modelfile import go_template, modelfile
from simko.report import hub_results
from simko.run.manifest import file_hash
from simko.run.target import Target
from simko.types import Sampling

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "simko_base.json")
_FAITHFUL = 0.99  # a cosine below it is a change of the policy that is worth a line


@dataclass(frozen=True)
class Artefact:
    """One thing that was written.

    Attributes:
        kind: `adapter`, `merged` or `gguf`.
        folder: where it is.
        facts: what `export.json` says.
        file: the GGUF file.
    """

    kind: str
    folder: Path
    facts: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None


class Exporter:
    """Writes what was asked for of one run or model. The policy is loaded once, and only if its weights are needed."""

    def __init__(self, source: Target, results: Mapping[str, str], licence: str | None = None) -> None:
        self.source, self._results = source, results
        self._policy: LoraPolicy | None = None
        self._evaluations: Sequence[Mapping[str, Any]] = evaluations(source)
        own = "apache-2.0" if source.settings.model == "tiny" else None
        self._licence = licence or own or licence_of(_location(source.settings.model))

    @property
    def policy(self) -> LoraPolicy:
        """The policy in float32, so that its weights are rounded once, when they are written."""
        if self._policy is None:
            self._policy = make_policy(self.source.settings, self.source.adapter, torch.float32)
        return self._policy

    def release(self) -> None:
        """Let the policy's memory go."""
        self._policy = None

    def adapter(self, folder: Path) -> Artefact:
        """Copy the adapter. Raises `UserError` if the folder is not empty or cannot be written."""
        facts = self._facts()
        with export_folder(folder) as scratch:
            for name in ADAPTER_FILES:
                if self.source.adapter is not None and (self.source.adapter / name).is_file():
                    shutil.copyfile(self.source.adapter / name, scratch / name)
            self._finish(scratch, folder, "adapter", facts)
        return Artefact("adapter", folder, facts)

    def merged(self, folder: Path, dtype: str) -> Artefact:
        """Merge adapter and base into a plain transformers folder.

        Its generation config ends an answer where training did: at the model's EOS ids and at the end of a chat turn.

        Raises:
            UserError: the folder is not empty or cannot be written, or the model cannot be loaded.
        """
        settings = self.source.settings
        target = stored_dtype(find_model(settings.model)) if dtype == "auto" else pick_dtype(dtype, torch.device("cpu"))
        name = str(target).removeprefix("torch.")
        facts = self._facts() | {"dtype": name}

        def finish(scratch: Path, lost: Lost) -> None:
            facts.update(_lost(lost, name))
            self._finish(scratch, folder, "merged", facts)

        lost = self.policy.merge(folder, self._words().stop_ids, target, finish)
        if lost.entries and lost.cosine < _FAITHFUL:
            note(f"{facts['lost']} --dtype float32 keeps all of it")
        return Artefact("merged", folder, facts)

    def gguf(self, folder: Path, kind: str) -> Artefact:
        """Write a GGUF file of a kind and Ollama's Modelfile for it.

        Raises:
            UserError: the model, its tokenizer or a weight does not fit, or the folder cannot be written.
        """
        from simko.agents.gguf_file import check_model, write_gguf

        policy, words = self.policy, self._words()
        model = policy.model.get_base_model()
        check_model(model, policy.tokenizer)
        has_bos = begins_with_bos(policy.tokenizer, words)
        text = self._modelfile(f"{folder.name}.gguf", words, policy.tokenizer.bos_token if has_bos else "")
        with export_folder(folder) as scratch:
            path = scratch / f"{folder.name}.gguf"
            written = write_gguf(model, policy.tokenizer, path, kind, folder.name, words.stop_ids, has_bos)
            facts = self._facts() | {"gguf": kind, "file": path.name, "bytes": written.bytes, "types": written.types}
            facts |= {"rounding": written.error, "adapter_change": written.change, "split_known": written.split_known}
            facts["lost"] = (
                f"Rounding to {kind} changed the weights by {100 * written.error:.2g} % (root mean square); "
                f"the adapter had changed them by {100 * written.change:.2g} %."
            )
            (scratch / "Modelfile").write_text(text, encoding="utf-8")
            self._finish(scratch, folder, "gguf", facts)
        note(facts["lost"])
        if not written.split_known:
            note(
                "llama.cpp knows no split of texts like this tokenizer's: there a text may become other tokens than in training"
            )
        return Artefact("gguf", folder, facts, folder / f"{folder.name}.gguf")

    def _finish(self, scratch: Path, folder: Path, kind: str, facts: Mapping[str, Any]) -> None:
        """Card, picture, facts and results, into a folder that will be `folder`."""
        try:
            hub_results.write(self._results, scratch)
            write_card(scratch, kind, self.source, {"name": folder.name, **facts}, self._evaluations, self._licence)
        except OSError as error:
            raise UserError(f"export: {folder}: {error.strerror}; make room, or choose another folder") from error

    def _facts(self) -> dict[str, Any]:
        source = self.source
        return {
            "model": source.settings.model,
            "quantization": source.settings.quantization,
            "step": source.step,
            "adapter_sha256": source.adapter and file_hash(source.adapter / "adapter_model.safetensors"),
        }

    def _words(self) -> PromptFormat:
        policy, run = self.policy, self.source.run
        date = None if run is None else run.prompt_date()
        return PromptFormat(policy.tokenizer, self.source.settings.template, stop_ids=policy.eos_ids, date=date)

    def _modelfile(self, file: str, words: PromptFormat, bos: str) -> str:
        settings, options = self.source.settings, _of_env(self.source.settings.env)
        newest = self._evaluations[-1] if self._evaluations else {}
        budget = newest.get("max_new_tokens") or settings.max_new_tokens or options.get("max_new_tokens") or -1
        decoding = Sampling(
            float(newest.get("temperature", settings.temperature)),
            float(newest.get("top_p", 1.0)),
            max_new_tokens=int(budget),
        )
        template, system, several = go_template(words, settings.template, bos)
        stops = [words.tokenizer.decode([i], skip_special_tokens=False) for i in sorted(words.stop_ids)]
        notes = [f"{self.source.settings.env}: sampling as {'evaluated' if newest else 'trained'}."]
        if not several:
            notes.append("One question, one answer: the prompt of training has no form for a talk.")
        if instruction := options.get("instruction"):
            notes.append(f"In training each problem ended with: {' '.join(str(instruction).split())}")
        return modelfile(file, template, system, [*stops, *options.get("stop", ())], decoding, notes)


def begins_with_bos(tokenizer: Any, words: PromptFormat) -> bool:
    """Whether the reader of a file has to put BOS before a prompt: the tokenizer adds it, and the prompts of training have it.

    In ChatML the token that opens a turn may be the tokenizer's BOS. It is then the template's own text.
    """
    bos = tokenizer.bos_token_id
    if bos is None or words.prompt_ids("1 + 1")[:1] != [bos]:
        return False
    bare, whole = (tokenizer.encode("x", add_special_tokens=special)[:1] for special in (False, True))
    return bool(whole == [bos] != bare)


def _of_env(env: str) -> dict[str, Any]:
    """Settings that an environment was registered with; empty where it is not to be had."""
    try:
        kwargs = gymnasium.spec(resolve_env(env, {})[0]).kwargs
        inner = kwargs.get("env")
        return dict(inner if isinstance(inner, Mapping) else kwargs)
    except (gymnasium.error.Error, UserError, ImportError):
        return {}


def _lost(lost: Lost, dtype: str) -> dict[str, Any]:
    """What rounding took from the adapter: for `export.json`, and a sentence."""
    if not lost.entries:
        return {"kept": {"cosine": 1.0, "entries": 1.0}, "lost": f"Merged in {dtype}: the adapter is kept whole."}
    kept = {"cosine": lost.cosine, "entries": 1 - lost.share_vanished}
    return {
        "kept": kept,
        "lost": f"Merged in {dtype}: {kept['entries']:.1%} of the adapter's entries still change a weight, "
        f"cosine {lost.cosine:.4f} with the adapter.",
    }


def _location(model: str) -> str | None:
    """The folder of a base model that is on this disk."""
    if model == "tiny" or Path(model).is_dir():
        return find_model(model).location
    return None
