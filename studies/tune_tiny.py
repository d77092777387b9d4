"""The tuning of the tiny preset, and GRPO beside SimKO from the same budget: `python -m studies.tune_tiny --out FOLDER`.

Every arm trains the built-in policy on the training problems of Countdown, and is evaluated on held-out ones. The base model is
evaluated on the same problems. Finished arms are skipped, so the study can be stopped and started again. It prints a table, and
writes results.jsonl and, with --plot, a picture.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from simko.report.bands import band
from simko.report.counts import curve_of
from simko.report.passk import pass_matrix
from simko.report.plot import plot_curves
from simko.report.table import held_out, sampling
from simko.settings import train_config
from simko.train import train

SIMKO = {"algorithm": "simko"}
GRIDS: dict[str, dict[str, dict[str, Any]]] = {
    "readme": {"grpo": {"algorithm": "grpo"}, "simko": SIMKO},
    "tuning": {
        "grpo-lr1e-3": {"algorithm": "grpo", "learning_rate": 1e-3},
        **{
            f"simko-a{alpha:g}-p{penalty:g}-q{quantile:g}-lr{rate:g}": SIMKO
            | {"alpha": alpha, "top1_penalty": penalty, "entropy_quantile": quantile, "learning_rate": rate}
            for alpha, penalty, quantile, rate in (
                *((0.1, 1.2, 0.8, 1e-3), (0.3, 1.1, 0.8, 1e-3), (0.2, 1.2, 0.5, 1e-3), (0.2, 1.5, 0.8, 1e-3)),
                (0.2, 1.2, 0.8, 5e-4),
            )
        },
    },
}


def main() -> None:
    """Run the arms of a grid that are not finished yet, then print all results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and results.jsonl")
    parser.add_argument("--grid", choices=sorted(GRIDS), default="readme")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, help="steps of every arm; default: the preset's")
    parser.add_argument("--problems", type=int, help="held-out problems to evaluate on; default: the preset's")
    parser.add_argument("--only", nargs="*", help="arms to run")
    parser.add_argument("--plot", type=Path, help="write a picture of the first seed's curves")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        for arm, settings in GRIDS[arguments.grid].items():
            if not arguments.only or arm in arguments.only:
                sizes = {"steps": arguments.steps, "eval_problems": arguments.problems}
                sizes = {name: value for name, value in sizes.items() if value}
                run_arm(arguments.out, arm, {"model": "tiny", "seed": seed, "logger": "none", **sizes, **settings})
    rows = results(arguments.out)
    print(table(rows))
    finished = {row["name"] for row in rows}
    for seed in arguments.seeds:
        if {f"grpo-seed{seed}", f"simko-seed{seed}"} <= finished:
            print(paired(arguments.out, "simko", "grpo", seed))
    if arguments.plot:
        picture(arguments.out, GRIDS[arguments.grid], arguments.seeds[0], arguments.plot)


def run_arm(out: Path, arm: str, settings: dict[str, Any]) -> None:
    """Train and evaluate one arm, unless results.jsonl has it already."""
    name = f"{arm}-seed{settings['seed']}"
    if any(row["name"] == name for row in results(out)):
        return
    began = time.monotonic()
    run = train(train_config({**settings, "out": str(out / name)}))
    result = evaluation(run.path)
    row = {
        "name": name,
        "arm": arm,
        "seed": settings["seed"],
        "settings": settings,
        "seconds": round(time.monotonic() - began),
        "pass_at_k": result["pass_at_k"],
        "base": result["base"]["pass_at_k"],
    }
    with (out / "results.jsonl").open("a") as sink:
        sink.write(json.dumps(row) + "\n")


def evaluation(run: Path) -> dict[str, Any]:
    """Read the newest evaluation of a run."""
    return json.loads(max((run / "eval").glob("*.json"), key=lambda path: path.stat().st_mtime).read_text())


def results(out: Path) -> list[dict[str, Any]]:
    """Read the rows of results.jsonl."""
    path = out / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: list[dict[str, Any]]) -> str:
    """Format as Markdown: pass@1 / @8 / @64 / @256 in percent, base first."""
    ks = ["1", "8", "64", "256"]
    lines = ["| arm | seed | " + " | ".join(f"pass@{k}" for k in ks) + " | s |", "|---" * (len(ks) + 3) + "|"]

    def line(arm: str, seed: Any, curve: dict[str, float], seconds: Any) -> str:
        return f"| {arm} | {seed} | " + " | ".join(f"{100 * curve[k]:.1f}" for k in ks) + f" | {seconds} |"

    for seed in sorted({row["seed"] for row in rows}):
        arms = [row for row in rows if row["seed"] == seed]
        lines.append(line("base", seed, arms[0]["base"], ""))
        lines += [line(row["arm"], seed, row["pass_at_k"], row["seconds"]) for row in arms]
    return "\n".join(lines)


def paired(out: Path, arm: str, other: str, seed: int) -> str:
    """Format `arm` minus `other` in points of pass@K on the same problems, with a simultaneous 95 % band over problems."""
    sides = [evaluation(out / f"{name}-seed{seed}") for name in (arm, other)]
    tasks, ks = list(sides[0]["counts"]), [1, 8, 64, 256]
    values = [
        pass_matrix([side["counts"][t]["samples"] for t in tasks], [side["counts"][t]["correct"] for t in tasks], ks)
        for side in sides
    ]
    curve = band(f"{arm} - {other}", ks, values[0] - values[1], last_is_n=True)
    parts = [
        f"@{k} {100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        for k, mean, low, high in zip(curve.k, curve.mean, curve.low, curve.high, strict=True)
    ]
    return f"{curve.name}, seed {seed}: " + "  ".join(parts)


def picture(out: Path, arms: dict[str, Any], seed: int, path: Path) -> None:
    """Plot the curves of one seed's arms and of the base model."""
    evaluations = {arm: evaluation(out / f"{arm}-seed{seed}") for arm in arms}
    first = next(iter(evaluations.values()))
    curves = [curve_of(first["base"], "base"), *(curve_of(result, arm) for arm, result in evaluations.items())]
    title = f"{first['model']} on {first['env']}, {first['step']} steps, seed {seed}"
    plot_curves(curves, path, title, f"{held_out(first)}, {sampling(first)}; shaded: 95 % band over problems")


if __name__ == "__main__":
    main()
