"""Methods as named choices of parts: what composes, what is refused, and a method from outside in one file."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest

from simko import algorithms
from simko.algorithms import registry
from simko.config import TrainConfig, setting
from simko.errors import UserError
from simko.settings import train_config

NAMES = """
    simko casp simko_pass_at_k thr eepo ucas siren aspo aer self grpo dapo dr_grpo rloo psr nsr w_reinforce kl_cov clip_cov
    entropy_advantage entropy_bonus high_entropy_tokens pass_at_k gspo cispo maxrl f_grpo ds_grpo ucpo dph_rl lp_reg
"""
OWN = '''
"""A method from outside."""
from dataclasses import dataclass
from typing import ClassVar

from simko.algorithms import Advantage, GroupView, method, part
from simko.config import setting


@part
@dataclass(frozen=True)
class Best(Advantage):
    """One for the best answers."""

    name: ClassVar[str] = "best_of_test"
    bonus: float = setting(1.0, "advantage of the best", minimum=0.0)

    def group(self, view: GroupView) -> list[float]:
        best = max(view.rewards)
        return [self.bonus if reward == best else 0.0 for reward in view.rewards]


method("best_of_test", advantage="best_of_test", loss="simko", title="Best of n", source="here")
'''


def test_every_method_has_a_name_a_title_a_source_and_its_evidence() -> None:
    described = {entry["name"]: entry for entry in algorithms.describe()}
    assert set(NAMES.split()) <= set(described)
    for entry in described.values():
        assert set(entry) >= {"name", "title", "parts", "needs", "defaults", "source", "evidence"}
        assert entry["title"]
        assert entry["source"]
        assert entry["evidence"] in ("verified", "reconstructed")
        assert set(entry["parts"]) == set(algorithms.KINDS)
        assert not set(entry["defaults"]) & {entry.name for entry in TrainConfig.__dataclass_fields__.values()}
    assert {name for name, entry in described.items() if entry["evidence"] == "reconstructed"} == {
        "thr", "eepo", "aer", "self", "gdpo", "ds_grpo",
    }  # fmt: skip
    json.dumps(list(described.values()))


def test_every_setting_of_every_part_has_a_help_text() -> None:
    for name in algorithms.names():
        for key, about in algorithms.settings(name).items():
            assert about["help"], (name, key)


def test_parts_compose_by_configuration() -> None:
    method = algorithms.get("grpo", loss="simko", advantage="pass_at_k", sampling="refill", pass_k=2, alpha=0.05)
    assert [part.name for part in method.parts] == ["refill", "pass_at_k", "simko"]
    assert method.settings["pass_k"] == 2
    assert method.settings["alpha"] == 0.05
    same = algorithms.get("simko_pass_at_k")
    assert (same.advantage, same.loss_part) == (
        algorithms.get("pass_at_k").advantage,
        algorithms.get("simko").loss_part,
    )


def test_a_method_keeps_its_own_defaults_only_for_parts_that_know_them() -> None:
    assert algorithms.get("dapo").settings["clip_high"] == 0.28
    assert algorithms.get("dapo", loss="simko").settings["clip_high"] == 0.28
    assert "clip_high" not in algorithms.get("dapo", loss="cispo").settings
    assert algorithms.get("dapo", clip_high=0.3).settings["clip_high"] == 0.3


def test_presets_of_simko_are_the_published_ones() -> None:
    assert algorithms.get("simko").settings == algorithms.get("simko:math").settings
    logic = algorithms.get("simko:logic").settings
    assert (logic["alpha"], logic["top1_penalty"], logic["grpo_steps"], logic["clip_high"]) == (0.005, 1.05, 50, 0.28)
    assert algorithms.get("casp:code").settings["alpha"] == 0.05


def test_clips_have_an_effect_where_the_old_policy_is_the_samplers() -> None:
    assert "clip_low" in algorithms.get("grpo").inert(1)
    assert algorithms.get("eepo").inert(1) == algorithms.get("eepo").inert(2)
    assert "clip_low" not in algorithms.get("simko", sampling="eepo").inert(1)


def test_a_preset_that_is_asked_for_wins_over_that_of_the_tiny_policy() -> None:
    assert train_config({"algorithm": "simko"}).method["alpha"] == 0.2
    for name, alpha, penalty in (("simko:math", 0.01, 1.1), ("simko:logic", 0.005, 1.05), ("casp:code", 0.05, 1.1)):
        method = train_config({"algorithm": name}).method
        assert (method["alpha"], method["top1_penalty"]) == (alpha, penalty)
    assert train_config({"algorithm": "simko:math", "alpha": 0.3}).method["alpha"] == 0.3


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("simko:lgic", {}, "did you mean 'logic'"),
        ("grpo:logic", {}, "has no preset 'logic'; known: none"),
        ("simko", {"loss": "simk"}, "unknown loss 'simk'; did you mean 'simko'"),
        ("simko", {"advantage": "gspo"}, "unknown advantage 'gspo'"),
        ("simko", {"loss": "none"}, "is none; name one, as only auxiliary may be none"),
        ("gspo", {"advantage": "ucas"}, "one advantage an answer"),
        ("eepo", {"advantage": "ds_grpo"}, "samples each half from another policy"),
        ("nsr", {"loss": "aspo"}, "NSR has none"),
        ("nsr", {"sampling": "refill"}, "learns from them"),
        ("no.such.module:mine", {}, "PYTHONPATH"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(name: str, values: dict[str, str], words: str) -> None:
    with pytest.raises(UserError) as error:
        algorithms.get(name, **values)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_the_config_holds_parts_and_settings_of_the_composition() -> None:
    config = train_config({"algorithm": "grpo", "loss": "simko", "advantage": "pass_at_k", "pass_k": "2"})
    assert config.method["loss"] == "simko"
    assert config.method["pass_k"] == 2
    assert config.method["alpha"] == 0.2  # of the preset of tiny, which goes with the loss
    assert algorithms.of(config).settings["pass_k"] == 2
    assert "loss" not in train_config({"algorithm": "simko"}).method
    with pytest.raises(UserError, match="unknown key 'pass_kk'; did you mean 'pass_k'"):
        train_config({"algorithm": "pass_at_k", "pass_kk": 2})


def test_a_method_from_outside_is_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_registry: object
) -> None:
    (tmp_path / "own_method_of_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    method = algorithms.get("own_method_of_test:best_of_test", bonus=2.0)
    view = algorithms.GroupView([0.0, 1.0], [False, True], [-1.0, -1.0], [3, 3])
    assert method.advantages(view) == [0.0, 2.0]
    config = train_config({"algorithm": "own_method_of_test:best_of_test", "bonus": "3"})
    assert (config.method["bonus"], config.method["alpha"]) == (3.0, 0.2)
    assert "best_of_test" in algorithms.names()
    monkeypatch.delitem(sys.modules, "own_method_of_test")


def test_packages_name_their_methods_as_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_registry: object
) -> None:
    (tmp_path / "plugin_of_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    entries = [EntryPoint("best", "plugin_of_test", "simko.algorithms")]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)
    registry.load.cache_clear()
    assert "best_of_test" in algorithms.names()
    entries[:] = [EntryPoint("broken", "no_such_plugin", "simko.algorithms")]
    registry.load.cache_clear()
    with pytest.raises(UserError, match=r"plug-in broken = no_such_plugin: .*uninstall it"):
        algorithms.names()
    entries.clear()
    registry.load.cache_clear()
    monkeypatch.delitem(sys.modules, "plugin_of_test")


def test_two_parts_do_not_share_a_name() -> None:
    registry.load()
    cls = registry.PARTS["loss", "simko"]
    assert registry.part(cls) is cls
    nameless = type("Nameless", (algorithms.LossPart,), {})
    with pytest.raises(ValueError, match="Nameless"):
        registry.part(nameless)
    assert ("loss", "") not in registry.PARTS
    other = type("Other", (algorithms.LossPart,), {"name": "simko", "__module__": "elsewhere"})
    with pytest.raises(ValueError, match=r"the loss 'simko' is simko\.algorithms\.simko\.SimKOLoss"):
        registry.part(other)


def test_a_part_has_no_setting_of_the_runs() -> None:
    @dataclass(frozen=True)
    class Clashing(algorithms.LossPart):
        name: ClassVar[str] = "clashing_of_test"
        group_size: int = setting(3, "taken")

    with pytest.raises(ValueError, match="a run has a setting 'group_size' already"):
        registry.part(Clashing)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 +", "its module raised SyntaxError"),
        ("raise SystemExit(3)", "its module raised SystemExit: 3"),
        ("import no_such_package_of_test", "needs another package: No module named 'no_such_package_of_test'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_method_of_test.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=words) as error:
        algorithms.get("broken_method_of_test:mine")
    assert "\n" not in str(error.value)
