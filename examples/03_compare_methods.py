"""Two methods from the same seed: the same problems, the same random streams, one table of pass@K.

    python examples/03_compare_methods.py
    python examples/03_compare_methods.py --steps 150 --problems 128 --samples 256      # one seed of docs/results/tuning.md

Two or three minutes on one CPU core. So short a run shows how to compare, not which method is better: look at the
intervals, and take several seeds before you say so.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from simko.config import EvalConfig
from simko.evaluate import evaluate
from simko.settings import train_config
from simko.train import train

METHODS = ("grpo", "simko")


def measured(method: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one method and return its evaluation. The base model is measured once: its numbers are the same for both."""
    settings = {
        "algorithm": method,
        "seed": arguments.seed,
        "steps": arguments.steps,
        "prompts_per_step": arguments.prompts,
        "eval_problems": 0,
        "logger": "none",
        "out": str(Path(arguments.out) / method),
    }
    run = train(train_config(settings))
    wanted = EvalConfig(
        str(run.path),
        n=arguments.samples,
        problems=arguments.problems,
        seed=arguments.seed,
        temperature=1.0,
        top_p=1.0,
        base=method == METHODS[0],
    )
    return evaluate(wanted)


def table(results: dict[str, dict[str, Any]]) -> str:
    """pass@K in percent, a row for the base model and for each method."""
    first = results[METHODS[0]]
    rows = {"base": first["base"]["pass_at_k"]} | {name: result["pass_at_k"] for name, result in results.items()}
    ks = list(first["pass_at_k"])
    lines = ["pass@K " + "".join(f"{k:>7}" for k in ks)]
    lines += [f"{name:<7}" + "".join(f"{100 * curve[k]:7.1f}" for k in ks) for name, curve in rows.items()]
    return "\n".join(lines)


def main() -> None:
    """Train both, then print the table."""
    parser = argparse.ArgumentParser(description="GRPO and SimKO from the same seed.")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--prompts", type=int, default=32, help="problems a step")
    parser.add_argument("--problems", type=int, default=32, help="held-out problems of the evaluation")
    parser.add_argument("--samples", type=int, default=64, help="answers to each of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="runs/compare", help="a folder for both runs")
    arguments = parser.parse_args()
    print(table({method: measured(method, arguments) for method in METHODS}))


if __name__ == "__main__":
    main()
