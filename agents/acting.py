"""Acting in a `TokenEnv`: one token at a time, with keys and values cached between steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from simko.agents.engine.cache import cache_argument
from simko.agents.engine.sampler import Stream, check_sampling, draws, sample
from simko.errors import UserError
from simko.head import LmHead


class Actor:
    """Remembers the tokens that a model has read, their keys and values, and a stream of random numbers."""

    def __init__(self, seed: int, vocabulary: int | None = None) -> None:
        self._vocabulary = vocabulary
        self.restart(seed)
        self._cache: Any = None
        self._ids: list[int] = []
        self._version: object = None

    def restart(self, seed: int) -> None:
        """Start the stream of random numbers anew, from `seed`."""
        self._stream = Stream(seed)

    @torch.no_grad()
    def act(
        self,
        model: Any,
        head: LmHead,
        observation: Mapping[str, Any],
        version: object,
        temperature: float,
        top_p: float,
        top_k: int,
    ) -> int:
        """Draw the next token of a causal LM for `{"tokens": (max_length,) int64, "length": int}`.

        If the observation extends the last one, only its new tokens are fed. If it does not, or if `version` (it names the
        weights) has changed, all tokens are.

        Raises:
            UserError: the observation has no tokens, or a sampling setting is out of range.
        """
        check_sampling(temperature, top_p, top_k)
        ids = [int(i) for i in observation["tokens"][: int(observation["length"])]]
        if not ids:
            raise UserError("act: the observation has no tokens (length 0); call reset() of the environment first")
        cached = len(self._ids)
        if version != self._version or cached >= len(ids) or ids[:cached] != self._ids:
            self._cache, cached = None, 0
        argument = cache_argument(model.base_model)
        output = model.base_model(
            input_ids=torch.tensor([ids[cached:]], device=model.device), use_cache=True, **{argument: self._cache}
        )
        self._cache, self._ids, self._version = getattr(output, argument), ids, version
        uniform = torch.from_numpy(draws([self._stream], 1)[0])
        logits = head.logits(output.last_hidden_state[:, -1])
        token, _ = sample(logits, uniform, temperature, top_p, top_k, self._vocabulary)
        return int(token)
