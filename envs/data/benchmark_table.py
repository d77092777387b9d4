"""The table of the maths benchmarks: names, splits, columns, numbers of rows, and rows known to be bad."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simko.envs.data import golds
from simko.envs.data.chat import CHAT_COLUMNS
from simko.envs.data.loading import Row
from simko.envs.data.rows import text_of
from simko.envs.data.solutions import boxed_answer
from simko.envs.verifiers.numeric import stated

Reader = Callable[[Any], str | None]
PROBLEM = ("problem", "question", *CHAT_COLUMNS)  # SimKO's parquet files have a chat in `prompt`
_HASHES = "end it with '#### ' and the number, or take simko/JSONL-v0 for answers of other kinds"
SUBJECTS = "algebra counting_and_probability geometry intermediate_algebra number_theory prealgebra precalculus"  # MATH's configs


def plain(value: Any) -> str | None:
    """The text of the answer column, unchanged."""
    return text_of(value)


def after_hashes(value: Any) -> str | None:
    """The number after the last `####` of a GSM8K answer, without commas. A text that is one number is taken whole.

    Raises `ValueError` for any other text.
    """
    text = text_of(value)
    if text is None:
        return None
    _, hashes, answer = text.rpartition("####")
    answer = answer.strip().replace(",", "")
    if answer and stated(answer) is None:
        raise ValueError(
            f"no number stands behind its '####'; {_HASHES}"
            if hashes
            else f"it has no '####' and is no number; {_HASHES}"
        )
    return answer or None


def after_answer(value: Any) -> str | None:
    """The text after the last `# Answer`, which four rows of SimKO's mixture need. Other texts are taken whole."""
    text = text_of(value)
    return text_of(text.rsplit("# Answer", 1)[-1].strip()) if text else None


def in_box(value: Any) -> str | None:
    """The answer that a worked solution boxes. Raises `UnclearError` where it cannot be told."""
    text = text_of(value)
    return boxed_answer(text) if text else None


def joined(value: Any) -> str | None:
    """A list of answers as one text, with commas between them."""
    texts = [text_of(item) for item in value] if isinstance(value, list) and value else [None]
    return None if None in texts else ", ".join(map(str, texts))


ANSWER: Mapping[str, Reader] = {
    "answer": plain,
    "solution": in_box,
    "reward_model.ground_truth.solution": in_box,
    "reward_model.ground_truth.target": plain,
    "reward_model.ground_truth": plain,
}


@dataclass(frozen=True)
class Benchmark:
    """What the loader must know about a data set. Columns (or paths in nested ones) are tried in order."""

    name: str
    hub: str
    """The data set on the Hub, or a text that says where else the rows come from."""
    splits: Mapping[str, str]
    """Our split to the Hub's. A split that is not listed does not exist."""
    files: Mapping[str, tuple[str, ...]]
    """Our split to names of files without endings: the normalised name first, then those of other origins."""
    published: Mapping[str, int]
    """How many rows each split was published with."""
    configs: tuple[str, ...] = ()
    problem: tuple[str, ...] = PROBLEM
    answer: Mapping[str, Reader] = field(default_factory=lambda: ANSWER)
    gold: Callable[[str, Row], str] = lambda answer, row: answer
    """Makes the gold answer from the answer column and the rest of the row."""
    known_bad: Mapping[str, str] = field(default_factory=dict)
    """Rows that are bad as published: the digest of the problem, to its id and what is wrong."""


TEST = {"eval": "test"}
TABLE = {
    row.name: row
    for row in (
        Benchmark(
            "gsm8k",
            "openai/gsm8k",
            {"train": "train", "eval": "test"},
            {"train": ("gsm8k_train",), "eval": ("gsm8k_test",)},
            {"train": 7473, "eval": 1319},
            configs=("main",),
            answer={"answer": after_hashes},
        ),
        Benchmark(
            "math",
            "EleutherAI/hendrycks_math",
            {"train": "train", "eval": "test"},
            {"train": ("math_train", "simko_math_train"), "eval": ("math_test", "simko_math_test")},
            {"train": 7500, "eval": 5000},
            configs=tuple(SUBJECTS.split()),
            known_bad={
                "16b06b5a4ff2": "math-train-5341: its solution ends in an empty box",
                "66104c656d6e": "math-train-5343: its solution ends in an empty box",
            },
        ),
        Benchmark("math500", "HuggingFaceH4/MATH-500", TEST, {"eval": ("math500",)}, {"eval": 500}),
        Benchmark("aime24", "math-ai/aime24", TEST, {"eval": ("aime24",)}, {"eval": 30}),
        Benchmark("aime25", "math-ai/aime25", TEST, {"eval": ("aime25", "simko_aime2025_test")}, {"eval": 30}),
        Benchmark("amc23", "math-ai/amc23", TEST, {"eval": ("amc23", "simko_amc23_test")}, {"eval": 40}),
        Benchmark(
            "minerva",
            "math-ai/minervamath",
            TEST,
            {"eval": ("minerva_math",)},
            {"eval": 272},
            gold=golds.minerva,
        ),
        Benchmark(
            "olympiadbench",
            "math-ai/olympiadbench",
            TEST,
            {"eval": ("olympiadbench",)},
            {"eval": 674},
            answer={"final_answer": joined, "answer": plain},
            gold=golds.olympiadbench,
        ),
        Benchmark(
            "simko-gsm8k-l1",
            "the repository CLR-Lab/SimKO (gsm8k_level1/train.parquet)",
            {"train": "train"},
            {"train": ("simko_gsm8k_level1_train",)},
            {"train": 8388},
            answer={"reward_model.ground_truth": after_answer, "answer": after_answer},
        ),
    )
}
