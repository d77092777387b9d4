"""The split: which problems are held out, and which of these are for tuning. The content of a problem decides both.

So no run can train on its evaluation problems, and no choice made on tuning problems has seen the final ones.
"""

from __future__ import annotations

import hashlib
import unicodedata

EVAL_ONE_IN = 5
TUNING_ONE_IN = 4


def normalise(key: str) -> str:
    """`key` in Unicode NFKC, each run of white space as one blank. Texts of the two splits are compared in this form."""
    return " ".join(unicodedata.normalize("NFKC", key).split())


def is_eval(key: str) -> bool:
    """Whether the problem with this canonical text or key is for evaluation. One in five is; the rest are for training.

    The result depends on the normalised text alone (BLAKE2b, 64 bits), so it is the same on every machine.
    """
    digest = hashlib.blake2b(normalise(key).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % EVAL_ONE_IN == 0


def is_tuning(key: str) -> bool:
    """Whether a held-out problem with this canonical text or key is for tuning. One in four is; the rest are final.

    It is another hash than that of `is_eval`: the same would put all held-out problems of one rest into one part.
    """
    text = normalise(key).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=8, person=b"simko-part").digest()
    return int.from_bytes(digest, "big") % TUNING_ONE_IN == 0
