"""SimKO's loss as a `GRPOTrainer`: TRL samples, scores and steps; the loss of a batch is `simko.algorithms.simko`'s.

Checked against TRL 1.16: on one batch the gradient equals that of our own trainer. Two methods of `GRPOTrainer` are overridden,
`_generate_and_score_completions` (to keep which answers are correct) and `_compute_loss`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from trl import GRPOTrainer

from simko.algorithms.grpo import kl_term
from simko.algorithms.simko import SimKOLoss
from simko.algorithms.stats import TokenStats
from simko.errors import UserError
from simko.head import LmHead, token_statistics
from simko.micro_batch import laid_out

_AGGREGATES = ("dapo", "grpo", "dr_grpo")
"""TRL's loss types whose aggregation is used: a mean over tokens, over sequences, over the token budget."""


class SimKOTrainer(GRPOTrainer):  # type: ignore[misc]
    """`GRPOTrainer` with SimKO's loss (arXiv 2510.14807).

    Clipping (`epsilon`, `epsilon_high`), KL (`beta`), temperature and aggregation (`loss_type`) are those of `GRPOConfig`.

    Args:
        simko: settings of the method: `alpha`, `top_k`, `entropy_quantile`, `top1_penalty`, ... (`simko algorithms simko`).
        correct_from: reward from which an answer is correct, by the first reward function: `simko.integrations.trl.reward` and
            other verifiers give 1 to a right answer.
        *args: as `GRPOTrainer` takes them, and so are all other keywords.

    Raises:
        UserError: `GRPOConfig` or the adapter asks for what this loss has no place for.
    """

    def __init__(
        self, *args: Any, simko: Mapping[str, Any] | None = None, correct_from: float = 1.0, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        config = self.args
        refused = {
            f"loss_type={config.loss_type!r} (take one of {', '.join(_AGGREGATES)})": config.loss_type
            not in _AGGREGATES,
            "importance_sampling_level='sequence'": config.importance_sampling_level != "token",
            "top_entropy_quantile": config.top_entropy_quantile < 1.0,
            "off_policy_mask_threshold": self.off_policy_mask_threshold is not None,
            "delta": config.delta is not None,
            "an entropy bonus": bool(
                getattr(config, "entropy_coef", 0) or getattr(config, "use_adaptive_entropy", False)
            ),
            "a model with an auxiliary loss": self.aux_loss_enabled,
            "an adapter on the output layer": hasattr(self.model.get_output_embeddings(), "base_layer"),
        }
        if wrong := [name for name, refuse in refused.items() if refuse]:
            raise UserError(f"SimKOTrainer has no place for {wrong[0]}; leave it out")
        high = config.epsilon if config.epsilon_high is None else config.epsilon_high
        self.simko = SimKOLoss(clip_low=config.epsilon, clip_high=high, **dict(simko or {}))
        self._correct_from = correct_from
        self._last_rewards: Tensor | None = None

    def _calculate_rewards(self, *args: Any, **options: Any) -> Tensor:
        self._last_rewards = super()._calculate_rewards(*args, **options)
        return self._last_rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        assert self._last_rewards is not None
        count, first = len(output["advantages"]), self.accelerator.process_index * len(output["advantages"])
        output["correct"] = self._last_rewards[first : first + count, 0] >= self._correct_from  # NaN is not correct
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        stats = self._statistics(model, inputs)
        loss = self.simko.loss(stats)
        matrix = loss.matrix
        if "importance_sampling_ratio" in inputs:
            matrix = matrix * inputs["importance_sampling_ratio"]
        told = {"entropy": stats.entropy}
        if self.beta != 0.0:
            told["kl"] = self._kl(stats)
            matrix = matrix + self.beta * told["kl"]  # behind the ratio, as in TRL
        matrix = matrix.masked_fill(~stats.mask, 0.0)
        mode = "train" if self.model.training else "eval"
        count = stats.mask.sum().clamp(min=1)
        told |= {f"simko/{name}": values for name, values in {**loss.shares, "top1": stats.is_top1}.items()}
        for name, values in told.items():
            mean = (values.detach().to(matrix.dtype) * stats.mask).sum() / count
            self._metrics[mode][name].append(self.accelerator.gather(mean).mean().item())
        return self._aggregate(matrix, stats.mask, inputs, mode)

    def _kl(self, stats: TokenStats) -> Float[Tensor, "B T"]:
        """TRL's estimate of the KL divergence: k3, by default with the ratio of the policies as a factor (unbiased)."""
        kl = kl_term(stats, 1.0)
        assert isinstance(kl, Tensor)
        is_corrected = getattr(self.args, "use_bias_correction_kl", False)
        return kl * torch.exp(stats.logp - stats.old_logp) if is_corrected else kl

    def _aggregate(self, matrix: Float[Tensor, "B T"], mask: Tensor, inputs: dict[str, Any], mode: str) -> Tensor:
        """The scalar of a micro-batch, so that the mean over accumulation steps and processes is that of the step."""
        accumulated = self.current_gradient_accumulation_steps if mode == "train" else 1
        if self.loss_type == "grpo":
            return (matrix.sum(-1) / mask.sum(-1).clamp(min=1)).mean() / accumulated
        if self.loss_type == "dr_grpo":
            return matrix.sum() / (len(matrix) * self.max_completion_length) / accumulated
        tokens = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes
        if mode == "train":  # `num_items_in_batch` spans the generation batch; this is one accumulation window of it
            tokens = tokens * accumulated / self.args.steps_per_generation
        return matrix.sum() / tokens

    def _statistics(self, model: Any, inputs: dict[str, Any]) -> TokenStats:
        """What the loss reads of a batch. The forward goes through `model` itself, so that DDP reduces its gradient."""
        if "pixel_values" in inputs:
            raise UserError("SimKOTrainer reads no images; take a training set of text")
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
        mask = inputs["completion_mask"].bool()
        if "tool_mask" in inputs:
            mask = mask & inputs["tool_mask"].bool()
        causal = self.accelerator.unwrap_model(model)
        causal = causal.get_base_model() if hasattr(causal, "get_base_model") else causal
        states: list[Tensor] = []
        hook = causal.base_model.register_forward_hook(lambda _m, _i, out: states.append(out.last_hidden_state))
        try:
            with self.accelerator.autocast():
                model(input_ids=ids, attention_mask=attention, logits_to_keep=1, use_cache=False)
        finally:
            hook.remove()
        width = mask.shape[1]
        hidden = states[-1][:, -width - 1 : -1][mask]
        raw = self._head_statistics(causal, hidden, inputs["completion_ids"][mask])
        spread = partial(laid_out, mask)
        logp = spread(raw.logp)
        advantages = inputs["advantages"].to(logp.dtype)
        old = inputs.get("old_per_token_logps")
        reference = inputs.get("ref_per_token_logps")
        return TokenStats(
            mask=mask,
            logp=logp,
            old_logp=logp.detach() if old is None else old.masked_fill(~mask, 0.0).to(logp.dtype),
            advantage=(advantages[:, None] if advantages.dim() == 1 else advantages).expand_as(logp),
            correct=inputs["correct"],
            entropy=spread(raw.entropy),
            is_top1=spread(raw.is_top1),
            topk_logp=spread(raw.topk_logp),
            topk_ids=spread(raw.topk_ids),
            ref_logp=None if reference is None else reference.masked_fill(~mask, 0.0).to(logp.dtype),
        )

    def _head_statistics(self, causal: Any, hidden: Float[Tensor, "N D"], targets: Tensor) -> Any:
        layer = causal.get_output_embeddings()
        head = LmHead.of(causal.config.get_text_config(), layer.weight, layer.bias)
        return token_statistics(
            hidden, head.weight, targets, min(self.simko.k, head.weight.shape[0]), self.temperature,
            bias=head.bias, soft_cap=head.soft_cap, scale=head.scale,
        )  # fmt: skip
