from __future__ import annotations

import pickle
from copy import deepcopy
from dataclasses import asdict, replace

import pytest

from simko.reward_parts import NO_PARTS, Parts
from simko.types import Verdict


def test_parts_cannot_be_changed_and_compare_by_value() -> None:
    given = {"format": 0.2, "correct": 1.0}
    verdict = Verdict("correct", 1.2, parts=given)
    given["format"] = 9.0
    assert dict(verdict.parts) == {"correct": 1.0, "format": 0.2}
    assert list(verdict.parts) == ["correct", "format"]  # by name, whatever the order in which a verifier names them
    with pytest.raises(TypeError):
        verdict.parts["format"] = 1.0  # type: ignore[index]
    same = Verdict("correct", 1.2, parts={"correct": 1.0, "format": 0.2})
    assert (verdict == same, hash(verdict) == hash(same)) == (True, True)
    assert verdict != Verdict("correct", 1.2)
    for copied in (pickle.loads(pickle.dumps(verdict)), deepcopy(verdict), replace(verdict)):
        assert copied == verdict
    assert asdict(verdict)["parts"] == verdict.parts


def test_most_verdicts_have_none() -> None:
    assert Verdict("correct", 1.0).parts is NO_PARTS
    assert len(Parts()) == 0
    assert repr(Parts({"a": 1.0})) == "{'a': 1.0}"
