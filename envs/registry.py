"""The registry: the table of environments, and the function that makes one.

Entry points are strings. So a spec can be written as JSON and pickled, and importing this module imports no task.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium

from simko.envs.token_env import TokenEnv
from simko.errors import UserError, nearest

_ID = re.compile(r"[\w-]+/[\w-]+-v\d+")
REASON = "\nPlease reason step by step, and put your final answer within \\boxed{}."
PROGRAM = "\nWrite the whole program in Python, in one block that begins with ```python and ends with ```."


@dataclass(frozen=True, slots=True)
class EnvInfo:
    """One registered environment, as `simko env list --json` prints it."""

    id: str
    title: str
    tasks: str
    """Entry point `"module:name"` of the class that makes the `TaskSource` from `(split, level, data)`."""
    verifier: str
    source: str = "procedural"
    """Where the problems come from: `procedural`, a data set on the Hub, or a file."""
    instruction: str = ""
    """Appended to every problem as it is."""
    max_prompt_tokens: int = 512
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    levels: tuple[int, ...] = ()
    turns: int = 1
    reply: str | None = None
    """Entry point of `reply(task, turns)`, if the environment answers back."""

    def settings(self) -> dict[str, Any]:
        """The settings of `TokenEnv`, ready for JSON."""
        return {
            "source": self.tasks,
            "verifier": self.verifier,
            "instruction": self.instruction,
            "max_prompt_tokens": self.max_prompt_tokens,
            "max_new_tokens": self.max_new_tokens,
            "stop": list(self.stop),
            "reply": self.reply,
        }


_LEVELS = (1, 2, 3, 4, 5)
_BENCHMARKS = (
    # name, verifier, data set on the Hub, max_prompt_tokens, max_new_tokens, levels, title
    ("GSM8K", "math", "openai/gsm8k", 1536, 512, (), "Grade-school maths in words"),
    ("MATH500", "math", "HuggingFaceH4/MATH-500", 2560, 1024, _LEVELS, "Competition maths, 500 problems"),
    ("MATH", "math", "EleutherAI/hendrycks_math", 6144, 1024, _LEVELS,
     "Competition maths: 7500 problems to train on, 5000 to test"),
    ("AIME24", "math", "math-ai/aime24", 2560, 3072, (), "AIME 2024, 30 problems (evaluation only)"),
    ("AIME25", "math", "math-ai/aime25", 2560, 3072, (), "AIME 2025, 30 problems (evaluation only)"),
    ("AMC23", "math", "math-ai/amc23", 2560, 2048, (), "AMC 2023, 40 problems (evaluation only)"),
    ("Minerva", "math_row", "math-ai/minervamath", 8192, 2048, (),
     "University physics, chemistry and maths, 272 problems (evaluation only)"),
    ("OlympiadBench", "math_row", "math-ai/olympiadbench", 6144, 3072, (), "Olympiad maths, 674 problems (evaluation only)"),
)  # fmt: skip


def _benchmarks() -> Iterator[EnvInfo]:
    for name, verifier, hub, max_prompt_tokens, max_new_tokens, levels, title in _BENCHMARKS:
        yield EnvInfo(
            id=f"simko/{name}-v0",
            title=title,
            tasks=f"simko.envs.data.benchmarks:{name}",
            verifier=verifier,
            source=hub,
            instruction=REASON,
            max_prompt_tokens=max_prompt_tokens,
            max_new_tokens=max_new_tokens,
            levels=levels,
        )


BUNDLED = (
    EnvInfo(
        id="simko/Countdown-v0",
        title="Combine the given numbers with + - * / to reach the target",
        tasks="simko.envs.puzzles.countdown:Countdown",
        verifier="expression",
        max_new_tokens=64,
        levels=(1, 2, 3, 4, 5),
    ),
    EnvInfo(
        id="simko/Arithmetic-v0",
        title="Work out a chain of additions, subtractions and multiplications",
        tasks="simko.envs.puzzles.arithmetic:Arithmetic",
        verifier="numeric",
        instruction=" Reply with the number only.",
        max_new_tokens=32,
        levels=(1, 2, 3, 4, 5, 6),
    ),
    EnvInfo(
        id="simko/KnightsKnaves-v0",
        title="Who tells the truth, who lies?",
        tasks="simko.envs.puzzles.knights:KnightsKnaves",
        verifier="knights",
        max_prompt_tokens=1536,
        levels=(2, 3, 4, 5),
    ),
    EnvInfo(
        id="simko/TreeMDP-v0",
        title="A toy tree of three choices out of four with six rewarded paths",
        tasks="simko.envs.puzzles.tree_mdp:TreeMDP",
        verifier="tree_mdp",
        max_new_tokens=8,
        levels=(1, 2, 3),
    ),
    EnvInfo(
        id="simko/GuessNumber-v0",
        title="Guess a number in two turns, with a hint between them",
        tasks="simko.envs.puzzles.guess_number:GuessNumber",
        verifier="guess_number",
        max_new_tokens=160,
        levels=(1, 2, 3, 4),
        turns=2,
        reply="simko.envs.puzzles.guess_number:reply",
    ),
    EnvInfo(
        id="simko/Calculator-v0",
        title="Work out long products with a calculator, up to three calls",
        tasks="simko.envs.puzzles.calculator:Calculator",
        verifier="numeric",
        instruction=" You may use a calculator 3 times: write <calc>12*34</calc> and you are told the result. "
        "Then reply with the number only.",
        levels=(1, 2, 3, 4),
        turns=5,
        reply="simko.envs.puzzles.calculator:reply",
    ),
    EnvInfo(
        id="simko/JSONL-v0",
        title="Problems of your own: a JSONL file of {problem, answer}, given by data=",
        tasks="simko.envs.data.jsonl:JSONL",
        verifier="math",
        source="data=PATH",
        instruction=REASON,
        max_prompt_tokens=8192,
        max_new_tokens=512,
    ),
    *_benchmarks(),
    EnvInfo(
        id="simko/SimKO-GSM8K-L1-v0",
        title="SimKO's training mixture: GSM8K and MATH level 1 (training only)",
        tasks="simko.envs.data.benchmarks:SimKOMixture",
        verifier="math",
        source="CLR-Lab/SimKO",
        instruction=REASON,
        max_prompt_tokens=2560,
        max_new_tokens=512,
    ),
    EnvInfo(
        id="simko/BBH-v0",
        title="BIG-Bench Hard, 27 tasks, 6511 problems (evaluation only)",
        tasks="simko.envs.data.bbh:BBH",
        verifier="bbh",
        source="lukaemon/bbh",
        instruction=REASON,
        max_prompt_tokens=4096,
        max_new_tokens=1024,
    ),
    EnvInfo(
        id="simko/SynLogic-v0",
        title="Logic puzzles of 28 kinds, checked by their rules",
        tasks="simko.envs.data.synlogic:SynLogic",
        verifier="synlogic",
        source="MiniMaxAI/SynLogic",
        max_prompt_tokens=8192,
        max_new_tokens=2048,
    ),
    EnvInfo(
        id="simko/HumanEval-v0",
        title="Python functions to complete, 164 problems (evaluation only)",
        tasks="simko.envs.data.code:HumanEval",
        verifier="code",
        source="openai/openai_humaneval",
        instruction=PROGRAM,
        max_prompt_tokens=2560,
        max_new_tokens=1024,
    ),
    EnvInfo(
        id="simko/MBPP-v0",
        title="Short Python functions from a sentence: 374 to train on, 500 to test",
        tasks="simko.envs.data.code:MBPP",
        verifier="code",
        source="google-research-datasets/mbpp",
        instruction=PROGRAM,
        max_prompt_tokens=2560,
        max_new_tokens=1536,
    ),
    EnvInfo(
        id="simko/Code-v0",
        title="Programs of your own tasks: a JSONL file of {problem, tests} or {problem, inputs, outputs}, by data=",
        tasks="simko.envs.data.code:Code",
        verifier="code",
        source="data=PATH",
        instruction=PROGRAM,
        max_prompt_tokens=8192,
        max_new_tokens=1024,
    ),
    EnvInfo(
        id="simko/ReasoningGym-v0",
        title="Tasks of reasoning-gym, given by data=TASK",
        tasks="simko.envs.foreign.reasoning_gym:ReasoningGym",
        verifier="reasoning_gym",
        source="data=TASK",
        instruction="\nGive your final answer between <answer> and </answer>.",
        max_prompt_tokens=8192,
        max_new_tokens=1024,
    ),
    EnvInfo(
        id="simko/Verifiers-v0",
        title="A taskset of verifiers, given by data=MODULE, in the interpreter --python",
        tasks="simko.envs.foreign.taskset:Verifiers",
        verifier="taskset",
        source="data=MODULE",
        max_prompt_tokens=8192,
        max_new_tokens=1024,
    ),
    EnvInfo(
        id="simko/OpenEnv-v0",
        title="Episodes on a server of OpenEnv, given by data=ws://HOST:PORT",
        tasks="simko.envs.foreign.openenv:OpenEnv",
        verifier="openenv",
        source="data=URL",
        max_prompt_tokens=8192,
        max_new_tokens=1024,
        turns=8,
        reply="simko.envs.foreign.openenv:reply",
    ),
)
ENTRY_POINT = "simko.envs.token_env:make_env"
"""What makes the environments that are registered here."""
_specs: dict[str, EnvInfo] = {}


def register(info: EnvInfo) -> None:
    """Register an environment with Gymnasium. The same id again, as from a notebook cell run twice, replaces the first.

    Raises `UserError` for a malformed id, and for the id of a bundled environment.
    """
    if not _ID.fullmatch(info.id):
        raise UserError(f"environment id '{info.id}' is refused; use the form my/Name-v0")
    if info.id in _specs and info.id in {row.id for row in BUNDLED}:
        raise UserError(f"environment id '{info.id}' is one of simko's own; take another namespace")
    gymnasium.registry.pop(info.id, None)  # Gymnasium warns if an id is replaced
    gymnasium.register(
        info.id,
        entry_point=ENTRY_POINT,
        vector_entry_point="simko.envs.vector_env:make_vector_env",
        kwargs={"env": info.settings()},
    )
    _specs[info.id] = info


def register_all() -> None:
    """Register the bundled environments; a second call does nothing."""
    for info in BUNDLED:
        if info.id not in _specs:
            register(info)


def names_data(id: str) -> bool:
    """Whether `data` of this environment is a name or an address, and no file."""
    info = _specs.get(id)
    return info is not None and info.source in ("data=TASK", "data=MODULE", "data=URL")


def specs() -> list[EnvInfo]:
    """Every environment that simko registered: the bundled ones first, then those of `@simko.envs.task`."""
    return list(_specs.values())


def make(id: str, **settings: Any) -> TokenEnv:
    """Make the bare `TokenEnv` of an id, of `"module:id"` (importing the module registers it), or of `"jsonl:PATH"`.

    `settings` are `TokenEnv`'s keywords; None keeps the environment's own. Raises `UserError` if the id is not
    registered, if the module cannot be imported, or if the environment is not a `TokenEnv`.
    """
    name, settings = resolve(id, settings)
    env = gymnasium.make(name, disable_env_checker=True, **settings).unwrapped
    if not isinstance(env, TokenEnv):
        raise UserError(
            f"environment '{id}' is a {type(env).__name__}, not a simko.envs.TokenEnv: it has no tokens; "
            "make one with simko.envs.task"
        )
    return env


def _import(module: str, id: str) -> None:
    """Import the module of an environment, which is its author's code and may raise anything."""
    try:
        importlib.import_module(module)
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit, too: it would end the command without a word
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module}.".startswith(f"{missing}."):
            raise UserError(f"environment '{id}': {error}; install '{module}' or run where it is found") from error
        what = " ".join(f"{type(error).__name__}: {error}".split())
        mend = f"install '{missing}'" if missing else "mend the module; --debug shows where"
        raise UserError(f"environment '{id}': importing {module} raised {what:.300}; {mend}") from error


def resolve(id: str, settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Import the module of `id`, and return the Gymnasium id and the settings that go with it.

    Raises `UserError` if the module cannot be imported, the id is not registered, or `jsonl:PATH` comes with other data.
    """
    if id.startswith("jsonl:"):
        path = id.removeprefix("jsonl:")
        if settings.get("data") not in (None, path):
            raise UserError(
                f"environment '{id}' names its data, and data is '{settings['data']}'; leave one of the two out"
            )
        return "simko/JSONL-v0", {**settings, "data": path}
    module, _, name = id.rpartition(":")
    if module:
        _import(module, id)
    if name not in gymnasium.registry:
        hint = nearest(name, gymnasium.registry)
        raise UserError(f"no environment '{name}'{hint} (see `simko env list`; one of a package is 'package:id')")
    return name, settings
