"""`export --check`: does what was written still solve what the policy solves, and does it give its tokens the same log-probs?

The policy answers a few held-out problems. The exported model is loaded as other programs load it: a folder by plain
transformers, an adapter by PEFT on the published base, a GGUF file by transformers' reader into a model of the base's
configuration, and by
llama-cpp-python too where that is installed. It gives log-probs to the policy's answers, and answers the same problems itself,
with the same random streams.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
import transformers
from numpy.typing import NDArray

from simko.agents import LoraPolicy
from simko.agents.adapter import ALL_LINEAR, add_adapter, lora_config, targets
from simko.agents.loading import find_model
from simko.agents.quiet import quiet
from simko.build import make_env
from simko.envs.watched import watched
from simko.errors import UserError
from simko.eval_samples import sample_counts
from simko.eval_tasks import choose_tasks
from simko.export.artefacts import Artefact
from simko.report.counts import Counts, summarise
from simko.report.table import check_lines
from simko.run.target import Target
from simko.types import Completion, Group, Sampling, Task

# Mean gap in nats a token that is rounding and not a mistake: measured on SmolLM2-135M, docs/guides/export.md. A wrong order
# of rows or a lost adapter gives one above 1.
LIMITS = {"float32": 0.02, "float16": 0.05, "bfloat16": 0.1, "f16": 0.05, "bf16": 0.1, "q8_0": 0.2, "q4_k_m": 0.5}
_OTHER_BASE = 0.5  # an adapter on the published base, which training saw quantised


@dataclass(frozen=True)
class Reference:
    """The policy's side of a check."""

    source: Target
    env: Any
    tokenizer: Any
    tasks: list[Task]
    groups: list[Group]
    counts: Counts
    n: int
    decoding: Sampling
    seed: int

    @property
    def answers(self) -> list[Completion]:
        """The policy's answers with at least one token."""
        return [c for group in self.groups for c in group.completions if c.sampled.any()]


@dataclass(frozen=True)
class Checked:
    """The outcome of a check: lines for a person, facts for `export.json`, and whether the two sides agree."""

    lines: tuple[str, ...]
    facts: Mapping[str, Any]
    agrees: bool


def sample_reference(source: Target, policy: LoraPolicy, problems: int, n: int, seed: int = 0) -> Reference:
    """Sample the policy on held-out problems, at the temperature of training and untruncated.

    Raises:
        UserError: the environment cannot be made, or has no held-out problem.
    """
    date = None if source.run is None else source.run.prompt_date()
    env = watched(make_env(source.settings, policy, "eval", date), source.settings.env)
    tasks = choose_tasks(env, problems, seed)
    decoding = Sampling(source.settings.temperature)
    groups: list[Group] = []
    counts = sample_counts(policy, env, tasks, n, decoding, seed, keep=lambda part, first: groups.extend(part))
    return Reference(source, env, policy.tokenizer, tasks, groups, counts, n, decoding, seed)


def check(artefact: Artefact, reference: Reference, limit: float | None = None) -> Checked:
    """Compare an artefact with the policy. `limit`: the largest mean gap of log-probs, in nats a token; by kind where None.

    Raises:
        UserError: what was written cannot be loaded, or the verifier failed on every answer.
    """
    with _loaded(artefact, reference) as (model, tokenizer):
        gaps = log_prob_gaps(model, reference)
        counts = _sampled(model, tokenizer, artefact, reference)
    try:
        result = summarise(counts, reference.counts, reference.seed)
    except ValueError as error:
        raise UserError(
            f"export: --check: {error}; look at one with `simko sample`, or take another --verifier"
        ) from error
    limit = _limit(artefact, reference) if limit is None else limit
    solved_worse = "worse" in (result["verdicts"] or {}).values()
    facts = {
        "problems": len(reference.tasks),
        "samples": reference.n,
        "temperature": reference.decoding.temperature,
        "policy": result["base"]["pass_at_k"]["1"],
        "exported": result["pass_at_k"]["1"],
        "difference": result["difference"]["1"],
        "in_words": result["in_words"],
        "tokens": len(gaps),
        "mean_gap": float(gaps.mean()) if len(gaps) else 0.0,
        "max_gap": float(gaps.max()) if len(gaps) else 0.0,
        "limit": limit,
    }
    if artefact.file is not None and importlib.util.find_spec("llama_cpp") is not None:
        facts |= llama_cpp_facts(artefact.file, reference)
    agrees = not solved_worse and facts["mean_gap"] <= limit
    if "llama_cpp_mean_gap" in facts:
        agrees &= facts["llama_cpp_mean_gap"] <= limit and facts["llama_cpp_prompts_alike"] == len(reference.tasks)
    facts["agrees"] = agrees
    return Checked(tuple(check_lines(_name(artefact), facts, result)), facts, agrees)


@torch.no_grad()
def log_prob_gaps(model: Any, reference: Reference) -> NDArray[np.float64]:
    """Differences `(tokens,)` of the log-probs that a plain model and the policy give the policy's tokens, without sign."""
    gaps = []
    for answer in reference.answers:
        ids = torch.as_tensor(np.concatenate([answer.prompt_ids, answer.ids]))[None].to(model.device)
        logits = model(input_ids=ids, use_cache=False).logits[0, len(answer.prompt_ids) - 1 : -1].double()
        logp = torch.log_softmax(logits / reference.decoding.temperature, -1)
        gaps.append(_gaps(logp.cpu().numpy(), answer))
    return np.concatenate(gaps) if gaps else np.zeros(0)


def llama_cpp_facts(path: Path, reference: Reference) -> dict[str, Any]:
    """The same gap by llama.cpp itself, and in how many prompts it makes the tokens of training."""
    import llama_cpp

    answers = reference.answers
    longest = max((len(a.prompt_ids) + len(a.ids) for a in answers), default=8)
    llama = llama_cpp.Llama(str(path), n_ctx=longest + 8, logits_all=True, verbose=False, n_gpu_layers=0)
    gaps = []
    for answer in answers:
        llama.reset()
        llama.eval([*answer.prompt_ids.tolist(), *answer.ids.tolist()])
        first, last = len(answer.prompt_ids) - 1, len(answer.prompt_ids) + len(answer.ids) - 1
        logits = np.asarray(llama.scores[first:last], dtype=np.float64) / reference.decoding.temperature
        top = logits.max(-1, keepdims=True)
        gaps.append(_gaps(logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True)), answer))
    alike = sum(_tokens(llama, reference, task) == reference.env.prompt_ids(task) for task in reference.tasks)
    every = np.concatenate(gaps) if gaps else np.zeros(1)
    llama.close()
    return {
        "llama_cpp_mean_gap": float(every.mean()),
        "llama_cpp_max_gap": float(every.max()),
        "llama_cpp_prompts_alike": alike,
    }


def _tokens(llama: Any, reference: Reference, task: Task) -> list[int]:
    text = reference.tokenizer.decode(reference.env.prompt_ids(task), skip_special_tokens=False)
    return list(llama.tokenize(text.encode(), add_bos=False, special=True))


def _gaps(logp: NDArray[np.float64], answer: Completion) -> NDArray[np.float64]:
    own = np.take_along_axis(logp, answer.ids[:, None], -1)[:, 0]
    return np.abs(own - answer.logprobs)[answer.sampled]


@contextmanager
def _loaded(artefact: Artefact, reference: Reference) -> Iterator[tuple[Any, Any]]:
    """The exported model in float32 and its tokenizer, as other programs load them."""
    where = reference.source.settings.device
    device = torch.device(
        "cuda" if where == "auto" and torch.cuda.is_available() else "cpu" if where == "auto" else where
    )
    base = find_model(reference.source.settings.model)
    options: dict[str, Any] = {"dtype": torch.float32, "trust_remote_code": False}
    with quiet():
        if artefact.file is not None:
            from simko.agents.gguf import dequantised_model

            config = transformers.AutoConfig.from_pretrained(base.location, local_files_only=base.cached_only)
            model = dequantised_model(artefact.file, torch.float32, config)
            tokenizer = reference.tokenizer
        elif artefact.kind == "adapter":
            plain = transformers.AutoModelForCausalLM.from_pretrained(
                base.location, local_files_only=base.cached_only, **options
            )
            model = peft.PeftModel.from_pretrained(plain, artefact.folder).merge_and_unload()
            tokenizer = reference.tokenizer
        else:
            model = transformers.AutoModelForCausalLM.from_pretrained(artefact.folder, **options)
            tokenizer = transformers.AutoTokenizer.from_pretrained(artefact.folder, trust_remote_code=False)
    yield model.to(device).eval().requires_grad_(False), tokenizer


def _sampled(model: Any, tokenizer: Any, artefact: Artefact, reference: Reference) -> Counts:
    """The counts of the exported model on the same problems. An adapter of zeros lets our engine decode with it."""
    adapted = add_adapter(model, lora_config(str(artefact.folder), 1, None, targets(model, ALL_LINEAR)), 0)
    policy = LoraPolicy(adapted, tokenizer, name=str(artefact.folder))
    env, source = reference.env, reference.source
    if artefact.kind == "merged":  # its own tokenizer, chat template and ends
        date = None if source.run is None else source.run.prompt_date()
        env = watched(make_env(source.settings, policy, "eval", date), source.settings.env)
    return sample_counts(policy, env, reference.tasks, reference.n, reference.decoding, reference.seed)


def _limit(artefact: Artefact, reference: Reference) -> float:
    if artefact.kind == "adapter":
        return LIMITS["float32"] if reference.source.settings.quantization == "none" else _OTHER_BASE
    return LIMITS[str(artefact.facts.get("gguf") or artefact.facts["dtype"])]


def _name(artefact: Artefact) -> str:
    return str(artefact.facts.get("gguf") or artefact.kind)
