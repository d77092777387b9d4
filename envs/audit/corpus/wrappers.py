r"""The places where a response states its final answer: `\boxed{}`, a final-answer line, the whole text."""

from __future__ import annotations

from collections.abc import Callable

WRAPPERS: dict[str, Callable[[str], str]] = {
    "boxed": lambda t: f"We add them up and get\n\\[\n\\boxed{{{t}}}\n\\]",
    "boxed in a sentence": lambda t: f"So the value that was asked for is $\\boxed{{{t}}}$.",
    "boxed after thinking": lambda t: f"<think>Is it 17? Or is it 19? Let me see.</think>\nThus $\\boxed{{{t}}}$.",
    "boxed twice": lambda t: f"We get $\\boxed{{{t}}}$.\n\n**Final answer**\n\n$\\boxed{{{t}}}$",
    "sentence": lambda t: f"First we look at the smaller case.\nTherefore, the final answer is ${t}$.",
    "line": lambda t: f"That settles it.\n\n**Final Answer:** ${t}$",
    "few-shot line": lambda t: f"Final Answer: The final answer is ${t}$. I hope it is correct.",
    "tag": lambda t: f"That settles it.\n<answer>{t}</answer>",
    "tag with an attribute": lambda t: f'That settles it.\n<answer type="final">\n{t}\n</answer>',
    "tag of a solution": lambda t: f"That settles it.\n<SOLUTION>{t}</SOLUTION>",
    "hashes": lambda t: f"That settles it.\n#### {t}",
    "whole": lambda t: t,
}
"""Name to the response around an answer."""

ONE_LINE = ("boxed", "boxed in a sentence", "boxed after thinking", "boxed twice", "tag", "tag of a solution")
"""Wrappers that end where the answer ends, whatever stands in it."""
