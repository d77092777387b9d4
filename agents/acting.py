"""One token at a time for a `TokenEnv`, with keys and values kept between steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from simko.agents.engine.sampler import Stream, check_sampling, draws, sample
from simko.errors import UserError
from simko.head import LmHead


class Actor:
    """Remembers the tokens that a model has seen, their keys and values, and a stream of random numbers."""

    def __init__(self, seed: int, vocabulary: int | None = None) -> None:
        self._vocabulary = vocabulary
        self.restart(seed)
        self._cache: Any = None
        self._ids: list[int] = []
        self._version: object = None

    def restart(self, seed: int) -> None:
        """Begin the stream of random numbers of `seed`."""
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
        """The next token of a causal LM for `{"tokens": (max_length,) int64, "length": int}`.

        Only tokens that are new since the last call are fed; all of them where the observation does not extend the last
        one, or `version`, which names the weights, has changed.

        Raises:
            UserError: an observation without tokens, or a sampling setting out of range.
        """
        check_sampling(temperature, top_p, top_k)
        ids = [int(i) for i in observation["tokens"][: int(observation["length"])]]
        if not ids:
            raise UserError("act: the observation has no tokens (length 0); reset the environment first")
        seen = len(self._ids)
        if version != self._version or seen >= len(ids) or ids[:seen] != self._ids:
            self._cache, seen = None, 0
        output = model.base_model(
            input_ids=torch.tensor([ids[seen:]], device=model.device), past_key_values=self._cache, use_cache=True
        )
        self._cache, self._ids, self._version = output.past_key_values, ids, version
        uniform = torch.from_numpy(draws([self._stream], 1)[0])
        logits = head.logits(output.last_hidden_state[:, -1])
        token, _ = sample(logits, uniform, temperature, top_p, top_k, self._vocabulary)
        return int(token)
