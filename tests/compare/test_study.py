"""Studies: files, flags, grids, and what makes two plans the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from compare_fakes import COMMON, board, study

from simko.compare.plan import checked_plan, named_arms, read_plan, write_plan
from simko.compare.study import Study, candidates, grid_hash, joined, read_study, seeds_of
from simko.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def written(tmp_path: Path, content: dict[str, Any] | str) -> str:
    path = tmp_path / "study.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def test_the_frontier_studys_grid_is_a_sweep() -> None:
    plan = checked_plan(read_study(str(ROOT / "studies/frontier/tune.yaml")))
    assert plan.is_sweep
    assert len(plan.arms) == 33
    assert plan.seeds == (100,)
    assert [plan.arms[f"grpo-{i}"].learning_rate for i in (1, 2, 3)] == [0.00025, 0.0005, 0.001]
    assert plan.arms["simko-3"].method["alpha"] == 0.8
    assert {config.steps for config in plan.arms.values()} == {80}


@pytest.mark.parametrize("text", ["5", 5, [0, 1, 2, 3, 4], "0,1,2,3,4"])
def test_seeds(text: object) -> None:
    assert seeds_of(text) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("text", ["0", "-1", "1,1", "x", 1.5, True, "9999999", [True], "1,", None])
def test_seeds_that_are_none(text: object) -> None:
    with pytest.raises(UserError, match="seeds is wrong; give a number of seeds"):
        seeds_of(text)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"arm": {}}, "study.yaml: unknown key 'arm'; did you mean 'arms'"),
        ({"learning_rate": 1}, "unknown key 'learning_rate'; put settings of the runs under common"),
        ({"arms": {"../x": {}}}, "an arm is called '../x'"),
        ({"arms": {"base": {}}}, "'base' is the model before training"),
        ({"arms": {3: {}}}, "an arm is called '3'"),
        ({"arms": {"a": [1]}}, r"arms: a is '\[1\]'; it must be a mapping"),
        ({"arms": {"a": {"seed": 1}}}, "a has 'seed', which is decided for the whole comparison"),
        ({"common": {"method": {"out": "x"}}}, "common has 'out'"),
        ({"arms": {"a": {"grid": {"alpha": 1}}}}, "grid: alpha is '1'; it must be a list"),
        ({"arms": {"a": {"grid": {"alpha": []}}}}, "it must be a list"),
        ({"temperatures": [0.0]}, "temperatures is '0.0'; it must be numbers above 0"),
        ({"eval_samples": 1}, "eval_samples is 1; it must be >= 2"),
        ({"random_control": 1}, "random_control is 1; it must be true or false"),
        ("arms: [", "not valid YAML"),
    ],
)
def test_a_study_that_is_refused(tmp_path: Path, content: Any, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        read_study(written(tmp_path, content))
    assert "study.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("of", "line"),
    [
        (Study(), "there is no arm"),
        (study("grpo", alpha=0.3), "unknown key 'alpha'.*no arm has such a setting"),
        (study("grpo", learning_rat=0.3), "unknown key 'learning_rat'; did you mean 'learning_rate'"),
        (study("grpp"), "grpp"),
        (Study(COMMON, {"a": {"algorithm": "grpo"}, "b": {"level": 1}}), "arm b: level is 1, and that of a is None"),
        (Study(COMMON, {"a": {}, "b": {"group_size": 4}}), "arm b: 4 steps of 2 x 4 answers, and a has 4 of 2 x 2"),
        (Study(COMMON, {"a": {}, "b": {"steps": 8, "group_size": 1}}), "arm b: group_size is 1; it must be >= 2"),
    ],
)
def test_a_plan_that_is_refused(of: Study, line: str) -> None:
    with pytest.raises(UserError, match=line):
        checked_plan(of)


def test_a_setting_of_a_method_holds_for_the_arms_that_have_it() -> None:
    plan = checked_plan(study("grpo", "simko", alpha=0.7))
    assert plan.arms["simko"].method["alpha"] == 0.7
    assert "alpha" not in plan.arms["grpo"].method


def test_unequal_effort_is_refused() -> None:
    arms = {"grpo": {"algorithm": "grpo"}, "nsr": {"algorithm": "nsr"}}
    grids = {"grpo": {"learning_rate": [1e-4, 1e-3]}, "nsr": {"learning_rate": [1e-4]}}
    with pytest.raises(UserError, match=r"grpo 2, nsr 1"):
        checked_plan(Study(COMMON, arms, grids))
    with pytest.raises(UserError, match=r"grpo 2, nsr 1"):
        checked_plan(Study(COMMON, arms, {"grpo": grids["grpo"]}))


def test_candidates_are_in_the_order_of_the_product() -> None:
    of = Study({}, {"a": {"algorithm": "simko"}}, {"a": {"alpha": [1, 2], "top_k": [3, 4]}})
    assert [[arm["alpha"], arm["top_k"]] for arm in candidates(of)["a"].values()] == [[1, 3], [1, 4], [2, 3], [2, 4]]
    assert list(candidates(of)["a"]) == ["a-1", "a-2", "a-3", "a-4"]
    twice = Study({}, {"a": {}, "a-1": {}}, {"a": {"alpha": [1]}, "a-1": {"alpha": [1]}})
    assert list(candidates(twice)) == ["a", "a-1"]
    other = Study({}, {"a": {"algorithm": "simko"}}, {"a": {"alpha": [1, 2], "top_k": [3, 5]}})
    assert grid_hash(of) != grid_hash(other)


@pytest.mark.parametrize("control", [None, True, False])
@pytest.mark.parametrize("arms", [("nsr",), ("nsr", "grpo")])
def test_the_control_is_an_arm_of_its_own(arms: tuple[str, ...], control: bool | None) -> None:
    plan = checked_plan(study(*arms, control=control))
    wanted = len(arms) > 1 if control is None else control
    assert ("random_rewards" in plan.arms) == wanted
    if wanted:
        coin = plan.arms["random_rewards"]
        assert (coin.algorithm, coin.random_rewards) == (arms[-1], 0.5)  # like grpo, where it is among them
    again = checked_plan(joined(plan.study, Study(arms={"psr": {"algorithm": "psr"}})), plan)
    assert ("random_rewards" in again.arms) == (control is not False)  # None: there are two methods now


@pytest.mark.parametrize(
    ("later", "line"),
    [
        (Study({"learning_rate": 0.01}), "arm grpo: learning_rate was 0.0005, and it is 0.01 now"),
        (Study(arms={"grpo": {"algorithm": "nsr"}}), "arm grpo: algorithm was grpo"),
        (Study(arms={"grpo": {"algorithm": "grpo", "clip_low": 0.1}}), "arm grpo: clip_low was 0.2, and it is 0.1"),
        (Study({"steps": 3}), "steps is 3, and the folder's plan.yaml has 4; runs can only grow"),
        (Study(grids={"grpo": {"learning_rate": [1e-4]}}), "the folder holds a comparison; give another --out"),
    ],
)
def test_a_changed_arm_is_refused(later: Study, line: str) -> None:
    before = checked_plan(study("grpo"))
    with pytest.raises(UserError, match=line):
        checked_plan(joined(before.study, later), before)
    assert checked_plan(joined(before.study, Study({"checkpoint_every": 3})), before).common.checkpoint_every == 3


def test_a_plan_on_disk_is_a_study(tmp_path: Path) -> None:
    plan = board(tmp_path / "c", study("grpo", "simko", seeds=(3, 1), alpha=0.3, control=True)).plan
    write_plan(tmp_path / "c", plan)
    assert read_plan(tmp_path / "c") == plan
    assert read_study(str(tmp_path / "c/plan.yaml")) == plan.study
    assert read_plan(tmp_path) is None
    sweep = checked_plan(read_study(str(ROOT / "studies/frontier/tune.yaml")))
    write_plan(tmp_path / "c", sweep)
    assert read_plan(tmp_path / "c") == sweep
    (tmp_path / "c/plan.yaml").write_text("arms: {a")
    with pytest.raises(UserError, match="not valid YAML"):
        read_plan(tmp_path / "c")


@pytest.mark.parametrize("key", ["python", "unsafe_no_sandbox"])
def test_no_file_chooses_an_interpreter_or_leaves_the_sandbox(tmp_path: Path, key: str) -> None:
    """Whoever wrote the file must not choose what runs here. A person may type it, and it is not stored."""
    arm = {"algorithm": "grpo"}
    for content in (
        {"common": {key: True}, "arms": {"a": arm}},
        {"arms": {"a": {**arm, key: True}}},
        {"common": {"method": {key: True}}},
        {"arms": {"a": {**arm, "grid": {key: [True]}}}},
    ):
        with pytest.raises(UserError, match=f"{key} is taken from no file; give --{key.replace('_', '-')} yourself"):
            read_study(written(tmp_path, content))
    value = "/usr/bin/python3" if key == "python" else True
    asked = Study({**COMMON, key: value}, {"a": {**arm, key: value}}, {}, (0,))
    plan = checked_plan(asked)
    assert getattr(plan.common, key) == value
    write_plan(tmp_path, plan)
    assert key not in (tmp_path / "plan.yaml").read_text()
    assert grid_hash(asked) == grid_hash(Study(COMMON, {"a": arm}, {}, (0,)))
    (tmp_path / "plan.yaml").write_text(
        yaml.safe_dump({"common": {**COMMON, key: value}, "seeds": [0], "arms": {"a": arm}})
    )
    before = read_plan(tmp_path)  # as an older version wrote it
    assert before is not None
    assert not getattr(before.common, key)
    assert getattr(checked_plan(joined(before.study, Study({key: value})), before).common, key) == value


def test_named_methods_are_arms() -> None:
    assert named_arms("grpo, simko:logic") == {
        "grpo": {"algorithm": "grpo"},
        "simko-logic": {"algorithm": "simko:logic"},
    }
    with pytest.raises(UserError, match="an arm is called ''"):
        named_arms("grpo,,nsr")
