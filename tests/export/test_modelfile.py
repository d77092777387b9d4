"""A Modelfile: its template gives the prompts of training, letter by letter, for the kinds of chat template that are in use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from simko.envs import PromptFormat
from simko.envs.tokenizers import load_tokenizer
from simko.errors import UserError
from simko.export.modelfile import chat_frames, go_template, modelfile
from simko.types import Sampling

TURNS = "{% for m in messages %}{{ OPEN + m['role'] + MID + m['content'] | trim + CLOSE }}{% endfor %}"
CHATML = TURNS.replace("OPEN", "'<|im_start|>'").replace("MID", "'\n'").replace("CLOSE", "'<|im_end|>\n'")
LLAMA = TURNS.replace("OPEN", "'<|start|>'").replace("MID", "'<|end|>\n\n'").replace("CLOSE", "'<|eot|>'")
ASSISTANT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
KINDS = {
    "chatml": CHATML + ASSISTANT,
    "qwen2": "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are Q.<|im_end|>\n{% endif %}" + CHATML + ASSISTANT,
    "qwen3": CHATML + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}{% endif %}",
    "llama3": "<|bos|>" + LLAMA + "{% if add_generation_prompt %}{{ '<|start|>assistant<|end|>\n\n' }}{% endif %}",
    "llama31": "<|bos|>{% if messages[0]['role'] == 'system' %}{% set s = messages[0]['content'] %}"
    "{% set messages = messages[1:] %}{% else %}{% set s = '' %}{% endif %}<|start|>system<|end|>\n\nToday.\n{{ s }}<|eot|>"
    + LLAMA
    + "{% if add_generation_prompt %}{{ '<|start|>assistant<|end|>\n\n' }}{% endif %}",
    "gemma": "<|bos|>{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}{% for m in messages %}"
    "{{ '<turn>' + ('model' if m['role'] == 'assistant' else 'user') + '\n' + m['content'] + '<end>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}",
    "mistral": "<|bos|>{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] + '</s>' }}{% else %}{{ raise_exception('no system') }}{% endif %}"
    "{% endfor %}",
    "tiny": "{% for m in messages %}{{ m['content'] + ('<eos>' if m['role'] == 'assistant' else '\n') }}{% endfor %}",
}  # fmt: skip
SYSTEM, QUESTION = {"role": "system", "content": "Be {{ exact }}."}, {"role": "user", "content": "1 + 1 {{?"}
TALK = [QUESTION, {"role": "assistant", "content": "2"}, {"role": "user", "content": "And 2 + 2?"}]


class Templated:
    """Our byte tokenizer, with a chat template."""

    def __init__(self, template: str) -> None:
        self._own: Any = load_tokenizer(None)
        self.chat_template = template

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def apply_chat_template(self, messages: Sequence[Mapping[str, str]], **options: Any) -> str:
        def refuse(text: str) -> None:
            raise ValueError(text)

        return jinja2.Template(self.chat_template).render(messages=messages, raise_exception=refuse, **options)


def by_ollama(template: str, default: str | None, messages: Sequence[Mapping[str, str]]) -> str:
    """What Go makes of the template, for the few actions that ours has, by way of jinja."""
    translated = (
        template.replace('{{ "{{" }}', "\x00")
        .replace("{{ if .System }}", "{% if system %}")
        .replace("{{ .System }}", "{{ system }}")
        .replace("{{ range .Messages }}", "{% for m in messages %}")
        .replace("{{ .Content }}", "{{ m.content }}")
        .replace('{{ if eq .Role "user" }}', "{% if m.role == 'user' %}")
        .replace('{{ else if eq .Role "assistant" }}', "{% elif m.role == 'assistant' %}")
    )
    if "{% for" in translated:  # the two last ends are those of the roles and of the loop
        *head, tail = translated.rsplit("{{ end }}{{ end }}", 1)
        translated = head[0].replace("{{ end }}", "{% endif %}") + "{% endif %}{% endfor %}" + tail
    assert not re.search(r"\{\{ (end|if|range|else)", translated)
    system = next((m["content"] for m in messages if m["role"] == "system"), default or "")
    environment = jinja2.Environment(keep_trailing_newline=True)
    return environment.from_string(translated).render(system=system, messages=messages).replace("\x00", "{{")


@pytest.mark.parametrize("kind", KINDS)
def test_the_template_gives_the_prompts_of_training(kind: str) -> None:
    tokenizer = Templated(KINDS[kind])
    bos = "<|bos|>" if "<|bos|>" in KINDS[kind] else ""
    frames = chat_frames(tokenizer, bos)
    assert frames is not None
    assert frames.default_system == {"qwen2": "You are Q.", "gemma": None, "mistral": None}.get(kind, "")
    talks = [[QUESTION], TALK]
    if kind not in ("gemma", "mistral"):
        talks += [[SYSTEM, QUESTION], [SYSTEM, *TALK]]
    for talk in talks:
        expected = tokenizer.apply_chat_template(talk, add_generation_prompt=True).removeprefix(bos)
        assert by_ollama(frames.template(), frames.default_system, talk) == expected
        assert frames.render(talk) == expected


def test_a_template_that_is_a_program_gets_one_turn() -> None:
    program = "{% for m in messages %}[{{ loop.index }}] {{ m['content'] }}\n{% endfor %}>"
    words = PromptFormat(Templated(program), "chat")
    template, system, several = go_template(words, "chat")
    assert (template, system, several) == ("[1] {{ .Prompt }}\n>", None, False)


def test_other_prompts_keep_their_text() -> None:
    words = PromptFormat(Templated(KINDS["chatml"]), "Q {{x}}: {problem}\nA:", " Say a number.")
    template, _, several = go_template(words, "Q {{x}}: {problem}\nA:")
    assert template == 'Q {{ "{{" }}x}}: {{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}\nA:'
    assert not several


def test_a_modelfile_samples_as_the_policy_does() -> None:
    decoding = Sampling(0.6, 0.95, max_new_tokens=300)
    text = modelfile("m.gguf", "{{ .Prompt }}", "Be brief.", ['<"end>', "</s>", '<"end>', ""], decoding, ["a\nnote"])
    assert text.splitlines() == [
        "# a",
        "# note",
        "FROM ./m.gguf",
        'TEMPLATE """{{ .Prompt }}"""',
        'SYSTEM """Be brief."""',
        'PARAMETER stop "<\\"end>"',
        'PARAMETER stop "</s>"',
        "PARAMETER temperature 0.6",
        "PARAMETER top_p 0.95",
        "PARAMETER top_k 0",
        "PARAMETER repeat_penalty 1",
        "PARAMETER num_predict 300",
    ]
    with pytest.raises(UserError, match="which a Modelfile cannot hold"):
        modelfile("m.gguf", 'a """ b', None, (), decoding)


class WithBos:
    """A tokenizer that may put its BOS, id 1, before a text; the template's prompts may begin with it as well."""

    bos_token_id = 1

    def __init__(self, adds: bool) -> None:
        self.adds = adds

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [1, 7] if self.adds and add_special_tokens else [7]


def test_the_reader_adds_bos_only_where_tokenizer_and_prompts_do() -> None:
    from simko.export.artefacts import begins_with_bos

    for adds in (False, True):
        for prompt in ([1, 5], [5]):
            words: Any = SimpleNamespace(prompt_ids=lambda problem, prompt=prompt: prompt)
            assert begins_with_bos(WithBos(adds), words) is (adds and prompt[0] == 1)
    none: Any = SimpleNamespace(bos_token_id=None)
    assert not begins_with_bos(none, words)
