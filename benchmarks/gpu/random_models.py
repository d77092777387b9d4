"""Models of random weights with the shapes of real ones: time and memory do not depend on the values of the weights.

`python -m benchmarks.gpu.random_models SHAPE FOLDER` writes one. Nothing is downloaded. The tokenizer is the built-in policy's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT

_QWEN2 = {"vocab_size": 151_936, "max_position_embeddings": 4096, "tie_word_embeddings": True}
SHAPES: dict[str, dict[str, Any]] = {
    "0.3B": {
        "vocab_size": 64_000, "max_position_embeddings": 4096, "tie_word_embeddings": True, "hidden_size": 1024,
        "intermediate_size": 4096, "num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": 4,
    },
    "0.5B": {  # Qwen2.5-0.5B
        **_QWEN2, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
    "1.5B": {  # Qwen2.5-1.5B
        **_QWEN2, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
        "num_key_value_heads": 2,
    },
}  # fmt: skip
SMALL = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
}  # of a stand-in: any shape
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 2}


def write(shape: str, folder: Path, small: bool = False) -> int:
    """Write the model to `folder`, in bfloat16; return its number of parameters. A folder that has one is left alone."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    from simko.agents.quiet import quiet

    device = "cpu" if small or not torch.cuda.is_available() else "cuda"
    with quiet():
        if not (folder / "config.json").exists():
            torch.manual_seed(0)
            torch.set_default_dtype(torch.bfloat16)
            try:
                with torch.device(device):
                    model = Qwen2ForCausalLM(Qwen2Config(**(SHAPES[shape] | (SMALL if small else {}))))
            finally:
                torch.set_default_dtype(torch.float32)
            AutoTokenizer.from_pretrained(ROOT / "agents" / "tiny").save_pretrained(folder)
            model.save_pretrained(folder)
        from safetensors import safe_open

        count = 0
        for path in folder.glob("*.safetensors"):
            with safe_open(path, "pt") as weights:
                for name in weights.keys():  # noqa: SIM118 (it is no mapping)
                    size = 1
                    for dim in weights.get_slice(name).get_shape():
                        size *= dim
                    count += size
    return count


if __name__ == "__main__":
    print(json.dumps({"parameters": write(sys.argv[1], Path(sys.argv[2]), "--small" in sys.argv[3:])}))
