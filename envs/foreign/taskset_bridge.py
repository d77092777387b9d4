"""The process that runs a taskset of `verifiers` in the user's own interpreter. It imports nothing of simko.

It reads and writes lines of JSON. The first one names the taskset: `{"module", "config", "size"}`; the reply is
`{"ready": version, "count", "notes"}` or `{"failed": why}`. Then `{"do": "tasks", "first", "count"}` lists tasks, and
`{"do": "score", "index", "answer"}` scores one answer: `{"rewards": {name: value}, "reward"}` or `{"raised": why}`. What the
taskset prints goes nowhere. The process ends when its input does, even while it computes.
"""

import asyncio
import inspect
import json
import os
import queue
import signal
import sys
import threading
import time
from typing import Any

LOOK_SECONDS = 1.0


def read_lines(lines: "queue.SimpleQueue[bytes]") -> None:
    """Queue the lines of the input, and end the process when it closes. A thread of its own runs this."""
    pending = b""
    while chunk := os.read(0, 65536):
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            lines.put(line)
    leave()


def end_with(parent: int) -> None:
    """End this process when its parent is gone, should a copy of the parent hold the input open. A thread runs this."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    leave()


def leave() -> None:
    """End this process, and what the taskset has started in its group."""
    if os.getpgrp() == os.getpid():  # whoever starts this makes it the leader of a group
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def said(error: BaseException) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


class Bridge:
    """One taskset, and the tasks of it that are used."""

    def __init__(self, about: dict[str, Any]) -> None:
        import verifiers.v1 as vf  # type: ignore[import-not-found]

        self.vf = vf
        kind = vf.taskset_config_type(about["module"])
        self.taskset = vf.load_taskset(kind.model_validate({**about["config"], "id": about["module"]}))
        self.tasks = list(self.taskset.take(about["size"]))
        self.notes: list[str] = []
        if self.tasks:
            self._check(self.tasks[0])

    def _check(self, task: Any) -> None:
        """Refuse tasks that nobody can grade here, and note what is left out."""
        if getattr(type(task), "NEEDS_CONTAINER", False):
            raise ValueError("its tasks need a container, and answers are graded without one")
        rewards = task.hooks("reward")
        skipped = [fn.__name__ for fn in rewards if self._needs_runtime(fn)]
        if len(skipped) == len(rewards) and not task.plugged_judges():
            raise ValueError("none of its rewards can be computed without a container")
        if skipped:
            self.notes.append(f"rewards that need a container are left out: {', '.join(skipped)}")
        for name in ("setup", "finalize"):
            if getattr(type(task), name) is not getattr(self.vf.Task, name):
                self.notes.append(f"{name} of its tasks is not run")
        if type(task).toolsets(task.config) or type(self.taskset).toolsets(self.taskset.config):
            self.notes.append("its tools are not offered: answers have one turn")

    def _needs_runtime(self, function: Any) -> bool:
        parameter = inspect.signature(function).parameters.get("runtime")
        return parameter is not None and parameter.default is inspect.Parameter.empty

    def listed(self, request: dict[str, Any]) -> dict[str, Any]:
        """Some tasks: prompt, system message, and the answer where the data has one."""
        rows = []
        for task in self.tasks[request["first"] : request["first"] + request["count"]]:
            data = task.data.model_dump(mode="json")
            row = {name: data.get(name) for name in ("prompt", "system_prompt", "answer", "name")}
            rows.append(
                row if row["answer"] is None or isinstance(row["answer"], str | int | float) else row | {"answer": None}
            )
        return {"tasks": rows}

    async def scored(self, request: dict[str, Any]) -> dict[str, Any]:
        """The rewards of one answer: a trace of the prompt and one sampled message, scored without a runtime."""
        vf, task = self.vf, self.tasks[request["index"]]
        messages: list[Any] = [] if isinstance(task.data.prompt, str) else list(task.data.prompt or [])
        if isinstance(task.data.prompt, str):
            messages.append(vf.UserMessage(content=task.data.prompt))
        if task.data.system_prompt:
            messages.insert(0, vf.SystemMessage(content=task.data.system_prompt))
        messages.append(vf.AssistantMessage(content=request["answer"]))
        nodes = [
            vf.MessageNode(parent=i - 1 if i else None, message=message, sampled=i == len(messages) - 1)
            for i, message in enumerate(messages)
        ]
        about = vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash)
        trace = vf.Trace(
            task=about, agent=vf.AgentInfo(config=vf.AgentConfig()), nodes=nodes, is_completed=True, ok=True
        )
        await task.score(trace, None)
        rewards = {str(name): float(reward.value) for name, reward in trace.rewards.items() if reward is not None}
        return {"rewards": rewards, "reward": float(trace.reward)}


async def serve(lines: "queue.SimpleQueue[bytes]", replies: int) -> None:
    """Answer request after request."""
    bridge: Bridge | None = None
    while True:
        request = json.loads(await asyncio.to_thread(lines.get))
        reply: dict[str, Any]
        try:
            if bridge is None:
                bridge = Bridge(request)
                reply = {"ready": True, "count": len(bridge.tasks), "notes": bridge.notes}
            elif request["do"] == "tasks":
                reply = bridge.listed(request)
            else:
                reply = await bridge.scored(request)
            text = json.dumps(reply)
        except BaseException as error:  # a taskset raises whatever it likes, also SystemExit
            text = json.dumps({"failed" if bridge is None else "raised": said(error)})
        data = text.encode() + b"\n"
        while data:
            data = data[os.write(replies, data) :]


def main() -> None:
    """Put the replies out of reach of what the taskset prints, and serve."""
    replies = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    sys.path.append(os.getcwd())  # at the end, so that nothing there can stand in for an installed package
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=read_lines, args=(lines,), daemon=True).start()
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    asyncio.run(serve(lines, replies))


if __name__ == "__main__":
    main()
