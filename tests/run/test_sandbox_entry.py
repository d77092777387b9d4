"""What a run says and writes down about the sandbox of its programs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from simko.build import make_env
from simko.config import TrainConfig
from simko.envs.code import jails
from simko.run.manifest import sandbox_entry, sandbox_notes
from simko.settings import train_config

CODE, OTHER = SimpleNamespace(verifier_name="code"), SimpleNamespace(verifier_name="math")


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jails, "_settings", jails.Settings())
    monkeypatch.setattr(jails, "_found", lambda unsafe: jails.Jail("unsafe" if unsafe else "bwrap", "python"))


def test_the_sandbox_is_named() -> None:
    assert sandbox_entry(CODE) == {"sandbox": "bwrap"}
    assert sandbox_notes(CODE) == ["programs of the model run in a sandbox: bwrap"]


def test_without_one_it_is_spelled_out() -> None:
    jails.configure(unsafe=True)
    assert sandbox_entry(CODE) == {"sandbox": "none (--unsafe-no-sandbox)"}
    assert sandbox_notes(CODE)[0].startswith("warning: programs of the model run without a sandbox")


def test_other_environments_say_nothing() -> None:
    for unsafe in (False, True):
        jails.configure(unsafe=unsafe)
        assert sandbox_entry(OTHER) == {}
        assert sandbox_notes(OTHER) == []


def test_the_settings_reach_the_programs() -> None:
    config = train_config({"env": "simko/Arithmetic-v0", "code_seconds": 2.5, "unsafe_no_sandbox": True})
    policy = SimpleNamespace(eos_ids=frozenset(), tokenizer=None, context=None)
    with pytest.raises(AttributeError):  # no tokenizer: the settings are taken before anything is made
        make_env(config, policy, "train")  # type: ignore[arg-type]
    assert jails.settings() == jails.Settings(unsafe=True, cpu_seconds=2.5)
    assert not TrainConfig().unsafe_no_sandbox
