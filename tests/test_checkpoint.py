"""The run folder: atomic, checked, locked, and honest about what it holds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from fakes import FakePolicy, random_groups
from safetensors.torch import load_file, save_file

from simko.checkpoint import RunFolder, new_folder, problem_key, verify_sums, write_atomically
from simko.config import TrainConfig
from simko.errors import UserError


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
        run.record(1, groups, {"reward": 0.5})
        run.write_manifest({"a": 1})
        run.write_manifest({"b": 2})
    again = RunFolder.open(run.path)
    assert again.config == run.config
    assert again.metrics() == [{"step": 1, "reward": 0.5}]
    assert json.loads((run.path / "manifest.json").read_text()) == {"a": 1, "b": 2}
    rows = again.rollouts(1)
    assert len(rows) == 16
    assert rows[0]["ids"] == groups[0].completions[0].ids.tolist()
    assert [row["outcome"] for row in rows] == [c.verdict.outcome for g in groups for c in g.completions]
    assert again.training_problems() == {problem_key(str(i)) for i in range(4)}


def test_rollouts_are_the_same_bytes_for_the_same_step(run: RunFolder) -> None:
    with run.opened(run.config, 0):
        run.record(1, random_groups(0), {})
        first = (run.rollouts_path / "000001.jsonl.gz").read_bytes()
        run.record(1, random_groups(0), {})
    assert (run.rollouts_path / "000001.jsonl.gz").read_bytes() == first
    assert len(gzip.decompress(first).splitlines()) == 16


def test_opening_at_a_step_forgets_what_came_after(run: RunFolder) -> None:
    with run.opened(run.config, 0):
        for step in (1, 2, 3):
            run.record(step, random_groups(step), {"x": step})
    with run.metrics_path.open("a") as out:
        out.write('{"step": 4, "x"')  # killed in the middle of a line
    with run.opened(run.config, 2):
        assert [line["step"] for line in run.metrics()] == [1, 2]
        assert run.recorded_steps() == [1, 2]


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
    assert run.restore(latest, other, fresh) == 3
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
    with pytest.raises(UserError, match=r"extra\.bin"):
        verify_sums(path)


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
