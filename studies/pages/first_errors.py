"""The messages that a beginner is likely to meet early, in the order of a first day, with what to do."""

from __future__ import annotations

FIRST: tuple[tuple[str, str, str], ...] = (
    (
        "The folder is taken.",
        "is not empty; continue it",
        "A new run never writes over an old one. Go on with the old run, or name another folder. Without `--out` a run gets a "
        "folder of its own.",
    ),
    (
        "A setting is misspelt.",
        "config: unknown key '…'; did you mean '…'?",
        "The message may name what you meant. [Settings](settings.md) has all of them; a flag has `-` where the setting has `_`. "
        "A setting of a method is known only beside that method.",
    ),
    (
        "There is no such environment.",
        "no environment '…'; did you mean '…'?",
        "Those of simko begin with `simko/`. For one of your own name the module, too: `--env MODULE:ID`. "
        "[Environments](../tutorials/environment.md) has the steps.",
    ),
    (
        "There is no such method.",
        "unknown algorithm '…'",
        "[Training methods](../methods/README.md) has a page for each. One of your own is `--algorithm MODULE:NAME`.",
    ),
    (
        "The file of problems is not there.",
        "there is no such file; to fetch it from the Hub",
        "A path is read from the folder in which you type. Quotes keep the shell from reading the brackets.",
    ),
    (
        "The benchmark has no problems yet.",
        "…: no data at hand; give data=<file or folder> (--data), the environment variable SIMKO_DATA=<folder>, or pip",
        "[Benchmarks](benchmarks.md) says where each data set comes from. `SIMKO_DATA` names a folder of them.",
    ),
    (
        "Your columns have other names.",
        "…: no field '…' (it has: …); each row needs problem and answer",
        "Say which is which: `--columns problem=question,answer=key`. [From a CSV](../tutorials/csv.md) shows it.",
    ),
    (
        "A row of your file is refused.",
        "field 'answer' is …, which …",
        "`'numeric' does not verify against itself` means that the verifier cannot read the right answer: no answer would ever "
        "be right. Mend the row, take another verifier, or give `--keep-good-rows`. `simko env look` lists all of them.",
    ),
    (
        "The model's name is wrong.",
        "model '…': no such folder; give a model folder",
        "A name of the Hub has one slash, as `Qwen/Qwen2.5-0.5B-Instruct`. [Models](models.md) lists which load.",
    ),
    (
        "The Hub cannot be reached.",
        "and the Hub is out of reach (…)",
        "It is the network, a proxy or the Hub itself. `simko doctor` says whether the Hub answers. A model folder needs no "
        "network.",
    ),
    (
        "The model asks for consent.",
        "is gated; accept its terms",
        "The model's page on the Hub shows the terms. After that you need a token.",
    ),
    (
        "The model brings code.",
        "it needs Python code of its own",
        "simko never runs code out of a model's repository. [Models](models.md) lists which load.",
    ),
    (
        "The run does not fit the card.",
        "fits with …",
        "This is the plan before the run. Take the settings of the message. [Memory](../how/memory.md) says what takes how much; "
        "`simko plan` shows it.",
    ),
    (
        "Memory ran out before step 1.",
        "burn-in: out of memory",
        "The trial before step 1 failed, so nothing is lost. See what else uses the card: `nvidia-smi`.",
    ),
    (
        "Memory ran out in a step.",
        "out of memory on one sequence",
        "simko halved the update down to one answer, and that did not fit. [Memory](../how/memory.md) says what each setting "
        "saves.",
    ),
    (
        "There is nothing to learn.",
        "nothing can be learned",
        "The look before training found too few problems with right and with wrong answers. Then no method has a gradient. Look "
        "at some answers with `simko sample`; take another level, task or model.",
    ),
    (
        "Another process has the folder.",
        "run folder … is in use by another process; wait",
        "Two processes never write to one run. If no other run is there, the lock is gone with its process: try again.",
    ),
    (
        "The disk is full, or refuses.",
        "and go on with: simko train --resume",
        "All steps up to the last whole one are saved. Make room, then give the command of the message.",
    ),
    (
        "The data changed under a run.",
        "has changed since the run began",
        "A resumed run must go on with the same problems. A hash of the data is in its manifest.",
    ),
    (
        "Something is not installed.",
        "not installed; pip install 'simko[…]'",
        "The extra's name stands in brackets. Quotes keep the shell from reading them.",
    ),
    (
        "Programs of a model have no sandbox.",
        "no sandbox for programs",
        "Code tasks run what a model wrote, so they need one. [Code tasks](../how/code.md) has each sandbox and what it holds.",
    ),
)
"""What happened; the message, or words that it alone has; what to do."""
