"""The five parts, and the steps of each. Every part runs alone, in less than `LIMIT_S` seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.common import ROOT
from benchmarks.gpu import readers
from benchmarks.gpu.forecast import MEMORY
from benchmarks.gpu.steps import Step

LIMIT_S = 470.0
CAP = "8GB"


@dataclass(frozen=True)
class Setting:
    """What was asked for.

    Attributes:
        small: small shapes, on a stand-in for the GPU.
        model: folder of a real model; None: random weights for time and memory, the built-in policy for training.
        env: environment of the training runs.
        peers: interpreters that have peers.
        scratch: a folder for models of random weights; they are written once.
        runs: a new folder for training runs.
    """

    small: bool
    model: str | None
    scratch: Path
    runs: Path
    env: str = "simko/Arithmetic-v0"
    peers: tuple[str, ...] = ()

    def portable(self, text: str) -> str:
        """`text` without the paths of this machine: the checkout becomes `.`, the model `$MODEL`."""
        for path, name in ((self.model, "$MODEL"), (str(ROOT), "."), *((peer, "$PEER_PYTHON") for peer in self.peers)):
            text = text.replace(path, name) if path else text
        return text

    def timed_model(self) -> str:
        """The model whose decoding and training step are timed."""
        return self.model or str(self.scratch / "0.5B")

    def trained_model(self) -> str:
        """The model that is trained."""
        return self.model or "tiny"


def look(setting: Setting) -> list[Step]:
    """Part 1: `simko doctor` and the tests that need a GPU."""
    files = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if "@pytest.mark.gpu" in path.read_text()
    )
    pytest = ("-m", "pytest", "-m", "gpu", "-q", "-rfE", "-p", "no:cacheprovider", *files)
    return [
        Step("doctor", ("-m", "simko", "doctor", "--json"), readers.doctor, limit_s=120),
        Step("tests marked gpu", pytest, readers.tests),
    ]


def speed(setting: Setting) -> list[Step]:
    """Part 2: the head beside its two GEMMs and peers, decoding beside `generate` at two batch sizes."""
    floor = {"simko / two GEMMs": ("wall_s", "simko", "two GEMMs")}
    peers = {f"simko / {name}": ("wall_s", "simko", name) for name in ("liger", "trl", "naive")}
    decode = {"ours / generate": ("wall_s", "ours", "generate")}
    model = {"SIMKO_DECODE_MODEL": setting.timed_model()}
    steps = [_benchmark(setting, "head and its floor", "head", floor, ("two GEMMs",)), *_random_model(setting)]
    for rows in (64, 256):
        sizes = {"SIMKO_DECODE_PROMPTS": str(rows // 4), "SIMKO_DECODE_MEAN": "128"}
        step = _benchmark(setting, f"decode, batch {rows}", "decode", decode, ("ours, NF4 + LoRA", "generate"), 2)
        steps.append(Step(step.name, step.command, step.read, model | sizes))
    return [*steps, _benchmark(setting, "head beside peers", "head", peers, ("liger", "trl", "naive"))]


def memory(setting: Setting) -> list[Step]:
    """Part 3: a training step beside TRL's, and the forecast against the measured peak."""
    ratios = {
        f"{name} / {peer}": (metric, "ours, small", peer)
        for name, metric in (("time", "wall_s"), ("peak", "peak_mib"))
        for peer in ("trl", "trl, activations kept")
    }
    step = _benchmark(setting, "step beside TRL", "step", ratios, (), 2)
    command = [("-m", "benchmarks.gpu.forecast", shape, str(setting.scratch / shape)) for shape in MEMORY]
    return [
        *(
            Step(f"forecast, {words[2]}", (*words, *_small(setting)), readers.forecast, limit_s=150)
            for words in command
        ),
        *_random_model(setting),
        Step(step.name, step.command, step.read, {"SIMKO_STEP_MODEL": setting.timed_model()}),
    ]


def training(setting: Setting) -> list[Step]:
    """Part 4: a SimKO run of a real model, and pass@K before and after it."""
    return _train_and_evaluate(setting, "free", ())


def capped(setting: Setting) -> list[Step]:
    """Part 5: the same within 8 GB."""
    return _train_and_evaluate(setting, f"within {CAP}", ("benchmarks.gpu.capped", CAP))


PARTS: dict[int, Callable[[Setting], list[Step]]] = {1: look, 2: speed, 3: memory, 4: training, 5: capped}


def title(part: int) -> str:
    """What a part does, in one line."""
    return (PARTS[part].__doc__ or "").split("\n")[0].partition(": ")[2].rstrip(".")


def _train_and_evaluate(setting: Setting, name: str, wrapper: tuple[str, ...]) -> list[Step]:
    run = setting.runs / name.replace(" ", "-")
    simko = ("-m", *(wrapper or ("simko",)))
    small = setting.small
    work = {
        "model": setting.trained_model(),
        "env": setting.env,
        "out": str(run),
        "steps": 2 if small else 400,
        "prompts-per-step": 4 if small else 16,
        "group-size": 4 if small else 8,
        "preflight-prompts": 0,
        "eval-problems": 0,
        "checkpoint-every": 5,
        "logger": "none",
    }
    if setting.model is not None and not small:
        work["max-new-tokens"] = 256
    flags = [text for key, value in work.items() for text in (f"--{key}", str(value))]
    planned = ("--memory", CAP) if wrapper else ()
    problems = ("--problems", "4" if small else "64", "-n", "4" if small else "32")
    return [
        Step(
            f"SimKO run, {name}", (*simko, "train", *flags, *planned), partial(readers.training, run=run),
            limit_s=270, stop_s=210,
        ),
        Step(
            f"pass@K before and after, {name}", (*simko, "eval", str(run), *problems, "--json"),
            lambda stdout: readers.evaluation(stdout.partition("\ncap: ")[0]), limit_s=240,
        ),
    ]  # fmt: skip


def _benchmark(
    setting: Setting, name: str, benchmark: str, ratios: dict[str, tuple[str, str, str]], only: tuple[str, ...],
    repeats: int = 3,
) -> Step:  # fmt: skip
    peers = [text for python in setting.peers for text in ("--peer-python", python)]
    size = ("--quick",) if setting.small else ("--repeats", str(repeats))
    cases = [text for case in only for text in ("--only", case)]
    command = ("-m", "benchmarks", benchmark, "--json", *size, *cases, *peers)
    return Step(name, command, partial(readers.benchmark, ratios=ratios))


def _random_model(setting: Setting) -> list[Step]:
    """Write the model that stands in for a real one, where none was named."""
    if setting.model is not None:
        return []
    command = ("-m", "benchmarks.gpu.random_models", "0.5B", setting.timed_model(), *_small(setting))
    return [
        Step("write a model of random weights, 0.5B", command, lambda out: {"values": json.loads(out)}, limit_s=120)
    ]


def _small(setting: Setting) -> tuple[str, ...]:
    return ("--small",) if setting.small else ()
