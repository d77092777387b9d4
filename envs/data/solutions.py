r"""Gold answers that stand in a worked solution: the last box, or the list that it ends, each with what stands beside it.

`x = -\boxed{6}` gives -6, and `\boxed{2}$ or $\boxed{3}` gives `2, 3`. Boxes that say the same in two ways give the last one.
"""

from __future__ import annotations

from simko.envs.data import overlaps
from simko.envs.data.loading import last_boxed
from simko.envs.data.rows import boxed, text_of
from simko.envs.verifiers.answer.boxes import last_answer
from simko.envs.verifiers.reading.text import words

AS_BOXED = words(
    "5befb7aebbe4 9d42712a159a 85c299e6578a 54701ea3710c 96115cfdce97 fba7d56db533 98061780e4f8 9ccdb2295217 "
    "07b445210e96 1a949673565f 098dc64805d1 efff6ca1780e 9c5f283a09eb 0e2034c2f639 f9d9f9bb7112 c151f5d13a9b "
    "6ce8c7c97fcc 4823feaac759 7dedea5feb8c 70248eca7b1d 9402ef6bf93c 0e61f547552b 646c0f5ad565 15302d06253b "
    "42782db8f90d 35a04a81ab5b"
)
"""Digests of solutions of MATH whose answer is what the last box holds, though more stands beside it.

The problem asks for a coefficient, for the digits in a base, for one of two points, or in millions.
"""


class UnclearError(ValueError):
    """A worked solution whose answer cannot be told. The message says why, and what to do."""


def boxed_answer(solution: str) -> str | None:
    """The answer that a worked solution boxes; None where no box is filled in.

    Raises `UnclearError` where its box is cut off, or bound to something that cannot be read with it.
    """
    boxes, last_box = last_answer(solution), last_boxed(solution)
    if boxes.answers != (last_box,) and overlaps.digest(solution) in AS_BOXED:
        return text_of(last_box)
    if boxes.conflict is not None:
        raise UnclearError(
            f"boxes only a part of its answer ({boxes.conflict[-60:]!r}); box all of it, or give it in a column 'answer'"
        )
    if len(boxes.answers) < 2:
        return text_of(boxes.answers[0]) if boxes.answers else None
    *others, last = boxes.answers
    return last if all(_same(other, last) for other in others) else ", ".join(boxes.answers)


def _same(answer: str, other: str) -> bool:
    from simko.envs.verifiers import grade

    return grade(boxed(answer), other).correct
