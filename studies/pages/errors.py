"""docs/reference/errors.md: those that a beginner meets, then every message with its mend, by where it comes from."""

from __future__ import annotations

import re
import textwrap

from studies.pages.first_errors import FIRST
from studies.pages.messages import GAP, Message, messages
from studies.pages.tables import MARKER

PAGE = "reference/errors.md"
WIDTH = 126  # of a line of Markdown, less its indent

ROOMS: dict[str, tuple[str, ...]] = {
    "Several cards": ("simko/ranks/", "simko/cli/launch.py", "simko/cli/rank.py"),
    "Export": (
        "simko/export/", "simko/cli/export.py", "agents/gguf_file.py", "agents/gguf_kinds.py", "agents/gguf_names.py",
        "agents/gguf_tokens.py", "agents/merging.py",
    ),
    "Engines": ("agents/engine/",),
    "Verifiers and sandbox": ("envs/verifiers/", "envs/code/", "envs/audit/", "simko/cli/verify.py", "simko/cli/audit.py"),
    "Integrations and other people's tasks": ("simko/integrations/", "envs/foreign/"),
    "Memory": ("simko/memory/", "simko/micro_batch.py", "simko/device.py", "simko/cli/plan.py"),
    "Comparison, evaluation and results": (
        "simko/compare/", "simko/report/", "simko/evaluate.py", "simko/eval_tasks.py", "simko/forking.py", "simko/probe.py",
        "simko/fork_choice.py", "simko/cli/compare.py", "simko/cli/results.py", "simko/cli/report.py", "simko/run/target.py",
    ),
    "Run folder and resume": (
        "simko/run/", "simko/files.py", "simko/grading.py", "simko/cli/inspect.py", "simko/cli/watch.py", "simko/cli/runs.py",
        "simko/cli/modules.py",
    ),
    "Data, tasks and environments": (
        "envs/", "simko/difficulty.py", "simko/preflight.py", "simko/cli/look.py", "simko/cli/scaffold.py",
    ),
    "Models and adapters": ("agents/", "simko/gguf_header.py", "simko/build.py", "simko/cli/talk.py"),
    "Settings and flags": ("simko/", "recipes/"),
}  # fmt: skip
"""The first heading, of which a path is a beginning, has a message."""
ORDER = (
    "Settings and flags", "Data, tasks and environments", "Models and adapters", "Memory", "Run folder and resume",
    "Verifiers and sandbox", "Engines", "Several cards", "Comparison, evaluation and results", "Export",
    "Integrations and other people's tasks",
)  # fmt: skip
KINDS = {
    "error": "",
    "row": "Rows of data that are refused. Before each stand the file, the line and often the field.",
    "reason": "Reasons that stand inside another message, or why an answer has no grade.",
    "note": "Notes: the command goes on.",
}
"""The kinds in the order of a heading, and what is said above them."""

MORE: dict[str, str] = {
    "checkpoint … is damaged": "A checkpoint whose bytes are not those that were saved is never loaded. "
    "[The run folder](run_folder.md) says which one a resume takes.",
    "none is intact": "All checkpoints are damaged. See [the run folder](run_folder.md).",
    "… (--keep-good-rows leaves such rows out)": "This stands behind each refused row. `simko env look` lists all of them, so "
    "that you can mend your file at once.",
    "steps in a row were skipped: the verifier failed": "Grades did not come, so the run ended. `simko sample` shows answers and "
    "verdicts.",
    "an earlier state of it": "The adapter was trained on weights that have changed since. [Models](models.md) has the details.",
    "another of the … processes has ended": "Read the lines above it: the process that failed first says why. "
    "[More than one card](../how/cards.md) has the rest.",
    "nothing listens there": "The server is not up, or at another address. [Engines](../how/engine.md) has its command.",
}
"""What helps beyond the message's own mend, by words that it has."""


def room(file: str) -> str:
    """The heading for the messages of a file."""
    return next(name for name, places in ROOMS.items() if file.startswith(places))


def thin(text: str) -> bool:
    """Do fewer than two words of a message's first clause stand in the source? Such a line is hard to find by eye."""
    return len(re.findall(r"[A-Za-z_-]{2,}", text.split(";")[0])) < 2


def more(text: str) -> list[str]:
    """What `MORE` says about a message."""
    return [said for words, said in MORE.items() if words in text]


def pages() -> dict[str, str]:
    """The page, by its path below docs/."""
    found = messages()
    parts = [_head(len({message.text for message in found})), *_first({message.text for message in found})]
    for name in ORDER:
        ours = [message for message in found if room(message.file) == name]
        parts.append(f"## {name}")
        parts += [_of_kind(kind, [message for message in ours if message.kind == kind]) for kind in KINDS]
    return {PAGE: "\n\n".join(part for part in parts if part) + "\n"}


def _head(count: int) -> str:
    intro = f"""A message is one line: where, what is wrong, then the mend. An error begins with `simko: error:`, and
the command ends with exit code 2. A note begins with `simko:` alone. `--debug` shows where it was raised.

First come {len(FIRST)} messages that you are likely to meet early, with what to do. Below stand all {count}, by topic, as the
source has them: search this page for words of yours. `{GAP}` stands for what your run fills in. Lines that begin with
little else stand at the end of their list."""
    return f"# Error messages and their mends\n{MARKER}\n\n{intro}"


def _first(texts: set[str]) -> list[str]:
    """The first list: what happened, the message, and what to do."""
    items = []
    for happened, words, said in FIRST:
        (text,) = texts & {words} or {text for text in texts if words in text}
        items.append(f"- {_wrapped(f'**{happened}** {_code(text)}')}\n\n{_below(said)}")
    return ["## Those you may meet first", "\n\n".join(items)]


def _of_kind(kind: str, found: list[Message]) -> str:
    if not found:
        return ""
    texts = sorted({message.text for message in found}, key=lambda text: (thin(text), text.lstrip(GAP + ": '"), text))
    items = "\n".join(item(text) for text in texts)
    return f"{KINDS[kind]}\n\n{items}" if KINDS[kind] else items


def item(text: str) -> str:
    """A line of a list: the message as code, and below it what helps more."""
    return "\n\n".join([f"- {_wrapped(_code(text))}", *map(_below, more(text))])


def _below(said: str) -> str:
    """A second paragraph of an item. Four blanks: with two, Python-Markdown ends the list."""
    return textwrap.indent(textwrap.fill(said, WIDTH - 2, break_long_words=False, break_on_hyphens=False), "    ")


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
