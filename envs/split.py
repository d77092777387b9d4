"""Which problems are held out: decided by the content of a problem, so that no run can train on what it is judged on."""

from __future__ import annotations

import hashlib
import unicodedata

EVAL_ONE_IN = 5


def normalise(key: str) -> str:
    """`key` in Unicode NFKC with every run of white space as one blank: how texts are compared across the splits."""
    return " ".join(unicodedata.normalize("NFKC", key).split())


def is_eval(key: str) -> bool:
    """Whether the problem with this canonical text or key is for evaluation: one in five is, the rest are for training.

    A function of the normalised text alone (BLAKE2b, 64 bits): the same in every process, on every machine, for ever.
    """
    digest = hashlib.blake2b(normalise(key).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % EVAL_ONE_IN == 0
