"""docs/reference/errors.md: every message with its mend, as the source says it, by where it comes from."""

from __future__ import annotations

import textwrap

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
    "fits with …": "This is the plan before the run. [Memory](../how/memory.md) says what takes how much; `simko plan` shows it.",
    "out of memory on one sequence": "The update was halved down to one answer, and that did not fit. "
    "[Memory](../how/memory.md) says what each setting saves.",
    "burn-in: out of memory": "The trial before step 1 failed, so nothing is lost. See [memory](../how/memory.md).",
    "is in use by another process; wait": "Two processes never write to one folder. If no other run is there, the lock is gone "
    "with its process: try again.",
    "checkpoint … is damaged": "A checkpoint whose bytes are not those that were saved is never loaded. "
    "[The run folder](run_folder.md) says which one a resume takes.",
    "none is intact": "All checkpoints are damaged. See [the run folder](run_folder.md).",
    "is not empty; continue it": "A new run never writes over an old one. Without `--out` a run gets a folder of its own.",
    "has changed since the run began": "A resumed run must go on with the same problems. A hash of the data is in its manifest.",
    "… (--keep-good-rows leaves such rows out)": "This stands behind each refused row. `simko env look` lists all of them, so "
    "that you can mend your file at once.",
    "each row needs problem and answer, or name the column": "[Benchmarks](benchmarks.md) and "
    "[environments](../tutorials/environment.md) show rows.",
    "nothing can be learned": "The look before training found no prompt with right and wrong answers. Then no method has a "
    "gradient. Look at some answers with `simko sample`.",
    "steps in a row were skipped: the verifier failed": "Grades did not come, so the run ended. `simko sample` shows answers and "
    "verdicts.",
    "and the Hub is out of reach (…)": "The network, a proxy or the Hub itself. `simko doctor` says whether the Hub answers. A "
    "model folder needs no network.",
    "is gated; accept its terms": "The model's page on the Hub shows the terms. A token is needed after that.",
    "it needs Python code of its own": "simko never runs code out of a model's repository. [Models](models.md) lists which load.",
    "no data at hand": "[Benchmarks](benchmarks.md) says where each data set comes from. `SIMKO_DATA` names a folder of them.",
    "no sandbox for programs": "[Code tasks](../how/code.md) has each sandbox and what it holds.",
    "an earlier state of it": "The adapter was trained on weights that have changed since. [Models](models.md) has the details.",
    "no environment '…'": "Import the module that registers it: give `--env MODULE:ID`. "
    "[Environments](../tutorials/environment.md) has the steps.",
    "not installed; pip install 'simko[…]'": "The extra's name stands in brackets. Quotes keep the shell from reading them.",
    "another of the … processes has ended": "Read the lines above it: the process that failed first says why. "
    "[More than one card](../how/cards.md) has the rest.",
    "and go on with: simko train --resume": "The disk refused, for example because it is full. All steps up to the last "
    "whole one are saved. Mend that, then give the command of the message.",
    "nothing listens there": "The server is not up, or at another address. [Engines](../how/engine.md) has its command.",
}
"""What helps beyond the message's own mend, by words that it has."""


def room(file: str) -> str:
    """The heading for the messages of a file."""
    return next(name for name, places in ROOMS.items() if file.startswith(places))


def more(text: str) -> list[str]:
    """What `MORE` says about a message."""
    return [said for words, said in MORE.items() if words in text]


def pages() -> dict[str, str]:
    """The page, by its path below docs/."""
    found = messages()
    parts = [_head(len({message.text for message in found}))]
    for name in ORDER:
        ours = [message for message in found if room(message.file) == name]
        parts.append(f"## {name}")
        parts += [_of_kind(kind, [message for message in ours if message.kind == kind]) for kind in KINDS]
    return {PAGE: "\n\n".join(part for part in parts if part) + "\n"}


def _head(count: int) -> str:
    intro = f"""Here are the {count} messages of simko, as the source has them. Search this page for words of yours.

A message is one line: where, what is wrong, then the mend. `{GAP}` stands for what your run fills in. An error begins with
`simko: error:`, and the command ends with exit code 2. A note begins with `simko:` alone. `--debug` shows where it was raised."""
    return f"# Error messages and their mends\n{MARKER}\n\n{intro}"


def _of_kind(kind: str, found: list[Message]) -> str:
    if not found:
        return ""
    texts = sorted(dict.fromkeys(message.text for message in found), key=lambda text: (text.lstrip(GAP + ": '"), text))
    items = "\n".join(item(text) for text in texts)
    return f"{KINDS[kind]}\n\n{items}" if KINDS[kind] else items


def item(text: str) -> str:
    """A line of a list: the message as code, and below it what helps more."""
    fence = "``" if "`" in text else "`"
    space = " " if text.startswith("`") or text.endswith("`") else ""
    lines = [_wrapped(f"{fence}{space}{text}{space}{fence}"), *map(_wrapped, more(text))]
    return "- " + "\n\n  ".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
