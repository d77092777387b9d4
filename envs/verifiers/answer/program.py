"""Where a response states its program.

The last fenced block of Python wins; a block that the end of the response cuts off counts to its end. Without one, the response
itself may be the program: from its first line that begins one, or, where the problem is the beginning of a program, as the lines
that complete it. Nothing is parsed here: the sandbox says whether it is Python.
"""

from __future__ import annotations

import re

from simko.envs.verifiers.answer.visible import without_thinking

MAX_PROGRAM = 100_000  # characters: a longer text is no program of a model
_FENCE = re.compile(
    r"^(?P<indent>[ \t>]{0,8})(?P<mark>```+|~~~+)[ \t]*\{?\.?(?P<language>[\w+#.-]{0,20})[^\n`]{0,80}$", re.MULTILINE
)
_PYTHON = frozenset(
    ["", "python", "python3", "python2", "py", "py3", "ipython", "pycon", "code", "text", "txt", "plaintext"]
)
_BEGINS = re.compile(r"(?:def |async def |class |import |from \w|@\w|if __name__|#!)")
_SPECIAL = re.compile(r"<\|[a-z_]{1,30}\|>|</s>|<eos>|<end_of_turn>")


def program_of(response: str, entry: str | None = None, prompt: str = "") -> str | None:
    """The program in a response; None if it states none.

    `entry` is the name of the function that is asked for, and `prompt` the beginning of a program that defines it. An answer
    that does not define it completes the prompt; one that does gets the prompt's imports and helpers before it.
    """
    text = _SPECIAL.split(without_thinking(response), maxsplit=1)[0]
    block = _last_block(text)
    if block is None:
        block = _bare(text, entry, bool(prompt))
    if block is None or not block.strip() or len(block) > MAX_PROGRAM:
        return None
    if not prompt or entry is None:
        return block
    if _defines(block, entry):
        return f"{_before(prompt, entry)}{block}"
    body = block if block[:1] in " \t\n" else "\n".join(f"    {line}" for line in block.split("\n"))
    return f"{prompt.rstrip()}\n{body}"


def _last_block(text: str) -> str | None:
    """The content of the last fenced block of Python. A fence is closed by one of at least its own length."""
    chosen: str | None = None
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence["mark"].startswith(opened["mark"]) and not fence["language"]:
            chosen = _content(text, opened, fence.start()) or chosen
            opened = None
    if opened is not None:
        chosen = _content(text, opened, len(text)) or chosen
    return chosen


def _content(text: str, fence: re.Match[str], end: int) -> str | None:
    if fence["language"].lower() not in _PYTHON:
        return None
    lines = text[fence.end() + 1 : end].split("\n")
    indent = fence["indent"]
    content = "\n".join(line.removeprefix(indent) for line in lines) if indent else "\n".join(lines)
    return content if content.strip() else None


def _bare(text: str, entry: str | None, completes: bool) -> str | None:
    """The program of a response without a fence."""
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if _BEGINS.match(line)), None)
    first = next((line for line in lines if line.strip()), "")
    if (
        completes
        and first[:1] in (" ", "\t")
        and (start is None or not _defines("\n".join(lines[start:]), entry or ""))
    ):
        body: list[str] = []
        for line in lines:  # a body ends where the text goes back to the first column
            if line.strip() and line[:1] not in (" ", "\t"):
                break
            body.append(line)
        return "\n".join(body)
    if start is not None:
        return "\n".join(lines[start:])
    return text if entry is None and _is_code(lines) else None


def _is_code(lines: list[str]) -> bool:
    """Whether each line that is not blank may be one of a short script, such as `print(int(input()) * 2)`."""
    written = [line for line in lines if line.strip()]
    return bool(written) and all(re.search(r"[=(:\[]", line) or line[:1] in (" ", "\t", "#") for line in written)


def _defines(program: str, name: str) -> bool:
    return (
        re.search(rf"^(?:async\s+)?def\s+{re.escape(name)}\b|^{re.escape(name)}\s*=", program, re.MULTILINE) is not None
    )


def _before(prompt: str, entry: str) -> str:
    """What stands in the prompt before the function that is asked for: imports and helpers."""
    match = re.search(rf"^(?:async\s+)?def\s+{re.escape(entry)}\b", prompt, re.MULTILINE)
    return prompt[: match.start()] if match else ""
