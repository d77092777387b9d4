"""A look at a vLLM server without a trainer: version, models, and whether its settings are those that training needs."""

from __future__ import annotations

from dataclasses import dataclass

from simko.agents.engine import vllm_probe
from simko.agents.engine.vllm_http import Server
from simko.agents.engine.vllm_reply import cards, completion, completion_request, version_of

_PROMPT = tuple(range(5, 13))  # any ids will do


@dataclass(frozen=True, slots=True)
class Look:
    """What a server is: `model` is its base, `missing` the settings that it lacks, as flags or variables."""

    version: str
    model: str
    max_model_len: int | None
    missing: tuple[str, ...]


def look(url: str) -> Look:
    """Ask a server; nothing is loaded there.

    Raises:
        UserError: it cannot be reached, is no vLLM server, or one that is too old.
    """
    server = Server(url, timeout=60.0)
    version = version_of(server)
    card = next((card for card in cards(server.get("/v1/models")) if card.parent is None), None)
    missing = []
    # without a name and a path the server refuses; if it does not know the request at all, it says 404
    if server.post("/v1/load_lora_adapter", {"lora_name": "", "lora_path": ""}).status == 404:
        missing.append("VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --enable-lora")
    if card is not None:
        body = completion_request(card.id, _PROMPT, vllm_probe.TOKENS, 0, vllm_probe.ONE, ())
        _, logprobs, _ = completion(server.post("/v1/completions", body), None, _PROMPT, vllm_probe.TOKENS, 2**31)
        if vllm_probe.are_raw(logprobs):
            missing.append("--logprobs-mode processed_logprobs")
        return Look(version, card.root, card.max_model_len, tuple(missing))
    return Look(version, "", None, tuple(missing))
