"""Sampling, from logits to a token: a random stream for each sequence, truncation, the inverse of the cumulative distribution.

A sequence's t-th token follows from its own t-th uniform number and its own distribution. So its draws depend neither on its
place in the batch nor on the other sequences, apart from rounding of the logits. Nothing here reads or moves the global
random state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from simko.errors import UserError

_BLOCK = 64  # uniform numbers drawn ahead for a sequence
_NUCLEUS = 1024  # candidates to try first; only a wider nucleus needs a sort of the whole vocabulary
_COLDEST = 1e-4  # the lowest temperature but 0: colder ones would overflow a float32 exponent


class Stream:
    """Uniform numbers in [0, 1) of one sequence: Philox keyed by the sequence's seed."""

    __slots__ = ("_block", "_drawn", "_generator")

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=seed % 2**128))
        self._block: list[float] = []
        self._drawn = 0

    def next(self, count: int = 1) -> list[float]:
        """Return the next `count` numbers. They are the same if they are asked for in parts."""
        while self._drawn + count > len(self._block):
            self._block = [*self._block[self._drawn :], *self._generator.random(_BLOCK).tolist()]
            self._drawn = 0
        self._drawn += count
        return self._block[self._drawn - count : self._drawn]


def draws(streams: Sequence[Stream], count: int) -> NDArray[np.float64]:
    """Return the next `count` numbers of each stream, `(count, len(streams))`."""
    return np.array([stream.next(count) for stream in streams], dtype=np.float64).T


def sample(
    logits: Float[Tensor, "N V"],
    uniform: Float[Tensor, "N"],
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    vocabulary: int | None = None,
) -> tuple[Int[Tensor, "N"], Float[Tensor, "N"]]:
    """Draw one token for each row; return its log-prob under the temperature-scaled, untruncated distribution, too.

    Args:
        logits: (N, V); half precision is computed in float32, float64 in float64.
        uniform: (N,) float64 numbers in [0, 1) that decide the draws.
        temperature: 0 is greedy; its log-probs are those at temperature 1.
        top_p, top_k: truncate the sampling and nothing else. Tokens that tie with the last one inside are inside, too.
        vocabulary: ids from here on are never drawn: the tokenizer has no token for these rows of the output layer.

    Raises:
        FloatingPointError: a row's logits hold NaN or +inf, or all are -inf.
    """
    ids, logp = draw(logits, uniform, temperature, top_p, top_k, vocabulary)
    check_finite(logp.cpu().numpy())
    return ids, logp


def draw(
    logits: Float[Tensor, "N V"],
    uniform: Float[Tensor, "N"],
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    vocabulary: int | None = None,
) -> tuple[Int[Tensor, "N"], Float[Tensor, "N"]]:
    """Do as `sample` without waiting for a GPU (a nucleus waits): instead of raising, give a log-prob of NaN."""
    z = logits if logits.dtype == torch.float64 else logits.float()
    top = z.amax(-1, keepdim=True)
    z = (z - top).div_(temperature or 1.0)
    p = z.exp()
    log_mass = p.sum(-1).log()
    if vocabulary is not None and vocabulary < p.shape[-1]:
        p[:, vocabulary:] = 0
    ids = logits[:, :vocabulary].argmax(-1) if temperature == 0 else _invert(_truncate(p, top_p, top_k), uniform)
    logp = (z.gather(-1, ids[:, None])[:, 0] - log_mass).clamp_(max=0)
    return ids, logp.where(top[:, 0].isfinite(), torch.nan)


def check_finite(logp: NDArray[np.floating[Any]]) -> None:
    """Raise `FloatingPointError` if a log-prob of `draw` is NaN: the logits were not finite."""
    bad = np.flatnonzero(np.isnan(logp))
    if len(bad):
        raise FloatingPointError(f"the model's logits are not finite (row {bad[0]})")


def check_sampling(temperature: float, top_p: float, top_k: int) -> None:
    """Raise `UserError` if a sampling setting lies outside its range."""
    if not (temperature == 0 or _COLDEST <= temperature < float("inf")):
        raise UserError(f"temperature is {temperature}; use 0 (greedy) or a finite number of at least {_COLDEST}")
    if not 0 < top_p <= 1:
        raise UserError(f"top_p is {top_p}; it must lie in (0, 1], and 1 leaves the distribution whole")
    if top_k < 0:
        raise UserError(f"top_k is {top_k}; it must be 0 (off) or more")


def _truncate(p: Tensor, top_p: float, top_k: int) -> Tensor:
    """Set unnormalised probabilities to 0 outside of the top k, then outside of the nucleus of the rest."""
    if 0 < top_k < p.shape[-1]:
        p = p.where(p >= p.topk(top_k, dim=-1).values[:, -1:], 0)
    if top_p < 1:
        mass = top_p * p.sum(-1, keepdim=True, dtype=torch.float64)
        best = p.topk(min(_NUCLEUS, p.shape[-1]), dim=-1).values
        cumulative = best.cumsum(-1, dtype=torch.float64)
        if (cumulative[:, -1:] < mass).any() and best.shape[-1] < p.shape[-1]:
            best = p.sort(dim=-1, descending=True).values
            cumulative = best.cumsum(-1, dtype=torch.float64)
        # a token stays if the more likely ones together hold less than `mass`; the most likely one always stays
        size = ((cumulative - best) < mass).sum(-1, keepdim=True).clamp_(min=1)
        p = p.where(p >= best.gather(-1, size - 1), 0)
    return p


def _invert(p: Tensor, uniform: Tensor) -> Tensor:
    """Return the first id whose cumulative probability exceeds `uniform`; never an id of probability 0."""
    cumulative = p.cumsum(-1, dtype=torch.float64)
    target = uniform.to(p.device)[:, None] * cumulative[:, -1:]
    ids = torch.searchsorted(cumulative, target, right=True).clamp_(max=p.shape[-1] - 1)
    impossible = p.gather(-1, ids) == 0
    if p.device.type == "cpu" and not impossible.any():
        return ids[:, 0]
    # a parallel scan on a GPU need not be monotone in its last bits; to ask whether it was would wait for the GPU
    possible = p > 0
    after = possible & (cumulative > target)
    last = possible.shape[-1] - 1 - possible.flip(-1).byte().argmax(-1, keepdim=True)
    mended = torch.where(after.any(-1, keepdim=True), after.byte().argmax(-1, keepdim=True), last)
    return torch.where(impossible, mended, ids)[:, 0]
