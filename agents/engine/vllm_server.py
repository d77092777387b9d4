"""A vLLM server behind `simko.types.Engine`: it decodes on another card or machine, and gets the adapter as a folder.

Written against the HTTP interface of vLLM 0.11.0 and 0.33.0 and tested with a stand-in that speaks it; NOT YET RUN WITH vLLM
ITSELF. Token ids go there, token ids and their log-probs come back, and text is never read. Differences from `LocalEngine` are
those of `simko.agents.engine.vllm`. docs/how/engine.md says how to start the server, and what is checked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from simko.agents.engine import vllm_probe
from simko.agents.engine.parallel import in_parallel
from simko.agents.engine.requests import Answers, Request, requests
from simko.agents.engine.stops import StopStrings, first_end
from simko.agents.engine.vllm_adapter import ServedAdapter
from simko.agents.engine.vllm_http import Server
from simko.agents.engine.vllm_reply import (
    ENGINE,
    Card,
    base_card,
    cards,
    completion,
    completion_request,
    reply_limit,
    start_command,
    version_of,
)
from simko.console import note, one_line
from simko.errors import UserError
from simko.types import Finish, Generation, Sampling

Decoded = tuple[list[int], list[float], Finish]
_LOSSES = 3  # times that an adapter may be gone from the server while one sequence is decoded


class VllmServerEngine:
    """Decodes on a vLLM server with the adapter of a `LoraPolicy`.

    Args:
        policy: its adapter decodes; inside `policy.base()` the base model does.
        url: address of the server, as `http://host:8000`.
        location: folder or Hub id of the base model, beside `policy.name`.
        adapter_folder: where adapters are written; see `ServedAdapter`.
        connections: most sequences under way at once.
        timeout: seconds without any sequence that ends, after which the run ends.
        waits: seconds before each further try of a request that failed.

    Raises:
        UserError: the URL is not one. The server is asked by the first sequence, since a command that only saves needs none.
    """

    def __init__(
        self,
        policy: Any,
        url: str,
        location: str,
        *,
        adapter_folder: str | None = None,
        connections: int = 256,
        timeout: float = 600.0,
        waits: tuple[float, ...] | None = None,
    ) -> None:
        self._policy, self.eos_ids, self._location = policy, policy.eos_ids, location
        self._server = Server(url, timeout, waits)
        self._adapter_folder, self._connections, self._timeout = adapter_folder, connections, timeout
        self._vocabulary: int = policy.lm_head().weight.shape[0]
        self._config = policy.model.get_base_model().config.get_text_config()
        self._card: Card | None = None
        self._adapter: ServedAdapter | None = None
        self._probed: set[bool] = set()

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seeds: Sequence[int],
        budgets: Sequence[int] | None = None,
        on_finish: Callable[[int, Generation], None] | None = None,
    ) -> list[list[Generation]]:
        """See `simko.types.Engine.generate`.

        Raises:
            UserError: also if the server cannot be reached, has another model or other settings, or sends what was not asked.
        """
        sequences = requests(prompts, n, sampling, seeds, budgets, self._config, self._vocabulary)
        answers = Answers(sequences, on_finish)
        if not answers.waiting:
            return answers.groups(n)
        self._server.resume()
        card, adapter = self._started()
        _check_lengths(answers.waiting, card, self._command)
        model = adapter.name()
        self._probe(card, adapter, model, answers.waiting)
        with closing(self._decode(card, adapter, model, sampling, answers.waiting)) as results:
            for request, (ids, logprobs, finish) in results:
                answers.finish(request.row, ids, logprobs, finish)
        return answers.groups(n)

    def _decode(
        self, card: Card, adapter: ServedAdapter, model: str | None, sampling: Sampling, asked: Sequence[Request]
    ) -> Generator[tuple[Request, Decoded], None, None]:
        """Yield sequences as they end. Whoever stops early ends the requests under way."""
        work = partial(self._sequence, card, adapter, model, sampling)
        stuck = (
            f"{ENGINE}: {self._server.name}: no sequence has ended for {self._timeout:g} s; raise --engine-timeout, or see "
            "whether the server is stuck"
        )
        try:
            with closing(in_parallel(asked, work, self._connections, self._timeout, stuck)) as results:
                yield from results
        except BaseException:
            self._server.halt()
            raise

    def _sequence(
        self, card: Card, adapter: ServedAdapter, model: str | None, sampling: Sampling, request: Request
    ) -> Decoded:
        """Decode one sequence to its end as the environment sees it.

        Both sides look for stop strings in text. Where the server sees an end and the environment would not, the rest is asked
        for; where it saw none, the tokens behind are dropped.
        """
        ids: list[int] = []
        logprobs: list[float] = []
        ends = frozenset(sampling.stop_ids) or self.eos_ids
        stops = StopStrings(self._policy.tokenizer, sampling.stop)
        while len(ids) < request.budget:
            prompt, left = [*request.prompt, *ids], request.budget - len(ids)
            body = completion_request(model or card.id, prompt, left, request.seed + len(ids), sampling, sorted(ends))
            for _ in range(_LOSSES):
                reply = self._server.post("/v1/completions", body, reply_limit(request), timeout=None)
                if model is None or reply.status != 404:
                    break
                adapter.again(model)
            more, logp, _ = completion(reply, model, prompt, left, self._vocabulary)
            before = len(ids)
            ids, logprobs = ids + more, logprobs + logp
            if end := first_end(ids, before, ends, stops):
                return ids[:end], logprobs[:end], "stop"
        return ids, logprobs, "length"

    def _started(self) -> tuple[Card, ServedAdapter]:
        """The server's base model, and the adapter on it; the first call checks the server."""
        if self._card is None or self._adapter is None:
            version = version_of(self._server)
            card = base_card(cards(self._server.get("/v1/models")), [self._policy.name, self._location])
            self._check_vocabulary(card)
            note(f"engine: vLLM {version} at {self._server.name} has {one_line(card.root)[:100]}")
            self._card = card
            self._adapter = ServedAdapter(self._policy, self._server, card.root, self._adapter_folder)
        return self._card, self._adapter

    def _probe(self, card: Card, adapter: ServedAdapter, model: str | None, waiting: Sequence[Request]) -> None:
        """Compare log-probs with the trainer's, once with the adapter and once without it."""
        if (model is None) in self._probed:
            return
        longest = min(vllm_probe.LONGEST, (card.max_model_len or sys.maxsize) - vllm_probe.TOKENS)
        prompts = list(dict.fromkeys(request.prompt[-longest:] for request in waiting))
        asked = [Request(i, prompts[i % len(prompts)], vllm_probe.TOKENS, i) for i in range(vllm_probe.PROMPTS)]
        for _, (_, of_one, _) in self._decode(card, adapter, model, vllm_probe.ONE, asked[:1]):
            if vllm_probe.are_raw(of_one):
                raise UserError(
                    f"{ENGINE}: the server gives log-probs from before the temperature; start it with: {self._command}"
                )
        decoded = self._decode(card, adapter, model, Sampling(), asked)
        answers = [(request.prompt, ids, logprobs) for request, (ids, logprobs, _) in decoded]
        line = vllm_probe.verdict(vllm_probe.measure(self._policy, answers), self._command)
        note(f"engine: {line}{'' if model else ' (base model)'}")
        self._probed.add(model is None)

    def _check_vocabulary(self, card: Card) -> None:
        """Raise `UserError` if the server does not know the trainer's last id. (A larger vocabulary shows in the probe.)"""
        last = self._vocabulary - 1
        reply = self._server.post("/v1/completions", completion_request(card.id, [last], 1, 0, Sampling(), ()))
        if reply.status == 400:
            raise UserError(
                f"{ENGINE}: the trainer's model knows {last + 1} ids, and the server refuses the last ({reply.said}); start it "
                f"with: {self._command}"
            )
        completion(reply, None, [last], 1, self._vocabulary)

    @property
    def _command(self) -> str:
        return start_command(self._location, self._policy.model.peft_config["default"].r)


def _check_lengths(waiting: Sequence[Request], card: Card, command: str) -> None:
    """Raise `UserError` if a sequence is longer than the server takes: it would cut the answer."""
    longest = max(len(request.prompt) + request.budget for request in waiting)
    if card.max_model_len is not None and longest > card.max_model_len:
        raise UserError(
            f"{ENGINE}: a prompt and its answer have up to {longest} tokens, and the server's --max-model-len is "
            f"{card.max_model_len}; start it with: {command} --max-model-len {longest}"
        )
