"""The references against each vector of the reference pages."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch

from reference_methods import METHODS
from reference_methods.vectors import VECTORS, Vector


def call(vector: Vector) -> Any:
    module, name = vector.function.split(".")
    function = getattr(import_module(f"reference_methods.{module}"), name)
    if vector.gradient_of is None:
        return function(**vector.inputs)
    variable = vector.inputs[vector.gradient_of].clone().requires_grad_()
    result = function(**{**vector.inputs, vector.gradient_of: variable}).sum()
    if not result.requires_grad:
        return torch.zeros_like(variable)
    return torch.autograd.grad(result, variable)[0]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_vector(vector: Vector) -> None:
    value = torch.as_tensor(call(vector), dtype=torch.float64).detach()
    expected = torch.as_tensor(vector.expected, dtype=torch.float64)
    torch.testing.assert_close(value, expected, rtol=0.0, atol=vector.tolerance)


def test_names_of_vectors_are_unique() -> None:
    assert len({vector.name for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_advantages_a_loss_and_an_aggregate(name: str) -> None:
    module = import_module(f"reference_methods.{name}")
    assert module.__doc__
    for part in ("advantages", "loss_matrix", "aggregate"):
        assert callable(getattr(module, part))
