"""What a vLLM server replies, read with suspicion: its models, and a completion as token ids with their log-probs.

Field names are those of vLLM 0.11.0 and 0.33.0 (`vllm/entrypoints/openai/protocol.py`, later
`vllm/entrypoints/openai/completion/protocol.py` and `vllm/entrypoints/serve/lora/protocol.py`).
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simko.agents.engine.requests import Request
from simko.agents.engine.vllm_http import Reply, Server
from simko.console import one_line
from simko.errors import UserError
from simko.types import Finish, Sampling

ENGINE = "engine vllm-server"
OLDEST = (0, 11)  # whose completions have token ids, and log-probs from behind the temperature
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # ranks of adapters that vLLM has kernels for
_LOST = -9999.0  # vLLM's stand-in for minus infinity
_ROUNDING = 1e-5  # a log-prob may lie so far above 0
_NAMED = "token_id:"


@dataclass(frozen=True, slots=True)
class Card:
    """A model that the server lists; `parent` is the base of an adapter, and None for a base."""

    id: str
    root: str
    parent: str | None
    max_model_len: int | None


def start_command(model: str, rank: int, longest: int | None = None) -> str:
    """The command that starts a server for this model and adapters of this rank."""
    most = next((r for r in RANKS if r >= rank), rank)
    length = f" --max-model-len {longest}" if longest else ""
    return (
        f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve {shlex.quote(model)} --enable-lora --max-lora-rank {most} "
        f"--logprobs-mode processed_logprobs --generation-config vllm{length}"
    )


def version_of(server: Server) -> str:
    """The server's version; raises `UserError` for one that is too old."""
    reply = server.get("/version", patient=False)  # a wrong address is told at once
    version = reply.content.get("version") if reply.status == 200 and isinstance(reply.content, dict) else None
    match = re.match(r"(\d+)\.(\d+)", version) if isinstance(version, str) else None
    if match is None:
        raise UserError(f"{ENGINE}: {server.name}/version answers {reply.status} ({reply.said}); is it a vLLM server?")
    if (int(match[1]), int(match[2])) < OLDEST:
        raise UserError(
            f"{ENGINE}: the server is vLLM {one_line(str(version))[:40]}; take {'.'.join(map(str, OLDEST))} or newer"
        )
    return one_line(str(version))[:40]


def cards(reply: Reply) -> list[Card]:
    """The models in a reply of `/v1/models`; raises `UserError` if it is not such a reply."""
    data = reply.content.get("data") if reply.status == 200 and isinstance(reply.content, dict) else None
    if not isinstance(data, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in data
    ):
        raise UserError(f"{ENGINE}: /v1/models answers {reply.status} ({reply.said}); is it a vLLM server?")
    return [
        Card(
            id=entry["id"],
            root=entry["root"] if isinstance(entry.get("root"), str) else entry["id"],
            parent=entry["parent"] if isinstance(entry.get("parent"), str) else None,
            max_model_len=length if type(length := entry.get("max_model_len")) is int else None,
        )
        for entry in data
    ]


def base_card(every: Sequence[Card], names: Sequence[str]) -> Card:
    """The card of the base model that has one of `names` as its id or root, or the same last part of the path.

    Raises:
        UserError: the server has another model.
    """
    bases = [card for card in every if card.parent is None]
    lasts = {_last(name) for name in names}
    for card in bases:
        if {card.id, card.root} & set(names) or lasts & {_last(card.id), _last(card.root)}:
            return card
    there = ", ".join(f"'{one_line(card.root)[:100]}'" for card in bases[:3]) or "none"
    raise UserError(
        f"{ENGINE}: the trainer's model is '{names[0]}', and the server's is {there}; start it with that model, or with "
        f"--served-model-name {shlex.quote(names[0])} if it is the same"
    )


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def completion_request(
    model: str, prompt: Sequence[int], budget: int, seed: int, sampling: Sampling, ends: Sequence[int]
) -> dict[str, Any]:
    """The body for `/v1/completions`.

    Every setting of the sampler is sent: the server would take what is left out from the model's generation config.
    """
    return {
        "model": model,
        "prompt": list(prompt),
        "max_tokens": budget,
        "n": 1,
        "seed": seed % 2**63,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "logprobs": 0,  # of the sampled tokens alone
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "stop": list(sampling.stop),
        "stop_token_ids": list(ends),
        "ignore_eos": True,  # only the ids above end a sequence
        "include_stop_str_in_output": True,
        "skip_special_tokens": True,
        "add_special_tokens": False,
        "stream": False,
    }


def reply_limit(request: Request) -> int:
    """Bytes that a reply may have: a token comes with its id twice, its log-prob twice, and its text."""
    return 2**16 + 2**10 * (request.budget + len(request.prompt))


def completion(
    reply: Reply, model: str | None, prompt: Sequence[int], budget: int, vocabulary: int
) -> tuple[list[int], list[float], Finish]:
    """Token ids, log-probs and finish of a reply of `/v1/completions`.

    `model` is the adapter that was asked for, None for the base.

    Raises:
        UserError: a reply that is not what was asked for. The line says what is wrong with it.
    """
    if reply.status != 200:
        raise UserError(f"{ENGINE}: /v1/completions answers {reply.status}: {reply.said}; look at the server's log")
    content = reply.content if isinstance(reply.content, dict) else {}
    if model is not None and content.get("model") != model:
        raise _odd(f"an answer of model '{one_line(str(content.get('model')))[:80]}' where '{model}' was asked")
    choices = content.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise _odd(f"{len(choices) if isinstance(choices, list) else 'no'} choices where one was asked")
    choice = choices[0]
    ids = choice.get("token_ids")
    if not isinstance(ids, list):
        raise _odd("no token ids (return_token_ids); take vLLM 0.11 or newer")
    if not all(type(i) is int and 0 <= i < vocabulary for i in ids):
        raise _odd(f"a token id outside 0..{vocabulary - 1}; it has another model or tokenizer")
    if not 1 <= len(ids) <= budget:
        raise _odd(f"{len(ids)} tokens where 1 to {budget} were asked")
    if (echo := choice.get("prompt_token_ids")) is not None and echo != list(prompt):
        raise _odd("an answer to another prompt than was sent")
    logprobs = _logprobs(choice.get("logprobs"), ids)
    finish = choice.get("finish_reason")
    if finish not in ("stop", "length"):
        raise _odd(f"an answer that ended by '{one_line(str(finish))[:40]}'")
    if finish == "length" and len(ids) < budget:
        raise _odd(
            f"an answer cut after {len(ids)} of {budget} tokens; start it with --generation-config vllm and a larger "
            "--max-model-len"
        )
    return ids, logprobs, "stop" if finish == "stop" else "length"


def _logprobs(entry: Any, ids: Sequence[int]) -> list[float]:
    values = entry.get("token_logprobs") if isinstance(entry, dict) else None
    if not isinstance(values, list) or len(values) != len(ids):
        raise _odd(f"{len(values) if isinstance(values, list) else 'no'} log-probs of {len(ids)} tokens")
    tokens = entry.get("tokens")
    named = isinstance(tokens, list) and bool(tokens) and all(str(token).startswith(_NAMED) for token in tokens)
    if named and tokens != [f"{_NAMED}{i}" for i in ids]:
        raise _odd("log-probs of other tokens than those of the answer")
    for value in values:
        if type(value) not in (int, float) or not math.isfinite(value) or not _LOST < value <= _ROUNDING:
            raise _odd(f"the log-prob {one_line(str(value))[:40]}; it must be a finite number of at most 0")
    return [min(float(value), 0.0) for value in values]


def _odd(what: str) -> UserError:
    return UserError(f"{ENGINE}: the server sends {what}; look at the server's log")
