"""A stand-in for a vLLM server: its HTTP for LoRA adapters and completions, as vLLM 0.11 documents it, on a `LoraPolicy`.

It decodes with the adapter folder that it was given, one sequence at a time. What a request leaves out comes from a generation
config that would spoil a run, as a model's own may on a real server.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from simko.agents import LoraPolicy
from simko.agents.adapter import load_weights
from simko.agents.loading import find_model
from simko.types import Sampling

GENERATION_CONFIG = {
    "temperature": 0.1, "top_p": 0.5, "top_k": 1, "min_p": 0.3, "repetition_penalty": 1.5, "presence_penalty": 1.0,
    "frequency_penalty": 1.0,
}  # fmt: skip
NEUTRAL = {"min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}


Answer = tuple[list[int], str, dict[str, list[float]]]
"""Token ids, finish, and log-probs for each mode of log-probs."""

_DECODING = threading.Lock()
_ANSWERS: dict[Any, Answer] = {}  # tests ask for the same ones again and again


def content(path: str | None) -> bytes | None:
    """What makes an adapter; None without one."""
    return path and hashlib.sha256(Path(path, "adapter_model.safetensors").read_bytes()).digest()  # type: ignore[return-value]


@cache
def _policy(model: str, quantization: Any, rank: int) -> LoraPolicy:
    return LoraPolicy.from_pretrained(model, quantization, lora_rank=rank, device="cpu", decode_weights="live")


def policy_of(model: str, quantization: Any, path: str | None) -> LoraPolicy:
    """The model, with the adapter in a folder if there is one."""
    policy = _policy(model, quantization, json.loads(Path(path, "adapter_config.json").read_text())["r"] if path else 4)
    if path:
        load_weights(policy.model, path)
    return policy


class StandIn:
    """The server's state, and what a test may change: all attributes.

    Attributes:
        spoil: gets the JSON of a completion and returns what is sent instead.
        fault: called before a completion is answered, with the handler and what it was asked; True if it has answered.
        calls: (path, body) of all requests.
    """

    def __init__(self, model: str | Path, quantization: Any = "none", key: str | None = None) -> None:
        self.model, self.quantization, self.key = str(model), quantization, key
        self.version, self.max_model_len, self.updating, self.logprobs_mode = "0.11.0", 4096, True, "processed_logprobs"
        self.served: str | None = None
        self.max_lora_rank = 16
        self.ignores_adapters = False
        self.adapters: dict[str, str] = {}
        self.calls: list[tuple[str, Any]] = []
        self.spoil: Callable[[dict[str, Any]], Any] = lambda content: content
        self.fault: Callable[[Handler, dict[str, Any]], bool] = lambda handler, body: False
        self.vocabulary = json.loads(Path(find_model(model).location, "config.json").read_text())["vocab_size"]
        self.url = ""

    def answer(self, path: str | None, prompt: list[int], sampling: Sampling, seed: int) -> Answer:
        """Decode with the adapter in a folder, or with the base model."""
        key = (self.model, self.quantization, content(path), tuple(prompt), sampling, seed)
        with _DECODING:
            if key not in _ANSWERS:
                _ANSWERS[key] = self._decode(path, prompt, sampling, seed)
            return _ANSWERS[key]

    def _decode(self, path: str | None, prompt: list[int], sampling: Sampling, seed: int) -> Answer:
        policy = policy_of(self.model, self.quantization, path)
        with torch.no_grad(), nullcontext() if path else policy.base():
            [[answer]] = policy.engine.generate([prompt], 1, sampling, [seed])
            ids = answer.ids.tolist()
            hidden = policy.hidden(torch.tensor([[*prompt, *ids]]))[0, len(prompt) - 1 : -1]
            raw = policy.lm_head().logits(hidden).log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])[:, 0]
        return ids, answer.finish, {"processed_logprobs": answer.logprobs.tolist(), "raw_logprobs": raw.tolist()}

    def models(self) -> dict[str, Any]:
        """The answer of /v1/models."""
        base = self.served or self.model
        cards = [
            {"id": base, "object": "model", "root": self.model, "parent": None, "max_model_len": self.max_model_len}
        ]
        cards += [{"id": name, "object": "model", "root": path, "parent": base} for name, path in self.adapters.items()]
        return {"object": "list", "data": cards}

    def load(self, body: dict[str, Any]) -> tuple[int, Any]:
        """The answer of /v1/load_lora_adapter."""
        name, path = body["lora_name"], body["lora_path"]
        if not name or not path:
            return error(400, "Both 'lora_name' and 'lora_path' must be provided.")
        if name in self.adapters:
            return error(400, f"The lora adapter '{name}' has already been loaded.")
        if not Path(path, "adapter_model.safetensors").is_file():
            return error(404, f"Loading lora {name} failed: No adapter found for {path}")
        rank = json.loads(Path(path, "adapter_config.json").read_text())["r"]
        if rank > self.max_lora_rank:
            return error(400, f"LoRA rank {rank} is greater than max_lora_rank {self.max_lora_rank}.")
        self.adapters[name] = path
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, body: dict[str, Any]) -> tuple[int, Any]:
        """The answer of /v1/unload_lora_adapter."""
        if body["lora_name"] not in self.adapters:
            return error(404, f"The lora adapter '{body['lora_name']}' cannot be found.")
        del self.adapters[body["lora_name"]]
        return 200, f"Success: LoRA adapter '{body['lora_name']}' removed successfully."

    def complete(self, body: dict[str, Any]) -> tuple[int, Any]:
        """The answer of /v1/completions."""
        settings = {key: value for key, value in (GENERATION_CONFIG | body).items() if value is not None}
        assert all(settings[key] == value for key, value in NEUTRAL.items()), "the generation config decides"
        assert [settings[key] for key in ("ignore_eos", "include_stop_str_in_output", "logprobs")] == [True, True, 0]
        name = body["model"]
        if name not in (self.served or self.model, *self.adapters):
            return error(404, f"The model `{name}` does not exist.")
        prompt, path = body["prompt"], None if self.ignores_adapters else self.adapters.get(name)
        if max(prompt) >= self.vocabulary:
            return error(400, f"Token id {max(prompt)} is out of vocabulary")
        budget = min(body["max_tokens"], self.max_model_len - len(prompt))
        sampling = Sampling(
            settings["temperature"], settings["top_p"], settings["top_k"], budget, tuple(body["stop"]),
            tuple(body["stop_token_ids"]) or (-1,),
        )  # fmt: skip
        ids, finish, by_mode = self.answer(path, prompt, sampling, body["seed"])
        logprobs = by_mode[self.logprobs_mode]
        if self.logprobs_mode == "processed_logprobs" and sampling.top_k == 1:
            logprobs = [0.0] * len(ids)  # vLLM's are of the truncated distribution
        tokens = [f"token_id:{i}" for i in ids]
        choice = {
            "index": 0,
            "text": "".join("?" for _ in ids),
            "logprobs": {
                "text_offset": list(range(len(ids))),
                "token_logprobs": logprobs,
                "tokens": tokens,
                "top_logprobs": [{token: value} for token, value in zip(tokens, logprobs, strict=True)],
            },
            "finish_reason": finish,
            "stop_reason": None,
            "token_ids": ids if body.get("return_token_ids") else None,
            "prompt_token_ids": prompt if body.get("return_token_ids") else None,
        }
        return 200, {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": name, "choices": [choice]}


def error(status: int, message: str) -> tuple[int, Any]:
    """vLLM's error response."""
    return status, {"error": {"message": message, "type": "Error", "param": None, "code": status}}


class Handler(BaseHTTPRequestHandler):
    """Routes; `state` is the server's `StandIn`."""

    state: StandIn
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""

    def send(self, status: int, content: Any) -> None:
        """Send JSON, or text or bytes as they are."""
        data = (
            content
            if isinstance(content, bytes)
            else (content if isinstance(content, str) else json.dumps(content)).encode()
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _is_admitted(self) -> bool:
        if self.state.key is None or self.headers.get("Authorization") == f"Bearer {self.state.key}":
            return True
        self.send(401, {"error": "Unauthorized"})
        return False

    def do_GET(self) -> None:
        """/version, /health and /v1/models."""
        self.state.calls.append((self.path, None))
        if self.path == "/version":
            self.send(200, {"version": self.state.version})
        elif self.path == "/health":
            self.send(200, "")
        elif self.path == "/v1/models":
            if self._is_admitted():
                self.send(200, self.state.models())
        else:
            self.send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        """Adapters and completions."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.calls.append((self.path, body))
        if not self._is_admitted():
            return
        if self.path == "/v1/completions":
            if not self.state.fault(self, body):
                status, content = self.state.complete(body)
                self.send(status, self.state.spoil(content) if status == 200 else content)
        elif self.path == "/v1/load_lora_adapter" and self.state.updating:
            self.send(*self.state.load(body))
        elif self.path == "/v1/unload_lora_adapter" and self.state.updating:
            self.send(*self.state.unload(body))
        else:
            self.send(404, {"detail": "Not Found"})


class QuietServer(ThreadingHTTPServer):
    """A client that hangs up is nothing to report."""

    daemon_threads, request_queue_size = True, 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing."""


@contextmanager
def serving(state: StandIn) -> Iterator[StandIn]:
    """The stand-in on a free port of this machine; `state.url` is its address."""
    server = QuietServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main(model: str, quantization: str, port_file: str) -> None:
    """Serve until the process is ended; its address is written to a file."""
    with serving(StandIn(model, quantization)) as state:
        Path(port_file).write_text(state.url)
        while True:
            time.sleep(3600)
