"""Files as other programs write them, small; imported by the tests beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from simko.errors import UserError
from simko.report.foreign import read


def jsonl(path: Path, rows: Iterable[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refusal(path: Path, **options: Any) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(UserError) as caught:
        read(path, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def logged(doc_id: int, filter: str, value: Any, resps: Any, **more: Any) -> dict[str, Any]:
    """A row of lm-evaluation-harness 0.4.13, `--log_samples`."""
    return {
        "doc_id": doc_id,
        "doc": {"question": f"What is {doc_id} + 1?", "answer": f"so\n#### {doc_id + 1}"},
        "target": str(doc_id + 1),
        "arguments": {
            "gen_args_0": {"arg_0": "Q: ...", "arg_1": {"until": ["\n"], "temperature": 0.7, "max_gen_toks": 256}}
        },
        "resps": [resps],
        "filtered_resps": [resps[0]],
        "filter": filter,
        "metrics": ["exact_match"],
        "doc_hash": "0a",
        "prompt_hash": "0b",
        "target_hash": "0c",
        "exact_match": value,
        **more,
    }


def rollout(example_id: int, reward: Any, text: str = "\\boxed{2}", **more: Any) -> dict[str, Any]:
    """A row of `results.jsonl` of verifiers 0.1.14."""
    return {
        "example_id": example_id,
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 1 + 1?"}],
        "completion": [{"role": "assistant", "content": text}],
        "answer": "2",
        "reward": reward,
        "error": None,
        "is_completed": True,
        "metrics": {},
        **more,
    }


def trace(rewards: Any, text: str = "\\boxed{2}", agent: str = "agent", ok: bool = True) -> dict[str, Any]:
    """A trace of verifiers 0.4.0."""
    return {
        "version": 1,
        "agent": {"name": agent, "config": {"model": "org/model", "sampling": {"temperature": 0.8}}},
        "nodes": [
            {"message": {"role": "user", "content": "What is 1 + 1?"}, "sampled": False},
            {
                "parent": 0,
                "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
                "sampled": True,
            },
        ],
        "rewards": rewards,
        "ok": ok,
    }


def episode(idx: int, *traces: Any) -> dict[str, Any]:
    """A row of `traces.jsonl` of verifiers 0.4.0."""
    data = {"idx": idx, "prompt": "What is 1 + 1?", "answer": "2"}
    return {
        "id": "e",
        "env": {"id": "gsm8k"},
        "task": {"type": "T", "data": data, "key": f"k{idx}"},
        "traces": list(traces),
    }
