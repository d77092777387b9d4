"""Examples of each command, for --help. A test parses every line with the real command line, and runs those that are quick.

RUN stands for a run folder: `simko train` says at its end where that is.
"""

from __future__ import annotations

from typing import NamedTuple

RUN = "runs/tiny-countdown-v0-simko-seed0"
"""The folder of `simko train` without flags."""
_MODEL, _GSM8K = "Qwen/Qwen3-0.6B", "simko/GSM8K-v0"


class Example(NamedTuple):
    """A command line that can be copied, and why one would type it."""

    why: str
    line: str


def examples_of(command: str) -> list[Example]:
    """The examples of a command, as `simko env show`; none where nobody wrote one."""
    return [Example(why, line) for why, line in _EXAMPLES.get(command.removeprefix("simko").strip(), ())]


def commands() -> list[str]:
    """The commands that have examples, without `simko`."""
    return list(_EXAMPLES)


_EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "train": (
        ("the built-in tiny policy on number puzzles, on a CPU; no download", "simko train"),
        (
            "a small model on school maths; `simko plan` says first whether it fits",
            f"simko train --model {_MODEL} --env {_GSM8K}",
        ),
        ("go on with a finished run, to step 300", f"simko train --resume {RUN} --steps 300"),
        ("what would be trained, as a file that --config reads", "simko train --algorithm grpo --dry-run"),
    ),
    "eval": (
        ("pass@K of a run on held-out problems, beside its base model", f"simko eval {RUN}"),
        ("the same, quicker and rougher", f"simko eval {RUN} -n 16 --problems 32"),
        ("a model that was not trained", f"simko eval {_MODEL} --env {_GSM8K} -n 64"),
    ),
    "algorithms": (
        ("every method in a line", "simko algorithms"),
        ("the settings of one, which `simko train` takes as flags", "simko algorithms simko"),
    ),
    "recipes": (
        ("which settings come with simko, and what they take", "simko recipes"),
        ("one of them, as a file of your own to change", "simko recipes countdown --out mine.yaml"),
    ),
    "plan": (
        ("does this model fit a card of 8 GB?", f"simko plan --model {_MODEL} --env {_GSM8K} --memory 8GB"),
        ("which models fit which cards", "simko plan --table"),
    ),
    "watch": (
        ("follow a run from another terminal", f"simko watch {RUN}"),
        ("how it stands now, once", f"simko watch {RUN} --once"),
    ),
    "inspect": (
        ("the answers that disagree most, in the last step", f"simko inspect {RUN}"),
        ("the answers of the first step to one problem", f"simko inspect {RUN} --step 1 --problem countdown"),
    ),
    "report": (
        ("one page of HTML about a run", f"simko report {RUN} -o report.html"),
        ("the same page, which follows a run that goes on", f"simko report {RUN} --serve"),
    ),
    "sample": (
        ("a few answers of a run with their verdicts", f"simko sample {RUN}"),
        ("can this model solve these problems at all?", f"simko sample {_MODEL} --env {_GSM8K} --problems 5"),
    ),
    "chat": (("talk to a trained policy", f"simko chat {RUN}"),),
    "compare": (
        (
            "two methods over five seeds, on the built-in tiny policy; it takes hours",
            "simko compare --algorithms grpo,simko --seeds 5 --out comparison",
        ),
        (
            "what that would run, and for how long",
            "simko compare --algorithms grpo,simko --seeds 5 --out comparison --dry-run",
        ),
        ("go on where it stopped; print the table of a finished one", "simko compare comparison"),
    ),
    "sweep": (
        ("tune each arm of a study on tuning problems", "simko sweep study.yaml --out tuning"),
        ("what that would run", "simko sweep study.yaml --out tuning --dry-run"),
    ),
    "results": (
        ("the numbers of an evaluation", f"simko results {RUN}"),
        ("the same as a table for a spreadsheet", f"simko results {RUN} --format csv -o results.csv"),
    ),
    "env": (
        ("which tasks there are", "simko env list"),
        ("one problem as a model sees it", "simko env show simko/Countdown-v0"),
    ),
    "env list": (("which tasks there are", "simko env list"),),
    "env show": (
        ("a problem, its prompt and its gold answer", "simko env show simko/Countdown-v0"),
        ("a harder one", "simko env show simko/Countdown-v0 --level 3 --seed 7"),
    ),
    "env look": (
        (
            "what is read out of your file, and which rows are refused",
            "simko env look --data rows.csv --columns problem=question,answer=solution",
        ),
    ),
    "env check": (("does an environment keep the contract?", "simko env check simko/Countdown-v0"),),
    "env audit": (("every row of one data set", f"simko env audit {_GSM8K}"),),
    "env play": (("answer problems yourself", "simko env play simko/Countdown-v0"),),
    "env new": (
        ("a package with an environment, a verifier and tests", "simko env new my_task"),
        ("the same in one file", "simko env new my_task --single"),
    ),
    "verify": (
        ("why is this answer right or wrong?", "simko verify explain 0.5 'so the answer is \\boxed{1/2}'"),
        ("try to cheat a verifier", "simko verify audit math"),
    ),
    "verify audit": (
        ("try to cheat the bundled verifier for maths", "simko verify audit math"),
        (
            "a function of your own",
            "simko verify audit my_task:check --gold 42 --right 'it is 42' --wrong 41",
        ),
    ),
    "verify explain": (
        ("step by step to the verdict", "simko verify explain 0.5 'so the answer is \\boxed{1/2}'"),
    ),
    "verify rescore": (("would another verifier have given other rewards?", f"simko verify rescore {RUN}"),),
    "export": (
        ("one model for transformers and vLLM, checked against the policy", f"simko export {RUN} --merged model --check"),
        ("a file for llama.cpp and Ollama", f"simko export {RUN} --gguf q4_k_m"),
        ("the adapter alone, as a PEFT folder", f"simko export {RUN} --adapter adapter"),
    ),
    "doctor": (
        ("does this machine have what training needs?", "simko doctor"),
        ("can several cards work together?", "simko doctor --gpus"),
    ),
}  # fmt: skip
