"""Where a response states its program."""

from __future__ import annotations

import pytest

from simko.envs.verifiers.answer.program import MAX_PROGRAM, program_of

PROMPT = 'import math\n\n\ndef helper(x):\n    return x\n\n\ndef f(x):\n    """Twice x."""\n'


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("Here:\n```py\nx = 1\n```\nIt works.", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("~~~python\nx = '```'\n~~~", "x = '```'\n"),
        ("````python\nx = '''\n```\n'''\n````", "x = '''\n```\n'''\n"),
        ("```python\nx = 1\n```\nBetter:\n```python\nx = 2\n```", "x = 2\n"),
        ("```python\nx = 1\n```\nIt prints\n```output\n1\n```", "x = 1\n"),
        ("```bash\nls\n```\n```python\nx = 1\n```\n```json\n{}\n```", "x = 1\n"),
        ("```python\nx = 1\n```\n```python\n\n```", "x = 1\n"),
        ("```python\nx = 1", "x = 1"),
        ("1. So:\n   ```python\n   def f():\n       return 1\n   ```", "def f():\n    return 1\n"),
        ("<think>```python\nx = 1\n```</think>```python\nx = 2\n```", "x = 2\n"),
        ("def f(x):\n    return 1", "def f(x):\n    return 1"),
        ("Sure!\nimport math\ndef f(x):\n    return 1", "import math\ndef f(x):\n    return 1"),
        ("print(int(input()) * 2)", "print(int(input()) * 2)"),
        ("```python\nx = 1\n```<|im_end|>", "x = 1\n"),
    ],
)
def test_the_program_of_a_response(response: str, program: str) -> None:
    assert program_of(response) == program


@pytest.mark.parametrize(
    "response",
    [
        "",
        "  \n",
        "I do not know.",
        "<think>```python\nx = 1\n```",
        "```bash\nls\n```",
        "```\n\n```",
        "```python\n" + "x" * (MAX_PROGRAM + 1),
    ],
    ids=range(7),
)
def test_a_response_without_a_program(response: str) -> None:
    assert program_of(response) is None


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("    return 2 * x\n\nprint(f(1))\n", f"{PROMPT.rstrip()}\n    return 2 * x\n"),
        ("    return 2 * x\n\n# Test\ndef g():\n    pass", f"{PROMPT.rstrip()}\n    return 2 * x\n"),
        ("```python\n    return 2 * x\n```", f"{PROMPT.rstrip()}\n    return 2 * x\n"),
        ("```python\nreturn 2 * x\n```", f"{PROMPT.rstrip()}\n    return 2 * x\n    "),
        ("```python\ndef f(x):\n    return 2 * x\n```", f"{PROMPT[: PROMPT.index('def f')]}def f(x):\n    return 2 * x\n"),
        ("```python\nf = lambda x: 2 * x\n```", f"{PROMPT[: PROMPT.index('def f')]}f = lambda x: 2 * x\n"),
    ],
)  # fmt: skip
def test_an_answer_that_completes_the_prompt_or_defines_its_function(response: str, program: str) -> None:
    assert program_of(response, "f", PROMPT) == program


def test_a_long_response_takes_little_time() -> None:
    from timing import cpu_seconds

    for text in ("```python\n" * 20_000, "`" * 200_000, "```" + "\n```" * 50_000, "def f" * 50_000, " " * 300_000):
        assert cpu_seconds(lambda text=text: program_of(text, "f", PROMPT), times=1) < 2.0
