"""Which parts make no sense together, and why."""

from __future__ import annotations

from simko.algorithms.base import Kind

_TOKEN_LEVEL = ("thr", "ucas")
_READS_LOGP = ("ds_grpo", "ucpo")
_ENTROPY = ("aer", "entropy_advantage", "entropy_bonus", "siren")
_ONE_SIGN = ("nsr", "psr", "w_reinforce")

REFUSED: tuple[tuple[tuple[Kind, tuple[str, ...]], tuple[Kind, tuple[str, ...]], str], ...] = (
    (
        ("advantage", _TOKEN_LEVEL),
        ("loss", ("gspo",)),
        "GSPO has one ratio for a whole answer, so it takes one advantage an answer",
    ),
    (
        ("advantage", _TOKEN_LEVEL),
        ("loss", _ENTROPY),
        "both change what unsure tokens are worth, and the effect would be counted twice",
    ),
    (
        ("advantage", _READS_LOGP),
        ("sampling", ("eepo",)),
        "this advantage compares log-probs inside a group, and EEPO samples each half from another policy",
    ),
    (
        ("advantage", ("nsr",)),
        ("loss", ("aspo",)),
        "ASPO changes tokens with an advantage above 0 only, and NSR has none",
    ),
    (
        ("advantage", (*_ONE_SIGN, "ds_grpo")),
        ("sampling", ("refill",)),
        "refilling drops groups of equal rewards, and this advantage learns from them",
    ),
    (
        ("sampling", ("self",)),
        ("advantage", ("f_grpo",)),
        "both favour hard problems, and the effect would be counted twice",
    ),
)


def refusal(parts: dict[Kind, str]) -> str | None:
    """Why these parts, by kind, are refused; None if they are not."""
    for (kind, names), (other, others), reason in REFUSED:
        if parts[kind] in names and parts[other] in others:
            return f"{kind} '{parts[kind]}' and {other} '{parts[other]}' do not go together: {reason}"
    return None
