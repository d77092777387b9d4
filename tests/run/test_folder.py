"""The run folder: atomic, checked, locked, and honest about what it holds."""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import FakePolicy, random_groups
from safetensors.torch import load_file, save_file

from simko.config import TrainConfig, read_yaml
from simko.errors import UserError
from simko.files import digest, write_atomically
from simko.run.checkpoint import damage
from simko.run.folder import RunFolder, check_adapter, new_folder, sealed
from simko.run.records import problem_key


class SavingPolicy(FakePolicy):
    def save(self, folder: Path) -> None:
        folder.mkdir()
        save_file({"adapter": self.adapter.detach()}, folder / "adapter_model.safetensors")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run", TrainConfig(steps=3, keep_checkpoints=2))


def stepped(policy: FakePolicy, seed: int = 0) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW([policy.adapter], lr=0.1)
    policy.adapter.grad = torch.randn(
        policy.adapter.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    optimizer.step()
    return optimizer


def test_a_run_comes_back_as_it_was(run: RunFolder) -> None:
    groups = random_groups(0, turns=True)
    with run.opened(run.config, 0):
        run.records.add(1, groups, {"reward": 0.5})
        run.write_manifest({"a": 1})
        run.write_manifest({"b": 2})
    again = RunFolder.open(run.path)
    assert again.config == run.config
    assert again.metrics() == [{"step": 1, "reward": 0.5}]
    assert json.loads((run.path / "manifest.json").read_text()) == {"a": 1, "b": 2}
    rows = again.records.rollouts(1)
    assert len(rows) == 16
    assert rows[0]["ids"] == groups[0].completions[0].ids.tolist()
    assert [row["outcome"] for row in rows] == [c.verdict.outcome for g in groups for c in g.completions]
    assert again.records.training_problems() == {problem_key(str(i)) for i in range(4)}


def test_rollouts_are_the_same_bytes_for_the_same_step(run: RunFolder) -> None:
    with run.opened(run.config, 0):
        run.records.add(1, random_groups(0), {})
        first = (run.records.rollouts_path / "000001.jsonl.gz").read_bytes()
        run.records.add(1, random_groups(0), {})
    assert (run.records.rollouts_path / "000001.jsonl.gz").read_bytes() == first
    assert len(gzip.decompress(first).splitlines()) == 16


def test_opening_at_a_step_forgets_what_came_after(run: RunFolder) -> None:
    with run.opened(run.config, 0):
        for step in (1, 2, 3):
            run.records.add(step, random_groups(step), {"x": step})
    with run.records.metrics_path.open("a") as out:
        out.write('{"step": 4, "x"')  # killed in the middle of a line
    with run.opened(run.config, 2):
        assert [line["step"] for line in run.metrics()] == [1, 2]
        assert run.records.recorded_steps() == [1, 2]


def test_checkpoints_restore_the_optimizer_bit_for_bit_and_keep_the_newest(run: RunFolder) -> None:
    policy = SavingPolicy()
    optimizer = stepped(policy)
    with run.opened(run.config, 0):
        for step in (1, 2, 3):
            run.save_checkpoint(step, policy, optimizer)
    assert [path.name for path in run.checkpoints()] == ["step-000002", "step-000003"]
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest.name == "step-000003"

    other = SavingPolicy()
    with torch.no_grad():
        other.adapter.copy_(load_file(latest / "adapter" / "adapter_model.safetensors")["adapter"])
    fresh = torch.optim.AdamW([other.adapter], lr=0.1)
    assert run.restore(latest, other, fresh) == (3, {})
    for a, b in ((policy, optimizer), (other, fresh)):
        a.adapter.grad = torch.ones_like(a.adapter)
        b.step()
    assert torch.equal(policy.adapter, other.adapter)


@pytest.mark.parametrize(
    "name", ["adapter/adapter_model.safetensors", "optimizer.safetensors", "state.json", "SHA256SUMS"]
)
@pytest.mark.parametrize("how", ["flip", "truncate", "delete"])
def test_a_damaged_checkpoint_is_refused(run: RunFolder, name: str, how: str) -> None:
    policy = SavingPolicy()
    with run.opened(run.config, 0):
        path = run.save_checkpoint(1, policy, stepped(policy)) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if how != "delete":
        path.write_bytes(data if how == "flip" else data[: len(data) // 2])
    with pytest.raises(UserError, match=r"damaged.*none is intact: delete them"):
        run.latest_checkpoint()


def test_a_file_too_many_is_refused(run: RunFolder) -> None:
    policy = SavingPolicy()
    with run.opened(run.config, 0):
        path = run.save_checkpoint(1, policy, stepped(policy))
    (path / "adapter" / "extra.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=r"extra\.bin does not belong to the checkpoint"):
        check_adapter(path / "adapter")


def three_checkpoints(run: RunFolder) -> None:
    policy = SavingPolicy()
    for step in (1, 2, 3):
        run.save_checkpoint(step, policy, stepped(policy, step))


def test_the_newest_intact_checkpoint_is_taken_and_damaged_ones_are_named(run: RunFolder) -> None:
    run.config = replace(run.config, keep_checkpoints=3)
    notes: list[str] = []
    with run.opened(run.config, 0):
        three_checkpoints(run)
        for step, name in ((3, "optimizer.safetensors"), (2, "state.json")):
            (run.checkpoints_path / f"step-{step:06d}" / name).write_bytes(b"")
        latest = run.latest_checkpoint(notes.append)
        assert latest is not None
        assert latest.name == "step-000001"
        assert [line.split(": refused")[0].rsplit("/", 1)[1] for line in notes] == [
            "step-000003 is damaged: optimizer.safetensors is not what was saved",
            "step-000002 is damaged: state.json is not what was saved",
        ]
        run.begin(1, {})
        assert [path.name for path in run.checkpoints()] == ["step-000001"]
        assert {path.name for path in run.checkpoints_path.iterdir()} == {
            "step-000001",
            "step-000002.damaged",
            "step-000003.damaged",
        }
        three_checkpoints(run)
    assert [path.name for path in run.checkpoints()] == ["step-000001", "step-000002", "step-000003"]


def test_the_best_is_kept_beside_the_newest(run: RunFolder) -> None:
    config = replace(run.config, keep_checkpoints=1, checkpoint_every=2)
    policy = SavingPolicy()
    with run.opened(config, 0):
        for step, solved in enumerate([0.1, 0.2, 0.9, 0.5, 0.9, 0.5, 0.4, 0.3, 1.0], start=1):
            run.records.add(step, random_groups(step), {"solve_rate": solved})
            if step % 2 == 0 or step == 9:
                run.save_checkpoint(step, policy, stepped(policy))
    best = run.best_checkpoint()
    assert best is not None
    assert [path.name for path in run.checkpoints()] == ["step-000004", "step-000009"]
    assert best.name == "step-000004"  # the first of equals, and step 9 ends no interval
    assert run.adapter(best=True) == best / "adapter"
    assert run.adapter() == run.checkpoints()[1] / "adapter"
    told = json.loads(run.best_path.read_text())
    assert (told["value"], told["measure"]) == (0.7, "mean training solve rate of the 2 steps before it")
    (best / "state.json").write_text("{}")
    assert run.best_checkpoint() is None
    with pytest.raises(UserError, match=r"that checkpoints/best names is missing or damaged; leave --best out"):
        run.adapter(best=True)
    run.best_path.unlink()
    with pytest.raises(UserError, match="no best checkpoint yet: it needs a whole interval of 2 steps"):
        run.adapter(best=True)


@pytest.mark.parametrize("spoilt", ["weight", "moment"])
def test_what_is_not_finite_is_never_written(run: RunFolder, spoilt: str) -> None:
    policy = SavingPolicy()
    optimizer = stepped(policy)
    with run.opened(run.config, 0):
        run.save_checkpoint(1, policy, optimizer)
        with torch.no_grad():
            tensor = policy.adapter if spoilt == "weight" else optimizer.state[policy.adapter]["exp_avg"]
            tensor[0, 0] = float("nan")
        with pytest.raises(UserError, match="holds NaN or infinity, so it is not saved"):
            run.save_checkpoint(2, policy, optimizer)
        metrics = run.records.add(1, random_groups(0), {"loss": float("inf"), "x": float("nan"), "reward": 1.0})
    assert metrics == {"loss": None, "x": None, "reward": 1.0, "nonfinite_metrics": 2}
    assert run.metrics() == [{"step": 1, **metrics}]
    assert [path.name for path in run.checkpoints_path.iterdir()] == ["step-000001"]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_disk_in_the_midst_of_a_save_leaves_the_one_before(
    run: RunFolder, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = SavingPolicy()
    with run.opened(run.config, 0):
        run.save_checkpoint(1, policy, stepped(policy))
        real, budget = getattr(os, call), 0

        def refuses(*arguments: Any, **options: Any) -> Any:
            nonlocal budget
            budget -= 1
            if budget < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments, **options)

        for allowed in range(100):
            budget, refused = allowed, None
            with monkeypatch.context() as patched:
                patched.setattr(os, call, refuses)
                try:
                    run.save_checkpoint(2, policy, stepped(policy))
                except OSError as error:
                    refused = error
            if refused is None:
                break
            assert refused.errno == errno.ENOSPC
            assert refused.filename is not None
            assert all(damage(path) is None for path in run.checkpoints())
            assert run.checkpoints()[0].name == "step-000001"
            assert [path.name for path in run.path.rglob(".*")] == [".lock"]
        assert allowed >= 1
    assert [path.name for path in run.checkpoints()] == ["step-000001", "step-000002"]


def test_a_checkpoint_of_another_run_or_step_is_refused(run: RunFolder) -> None:
    policy = SavingPolicy()
    with run.opened(run.config, 0):
        saved = run.save_checkpoint(1, policy, stepped(policy))
    run.config = replace(run.config, checkpoint_every=7, steps=99)
    assert run.latest_checkpoint() == saved
    run.config = replace(run.config, learning_rate=0.5)
    with pytest.raises(
        UserError, match=r"another run: its learning_rate is 0.0001, config.yaml has 0.5; none is intact"
    ):
        run.adapter()
    run.config = replace(run.config, learning_rate=1e-4)
    saved.rename(saved.with_name("step-000002"))
    with pytest.raises(UserError, match="step-000002 is damaged: it belongs to step 1"):
        run.latest_checkpoint()


@pytest.mark.parametrize(
    "harm", [lambda text: text.replace("steps: 3", "steps: 9"), lambda text: text[: len(text) // 2]]
)
def test_a_config_that_was_edited_or_cut_is_refused(run: RunFolder, harm: Callable[[str], str]) -> None:
    with run.opened(run.config, 0):
        pass
    path = run.path / "config.yaml"
    whole = path.read_text()
    path.write_text(harm(whole))
    with pytest.raises(UserError, match=r"damaged or was edited|not valid YAML"):
        RunFolder.open(run.path)
    path.write_text(whole.rsplit("#", 1)[0])  # as older versions wrote it
    assert RunFolder.open(run.path).config == run.config


def test_a_method_takes_its_state_back(run: RunFolder) -> None:
    policy = SavingPolicy()
    state = {"loss": {"anchor": 0.25, "steps": 3}, "sampling": {"directions": torch.arange(6.0).reshape(2, 3)}}
    with run.opened(run.config, 0):
        saved = run.save_checkpoint(1, policy, stepped(policy), state)
    step, back = run.restore(saved, policy, stepped(policy))
    assert (step, back["loss"]) == (1, state["loss"])
    assert torch.equal(back["sampling"]["directions"], state["sampling"]["directions"])


@pytest.mark.parametrize("value", [float("nan"), torch.tensor([1.0, float("inf")])])
def test_a_state_that_is_not_finite_is_not_saved(run: RunFolder, value: object) -> None:
    policy = SavingPolicy()
    with run.opened(run.config, 0), pytest.raises(UserError, match="the method's state holds NaN or infinity"):
        run.save_checkpoint(1, policy, stepped(policy), {"loss": {"anchor": value}})
    assert not run.checkpoints()


def test_other_data_than_at_the_beginning_is_refused(run: RunFolder) -> None:
    with run.opened(run.config, 0):
        run.begin(0, {"data_sha256": "a"})
        run.begin(0, {"data_sha256": "a"})
        with pytest.raises(UserError, match="has changed since the run began"):
            run.begin(0, {"data_sha256": "b"})


def test_a_new_run_that_is_refused_leaves_no_folder(run: RunFolder) -> None:
    def refused(work: Callable[[], None]) -> None:
        with run.opened(run.config, new=True):
            work()
            raise UserError("no use")

    with pytest.raises(UserError, match="no use"):
        refused(lambda: run.write_manifest({"a": 1}))
    assert not run.path.exists()
    with pytest.raises(UserError, match="no use"):
        refused(lambda: run.records.add(1, random_groups(0), {}) and None)
    assert run.is_run(run.path)
    with pytest.raises(UserError, match="not empty"), run.opened(run.config, new=True):
        pass


def test_a_folder_killed_before_its_config_was_written_is_as_good_as_none(run: RunFolder) -> None:
    for name in ("rollouts", "checkpoints"):
        (run.path / name).mkdir(parents=True)
    (run.path / ".config.yaml.writing").write_text("env: sim")
    with run.refuse_used().opened(run.config, new=True):
        pass
    assert not list(run.path.glob(".*"))


def test_half_a_checkpoint_is_none(run: RunFolder) -> None:
    with run.opened(run.config, 0):
        (run.checkpoints_path / ".step-000001.writing").mkdir()
        assert run.latest_checkpoint() is None
        policy = SavingPolicy()
        run.save_checkpoint(1, policy, stepped(policy))
    assert [path.name for path in run.checkpoints_path.iterdir()] == ["step-000001"]


def test_a_second_process_is_kept_out(run: RunFolder) -> None:
    with run.opened(run.config, 0), pytest.raises(UserError, match="in use"), run.opened(run.config, 0):
        pass
    with run.opened(run.config, 0):
        pass


def test_used_folders_are_refused(run: RunFolder, tmp_path: Path) -> None:
    run.refuse_used()
    with run.opened(run.config, 0):
        pass
    with pytest.raises(UserError, match=r"not empty.*--resume"):
        run.refuse_used()
    with pytest.raises(UserError, match="not a run folder"):
        RunFolder.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give another --out"):
        RunFolder(tmp_path / "file" / "run", run.config).opened(run.config, 0).__enter__()


def test_new_folders_have_names_that_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = new_folder(TrainConfig())
    assert str(first) == "runs/tiny-countdown-v0-simko-seed0"
    first.mkdir(parents=True)
    assert new_folder(TrainConfig()).name == "tiny-countdown-v0-simko-seed0-2"
    assert new_folder(TrainConfig(out="x")) == Path("x")


def test_problem_key_ignores_case_and_white_space() -> None:
    assert problem_key("What is\n 2 + 2?") == problem_key("what is 2+2?")
    assert problem_key("2 + 2") != problem_key("2 + 3")


def test_writing_over_a_file_is_all_or_nothing(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "old")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def _saved(run: RunFolder) -> tuple[SavingPolicy, torch.optim.Optimizer, Path]:
    policy = SavingPolicy()
    optimizer = stepped(policy)
    with run.opened(run.config, 0):
        run.records.add(1, random_groups(0), {"reward": 0.5})
        return policy, optimizer, run.save_checkpoint(1, policy, optimizer)


def _sum_again(checkpoint: Path) -> None:
    """As one would who wants a damage to pass."""
    names = [p for p in sorted(checkpoint.rglob("*")) if p.is_file() and p.name != "SHA256SUMS"]
    sums = "".join(f"{digest(p)}  {p.relative_to(checkpoint).as_posix()}\n" for p in names)
    (checkpoint / "SHA256SUMS").write_text(sums)


@pytest.mark.parametrize(
    "name", ["config.yaml", "metrics.jsonl", "problems.txt", "rollouts", "verdicts", "checkpoints", "manifest.json"]
)
def test_a_link_out_of_the_folder_is_refused(run: RunFolder, name: str) -> None:
    _saved(run)
    run.write_manifest({})
    (run.path / name).rename(run.path.parent / "outside")
    (run.path / name).symlink_to(run.path.parent / "outside")
    with pytest.raises(
        UserError, match=f"{name} is a link or a pipe, not a file of the run; put the file itself there"
    ):
        RunFolder.open(run.path)


@pytest.mark.parametrize("name", ["rollouts/000002.jsonl.gz", "verdicts/000002.jsonl", "metrics.jsonl"])
def test_a_pipe_is_refused_and_not_waited_for(run: RunFolder, name: str) -> None:
    _saved(run)
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    with pytest.raises(UserError, match=f"{name} is a link or a pipe"):
        RunFolder.open(run.path)


def test_a_checkpoint_that_is_a_link_is_damaged(run: RunFolder) -> None:
    *_, checkpoint = _saved(run)
    checkpoint.rename(run.path.parent / "outside")
    checkpoint.symlink_to(run.path.parent / "outside")
    assert damage(checkpoint) == "step-000001 is a link or a pipe"
    inside = run.path.parent / "outside" / "state.json"
    inside.rename(run.path.parent / "state.json")
    inside.symlink_to(run.path.parent / "state.json")
    assert damage(run.path.parent / "outside") == "state.json is a link or a pipe"


@pytest.mark.parametrize(
    "text",
    ["[]", "[" * 100_000, "{}", '{"step": "one"}', '{"step": Infinity}', '{"step": 1, "method": ["b"]}',
     '{"step": 1, "method": {"loss": {"a": NaN}}}',
     '{"step": 1, "config": [1]}', '{"step": 1, "format": []}'],
)  # fmt: skip
def test_a_state_that_is_none_is_refused_whatever_its_sum(run: RunFolder, text: str) -> None:
    *_, checkpoint = _saved(run)
    (checkpoint / "state.json").write_text(text)
    _sum_again(checkpoint)
    assert damage(checkpoint) is None
    with pytest.raises(UserError, match=r"step-000001 is damaged: its state\.json is not the state of a checkpoint"):
        run.latest_checkpoint()


@pytest.mark.parametrize("harm", ["nan", "integers", "gone", "shape", "negative"])
def test_an_optimizer_that_is_none_is_refused_whatever_its_sum(run: RunFolder, harm: str) -> None:
    policy, optimizer, checkpoint = _saved(run)
    tensors = load_file(checkpoint / "optimizer.safetensors")
    average, square, step = (next(k for k in tensors if k.endswith(f":{w}")) for w in ("exp_avg", "exp_avg_sq", "step"))
    if harm == "nan":
        tensors[average].view(-1)[0] = float("nan")
    elif harm == "integers":
        tensors[average] = tensors[average].long()
    elif harm == "gone":
        del tensors[square]
    elif harm == "shape":
        tensors[step] = torch.ones(2)
    else:
        tensors[square] = -torch.ones_like(tensors[square])
    save_file(tensors, checkpoint / "optimizer.safetensors")
    with pytest.raises(UserError, match=r"optimizer\.safetensors (holds no state of AdamW|belongs to another adapter)"):
        run.restore(checkpoint, policy, optimizer)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        "[]",
        '{"step": 1, "solve_rate": "x"}',
        '{"step": 0}',
        '{"step": ' + "9" * 5000 + "}",
        '{"step": {}}',
    ],
)
def test_a_line_of_metrics_that_is_none_is_named_and_nothing_changes(run: RunFolder, line: str) -> None:
    _saved(run)
    run.records.metrics_path.write_text(line + "\n")
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 1: damaged"), run.opened(replace(run.config, steps=9)):
        run.begin(1, {})
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before
    with run.opened(replace(run.config, steps=9)):
        run.records.metrics_path.unlink()
        run.begin(0, {})
    assert RunFolder.open(run.path).config.steps == 9


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b"[]", b'{"step": 1}', b'{"step": 1, "sample": 0, "task": 3}', b"\xff\xff", b" " * (1 << 21)],
)
def test_rollouts_that_are_none_are_one_line(run: RunFolder, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simko.run.records._LONGEST_LINE", 1 << 20)
    _saved(run)
    path = run.records.rollouts_path / "000001.jsonl.gz"
    path.write_bytes(gzip.compress(data))
    with pytest.raises(UserError, match=r"000001\.jsonl\.gz: damaged, cannot be read \(.*\); delete it"):
        run.records.rollouts(1)


def test_rollouts_without_end_are_not_unpacked(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    _saved(run)
    monkeypatch.setattr("simko.run.records._LONGEST_FILE", 100)
    with pytest.raises(UserError, match=r"unpacked it is longer than 100 bytes"):
        run.records.rollouts(1)


def test_what_is_not_ours_is_passed_over(run: RunFolder) -> None:
    _saved(run)
    for name in ("rollouts/000001 (copy).jsonl.gz", "rollouts/1x.jsonl.gz", "checkpoints/README", "notes.txt"):
        (run.path / name).write_text("x")
    assert RunFolder.open(run.path).records.recorded_steps() == [1]
    assert len(run.checkpoints()) == 1


def test_a_step_beyond_a_million_is_newer(run: RunFolder) -> None:
    for step in (999_999, 1_000_000, 1_000_001):
        (run.checkpoints_path / f"step-{step:06d}").mkdir(parents=True)
    (run.checkpoints_path / "step-0000001").mkdir()
    assert [path.name for path in run.checkpoints()] == ["step-999999", "step-1000000", "step-1000001"]


def test_a_config_of_another_simko_is_one_line(run: RunFolder) -> None:
    _saved(run)
    path = run.path / "config.yaml"
    path.write_text(sealed(path.read_text().rpartition("# sha256")[0] + "of_tomorrow: 1\n"))
    with pytest.raises(UserError, match=r"unknown key 'of_tomorrow': another version of simko wrote it"):
        RunFolder.open(run.path)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1, 1]\nb: [*x, *x]\n",
        "a: 2024-13-45\n",
        "a: " + "[" * 5000,
        "a: " + "9" * 5000,
        "a: !!python/name:os.system\n",
    ],
)
def test_yaml_that_is_a_trap_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=r"c\.yaml.*: not valid YAML \(.+\)") as caught:
        read_yaml(tmp_path / "c.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_a_system_message_is_recorded_with_its_problem(run: RunFolder) -> None:
    first, second, *_ = random_groups(0)
    asked = replace(first, task=replace(first.task, system="Be brief."))
    with run.opened(run.config, 0):
        run.records.add(1, [asked, second], {})
    rows = run.records.rollouts(1)
    assert [row.get("system") for row in rows] == ["Be brief."] * 4 + [None] * 4
    assert ["system" in row for row in rows] == [True] * 4 + [False] * 4
    assert run.records.training_problems() == {problem_key("0"), problem_key("1")}


def test_the_date_in_prompts_is_the_runs(run: RunFolder) -> None:
    with run.opened(run.config, 0):
        assert run.prompt_date() is None
        run.write_manifest({"started": "2026-11-23T10:20:30+00:00"})  # an older version: the day it was last started
        started = datetime(2026, 11, 23, 10, 20, 30, tzinfo=UTC).astimezone().replace(tzinfo=None)
        assert run.prompt_date() == started.isoformat()
        run.write_manifest({"prompt_date": "2024-07-26T00:00:00"})
        assert RunFolder.open(run.path).prompt_date() == "2024-07-26T00:00:00"
        for rubbish in ("today", 5, None):
            run.write_manifest({"prompt_date": rubbish})
            assert run.prompt_date() is None
