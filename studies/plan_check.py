"""Forecast against measured memory: `python -m studies.plan_check [MODEL_FOLDER ...] [--json]`.

Each row is one process. It loads the policy with the planned settings, and tries the worst case of both phases, as the burn-in
of `simko train` does. It reads the peak of its resident memory (on CUDA: torch's reserved memory and the context). Without
folders, the models are the built-in tiny policy and random ones of the Llama and Qwen2 kinds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RANDOM = {
    "llama": {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "vocab_size": 32_000},
    "qwen2": {"hidden_size": 384, "intermediate_size": 2048, "num_hidden_layers": 12, "vocab_size": 64_000},
}
_HEADS = {
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
BASE: dict[str, Any] = {
    "env": "simko/Arithmetic-v0",
    "threads": 1,
    "prompts_per_step": 4,
    "group_size": 8,
    "eval_problems": 0,
    "max_new_tokens": 256,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "planned": {},
    "checkpointed": {"gradient_checkpointing": True, "micro_batch_tokens": 4096},
    "live": {"decode_weights": "live", "micro_batch_tokens": 2048},
    "unquantised": {"quantization": "none", "micro_batch_tokens": 2048},
}


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Return forecast and measured peaks of one config, in this process."""
    import torch
    from rich.console import Console

    from simko import algorithms
    from simko.build import make_env, make_policy
    from simko.memory.burn_in import burn_in, planned
    from simko.settings import train_config

    config = planned(train_config({**settings, "burn_in": True}))
    policy = make_policy(config)
    env, method = make_env(config, policy, "train"), algorithms.get(config.algorithm, **config.method)
    parameters = [parameter for _, parameter in policy.trainable_parameters()]
    optimizer = torch.optim.AdamW(parameters, config.learning_rate)
    peaks = burn_in(config, policy, env, method, optimizer, Console(quiet=True))["memory"]
    chosen = {
        name: getattr(config, name) for name in ("micro_batch_tokens", "gradient_checkpointing", "decode_weights")
    }
    return {"device": str(policy.device), **chosen, **peaks}


def random_folder(kind: str, parent: Path) -> Path:
    """Write a model of random weights, with the tiny policy's tokenizer, to a new folder."""
    import torch
    import transformers

    from simko.agents.quiet import quiet

    sizes = {**RANDOM[kind], **_HEADS}
    config, model = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    }[kind]
    folder = parent / f"random-{kind}"
    with quiet():
        torch.manual_seed(0)
        model(config(**sizes)).save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained("agents/tiny").save_pretrained(folder)
    return folder


def main() -> None:
    """Print the table; exit with 1 if a row is off by more than 10 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--only", choices=[*VARIANTS], action="append")
    parser.add_argument("--child")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(json.loads(options.child))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        models = options.models or ["tiny", *(str(random_folder(kind, Path(scratch))) for kind in RANDOM)]
        if not options.json:
            print("| model | settings | rollout GB: forecast | measured | update GB: forecast | measured | error |")
            print("|---|---|---|---|---|---|---|")
        for model in models:
            for name in options.only or VARIANTS:
                settings = {**BASE, "model": model, **VARIANTS[name]}
                command = [sys.executable, "-m", "studies.plan_check", "--child", json.dumps(settings)]
                child = subprocess.run(command, capture_output=True, text=True)
                if child.returncode:
                    sys.exit(child.stderr)
                peaks = json.loads(child.stdout.splitlines()[-1])
                rows.append({"model": Path(model).name, "settings": name, **peaks})
                if not options.json:
                    print(_row(rows[-1]), flush=True)
    if options.json:
        print(json.dumps({"rows": rows, "base": BASE, "variants": VARIANTS}, indent=2))
    sys.exit(any(abs(row["error"]) > 0.10 for row in rows))


def _row(row: dict[str, Any]) -> str:
    sizes = (row[f"{kind}_{phase}"] / 1e9 for phase in ("rollout", "update") for kind in ("forecast", "measured"))
    return (
        f"| {row['model']} | {row['settings']} | " + " | ".join(f"{x:.2f}" for x in sizes) + f" | {row['error']:+.1%} |"
    )


if __name__ == "__main__":
    main()
