"""Forks: at each token of an answer, what else the policy might have said. Values only; `simko.forking` computes them.

They are kept in `RUN/forks/`, one file for each adapter, so that a second reader needs no model. Arrays go by sampled token:
a token that the environment spoke has no entry.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from simko.errors import UserError
from simko.files import write_atomically

FOLDER, SUFFIX, SCHEMA = "forks", ".json.gz", "simko.forks/1"
_LONGEST = 1 << 28  # bytes of an unpacked file

Source = Literal["step", "evaluation"]


@dataclass(frozen=True, slots=True)
class Token:
    """One sampled token.

    Attributes:
        place: its index among the answer's ids.
        entropy, base_entropy: of the trained policy and of its base model, in nats.
        p, base_p: the token's own probability under both.
        candidates: (id, probability of the base model, of the trained policy): the union of both top lists, the trained
            policy's likeliest first.
        advantage: what the method gave this token; 0.0 where it gave nothing.
        did: what the method's own loss reports of this token, by the names of its metrics, without `_fraction`: `gate`,
            `shared`, `punished`, `clip`, ... Only those that are not 0.
    """

    place: int
    entropy: float
    base_entropy: float
    p: float
    base_p: float
    candidates: tuple[tuple[int, float, float], ...]
    advantage: float = 0.0
    did: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a group. `tokens` is empty where only its ids are known; `moved`: whether it has a part in the update."""

    sample: int
    outcome: str
    reward: float | None
    extracted: str | None
    ids: tuple[int, ...]
    tokens: tuple[Token, ...] = ()
    moved: bool = False


@dataclass(frozen=True, slots=True)
class ForkGroup:
    """The answers to one problem. `source` "step": trained on in `step`; "evaluation": their ids were made from text."""

    source: Source
    step: int | None
    task: str
    problem: str
    gold: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Forks:
    """The forks of some groups under one adapter.

    Attributes:
        adapter_sha256: of the weights that "trained" means.
        step: of that adapter's checkpoint.
        temperature: of every probability; nothing is cut off by top-p or top-k.
        texts: each id that occurs, as readable text; bytes that are no whole character stand as `\\xe2`.
    """

    adapter_sha256: str
    step: int | None
    model: str
    algorithm: str
    temperature: float
    groups: tuple[ForkGroup, ...]
    texts: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Branch:
    """Where answers with the same beginning went on: the next id, how many took it, how many of these were right."""

    id: int
    count: int
    right: int


def branches(group: ForkGroup, answer: Answer) -> list[list[Branch]]:
    """For each place of `answer.ids`, the next ids of all answers with the same ids before it (this one counts), most first."""
    alike = [other for other in group.answers if other.ids]
    found: list[list[Branch]] = []
    for place, id in enumerate(answer.ids):
        alike = [other for other in alike if len(other.ids) > place]
        counts: dict[int, list[int]] = {}
        for other in alike:
            entry = counts.setdefault(other.ids[place], [0, 0])
            entry[0] += 1
            entry[1] += other.outcome == "correct"
        found.append([Branch(k, n, r) for k, (n, r) in sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))])
        alike = [other for other in alike if other.ids[place] == id]
    return found


def forks_path(run: Path, adapter_sha256: str) -> Path:
    """The file of an adapter."""
    return run / FOLDER / f"{adapter_sha256[:16]}{SUFFIX}"


def write_forks(run: Path, forks: Forks) -> Path:
    """Keep `forks` in the run's folder; what was there for this adapter is replaced. Raises `OSError`."""
    content = {"schema": SCHEMA, **asdict(forks)}
    path = forks_path(run, forks.adapter_sha256)
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    write_atomically(path, gzip.compress(text.encode("utf-8", "surrogatepass"), compresslevel=6, mtime=0))
    return path


def read_forks(path: Path) -> Forks:
    """Read a file of forks, checked by type.

    Raises:
        UserError: it is not there, damaged, or not of this form.
    """
    try:
        with gzip.open(path, "rb") as packed:
            data = packed.read(_LONGEST + 1)
        if len(data) > _LONGEST:
            raise ValueError(f"unpacked it is longer than {_LONGEST} bytes")
        return _forks(json.loads(data.decode("utf-8", "surrogatepass")))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; write it with `simko report RUN`") from error
    except (OSError, EOFError, ValueError, TypeError, KeyError, RecursionError, zlib.error) as error:
        raise UserError(
            f"{path}: damaged ({str(error)[:80]}); delete it, `simko report RUN` writes it again"
        ) from error


def newest_forks(run: Path) -> Path | None:
    """The file of forks of the newest checkpoint of a run that has one, by the time it was written; None: there is none."""
    files = [path for path in (run / FOLDER).glob(f"*{SUFFIX}") if path.is_file() and not path.is_symlink()]
    return max(files, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def _forks(content: Any) -> Forks:
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError("another schema")
    return Forks(
        _text(content["adapter_sha256"]),
        None if content["step"] is None else int(content["step"]),
        _text(content["model"]),
        _text(content["algorithm"]),
        _number(content["temperature"]),
        tuple(map(_group, content["groups"])),
        {int(id): _text(text) for id, text in content["texts"].items()},
    )


def _group(entry: Any) -> ForkGroup:
    if entry["source"] not in ("step", "evaluation"):
        raise ValueError("a group of another source")
    step = None if entry["step"] is None else int(entry["step"])
    task, problem, gold = (_text(entry[name]) for name in ("task", "problem", "gold"))
    return ForkGroup(entry["source"], step, task, problem, gold, tuple(map(_answer, entry["answers"])))


def _answer(entry: Any) -> Answer:
    ids = tuple(map(int, entry["ids"]))
    tokens = tuple(map(_token, entry["tokens"]))
    if any(not 0 <= token.place < len(ids) for token in tokens):
        raise ValueError("a token outside of its answer")
    reward = None if entry["reward"] is None else _number(entry["reward"])
    extracted = None if entry["extracted"] is None else _text(entry["extracted"])
    return Answer(int(entry["sample"]), _text(entry["outcome"]), reward, extracted, ids, tokens, bool(entry["moved"]))


def _token(entry: Any) -> Token:
    entropy, base_entropy, p, base_p = (_number(entry[name]) for name in ("entropy", "base_entropy", "p", "base_p"))
    candidates = tuple((int(id), _number(base), _number(trained)) for id, base, trained in entry["candidates"])
    did = {_text(name): _number(value) for name, value in entry["did"].items()}
    return Token(int(entry["place"]), entropy, base_entropy, p, base_p, candidates, _number(entry["advantage"]), did)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number is not one")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is not one")
    return value


def chosen_answers(outcomes: Sequence[str], count: int) -> list[int]:
    """At most `count` answers, right and wrong ones by turns, in their order: both sides of a fork are shown."""
    right = [i for i, outcome in enumerate(outcomes) if outcome == "correct"]
    wrong = [i for i, outcome in enumerate(outcomes) if outcome != "correct"]
    half = count - min(len(wrong), count // 2)
    return sorted(right[:half] + wrong[: count - len(right[:half])])
