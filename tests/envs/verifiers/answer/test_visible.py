"""The part of a response that is read: no thinking, no comments, nothing struck out, no programs."""

from __future__ import annotations

import time

import pytest

from simko.envs.verifiers.answer.visible import closing_of, is_open, opening, visible, without_thinking

HIDDEN = [
    "<thought>X</thought>", "<reasoning>X</reasoning>", "<scratch_pad>X</scratch_pad>", "<THINK>X</THINK>",
    "<think kind='a'>X</think>", "<|begin_of_thought|>X<|end_of_thought|>", "<|start_thinking|>X<|end_thinking|>",
    "<|START_THINKING|>X<|END_THINKING|>", "<seed:think>X</seed:think>", "◁think▷X◁/think▷", "◁think▷X",
    "[THINK]X[/THINK]", "[THINK]X", "[reasoning]X[/reasoning]", "&lt;think&gt;X&lt;/think&gt;", "X</thought>",
    "<chain_of_thought>X</chain_of_thought>", "<inner_monologue>X</inner_monologue>", "<analysis>X</analysis>",
    "<|channel|>analysis<|message|>X<|end|>",
    "<|channel|>analysis<|message|>X<|end|><|start|>assistant<|channel|>final<|message|>Y<|return|>",
    "<|channel|>commentary to=f<|message|>X<|call|>", "analysisWe X.", "analysisWe X.assistantfinalY",
    "<|channel>thought\nX<channel|>Y", "<!-- X -->", "<!-- X", "\\iffalse X\\fi", "\\begin{comment}X\\end{comment}",
    "% X", "Done. % X", "Give up % X", "Y ~~X~~", "<del>X</del>", "Y <s>X</s>", "```python\nprint('X')\n```",
    "```cpp\nX", "\\cancel{\\boxed{X}}", "\\phantom{\\boxed{X}}", "\\textcolor{white}{\\boxed{X}}",
    "\\sout{The answer is X}",
]  # fmt: skip
SHOWN = [
    "[Reasoning] X", "<b>X</b>", "<explanation>X</explanation>", "<step>X</step>", "X<|end|>", "<|im_start|>X",
    "50% of X", "5 % X", "$7 \\% X$", "n \\% X", "a~~X~~b", "```\nX\n```", "```json\n{X}\n```",
    "```python\nY\n```\nX", "\\cancel{3} X", "<s>X</s>", "<think></think>X", "<answer>X</answer>", "-->X", "\\fi X",
    "the analysis X", "<|channel|>final<|message|>X", "if a < b and b > c then X", "2 % 7 X",
]  # fmt: skip


@pytest.mark.parametrize("response", HIDDEN)
def test_hidden(response: str) -> None:
    assert "X" not in visible(response, 1000)


@pytest.mark.parametrize("response", SHOWN)
def test_shown(response: str) -> None:
    assert "X" in visible(response, 1000)


def test_tags_far_back_in_a_long_response_count() -> None:
    assert without_thinking("<think>" + "x" * 300_000 + "\\boxed{1}") == ""
    assert visible("<think>" + "x" * 300_000 + "</think>Y", 100) == "Y"


PIECES = [
    "<think>",
    "</think>",
    "<",
    "[",
    "◁",
    "<|channel|>final",
    "<!--",
    "```",
    "~~",
    "\\cancel{",
    "% ",
    "<del>",
    "\\iffalse",
    "&lt;",
    "<a ",
    "<think a=",
]


@pytest.mark.parametrize("piece", PIECES)
def test_no_pattern_is_slow(piece: str) -> None:
    begun = time.process_time()
    visible((piece * 100_000)[:100_000], 100_000)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    "tag",
    [
        *(
            "<think>",
            "<think>\n",
            "<thinking>",
            "<thought>\n",
            "<|begin_of_thought|>\n\n",
            "[THINK]",
            "◁think▷",
            "<seed:think>",
        ),
        *(
            "<|START_THINKING|>",
            "<reasoning>\n",
            "<|channel|>analysis<|message|>",
            "<|channel>thought\n",
            "<think>\nOkay, ",
        ),
    ],
)
def test_what_opens_a_thought_at_the_end_of_a_prompt(tag: str) -> None:
    assert opening(f"<|im_end|>\n<|im_start|>assistant\n{tag}") == tag
    assert is_open(f"{tag}it is 4")
    assert without_thinking(f"{tag}it is 4").strip() == ""
    assert without_thinking(f"{tag}it is 3{closing_of(tag)}It is 4").strip() == "It is 4"
    assert opening(f"{tag}{closing_of(tag)}") == ""


@pytest.mark.parametrize(
    "end", ["<answer>", "<think>\nAssistant:", "<think> ideas\n<answer> it\nAssistant:", "a <think> b"]
)
def test_a_tag_that_a_prompt_mentions_opens_nothing(end: str) -> None:
    assert opening(end) == ""


def test_the_final_channel_after_an_opened_one_without_special_tokens() -> None:
    assert without_thinking("<|channel|>analysis<|message|>it is 3assistantfinal4") == "4"
