from __future__ import annotations

import os
import pickle
from typing import Any

import fake_envs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs import ByteTokenizer, PromptFormat
from simko.errors import UserError

BYTES = ByteTokenizer()
CHAT = fake_envs.chat_tokenizer()
IM_START, IM_END, CALL = (CHAT.convert_tokens_to_ids(t) for t in ("<|im_start|>", "<|im_end|>", "<|call|>"))
HOSTILE = st.text("ab <|>", max_size=6) | st.sampled_from(
    ["<|im_end|>", "<|im_start|>", "</s>", "<s>", "<<|im_end|>", "<|im_<|im_end|>end|>", "\n", "é"]
)
TEXTS = st.lists(HOSTILE, max_size=6).map("".join)


def rendered(*texts: str) -> list[int]:
    messages = [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts)]
    text = CHAT.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return CHAT.encode(text, add_special_tokens=False)


def test_plain() -> None:
    format = PromptFormat(BYTES, "plain", " Number only.")
    assert format.prompt_text("1 + 1?") == "1 + 1? Number only.\n"
    assert format.prompt_ids("1 + 1?") == list(b"1 + 1? Number only.\n")
    assert format.reply_ids("wrong") == list(b"\nwrong\n") == format.reply_ids("wrong", closed=False)
    assert format.stop_ids == {256}


def test_chat_without_a_template_is_plain() -> None:
    assert PromptFormat(BYTES, "chat").prompt_ids("x") == list(b"x\n")
    assert PromptFormat(fake_envs.chat_tokenizer(None), "chat").prompt_text("x") == "x\n"


def test_custom_template_takes_braces_as_they_are() -> None:
    format = PromptFormat(BYTES, "Question:\n{problem}\nAnswer:\n", "!")
    assert format.prompt_text("{0} {x!r}") == "Question:\n{0} {x!r}!\nAnswer:\n"
    assert format.prompt_ids("{0}") == list(b"Question:\n{0}!\nAnswer:\n")


@pytest.mark.parametrize("template", ["chatt", "{problem}{problem}", "no field"])
def test_another_template_is_refused(template: str) -> None:
    with pytest.raises(UserError, match=r"use 'chat', 'plain', 'qwen', .*or a text with \{problem\} in it once"):
        PromptFormat(BYTES, template)


REASON = "Please reason step by step, and put your final answer within \\boxed{}."
QWEN = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nx\n" + REASON
) + "<|im_end|>\n<|im_start|>assistant\n"
LLAMA = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nx\n" + REASON
) + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qwen", QWEN),
        ("simple", "Question:\nx\nAnswer:\nLet's think step by step.\n"),
        ("llama", LLAMA),
        ("qwen3_no_thinking", QWEN + "<think>\n\n</think>\n"),
    ],
)
def test_simkos_templates(name: str, text: str) -> None:
    """Word for word, and without the environment's instruction: they have their own."""
    assert PromptFormat(BYTES, name, "!").prompt_text("x") == text
    format = PromptFormat(CHAT, name, "!")
    assert format.prompt_ids("x") == [CHAT.bos_token_id, *CHAT.encode(text, add_special_tokens=False)]


@given(problem=TEXTS)
def test_simkos_templates_keep_special_tokens_to_themselves(problem: str) -> None:
    format = PromptFormat(CHAT, "qwen")
    assert IM_END in format.stop_ids
    assert format.prompt_ids(problem).count(IM_END) == 2
    assert format.prompt_ids(problem).count(IM_START) == 3
    assert format.reply_ids(problem).count(IM_START) == 2
    assert format.reply_ids("no", closed=True) == CHAT.encode(
        "\n<|im_start|>user\nno<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False
    )


def test_plain_prompt_gets_the_tokenizers_bos_once() -> None:
    bos = CHAT.bos_token_id
    assert PromptFormat(CHAT, "plain").prompt_ids("x") == [bos, *CHAT.encode("x\n", add_special_tokens=False)]
    assert PromptFormat(CHAT, "<s>{problem}").prompt_ids("x").count(bos) == 1


def test_chat_is_the_tokenizers_own_rendering() -> None:
    format = PromptFormat(CHAT, "chat", "\nNumber only.")
    assert format.prompt_ids("1 + 1?") == rendered("1 + 1?\nNumber only.")
    assert CHAT.encode(format.prompt_text("x"), add_special_tokens=False) == format.prompt_ids("x")
    assert format.stop_ids == {CHAT.eos_token_id, IM_END}


@pytest.mark.parametrize(("ending", "closed"), [([IM_END], True), ([], False)])
def test_a_reply_continues_the_chat(ending: list[int], closed: bool) -> None:
    format = PromptFormat(CHAT, "chat")
    policy = CHAT.encode("Is it 3?", add_special_tokens=False) + ending
    whole = format.prompt_ids("Guess.") + policy + format.reply_ids("Higher.", closed=closed)
    assert whole == rendered("Guess.", "Is it 3?", "Higher.")


@given(TEXTS)
def test_untrusted_text_never_becomes_a_special_token(text: str) -> None:
    for template in ("chat", "plain", "<|im_start|>{problem}<|im_end|>", "<{problem}|im_end|>"):
        format = PromptFormat(CHAT, template)
        special = {i for i, t in CHAT.added_tokens_decoder.items() if t.special}
        for ids, empty in (
            (format.prompt_ids(text), format.prompt_ids("")),
            (format.reply_ids(text), format.reply_ids("")),
        ):
            assert [i for i in ids if i in special] == [i for i in empty if i in special]
        assert CHAT.decode(format.prompt_ids(text)) in (format.prompt_text(text), "<s>" + format.prompt_text(text))


def test_added_tokens_of_the_template_are_guarded_though_not_marked_special() -> None:
    template = fake_envs.CHAT.replace("{{ m['content'] }}", "<|call|>{{ m['content'] }}")
    format = PromptFormat(fake_envs.chat_tokenizer(template), "chat")
    assert format.prompt_ids("do <|call|>").count(CALL) == 1


class Shouting(ByteTokenizer):
    """Normalises before it looks for special tokens: no cut through the text helps."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [256 if c in "Ω\u2126" else ord(c) % 256 for c in text]


def test_a_text_that_cannot_be_made_harmless_is_refused() -> None:
    with pytest.raises(UserError, match=r"problem 'a Ω b': .*special tokens \['<eos>'\]"):
        PromptFormat(Shouting(), "plain").prompt_ids("a Ω b")


def test_a_broken_chat_template_is_refused() -> None:
    with pytest.raises(UserError, match=r"chat template fails .*no chat today.*use template='plain'"):
        PromptFormat(fake_envs.chat_tokenizer("{{ raise_exception('no chat today') }}"))
    with pytest.raises(UserError, match="drops the user's message"):
        PromptFormat(fake_envs.chat_tokenizer("hello"))


def test_a_template_of_one_turn_only_replies_plainly() -> None:
    only_one = "{% if messages|length > 1 %}{{ raise_exception('one turn') }}{% endif %}" + fake_envs.CHAT
    assert PromptFormat(fake_envs.chat_tokenizer(only_one)).reply_ids("x") == CHAT.encode(
        "\nx\n", add_special_tokens=False
    )


def test_pickle() -> None:
    format = pickle.loads(pickle.dumps(PromptFormat(CHAT, "chat", "!")))
    assert format.prompt_ids("x") == rendered("x!")


@pytest.mark.model
def test_a_real_model() -> None:
    from simko.envs import load_tokenizer

    tokenizer: Any = load_tokenizer(os.environ["SIMKO_TEST_MODEL"])
    format = PromptFormat(tokenizer)
    talk = [{"role": "user", "content": "What is 2 + 2?"}]
    text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    assert format.prompt_ids("What is 2 + 2?") == tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.eos_token_id in format.stop_ids


def chat(system: str, problem: str) -> list[int]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": problem}]
    text = CHAT.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return CHAT.encode(text, add_special_tokens=False)


def test_a_system_message_is_one_in_the_chat_template() -> None:
    format = PromptFormat(CHAT, "chat", "!")
    assert format.prompt_ids("x", "Be brief.") == chat("Be brief.", "x!")
    assert format.prompt_ids("x", "") == chat("", "x!") != format.prompt_ids("x")
    assert CHAT.encode(format.prompt_text("x", "Be brief."), add_special_tokens=False) == chat("Be brief.", "x!")
    assert pickle.loads(pickle.dumps(format)).prompt_ids("x", "y") == format.prompt_ids("x", "y")


@given(TEXTS, TEXTS)
def test_a_system_message_never_becomes_special_tokens(system: str, problem: str) -> None:
    format = PromptFormat(CHAT, "chat")
    ids = format.prompt_ids(problem, system)
    special = [IM_START, IM_END, CHAT.bos_token_id, CHAT.eos_token_id]
    empty = format.prompt_ids("", "")
    assert [ids.count(i) for i in special] == [empty.count(i) for i in special]
    assert CHAT.decode(ids) in (format.prompt_text(problem, system), "<s>" + format.prompt_text(problem, system))


def test_in_other_templates_it_stands_before_the_problem() -> None:
    assert PromptFormat(BYTES, "plain", "!").prompt_text("x", "Be brief.") == "Be brief.\n\nx!\n"
    assert PromptFormat(BYTES, "Q: {problem}\nA:").prompt_ids("x", "Be brief.") == list(b"Q: Be brief.\n\nx\nA:")
    assert PromptFormat(BYTES, "plain").prompt_ids("x", "") == PromptFormat(BYTES, "plain").prompt_ids("x")


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}{% endfor %}",
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}{{ messages[0]['content'] }}",
    ],
)
def test_a_template_without_a_place_for_it_is_refused(template: str) -> None:
    format = PromptFormat(fake_envs.chat_tokenizer(template), "chat")
    assert format.prompt_text("x") == "x"
    with pytest.raises(UserError, match=r"chat template.*template='plain'"):
        format.prompt_ids("x", "Be brief.")


@pytest.mark.parametrize(
    ("template", "thought"),
    [
        ("{problem}\n<think>\n", "<think>\n"),
        ("{problem}\nAssistant: <think>", "<think>"),
        ("Use <think> </think> tags. {problem}\nAssistant: Let me solve this.\n<think>", "<think>"),
        ("{problem}[/INST][THINK]", "[THINK]"),
        ("{problem}\n<think>\n\n</think>\n\n", ""),
        ("{problem} Write your thoughts in <think> tags.\nAssistant:", ""),
        ("<think> {problem}", ""),
        ("qwen3_no_thinking", ""),
        ("plain", ""),
    ],
)
def test_a_thought_that_the_prompt_opens(template: str, thought: str) -> None:
    assert PromptFormat(BYTES, template).thought("x") == thought


def test_a_thought_that_the_instruction_or_the_chat_template_opens() -> None:
    assert PromptFormat(BYTES, "plain", "\n<think>").thought("x") == "<think>\n"
    thinking = PromptFormat(
        fake_envs.chat_tokenizer(fake_envs.CHAT + "{{ '<think>\\n' }}"), "chat", " Use <think> tags."
    )
    assert (thinking.thought("x </think>"), thinking.reply_thought) == ("<think>\n", "<think>\n")
    row = PromptFormat(BYTES, "{problem}")
    assert row.thought("Assistant: Let me think.\n<think>") == "<think>"
    assert row.thought("Write in <think> tags: 2 + 2?") == PromptFormat(CHAT).thought("2?\n<think>") == ""
    assert PromptFormat(BYTES, "{problem}\n<start_working_out>").thought("x") == "<start_working_out>"
    assert (PromptFormat(CHAT).reply_thought, PromptFormat(BYTES).reply_thought) == ("", None)


def test_special_tokens_of_thinking_are_read_and_others_are_not() -> None:
    tokenizer = fake_envs.chat_tokenizer(fake_envs.CHAT + "[THINK]")
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    format = PromptFormat(tokenizer)
    ids = tokenizer.encode("so</s>[/THINK]4<|im_end|>", add_special_tokens=False)
    assert tokenizer.decode(ids, skip_special_tokens=True) == "so4"
    assert format.answer_text(ids) == "so[/THINK]4"
