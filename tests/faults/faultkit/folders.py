"""Run folders that are taken, configs that differ, models and adapters that are not those of the run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faultkit.compare import difference
from faultkit.lab import Lab, Result, finish, finished_as
from faultkit.runs import ROOT, TINY, Ran, Server, copy_run

FOUR = ("--steps", "4", "--checkpoint-every", "2")
RESUME = ("train", "--resume", "run")


def occupied(lab: Lab) -> Result:
    """Folders that are in use, are used, or cannot be folders."""
    reference = lab.reference(*FOUR)
    new = [*TINY, *FOUR, "--out"]

    def trial(server: Server, cwd: Path, what: str) -> str | None:
        if what.startswith("held"):
            return _held(lab, server, cwd, reference)
        run, file = copy_run(reference, cwd / "run"), cwd / "file"
        file.write_text("mine")
        (cwd / "notes").mkdir()
        (cwd / "notes" / "a.txt").write_text("mine")
        before = {p: p.read_bytes() for p in cwd.rglob("*") if p.is_file()}
        argv, words = cases[what]
        ran = server.run(argv, cwd)
        if bad := _refused(ran, words):
            return bad
        after = {p: p.read_bytes() for p in cwd.rglob("*") if p.is_file()}
        return difference(run, reference) or (None if before == after else "something in the folder changed")

    cases: dict[str, tuple[Sequence[str], Sequence[str]]] = {
        "a finished run": ([*new, "run"], ("run", "not empty", "--resume")),
        "a folder of other files": ([*new, "notes"], ("notes", "not empty")),
        "a file": ([*new, "file"], ("file",)),
        "a place below a file": ([*new, "file/below"], ("file/below",)),
        "resume of a folder of other files": (["train", "--resume", "notes"], ("notes", "not a run folder")),
        "resume of nothing": (["train", "--resume", "gone"], ("gone", "not a run folder")),
        "resume of a file": (["train", "--resume", "file"], ("file", "not a run folder")),
        "eval of nothing": (["eval", "./gone"], ("gone",)),
        "export over a run": (["export", "run", "--adapter", "run"], ("run",)),
        "export over other files": (["export", "run", "--merged", "notes"], ("notes",)),
    }
    name = "a run folder that is in use, used, or none"
    return lab.each(name, trial, ["held by a running process", *lab.some(sorted(cases), 1, name)][lab.quick :])


def _held(lab: Lab, server: Server, cwd: Path, reference: Path) -> str | None:
    """A second process is refused while the first one works; after `kill -9` of the first, nothing holds the folder."""
    with Server(lab.base) as other:
        stall = {"root": str(cwd / "run"), "stall_at": 40, "stall": 60.0}
        first: list[Ran] = []
        pids: list[int] = []

        def begin() -> None:
            first.append(other.run([*TINY, *FOUR, "--out", "run"], cwd, inject=stall, watch=pids.append))

        thread = threading.Thread(target=begin)
        thread.start()
        waiting = threading.Event()
        while not (cwd / "run" / "config.yaml").exists() and thread.is_alive():
            waiting.wait(0.05)
        for argv in ([*RESUME], [*TINY, *FOUR, "--out", "run"]):
            ran = server.run(argv, cwd)
            if bad := _refused(ran, ("run",)):
                return bad
        os.kill(pids[0], signal.SIGKILL)
        thread.join()
    return finished_as(finish(server, cwd, FOUR), cwd, reference)


def other_configs(lab: Lab) -> Result:
    """A resume with a setting that would make it another run, an edited config.yaml, data that has changed."""
    reference = lab.reference(*FOUR)
    flags = [
        ("--learning-rate", "0.1"), ("--seed", "7"), ("--env", "simko/Arithmetic-v0"), ("--group-size", "8"),
        ("--alpha", "0.5"), ("--prompts-per-step", "3"), ("--lora-rank", "8"), ("--algorithm", "grpo"), ("--level", "2"),
        ("--temperature", "0.7"), ("--max-new-tokens", "8"), ("--model", "other"), ("--top-k", "5"), ("--steps", "-1"),
        ("--no-such-flag", "1"), ("--learning-rate", "nan"), ("--checkpoint-every", "0"), ("--quantization", "nf5"),
    ]  # fmt: skip

    def trial(server: Server, cwd: Path, item: tuple[str, str]) -> str | None:
        run = copy_run(reference, cwd / "run")
        ran = server.run([*RESUME, *item], cwd)
        return _refused(ran, (item[0].strip("-").split("-")[0],)) or difference(run, reference)

    name = "a resume with settings that differ from the run's"
    return lab.each(name, trial, lab.some(flags, 2, name))


def other_models(lab: Lab) -> Result:
    """A base model that changed, was cut short or is gone; an adapter of another shape, damaged, or with a foreign base."""
    start = lab.once("run on a copied model", lambda: _on_copied_model(lab))
    commands = {
        "resume": [*RESUME, "--steps", "6"],
        "eval": ["eval", "run", "-n", "2", "--problems", "2"],
        "export": ["export", "run", "--merged", "out"],
    }

    def weights(cwd: Path) -> Path:
        return cwd / "model" / "model.safetensors"

    def changed(cwd: Path) -> None:
        data = bytearray(weights(cwd).read_bytes())
        data[len(data) // 2] ^= 0x40
        weights(cwd).write_bytes(bytes(data))

    def cut(cwd: Path) -> None:
        weights(cwd).write_bytes(weights(cwd).read_bytes()[:5000])

    def gone(cwd: Path) -> None:
        shutil.rmtree(cwd / "model")

    def no_weights(cwd: Path) -> None:
        weights(cwd).unlink()

    def wider(cwd: Path) -> None:
        path = cwd / "model" / "config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps({**config, "hidden_size": 2 * config["hidden_size"]}))

    def broken_config(cwd: Path) -> None:
        (cwd / "model" / "config.json").write_text('{"model_type": ')

    def broken_tokenizer(cwd: Path) -> None:
        (cwd / "model" / "tokenizer.json").write_text("{}")

    changes: dict[str, Callable[[Path], Any]] = {
        "one bit of the base's weights": changed, "the base's weights cut short": cut, "the base gone": gone,
        "the base's weights gone": no_weights, "the base's config of another size": wider,
        "the base's config broken": broken_config, "the base's tokenizer broken": broken_tokenizer,
    }  # fmt: skip

    def trial(server: Server, cwd: Path, item: tuple[str, str]) -> str | None:
        what, command = item
        shutil.copytree(start, cwd, dirs_exist_ok=True)
        before = {p: p.read_bytes() for p in (cwd / "run" / "checkpoints").rglob("*") if p.is_file()}
        changes[what](cwd)
        ran = server.run(commands[command], cwd)
        if bad := _refused(ran, ("model",)):
            return bad
        lost = [str(p) for p, data in before.items() if not p.exists() or p.read_bytes() != data]
        return f"changed although refused: {lost}" if lost else None

    name = "a base model that is not the run's any more"
    items = [(what, command) for what in changes for command in commands]
    return lab.each(name, trial, lab.some(items, 1, name))


def adapters(lab: Lab) -> Result:
    """`eval tiny --adapter DIR` with an adapter that is damaged, or of another model."""
    reference = lab.reference(*FOUR)

    def config(**changes: Any) -> Callable[[Path], Any]:
        def write(adapter: Path) -> None:
            path = adapter / "adapter_config.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

        return write

    def in_file(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
        return lambda adapter: (adapter / name).write_bytes(change((adapter / name).read_bytes()))

    model = "adapter_model.safetensors"
    changes: dict[str, Callable[[Path], Any]] = {
        "another rank in its config": config(r=5),
        "rank 0": config(r=0),
        "rank as text": config(r="four"),
        "other layers": config(target_modules=["no_such_layer"]),
        "another kind": config(peft_type="IA3"),
        "config no JSON": in_file("adapter_config.json", lambda data: data[:-5]),
        "config gone": lambda adapter: (adapter / "adapter_config.json").unlink(),
        "weights cut short": in_file(model, lambda data: data[: len(data) // 2]),
        "weights empty": in_file(model, lambda data: b""),
        "weights no safetensors": in_file(model, lambda data: b"\x80\x04pickle" * 100),
        "header length of 2^60": in_file(model, lambda data: (1 << 60).to_bytes(8, "little") + data[8:]),
        "header damaged": in_file(model, lambda data: data[:20] + b"}" + data[21:]),
        "weights gone": lambda adapter: (adapter / model).unlink(),
        "not a number among the weights": in_file(model, lambda data: data[:-4] + b"\x00\x00\xc0\x7f"),
        "another base": in_file("simko_base.json", lambda data: data.replace(b'_sha256": "', b'_sha256": "0')),
        "base file no JSON": in_file("simko_base.json", lambda data: data[:-9]),
    }

    def trial(server: Server, cwd: Path, what: str) -> str | None:
        adapter = Path(shutil.copytree(reference / "checkpoints" / "step-000004" / "adapter", cwd / "adapter"))
        before = {p.name: p.read_bytes() for p in adapter.iterdir()}
        changes[what](adapter)
        if before == {p.name: p.read_bytes() for p in adapter.iterdir()}:
            return "the trial changed nothing"
        common = ["--env", "simko/Countdown-v0", "-n", "2", "--problems", "2", "--level", "1", "--out", "out"]
        return _refused(server.run(["eval", "tiny", "--adapter", "adapter", *common], cwd), ("adapter",))

    name = "an adapter that is damaged, or of another model"
    return lab.each(name, trial, lab.some(sorted(changes), 2, name))


def _on_copied_model(lab: Lab) -> Path:
    """A folder with a copy of the tiny model and a run on it."""
    cwd = lab.folder()
    shutil.copytree(ROOT / "agents" / "tiny", cwd / "model")
    with lab.server() as server:
        ran = server.run([*TINY, *FOUR, "--model", "./model", "--out", "run"], cwd)
    if ran.rc:
        raise RuntimeError(f"training on a copied model fails: {ran.brief()}")
    return cwd


def _refused(ran: Ran, words: Sequence[str]) -> str | None:
    if what := ran.trouble():
        return what
    if ran.refusal is None:
        return f"not refused in one line: {ran.brief()}"
    missing = [word for word in words if word not in ran.refusal]
    return f"the line lacks {missing}: {ran.refusal}" if missing else None
