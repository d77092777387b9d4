"""verifiers (Prime Intellect): a results folder, or the file of rollouts in it.

Two formats, as the package writes them:
  - 0.1.14, `results.jsonl` beside `metadata.json`: a row for each rollout, with `example_id`, `prompt`, `completion`, `answer`,
    `reward`, `error`; the metadata has `env_id`, `model`, `sampling_args`.
  - 0.4.0, `traces.jsonl`: a row for each episode, with `env.id`, `task` (`data.id`, `data.idx`, `data.prompt`, `key`), and
    `traces`. A trace has `agent` (`name`, `config`), `nodes` (`message`, `sampled`), `rewards` (name to `score` and `weight`)
    and `ok`. Its reward is the weighted sum.

A reward of 1 is counted as correct. The package itself counts a reward of at least 0.5 for its pass@k (0.1.14).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simko.envs.data.rows import text_of
from simko.errors import UserError
from simko.report.foreign.rows import Row, identity, inside, read_object, rows, score, setting
from simko.report.foreign.samples import Sample, SampleFile, stem

RESULTS, TRACES, METADATA = "results.jsonl", "traces.jsonl", "metadata.json"
_ALONE = (RESULTS, TRACES)


def holds_result(row: Row) -> bool:
    """Whether a row has the fields of a rollout in `results.jsonl`."""
    return {"example_id", "completion", "reward"} <= row.keys()


def holds_episode(row: Row) -> bool:
    """Whether a row has the fields of an episode in `traces.jsonl`."""
    return {"task", "traces"} <= row.keys()


def file_in(folder: Path) -> Path | None:
    """The file of rollouts in a results folder; None if there is none."""
    return next((folder / name for name in _ALONE if (folder / name).is_file()), None)


def read_results(path: Path) -> SampleFile:
    """The rollouts of `results.jsonl`. Raises `UserError` for a row without an id, or broken metadata."""
    beside = path.parent / METADATA
    about = read_object(beside) if path.name == RESULTS and beside.is_file() else {}
    sampling, env = about.get("sampling_args"), text_of(about.get("env_id"))
    facts: dict[str, Any] = {
        "env": None if env is None else f"verifiers/{env}",
        "verifier": "reward == 1",
        "temperature": setting(inside(sampling, "temperature")),
        "top_p": setting(inside(sampling, "top_p")),
        "max_new_tokens": setting(inside(sampling, "max_tokens"), int),
        "model": text_of(about.get("model")),
    }
    return SampleFile(facts["model"] or _name(path), _rollouts(path), "verifiers", facts)


def read_traces(path: Path, agent: str | None) -> SampleFile:
    """The traces of `traces.jsonl`, of one agent or of all; each agent makes an arm.

    The environment's id, the model and the temperature are those of the first trace. Raises `UserError`, while they are read,
    for an episode without traces in the form above, and for an agent that has none.
    """
    facts: dict[str, Any] = {"env": None, "verifier": "reward == 1", "temperature": None, "model": None}
    return SampleFile(_name(path), _traces(path, agent, facts), "verifiers", facts)


def _rollouts(path: Path) -> Iterator[Sample]:
    for place, row in rows(path):
        failed = row.get("error") is not None
        yield Sample(
            identity(row.get("example_id"), place, "example_id"),
            place,
            text=None if failed else _last(row.get("completion"), "assistant"),
            value=None if failed else score(row.get("reward")),
            problem=_last(row.get("prompt"), "user"),
            gold=text_of(row.get("answer")),
        )


def _traces(path: Path, agent: str | None, facts: dict[str, Any]) -> Iterator[Sample]:
    names: set[str] = set()
    for place, row in rows(path):
        data, traces = inside(row, "task", "data"), row.get("traces")
        if not isinstance(data, dict) or not isinstance(traces, list):
            raise UserError(
                f"{place}: an episode without 'task.data' and 'traces'; is this a traces.jsonl of verifiers?"
            )
        problem = next(
            (v for v in (data.get("id"), data.get("idx"), inside(row, "task", "key")) if v is not None), None
        )
        for trace in traces:
            name = str(inside(trace, "agent", "name") or "agent")
            names.add(name)
            if agent not in (None, name):
                continue
            _note(facts, row, trace)
            ok = inside(trace, "ok") is True
            yield Sample(
                identity(problem, place, "task.data.id"),
                place,
                name,
                text=_said(trace) if ok else None,
                value=_reward(trace) if ok else None,
                problem=_last(data.get("prompt"), "user"),
                gold=text_of(data.get("answer")),
            )
    if agent is not None and agent not in names:
        raise UserError(f"{path}: no trace of agent '{agent}'; it has: {', '.join(sorted(names))[:200]}")


def _note(facts: dict[str, Any], row: Row, trace: Any) -> None:
    """Facts that the first trace states."""
    config = inside(trace, "agent", "config")
    env = text_of(inside(row, "env", "id"))
    new = {
        "env": None if env is None else f"verifiers/{env}",
        "model": text_of(inside(config, "model")),
        "temperature": setting(inside(config, "sampling", "temperature")),
    }
    facts |= {name: value for name, value in new.items() if facts[name] is None}


def _reward(trace: Any) -> float | None:
    """The weighted sum of a trace's rewards; None if none was given. A reward of null was not computed."""
    rewards = inside(trace, "rewards")
    present = [reward for reward in rewards.values() if reward is not None] if isinstance(rewards, dict) else []
    parts = [(score(inside(reward, "score")), score(1.0 if inside(reward, "weight") is None else inside(reward, "weight")))
             for reward in present]  # fmt: skip
    numbers = [value * weight for value, weight in parts if value is not None and weight is not None]
    return score(sum(numbers)) if numbers and len(numbers) == len(present) else None


def _said(trace: Any) -> str | None:
    """The text of the last message that the model wrote."""
    nodes = inside(trace, "nodes")
    own = [node for node in nodes if inside(node, "sampled") is True] if isinstance(nodes, list) else []
    return _content(inside(own[-1], "message", "content")) if own else None


def _last(messages: Any, role: str) -> str | None:
    """A text as it is; of a chat, the text of the last message of a role."""
    if isinstance(messages, list):
        messages = next(
            (m.get("content") for m in reversed(messages) if isinstance(m, dict) and m.get("role") == role), None
        )
    return _content(messages)


def _content(content: Any) -> str | None:
    """A message's text: as it is, or its parts of type text, joined."""
    if isinstance(content, list):
        texts = [
            text for part in content if inside(part, "type") == "text" and isinstance(text := inside(part, "text"), str)
        ]
        content = "".join(texts) if texts else None
    return content if isinstance(content, str) else None


def _name(path: Path) -> str:
    """The name of an arm that states no model: that of the folder, for a file that has the package's own name."""
    return path.absolute().parent.name if path.name in _ALONE else stem(path)
