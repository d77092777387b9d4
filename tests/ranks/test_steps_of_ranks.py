"""Two and three processes take the steps of one: answers, metrics, and gradients in float64, of every method."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from ranks.kit import free_port, run_world
from ranks.steps_child import STATEFUL, everything
from safetensors.torch import load_file
from torch import Tensor

from simko import algorithms

OF_THE_SPLIT = ("budget", "oom_halvings", "my rows")  # they may depend on who has which rows
Seen = tuple[dict[str, Any], dict[str, Tensor]]


@pytest.fixture(scope="module")
def one() -> Seen:
    """What one process sees."""
    facts: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    everything(facts, tensors)
    return json.loads(json.dumps(facts)), tensors


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the ranks of a world of three wrote, and then those of a world of two."""
    folder = tmp_path_factory.mktemp("world")
    ports = [str(free_port()), str(free_port())]
    for code, output in run_world(3, ["-m", "ranks.steps_child", str(folder), *ports], folder / "log"):
        assert code == 0, output
    return folder


@pytest.fixture(scope="module", params=[2, 3])
def many(request: pytest.FixtureRequest, worlds: Path) -> list[Seen]:
    """What each rank sees."""
    size = int(request.param)
    places = [worlds / f"{size}-{rank}" for rank in range(size)]
    return [
        (json.loads(place.with_suffix(".json").read_text()), load_file(place.with_suffix(".safetensors")))
        for place in places
    ]


def test_every_method_and_every_odd_batch_has_the_gradient_of_one_process(one: Seen, many: list[Seen]) -> None:
    assert {name.split(".")[0] for name in one[1]} >= set(algorithms.names())
    for _, gradients in many:
        assert gradients.keys() == one[1].keys()
        for name, gradient in one[1].items():
            assert gradient.dtype == torch.float64
            assert gradient.abs().max() > 0
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


def test_all_ranks_have_the_same_bits(many: list[Seen]) -> None:
    for facts, gradients in many[1:]:
        assert all(torch.equal(gradients[name], value) for name, value in many[0][1].items())
        for name in algorithms.names():
            assert facts[name] == many[0][0][name]


def test_answers_and_metrics_are_those_of_one_process(one: Seen, many: list[Seen]) -> None:
    for facts, _ in many:
        for name in one[0].keys() - {"nothing to learn"}:
            for here, there in zip(one[0][name], facts[name], strict=True):
                assert there["answers"] == here["answers"], name
                assert there["metrics"].keys() == here["metrics"].keys(), name
                for metric in here["metrics"].keys() - set(OF_THE_SPLIT):
                    close = math.isclose(there["metrics"][metric], here["metrics"][metric], rel_tol=1e-5, abs_tol=1e-6)
                    assert close, (name, metric)


def test_methods_with_a_state_took_a_second_step(one: Seen) -> None:
    assert [name for name in algorithms.names() if len(one[0][name]) == 2] == sorted(STATEFUL)


def test_the_work_is_shared_and_a_rank_may_have_none(many: list[Seen]) -> None:
    shares = {
        name: [facts[name][0]["metrics"]["my rows"] for facts, _ in many] for name in ("uneven", "one group", "one row")
    }
    assert sorted(shares["one row"]) == [0] * (len(many) - 1) + [1]
    assert max(shares["one group"]) <= math.ceil(4 / len(many))
    assert min(shares["uneven"]) > 0


def test_memory_that_runs_out_on_one_rank_halves_the_budget_of_all(many: list[Seen]) -> None:
    lines = [facts["no memory on rank 1"][0]["metrics"] for facts, _ in many]
    assert len({line["budget"] for line in lines}) == 1
    assert lines[0]["budget"] < 10**6
    assert lines[0]["oom_halvings"] > 0
    assert lines[0]["nonfinite_rows"] == 0


def test_rows_that_are_not_finite_are_counted_once(one: Seen, many: list[Seen]) -> None:
    counts = {facts["spoilt rows"][0]["metrics"]["nonfinite_rows"] for facts, _ in [one, *many]}
    assert len(counts) == 1
    assert counts.pop() > 0


def test_an_update_without_rows_leaves_no_gradient(one: Seen, many: list[Seen]) -> None:
    assert all(facts["nothing to learn"] for facts, _ in [one, *many])


def test_a_failure_on_one_rank_is_one_on_all(many: list[Seen]) -> None:
    last = len(many) - 1
    for rank, (facts, _) in enumerate(many):
        mistake = "UserError: bad data" if rank == last else f"PeerError: rank {last}: bad data"
        assert facts["failures"] == ["FloatingPointError: not a number", "FloatingPointError: again", mistake]
