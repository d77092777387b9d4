"""The tables of docs/methods/README.md: `python -m studies.methods` measures a step of each method and writes them.

The policy is a small random model of the Qwen2 kind, so that its vocabulary costs what it costs in a real one. Every answer has
the same length, and a hash of its text makes a quarter of them right. All methods take turns in one process, on the same
problems, and the policy is never moved. The cost is the median over the turns, over GRPO's. `--static` writes everything but
the costs.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from simko import algorithms
from simko.algorithms import registry, rules
from simko.console import markdown

PAGE = Path(__file__).resolve().parent.parent / "docs" / "methods" / "README.md"
HEADER = ("method", "what it is", "parts", "evidence", "time", "memory", "settings of its own")
MEASURED = (4, 5)
"""Columns that a run measures."""
MODEL = {
    "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "vocab_size": 32_000, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip
SIZES = {"prompts": 2, "group": 8, "prompt_words": 24, "new": 24, "micro_batch_tokens": 512}
STATES = {"eepo": {"sampling": {"entropies": [0.0, 0.0, 0.0]}}, "siren": {"loss": {"anchor": 1.0}}}
"""So that a measured step does what the method is for: EEPO forgets, SIREN pulls."""


def static_rows() -> list[list[str]]:
    """The rows of the table of methods, with empty cells for what is measured."""
    plain = algorithms.get("grpo").settings
    rows = []
    for about in algorithms.describe():
        own = algorithms.own_parts("grpo")
        parts = [f"{kind} `{part}`" for kind, part in about["parts"].items() if part != own[kind]]
        different = {
            key: value
            for key, value in about["defaults"].items()
            if about["name"] == "grpo" or plain.get(key, ...) != value
        }
        settings = ", ".join(f"`{key}` {_shown(value)}".strip() for key, value in different.items())
        rows.append([linked(about["name"]), about["title"], ", ".join(parts), about["evidence"], "", "", settings])
    return rows


def linked(name: str) -> str:
    """The name of a method, with a link to its page."""
    return f"[`{name}`]({name}.md)"


def reading(name: str) -> list[str]:
    """The files of `simko/algorithms/` to read for a method, in order: what a part builds on comes before it."""
    method = algorithms.get(name)
    classes = [cls for part in method.parts for cls in reversed(type(part).__mro__)]
    modules = [cls.__module__.removeprefix("simko.algorithms.") for cls in classes if cls.__module__ != "builtins"]
    return list(dict.fromkeys(module for module in modules if module not in ("base", "plain"))) or ["grpo"]


def parts_rows() -> list[list[str]]:
    """Each part with its kind and what it is, from its docstring."""
    registry.load()
    return [
        [kind, f"`{name}`", (cls.__doc__ or "").split("\n")[0].rstrip(".")]
        for kind in algorithms.KINDS
        for (of_kind, name), cls in sorted(registry.PARTS.items())
        if of_kind == kind and cls.__module__.startswith("simko.")
    ]


def refused_rows() -> list[list[str]]:
    """What does not go together, and why."""
    return [
        [f"{kind} {_names(parts)}", f"{other} {_names(others)}", reason]
        for (kind, parts), (other, others), reason in rules.REFUSED
    ]


def inert_rows() -> list[list[str]]:
    """Settings without an effect where a rollout batch has one update, and the methods that have them."""
    found: dict[str, list[str]] = {}
    for name in algorithms.names():
        for key in algorithms.get(name).inert(1):
            found.setdefault(key, []).append(name)
    return [[f"`{key}`", _names(tuple(names)) if len(names) < 9 else "most methods"] for key, names in found.items()]


def blocks() -> dict[str, str]:
    """Each block of the page that needs no measurement, by the name in its marker."""
    return {
        "parts": markdown(("kind", "part", "what it is"), parts_rows()),
        "refused": markdown(("this", "with this", "why not"), refused_rows()),
        "inert": markdown(("setting", "of"), inert_rows()),
    }


def filled(page: str, name: str, text: str) -> str:
    """The page with `text` between its markers of that name."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = page.partition(start)
    _, marker, after = rest.partition(end)
    if not marker:
        raise SystemExit(f"{PAGE}: no {start} ... {end}")
    return f"{before}{start}\n{text}\n{end}{after}"


def table_of(page: str) -> list[list[str]]:
    """The cells of the table of methods on a page, without its header."""
    block = page.partition("<!-- methods -->")[2].partition("<!-- end of methods -->")[0]
    lines = [line for line in block.splitlines() if line.startswith(("| `", "| [`"))]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def steps_of(folder: Path, sizes: dict[str, int]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """A step of each method: sampling, and the update, whose learning rate is 0."""
    import torch

    from benchmarks.step import questions
    from simko.agents import LoraPolicy
    from simko.config import TrainConfig
    from simko.micro_batch import TokenBudget
    from simko.sampling import sample_step
    from simko.train import update

    policy = LoraPolicy.from_pretrained(folder, "none", lora_rank=8, seed=0, decode_weights="live")
    env = _coins(policy, questions(16, sizes["prompt_words"]), sizes["new"])
    optimizer = torch.optim.AdamW([p for _, p in policy.trainable_parameters()], lr=0.0, weight_decay=0.0)
    config = TrainConfig(prompts_per_step=sizes["prompts"], group_size=sizes["group"])

    def step(name: str) -> Callable[[], Any]:
        method = algorithms.get(name)
        state = STATES.get(name, method.initial_state())

        def once() -> dict[str, float]:
            budget = TokenBudget(sizes["micro_batch_tokens"])
            sampled = sample_step(policy, env, method, config, 1, state, budget)
            metrics = update(policy, method, optimizer, sampled, config, sizes["new"], budget, 1, state)
            return {"updates": metrics["updates"], "answers": float(sum(len(g.completions) for g in sampled.groups))}

        return once

    for name in algorithms.names():
        yield name, step(name)


def _coins(policy: Any, problems: list[str], new: int) -> Any:
    """An environment of answers of `new` tokens, of which a hash of the text makes a quarter right."""
    from hashlib import blake2b

    from benchmarks.step import _Environment
    from simko.types import Task, Verdict

    class Source:
        name, size = "coins", len(problems)

        def tasks(self, count: int | None, seed: int) -> list[Task]:
            return [Task(str(i), text, "") for i, text in enumerate(problems[:count])]

    class Coins(_Environment):
        source = Source()

        def grade(self, text: str, task: Any) -> Verdict:
            right = blake2b(text.encode(), digest_size=1).digest()[0] % 4 == 0
            return Verdict("correct" if right else "incorrect", float(right), text)

    return Coins(policy.tokenizer, new, policy.lm_head().weight.shape[0])


def measure(repeats: int, sizes: dict[str, int]) -> dict[str, dict[str, float]]:
    """CPU seconds and peak bytes of a step of each method: medians over the turns."""
    import torch
    import transformers

    from benchmarks.worker import measured
    from simko.agents.quiet import quiet

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        with quiet():
            torch.manual_seed(0)
            transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**MODEL)).save_pretrained(scratch)
            transformers.AutoTokenizer.from_pretrained("agents/tiny").save_pretrained(scratch)
        steps = dict(steps_of(Path(scratch), sizes))
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in steps}
        for turn in range(-1, repeats):
            for name, once in steps.items():
                row = measured(once)
                assert row["quantities"]["updates"] == 1, name
                if turn >= 0:
                    turns[name].append(row)
    return {
        name: {key: median(row[key] for row in rows) for key in ("cpu_s", "peak_bytes")} for name, rows in turns.items()
    }


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--static", action="store_true", help="keep the measured columns of the page")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the measurement, and write nothing")
    options = parser.parse_args()
    page, rows = PAGE.read_text(encoding="utf-8"), static_rows()
    if options.static:
        kept = {row[0].split("`")[1]: row for row in table_of(page)}
        for row in rows:
            for column in MEASURED:
                row[column] = kept.get(row[0].split("`")[1], row)[column]
    else:
        costs = measure(options.repeats, SIZES)
        if options.json:
            print(json.dumps({"costs": costs, "sizes": SIZES, "model": MODEL}, indent=2))
            return
        for row in rows:
            cost = costs[row[0].split("`")[1]]
            for column, key in zip(MEASURED, ("cpu_s", "peak_bytes"), strict=True):
                row[column] = f"{cost[key] / costs['grpo'][key]:.2f}"
        where = f"{platform.machine()} CPU, one thread, {time.strftime('%-d %B %Y')}"
        plain = f"GRPO's step took {costs['grpo']['cpu_s']:.2f} CPU seconds and {costs['grpo']['peak_bytes'] / 2**20:.0f} MiB"
        page = filled(page, "machine", f"Measured on: {where}. {plain}, median of {options.repeats} turns.")
    page = filled(page, "methods", markdown(HEADER, rows))
    for name, text in blocks().items():
        page = filled(page, name, text)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
