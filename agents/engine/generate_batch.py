"""transformers' continuous batching behind `simko.types.Engine`: an alternative to `LocalEngine`, not a faster one on CPU.

Its interface forces these departures from the contract:
- One random stream serves all sequences. The draws of one depend on its neighbours and on the time that requests arrive. So a
  run is not reproducible; `seeds` only give the stream its seed.
- With top-p or top-k, the log-probs are those of the truncated distribution.
- It does not know stop strings. A sequence runs on, and is cut at the first stop string.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from typing import Any

import torch

from simko.agents.engine.requests import Answers, Request, requests
from simko.agents.engine.stops import StopStrings, first_end
from simko.agents.quiet import quiet
from simko.errors import UserError
from simko.head import LmHead
from simko.types import Generation, Sampling

# with transformers' own choices, two tiny requests take half a minute on a CPU
_CPU_PAGE, _CPU_BATCH_TOKENS = 32, 256
_SPARE_BLOCKS = 8
_NO_EOS = -1


class ContinuousEngine:
    """An engine that calls transformers' continuous batching.

    Arguments are those of `LocalEngine`; `batching` goes to `ContinuousBatchingConfig`.
    """

    def __init__(
        self,
        weights: Callable[[], Any],
        head: Callable[[], LmHead],
        eos_ids: Iterable[int],
        tokenizer: Any = None,
        **batching: Any,
    ) -> None:
        self._weights, self._head, self._tokenizer, self._batching = weights, head, tokenizer, batching
        self.eos_ids = frozenset(eos_ids)

    def hold(self) -> AbstractContextManager[None]:
        """Inside, several calls of `generate` decode with one copy of the weights, until the weights change."""
        hold: Callable[[], AbstractContextManager[None]] = getattr(self._weights, "hold", nullcontext)
        return hold()

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seeds: Sequence[int],
        budgets: Sequence[int] | None = None,
        on_finish: Callable[[int, Generation], None] | None = None,
    ) -> list[list[Generation]]:
        """See `simko.types.Engine.generate`, and the departures in this module's docstring.

        Raises:
            UserError: also for sequences that transformers gives up.
        """
        model, vocabulary = self._weights(), self._head().weight.shape[0]
        sequences = requests(prompts, n, sampling, seeds, budgets, model.config.get_text_config(), vocabulary)
        answers = Answers(sequences, on_finish)
        ends = frozenset(sampling.stop_ids) or self.eos_ids
        if answers.waiting:
            self._decode(model, sampling, ends, answers)
        return answers.groups(n)

    def _decode(self, model: Any, sampling: Sampling, ends: frozenset[int], answers: Answers) -> None:
        from transformers import GenerationConfig

        greedy = sampling.temperature == 0
        settings = {"temperature": sampling.temperature, "top_k": sampling.top_k, "top_p": sampling.top_p}
        config = GenerationConfig(
            do_sample=not greedy,
            max_new_tokens=max(request.budget for request in answers.waiting),
            eos_token_id=sorted(ends) or _NO_EOS,
            pad_token_id=0,
            **({} if greedy else settings),
        )
        stops, waiting = StopStrings(self._tokenizer, sampling.stop), {str(r.row): r for r in answers.waiting}
        devices = [model.device] if model.device.type == "cuda" else []
        # it draws from the global random state, hence the fork, one thread at a time;
        # under inference_mode it returns nothing, hence no_grad
        with quiet(), torch.random.fork_rng(devices), torch.no_grad():
            manager = model.init_continuous_batching(
                generation_config=config, continuous_batching_config=self._config(model, answers.waiting)
            )
            manager.start()
            try:
                for name, request in waiting.items():
                    manager.add_request(list(request.prompt), request_id=name, max_new_tokens=request.budget)
                while waiting:
                    result = manager.get_result(timeout=1)
                    if result is None and not manager.is_running():
                        raise UserError(
                            f"engine generate_batch: transformers gave up {len(waiting)} sequences; use local"
                        )
                    if result is not None and result.is_finished():
                        request = waiting.pop(result.request_id)
                        if result.error is not None:
                            raise UserError(
                                f"engine generate_batch: {' '.join(str(result.error).split())[:200]}; use local"
                            )
                        ids = [int(i) for i in result.generated_tokens]
                        end = first_end(ids, 0, ends, stops)
                        ids = ids[: end or len(ids)]
                        answers.finish(request.row, ids, result.logprobs[: len(ids)], "stop" if end else "length")
            finally:
                manager.stop(block=True)

    def _config(self, model: Any, waiting: Sequence[Request]) -> Any:
        from transformers import ContinuousBatchingConfig

        seed = blake2b(repr([request.seed for request in waiting]).encode(), digest_size=4).digest()
        settings: dict[str, Any] = {"return_logprobs": True, "seed": int.from_bytes(seed, "little")}
        if model.device.type == "cpu":
            blocks = sum(-(-(len(r.prompt) + r.budget) // _CPU_PAGE) for r in waiting) + _SPARE_BLOCKS
            # The name before transformers 5.23 is block_size.
            page = "page_size" if hasattr(ContinuousBatchingConfig, "page_size") else "block_size"
            settings |= {page: _CPU_PAGE, "num_blocks": blocks, "max_batch_tokens": _CPU_BATCH_TOKENS}
        return ContinuousBatchingConfig(**(settings | self._batching))
