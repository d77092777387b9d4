"""Slow references in float64, one module a method, written from the formulas alone. No test may use one method's module as
an implementation: these loops are what an implementation is compared with.

Conventions, the same in each module:

- `B` sequences of the WHOLE optimizer step, `T` padded tokens, `V` vocabulary, `K` candidates, `D` hidden.
- `logits` [B, T, V] are divided by the sampling temperature; `logits[b, t]` predicts `token_ids[b, t]`.
- `mask` [B, T] is True at sampled tokens. What lies under False is never read.
- `groups` [B] holds an integer a prompt. `rewards` [B]; `correct` [B] is the verdict, not `reward == 1`.
  Only sequences with a valid verdict are passed.
- `old_logp` [B, T] are log-probs of the policy that the ratio divides by. `advantages` is [B] or [B, T].
- `frozen_logits` [B, T, V] is where each stop-gradient term, gate, rank and selection is computed. It is
  `logits.detach()` where it is not passed. Keep it fixed and move `logits`: then finite differences of the value are
  the gradient that a method prescribes.
- `loss_matrix` returns [B, T], zero outside the mask; `aggregate` makes the scalar; `loss` is both and the regulariser.

A docstring says RECONSTRUCTED where neither the paper nor its code was read for a value or a formula.
"Reference page" is the project's page of formulas; "addendum" is its second page, which wins where they differ.
"""

METHODS = (
    "simko",
    "casp",
    "simko_pass_at_k",
    "thr",
    "eepo",
    "ucas",
    "siren",
    "aspo",
    "aer",
    "self",
    "grpo",
    "dapo",
    "dr_grpo",
    "rloo",
    "psr",
    "nsr",
    "w_reinforce",
    "kl_cov",
    "clip_cov",
    "entropy_advantage",
    "entropy_bonus",
    "high_entropy_tokens",
    "pass_at_k",
    "gspo",
    "cispo",
    "maxrl",
    "f_grpo",
    "ds_grpo",
    "ucpo",
    "dph_rl",
    "lp_reg",
)
