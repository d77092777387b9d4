"""vLLM behind `simko.types.Engine`: it holds the base model, and gets the adapter as a folder whenever it has changed.

It needs the extra `simko[vllm]`, which is imported when an engine is made. It is written against vLLM's documented interface and
tested with a stand-in; NOT YET RUN WITH vLLM ITSELF. Differences from `LocalEngine`:
- The sampler is not the trainer: its base weights are not quantised as the trainer's are, and its kernels round otherwise. Train
  with `tis_clip` (truncated importance sampling). `sampler_gap` in the metrics shows how far they are apart.
- Each sequence has its seed, so its draws do not depend on its neighbours. They are not those of the local engine.
- With top-p or top-k, the log-probs are those of the truncated distribution.

On the card both take turns: vLLM sleeps during the update, with its weights in the machine's memory, and before it wakes what
torch holds in reserve is given back. The plan counts its share (`simko.memory`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simko.agents.engine.requests import Answers, requests
from simko.agents.engine.vllm_reply import RANKS
from simko.console import one_line
from simko.device import release
from simko.errors import UserError
from simko.types import Generation, Sampling


class VllmEngine:
    """Decodes with vLLM and the adapter of a `LoraPolicy`.

    Args:
        policy: its adapter decodes; inside `policy.base()` the base model does.
        model: the folder or Hub id of the base model, which vLLM loads.
        memory_share: share of the GPU's whole memory that vLLM takes while it is awake. It sleeps between two calls.
        options: are passed to `vllm.LLM`.

    Raises:
        UserError: vLLM is not installed, or has no kernels for the adapter's rank, or torch's expandable segments are on, with
            which it cannot sleep.
    """

    def __init__(self, policy: Any, model: str, memory_share: float = 0.4, **options: Any) -> None:
        try:
            import vllm
            from vllm.lora.request import LoRARequest
        except ImportError as error:
            raise UserError(
                'engine vllm: vLLM is not installed; pip install "simko[vllm]", in an environment of its own where its '
                "torch clashes, or use engine local"
            ) from error
        rank = policy.model.peft_config["default"].r
        if rank > RANKS[-1]:
            raise UserError(f"engine vllm: lora_rank is {rank}; vLLM takes at most {RANKS[-1]}, or use engine local")
        for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
            if "expandable_segments:True" in os.environ.get(name, ""):
                raise UserError(f"engine vllm: it cannot sleep with expandable_segments:True; take that out of {name}")
        self._vllm, self._request = vllm, LoRARequest
        self._policy, self.eos_ids = policy, policy.eos_ids
        self._config = policy.model.get_base_model().config.get_text_config()
        self._folder = Path(tempfile.mkdtemp(prefix="simko-adapter-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._version: object = None
        self._count = 0
        settings: dict[str, Any] = {
            "model": model,
            "dtype": str(policy.dtype).removeprefix("torch."),
            "enable_lora": True,
            "max_loras": 1,
            "max_lora_rank": next(r for r in RANKS if r >= rank),
            "enable_prefix_caching": True,  # a group's prompt is forwarded once
            "enable_sleep_mode": True,
            "gpu_memory_utilization": memory_share,
            "logprobs_mode": "processed_logprobs",  # after the temperature, as the trainer computes them
            "trust_remote_code": False,
        }
        self._settings = settings | options
        self._llm: Any = None  # started by the first sequence, since a command that only saves needs no vLLM

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seeds: Sequence[int],
        budgets: Sequence[int] | None = None,
        on_finish: Callable[[int, Generation], None] | None = None,
    ) -> list[list[Generation]]:
        """See `simko.types.Engine.generate`. All sequences are handed over at the end."""
        vocabulary = self._policy.lm_head().weight.shape[0]
        sequences = requests(prompts, n, sampling, seeds, budgets, self._config, vocabulary)
        answers = Answers(sequences, on_finish)
        if not answers.waiting:
            return answers.groups(n)
        common: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "logprobs": 0,  # of the sampled tokens alone
            "stop": list(sampling.stop),
            "stop_token_ids": sorted(frozenset(sampling.stop_ids) or self.eos_ids),
            "ignore_eos": True,  # only the ids above end a sequence
            "include_stop_str_in_output": True,
        }
        if sampling.top_k:
            common["top_k"] = sampling.top_k
        self._wake()
        try:
            outputs = self._llm.generate(
                [{"prompt_token_ids": list(request.prompt)} for request in answers.waiting],
                [
                    self._vllm.SamplingParams(max_tokens=request.budget, seed=request.seed % 2**63, **common)
                    for request in answers.waiting
                ],
                lora_request=self._adapter(),
                use_tqdm=False,
            )
        finally:
            self._llm.sleep(level=1)
        for request, output in zip(answers.waiting, outputs, strict=True):
            completion = output.outputs[0]
            ids = [int(i) for i in completion.token_ids]
            logprobs = [entry[token].logprob for token, entry in zip(ids, completion.logprobs, strict=True)]
            answers.finish(request.row, ids, logprobs, "length" if completion.finish_reason == "length" else "stop")
        return answers.groups(n)

    def _wake(self) -> None:
        """Start vLLM, or wake it. It asks the driver for memory, and cannot have what torch keeps for the next update."""
        release(self._policy.device)
        try:
            if self._llm is None:
                self._llm = self._vllm.LLM(**self._settings)
            else:
                self._llm.wake_up()
        except (RuntimeError, ValueError, MemoryError) as error:
            raise UserError(
                f"engine vllm: it cannot {'start' if self._llm is None else 'wake'} ({one_line(str(error))[:200]}); where memory "
                "lacks, lower --engine-share or --micro-batch-tokens"
            ) from error

    def _adapter(self) -> Any:
        """Return vLLM's request for the adapter, saved anew if it has changed; None if the adapter is off."""
        version, off = self._policy._weights_version()
        if off:
            return None
        if version != self._version:
            shutil.rmtree(self._place(), ignore_errors=True)
            self._version, self._count = version, self._count + 1
            self._policy.save(self._place())
        return self._request(f"simko-{self._count}", self._count, str(self._place()))

    def _place(self) -> Path:
        return self._folder / str(self._count)
