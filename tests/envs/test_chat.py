from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import fake_envs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs import PromptFormat
from simko.envs.chat import DATE, ChatTemplate
from simko.errors import UserError

LOOP = "{%% for m in messages %%}<|im_start|>%s<|im_end|>{%% endfor %%}"
TWICE = LOOP % "{{ m.content }}; again: {{ m['content'] | trim }}"
AS_JSON = "{{ messages | tojson }}<|im_start|>"
HOSTILE = st.lists(st.sampled_from(["<|im_end|>", "<s>", " ", "\n", '"', "\\", "é", "SIMKOmark0x0B", "a"]), max_size=6)


def tokenizer(template: str) -> Any:
    return fake_envs.chat_tokenizer(template)


def shown(template: str, problem: str, **settings: Any) -> str:
    return PromptFormat(tokenizer(template), **settings).prompt_text(problem)


def test_a_template_may_print_a_problem_twice_trim_it_or_write_json() -> None:
    assert shown(TWICE, " 1 + 1 ") == "<|im_start|> 1 + 1 ; again: 1 + 1<|im_end|>"
    assert shown(AS_JSON, 'say "é"\n') == json.dumps([{"role": "user", "content": 'say "é"\n'}], ensure_ascii=False) + (
        "<|im_start|>"
    )
    assert shown("{{ messages[0].content | tojson(ensure_ascii=true) }}", "é") == '"\\u00e9"'


@given(HOSTILE.map("".join))
def test_a_problem_is_rendered_as_it_is_and_never_becomes_a_special_token(problem: str) -> None:
    for template in (TWICE, AS_JSON, LOOP % "{{ m.content }}"):
        format = PromptFormat(tokenizer(template))
        messages = [{"role": "user", "content": problem}]
        ids = format.prompt_ids(problem)
        text = format.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)  # type: ignore[attr-defined]
        assert format.tokenizer.decode(ids) == text
        special = set(format.tokenizer.all_special_ids)  # type: ignore[attr-defined]
        special |= {i for i, t in format.tokenizer.added_tokens_decoder.items() if t.special}  # type: ignore[attr-defined]
        assert [i for i in ids if i in special] == [i for i in format.prompt_ids("") if i in special]


@pytest.mark.parametrize(
    ("expression", "verb"),
    [
        ("m.content | upper", "drops"),
        ("m.content | title", "drops"),
        ("m.content[:5]", "drops"),
        ("m.content[0] | upper ~ m.content[1:]", "changes"),
        ("m.content.split('2')[0]", "drops"),
        ("m.content | length", "drops"),
        ("m.content | replace('<', '')", "changes"),
        ("m.content.split() | join(' ')", "changes"),
        ("m.content | e", "changes"),
    ],
)
def test_a_template_that_loses_or_changes_a_problem_is_refused(tmp_path: Path, expression: str, verb: str) -> None:
    loser = tokenizer(LOOP % ("{{ " + expression + " }}"))
    loser.save_pretrained(tmp_path)
    loser.name_or_path = str(tmp_path)
    message = rf"chat_template\.jinja: the chat template {verb} the user's message .*use template='plain'"
    with pytest.raises(UserError, match=message):
        ChatTemplate(loser)


def test_a_problem_that_a_template_changes_is_refused_when_it_comes() -> None:
    format = PromptFormat(tokenizer(LOOP % "{{ m.content.split('</think>')[-1] }}"))
    assert format.prompt_text("1 + 1") == "<|im_start|>1 + 1<|im_end|>"
    for problem in ("Read </think> this.", "</think>"):
        with pytest.raises(UserError, match=r"the chat template (drops|changes) the user's message"):
            format.check(problem)


def test_a_system_message_stands_where_the_template_puts_it() -> None:
    format = PromptFormat(tokenizer("{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}{% endfor %}"))
    assert (
        format.prompt_text("x", "Be <|im_end|> brief.") == "<|im_start|>system: Be <|im_end|> brief.<|im_start|>user: x"
    )
    ids = format.prompt_ids("x", "Be <|im_end|> brief.")
    assert format.tokenizer.convert_tokens_to_ids("<|im_end|>") not in ids  # type: ignore[attr-defined]
    assert PromptFormat(tokenizer(TWICE), "plain").prompt_text("x", "Be brief.") == "Be brief.\n\nx\n"
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TWICE
    with pytest.raises(UserError, match=r"no system.*leave the system message out, or use template='plain'"):
        PromptFormat(tokenizer(refusing)).prompt_ids("x", "Be brief.")


CLOCKED = "Today: {{ strftime_now('%d %b %Y %H:%M:%S') }}\n{% for m in messages %}{{ m.content }}{% endfor %}"


def test_the_clock_stands_still() -> None:
    format = PromptFormat(tokenizer(CLOCKED))
    assert (format.date, format.reads_clock) == (DATE, True)
    assert format.prompt_text("x") == "Today: 26 Jul 2024 00:00:00\nx"
    assert shown(CLOCKED, "x", date="2025-03-04T15:06:07") == "Today: 04 Mar 2025 15:06:07\nx"
    assert not PromptFormat(tokenizer("{% if tools %}{{ strftime_now('%d') }}{% endif %}" + TWICE)).reads_clock


def test_the_clock_of_a_template_is_pythons() -> None:
    for form in (
        "%A, %B %d, %Y",
        "%-d.%-m.%y %I:%M %p",
        "%Y-%m-%dT%H:%M:%SZ",
        "%%d %d",
        "%F %T %e",
        "%c | %x | %X",
        "%j %U",
    ):
        template = "\n {{ strftime_now('" + form + "') }}{{ strftime_now is defined }}{{ messages[0].content }}"
        expected = datetime(2025, 3, 4, 15, 6, 7).strftime(form)
        assert shown(template, "x", date="2025-03-04T15:06:07") == f"\n {expected}Truex"


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_a_clock_beside_another_message_is_read_too(role: str) -> None:
    clock = "{% if m.role == '" + role + "' %}{{ strftime_now('%d') }}{% endif %}"
    assert PromptFormat(tokenizer(LOOP % (clock + "{{ m.content }}"))).reads_clock


def test_a_clock_moves_no_blanks() -> None:
    first, rest = "  {% if true %}On ", "{% endif %}\n" + TWICE
    assert shown(first + "{{ strftime_now('%Y') }}" + rest, "1 + 1") == shown(first + "2024" + rest, "1 + 1")


@pytest.mark.parametrize("random", ["{{ ['a', 'b'] | random }}", "{{ lipsum(1) }}"])
def test_a_template_that_draws_is_refused(random: str) -> None:
    with pytest.raises(UserError, match="draws random numbers; use template='plain'"):
        ChatTemplate(tokenizer(random + TWICE))


def test_a_reply_is_rendered_too() -> None:
    turns = "{% for m in messages %}[{{ m.content }}{% if m.role == 'user' %}|{{ m.content }}{% endif %}]{% endfor %}"
    format = PromptFormat(tokenizer(turns))
    assert format.tokenizer.decode(format.reply_ids("no")) == "][no|no]"
    again = turns + "{{ messages[0].content }}"  # the first message stands after a reply: nothing can be appended
    assert PromptFormat(tokenizer(again)).reply_ids("no") == PromptFormat(tokenizer(again), "plain").reply_ids("no")
