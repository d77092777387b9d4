"""The tree of the SimKO paper (arXiv 2510.14807 v3, figure 5) with a tabular policy: `python -m studies.tree_mdp`.

Three choices among four letters; six of the 64 paths are rewarded. A softmax over four logits at each of the 21 places of the
tree is the whole policy. The paper reports how many of the six paths it still takes after training (modes), and how many of
1,000 answers are rewarded (accuracy): one mode for GRPO, six modes at accuracy 0.48 for GRPO with an entropy bonus, six modes
at accuracy 1.00 for SimKO (there: CaSP).

The paper names neither learning rate, group size, steps nor coefficients. So each method is run at several of them, and the
table shows all: what was reproduced must not hang on one choice. The loss is that of `simko.algorithms`, unchanged.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from simko import algorithms
from simko.algorithms.compose import Algorithm
from simko.algorithms.stats import TokenStats
from simko.envs.puzzles.tree_mdp import LETTERS, REWARDED
from simko.group_view import GroupView

HORIZON = 3
ANSWERS = 1000
METHODS: dict[str, tuple[str, dict[str, float]]] = {
    "grpo": ("grpo", {}),
    "grpo + entropy 0.01": ("entropy_bonus", {}),
    "grpo + entropy 0.1": ("entropy_bonus", {"entropy_coefficient": 0.1}),
    "simko, alpha 0.01": ("simko", {"alpha": 0.01}),
    "simko, alpha 0.2": ("simko", {"alpha": 0.2}),
    "simko, alpha 0.8": ("simko", {"alpha": 0.8}),
    "pass@4": ("pass_at_k", {"pass_k": 4}),
    "simko + pass@4, alpha 0.8": ("simko_pass_at_k", {"pass_k": 4, "alpha": 0.8}),
    "nsr": ("nsr", {}),
}
RATES, GROUPS = (0.1, 0.5, 1.0), (8, 64)


def main() -> None:
    """Run every method at every setting, and print modes and accuracy: medians over seeds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = list(product(RATES, GROUPS))
    print(
        f"Modes of {len(REWARDED)} / accuracy, medians over {arguments.seeds} seeds, {arguments.steps} steps of Adam\n"
    )
    print("| method | " + " | ".join(f"lr {rate:g}, G {group}" for rate, group in settings) + " |")
    print("|---" * (len(settings) + 1) + "|")
    for name, (algorithm, options) in METHODS.items():
        method = algorithms.get(algorithm, **options)
        cells = []
        for rate, group in settings:
            outcomes = [train(method, rate, group, arguments.steps, seed) for seed in range(arguments.seeds)]
            modes, accuracies = (np.median(values) for values in zip(*outcomes, strict=True))
            cells.append(f"{modes:g} / {accuracies:.2f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def train(method: Algorithm, rate: float, group: int, steps: int, seed: int) -> tuple[int, float]:
    """Train a new policy by `steps` of Adam on `group` answers each; return modes and accuracy of `ANSWERS` fresh answers."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.zeros(places(), len(LETTERS), requires_grad=True)
    optimizer = torch.optim.Adam([table], lr=rate)
    for _ in range(steps):
        letters = sample(table, group, generator)
        loss = step_loss(method, table, letters)
        if loss is None:
            continue
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    paths = text_of(sample(table, ANSWERS, generator))
    rewarded = [path for path in paths if path in REWARDED]
    return len(set(rewarded)), len(rewarded) / ANSWERS


def places() -> int:
    """Return the number of places of the tree where a letter is chosen: 1 + 4 + 16."""
    return sum(len(LETTERS) ** depth for depth in range(HORIZON))


def visited(letters: Tensor) -> Tensor:
    """Return the index of the place at which each letter was chosen, `[G, HORIZON]`, from the letters `[G, HORIZON]`."""
    count = len(LETTERS)
    rows, prefix, first = [], torch.zeros_like(letters[:, 0]), 0
    for depth in range(HORIZON):
        rows.append(first + prefix)
        prefix, first = prefix * count + letters[:, depth], first + count**depth
    return torch.stack(rows, dim=1)


def sample(table: Tensor, answers: int, generator: torch.Generator) -> Tensor:
    """Draw letters `[answers, HORIZON]` from the policy."""
    letters = torch.zeros(answers, HORIZON, dtype=torch.long)
    for depth in range(HORIZON):
        chances = torch.softmax(table.detach()[visited(letters)[:, depth]], dim=-1)
        letters[:, depth] = torch.multinomial(chances, 1, generator=generator)[:, 0]
    return letters


def text_of(letters: Tensor) -> list[str]:
    """Write each row of letters as a path, as `ACD`."""
    return ["".join(LETTERS[i] for i in row) for row in letters.tolist()]


def step_loss(method: Algorithm, table: Tensor, letters: Tensor) -> Tensor | None:
    """Return the method's token-mean loss on one group, or None if no answer has an advantage."""
    correct = [path in REWARDED for path in text_of(letters)]
    advantages = method.advantages(group_view(correct))
    if not any(advantages):
        return None
    everything = torch.log_softmax(table[visited(letters)], dim=-1)
    logp = everything.gather(-1, letters[..., None])[..., 0]
    top_logp, top_ids = everything.topk(min(method.k, len(LETTERS)), dim=-1)
    entropy = -(everything.exp() * everything).sum(-1)
    loss = method.loss(
        TokenStats(
            mask=torch.ones_like(letters, dtype=torch.bool),
            logp=logp,
            old_logp=logp.detach(),
            advantage=torch.tensor(advantages, dtype=torch.float32)[:, None].expand_as(logp),
            correct=torch.tensor(correct),
            entropy=entropy if "entropy_grad" in method.needs_new else entropy.detach(),
            is_top1=letters == top_ids[..., 0],
            topk_logp=top_logp,
            topk_ids=top_ids,
        )
    )
    return loss.matrix.mean()


def group_view(correct: Sequence[bool]) -> GroupView:
    """Return the group as an advantage reads it."""
    return GroupView(
        [float(c) for c in correct], list(correct), [0.0] * len(correct), [HORIZON] * len(correct), HORIZON
    )


if __name__ == "__main__":
    main()
