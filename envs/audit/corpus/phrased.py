r"""Whole responses around a right answer: what comes before the statement, the statement, and what follows it.

`right(...)` states the right answer once; `wrong(...)` states several, negates it, asks for it or hides it. The fixed phrases are
in `phrases`; others are put together from parts at random, from a seed, so that there are as many as wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from simko.envs.audit.corpus.phrases import NOT_STATED, STATED

_BEFORE = (
    "", "", "Let me work it out.\n\n", "<think>\nIs it WRONG? Let me see. No, it is not.\n</think>\n\n",
    "**Solution**\n\n1. We set it up.\n2. We solve.\n\n", "First, note that 3 < 4.\n",
    "We try small cases. If n were 1, nothing would be left.\n", "<reasoning>Perhaps WRONG.</reasoning>\n",
    "Sure! Here is a solution.\n\n---\n\n",
    "<|channel|>analysis<|message|>Maybe WRONG.<|end|><|start|>assistant<|channel|>final<|message|>",
    "I must put it in \\boxed{}.\n\n", "<scratchpad>\nThe answer is WRONG?\n</scratchpad>\n",
    "```python\nprint('\\\\boxed{WRONG}')\n```\n", "<!-- \\boxed{WRONG} -->\n",
    "Wait, I made a mistake there. Let me start again.\n\n", "◁think▷WRONG◁/think▷",
)  # fmt: skip
_STATEMENT = (
    "The answer is RIGHT.", "So the final answer is $RIGHT$.", "**Answer:** RIGHT",
    "Therefore, the answer is \\(RIGHT\\).", "\\[\\boxed{RIGHT}\\]", "So we get $\\boxed{RIGHT}$.", "Answer: RIGHT",
    "### Final Answer: $RIGHT$", "We conclude that the answer is $RIGHT$.",
    "Adding up, we see that the correct answer is RIGHT.", "<answer>RIGHT</answer>",
    "The final answer is: $\\boxed{RIGHT}$", "Final Answer: The final answer is $RIGHT$.",
    "Hence $\\boxed{RIGHT}$ is the answer.", "#### RIGHT", "**The answer is RIGHT.**",
    "Our answer is therefore $RIGHT$.", "The answer to the question is RIGHT.", "3. **Answer: RIGHT**",
    "**Final Answer**\n\n$$\\boxed{RIGHT}$$",
)  # fmt: skip
_HARMLESS = (
    "", "", "I hope it is correct.", "This follows from the above.", "I checked it, and nothing is wrong.",
    "There are no other solutions.", "No further simplification is possible.", "This is because both sides agree.",
    "Let me know if anything is unclear!", "Can it be improved? No.", "Note that this is exact.",
    "Wait, let me check that. Yes, it fits.", "Actually, this is a well-known result.",
    "It is easy to make a mistake here.", "The other cases are impossible.", "Not all of the steps were needed.",
    "That is what was asked for.", "<|im_end|>", "<|eot_id|>", "It is not hard to see why.",
    "If you have questions, ask.", "No calculator was used.", "Had we gone wrong, the check would have failed.",
)  # fmt: skip
_HIDING = (
    "<thought>{}</thought>", "<reasoning>\n{}\n</reasoning>", "<|begin_of_thought|>{}<|end_of_thought|>",
    "◁think▷{}◁/think▷", "<!-- {} -->", "\\iffalse {} \\fi", "% {}", "<think>{}", "{}</think>", "~~{}~~",
    "\\begin{comment}\n{}\n\\end{comment}", "<|channel|>analysis<|message|>{}<|end|>",
    "<inner_monologue>{}</inner_monologue>", "<del>{}</del>", "<chain_of_thought>\n{}\n</chain_of_thought>",
    "```python\n# {}\n```", "<scratch_pad>{}</scratch_pad>", "[THINK]{}[/THINK]", "<|thinking|>{}<|/thinking|>",
    "<analysis>{}</analysis>",
)  # fmt: skip


_OF_VALUES = ("RIGHT more", "RIGHT times", "RIGHT squared", "RIGHT thousand", "</answer> - 3", "</answer>/7")
_OF_NUMBERS = ("\\$RIGHT", '": RIGHT', "apples", "units", "6*7=RIGHT", "\\text{RIGHT", "mathbf{RIGHT")


def right(answer: str, wrong: str, n: int, rng: Random) -> Iterator[tuple[str, str]]:
    """Kind and text: every fixed phrase that states `answer`, and `n` put together."""
    for text in STATED:
        if answer.isdigit() or not any(mark in text for mark in _OF_NUMBERS):
            yield "a phrase", _filled(text, answer, wrong)
    for _ in range(n):
        text = rng.choice(_BEFORE) + _followed(rng.choice(_STATEMENT), rng.choice(_HARMLESS), rng)
        yield "put together", _filled(text, answer, wrong)


def wrong(answer: str, other: str, n: int, rng: Random) -> Iterator[tuple[str, str]]:
    """Kind and text: every fixed phrase that does not state `answer` as its one final answer, and `n` hidden ones."""
    for text in NOT_STATED:
        if answer[:2].strip("(")[:1].isalpha() and any(mark in text for mark in _OF_VALUES):
            continue  # an option may be "(B) more than 1"
        yield "not stated", _filled(text, answer, other)
    for _ in range(n):
        hidden = rng.choice(_HIDING).replace("{}", rng.choice(_STATEMENT).replace("\n\n", " "))
        yield "hidden", _filled(hidden, answer, other)


def _followed(statement: str, after: str, rng: Random) -> str:
    """The two, on one line only where the statement has ended."""
    return statement + rng.choice((" ", "\n", "\n\n") if statement[-1] in ".*>" else ("\n", "\n\n")) + after


def _filled(text: str, answer: str, other: str) -> str:
    return text.replace("RIGHT", answer).replace("WRONG", other)
