r"""Prompt templates by name, copied word for word from SimKO's released code (`data.prompt_template_type`).

Each contains its own instruction, so the environment's instruction is left out. Source: github.com/CLR-Lab/SimKO at
306f4ff4e84a.
"""

from __future__ import annotations

from typing import NamedTuple

_REASON = "\nPlease reason step by step, and put your final answer within \\boxed{}."
_SYSTEM = "You are a helpful assistant."


class Template(NamedTuple):
    """The texts before and after the problem, and before and after a later turn of the user (None: no later turns)."""

    before: str
    after: str
    turn: tuple[str, str] | None = None


_QWEN_TURN = ("<|im_end|>\n<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
_QWEN = Template(
    f"<|im_start|>system\n{_SYSTEM}<|im_end|>\n<|im_start|>user\n",
    f"{_REASON}<|im_end|>\n<|im_start|>assistant\n",
    _QWEN_TURN,
)
_LLAMA_USER = "<|start_header_id|>user<|end_header_id|>\n\n"
_LLAMA_ASSISTANT = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
_NO_THINKING = "<think>\n\n</think>\n"

NAMED = {
    "qwen": _QWEN,
    "simple": Template("Question:\n", "\nAnswer:\nLet's think step by step.\n"),
    "llama": Template(
        f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{_SYSTEM}<|eot_id|>{_LLAMA_USER}",
        f"{_REASON}{_LLAMA_ASSISTANT}",
        (f"<|eot_id|>{_LLAMA_USER}", _LLAMA_ASSISTANT),
    ),
    "qwen3_no_thinking": Template(
        _QWEN.before, _QWEN.after + _NO_THINKING, (_QWEN_TURN[0], _QWEN_TURN[1] + _NO_THINKING)
    ),
}
"""Template by name. `simko.envs.prompts.PromptFormat` adds `chat`, `plain` and the user's own text."""
