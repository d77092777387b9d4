"""What a copy of half precision keeps of a young adapter: `python -m studies.rounding [MODEL] [--steps 0,1,4,16,64] [--json]`.

The policy is NF4 in bfloat16, as on a GPU; on a CPU its arithmetic is the same, only slower. It takes steps of AdamW at a
learning rate of 1e-4 towards its own first answers to random prompts: what is learned does not matter, but an adapter grows as in
training. After some steps three ways to decode are compared:

- `live`: the quantised layers and the adapter. The trainer computes this.
- `merged`: base and adapter added up and rounded to bfloat16.
- `kept apart`: what `decode_weights=merged` does. Layers whose adapter would be lost keep it beside a plain weight
  (`simko.agents.rounding`).

Columns: the cosine of the adapter with what is left of it, the share of its entries that vanished, the layers that are kept
apart; for each way the mean distance of its log-probs from the trainer's in nats (`sampler_gap`), and how much of the adapter's
effect on the log-probs it has (1 is all of it, 0 is the base model); CPU seconds of the copy and of a
decoding step (on CUDA by the clock), MB of the copy.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

RATE = 1e-4
PROMPTS, COPIES, PROMPT, ANSWER = 4, 2, 8, 12


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the command line; return the rows that it prints."""
    parser = argparse.ArgumentParser(prog="python -m studies.rounding")
    parser.add_argument("model", nargs="?", default="tiny")
    parser.add_argument("--steps", default="0,1,4,16,64", help="optimizer steps after which to look")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rows = measure(options.model, sorted({int(step) for step in options.steps.split(",")}))
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        table(options.model, rows)
    return rows


def table(model: str, rows: list[dict[str, Any]]) -> None:
    """Print two tables: what is kept, and what it costs."""
    print(f"{model}, NF4 in bfloat16, learning rate {RATE:g}\n")
    print("| steps | cosine | vanished | layers apart | gap merged | gap apart | effect merged | effect apart |")
    print("|---|---|---|---|---|---|---|---|")
    for r in rows:
        print(
            f"| {r['steps']} | {r['cosine']:.3f} | {r['vanished']:.0%} | {r['layers_apart']} of {r['layers']} "
            f"| {r['merged']['gap']:.4f} | {r['apart']['gap']:.4f} | {r['merged']['effect']:.2f} | {r['apart']['effect']:.2f} |"
        )
    print("\n| steps | way | copy, CPU s | copy, MB | a decoding step, ms |")
    print("|---|---|---|---|---|")
    for r in rows:
        for way in ("live", "merged", "apart"):
            costs = r[way]
            print(f"| {r['steps']} | {way} | {costs['copy_s']:.2f} | {costs['copy_mb']:.0f} | {costs['step_ms']:.1f} |")


def measure(model: str, looks: list[int]) -> list[dict[str, Any]]:
    """Train, and look after each of these numbers of steps."""
    import numpy as np
    import torch

    from simko.agents import LoraPolicy
    from simko.head import token_statistics
    from simko.types import Sampling

    policy = LoraPolicy.from_pretrained(model, dtype="bfloat16", decode_weights="live")
    rng = np.random.default_rng(0)
    ids = rng.integers(10, min(policy.lm_head().weight.shape[0], len(policy.tokenizer)), (PROMPTS, PROMPT)).tolist()
    never = int(policy.lm_head().weight.shape[0])
    sampling = Sampling(max_new_tokens=ANSWER, stop_ids=(never,))
    groups = policy.engine.generate(ids, COPIES, sampling, range(PROMPTS * COPIES))
    rows = torch.tensor(
        [[*prompt, *answer.ids.tolist()] for prompt, group in zip(ids, groups, strict=True) for answer in group],
        device=policy.device,
    )
    parameters = [p for _, p in policy.trainable_parameters()]
    optimizer, results = torch.optim.AdamW(parameters, RATE), []
    for step in range(max(looks) + 1):
        if step in looks:
            results.append({"steps": step} | look(policy, rows, ids, sampling))
            print(f"{step} steps: {results[-1]}", file=sys.stderr, flush=True)
        hidden = policy.hidden(rows[:, :-1])[:, PROMPT - 1 :].flatten(0, 1)
        targets = rows[:, PROMPT:].flatten()
        loss = -token_statistics(hidden, policy.lm_head().weight, targets).logp.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return results


def look(policy: Any, rows: Any, prompts: list[list[int]], sampling: Any) -> dict[str, Any]:
    """Compare the three ways with the adapter as it is."""
    import torch

    from simko.agents.engine.local import LocalEngine
    from simko.agents.quantize import lora_layers, merged_weight, plain_copy
    from simko.agents.rounding import Lost

    live = policy.model.get_base_model()
    layers = list(lora_layers(live))
    lost = sum((merged_weight(layer, policy.dtype)[1] for _, layer in layers), Lost())

    @torch.no_grad()
    def logp(model: Any) -> Any:
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits[:, PROMPT - 1 :].float()
        return logits.log_softmax(-1).gather(-1, rows[:, PROMPT:, None])[..., 0]

    trainer = logp(live)
    with policy.base():
        effect = trainer - logp(live)
    clock = time.perf_counter if policy.device.type == "cuda" else time.process_time
    ways: dict[str, Callable[[], Any]] = {
        "live": lambda: live,
        "merged": lambda: plain_copy(live),
        "apart": lambda: plain_copy(live, faithful=True),
    }
    result: dict[str, Any] = {"cosine": lost.cosine, "vanished": lost.share_vanished, "layers": len(layers)}
    for name, build in ways.items():
        began = clock()
        model = build()
        seconds = clock() - began
        own = {id(p): p.numel() * p.itemsize for p in model.parameters()}
        shared = {id(p) for p in live.parameters()}
        difference = logp(model) - trainer
        engine = LocalEngine(lambda model=model: model, policy.lm_head, ())
        began = clock()
        engine.generate(prompts, COPIES, sampling, range(PROMPTS * COPIES))
        step = (clock() - began) / engine.stats.steps
        power = float((effect * effect).sum())
        result[name] = {
            "gap": float(difference.abs().mean()),
            "effect": 1 + float((difference * effect).sum()) / power if power else 1.0,
            "copy_s": seconds if name != "live" else 0.0,
            "copy_mb": sum(size for key, size in own.items() if key not in shared) / 1e6,
            "step_ms": 1000 * step,
        }
        if name == "apart":
            result["layers_apart"] = sum(1 for _ in lora_layers(model))
    return result


if __name__ == "__main__":
    main()
