"""Which sandbox is taken, and what is said if a machine has no sandbox. Sandboxes are tried, so these tests start processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simko.envs.code import jails
from simko.envs.code.jails import Jail, NoSandboxError
from simko.envs.code.launch import Ending, launch
from simko.envs.code.limits import Limits
from simko.errors import UserError


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(jails, "_settings", jails.Settings())
    found = jails._found
    found.cache_clear()
    yield
    found.cache_clear()


def test_a_machine_without_any_is_told_the_mends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container: no bwrap on the path, and sandlock is not installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(jails, "_sandlock_folder", lambda: None)
    with pytest.raises(UserError) as error:
        jails.chosen()
    line = str(error.value)
    assert "sandlock is not installed, bwrap is not installed" in line
    assert "simko[sandbox]" in line
    assert "--unsafe-no-sandbox" in line
    assert "\n" not in line


def test_a_sandbox_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As bwrap does where the system forbids user namespaces."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(
        NoSandboxError, match=r"bwrap does not work here \(bwrap: No permissions to create new namespace\)"
    ):
        jails.jail("bwrap")


def test_what_holds_nothing_is_no_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bwrap that only starts the program: the trial reads a file of ours through it."""
    fake = tmp_path / "bwrap"
    fake.write_text('#!/bin/sh\nwhile [ "$1" != "--" ]; do shift; done\nshift\nfor last; do :; done\n'
                    f'exec {sys.executable} -s -P -S {jails._HERE}/runner.py\n')  # fmt: skip
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(Jail, "_processes", lambda self, limits, uid: None)
    monkeypatch.setattr(jails.os, "getuid", lambda: 1000)
    with pytest.raises(NoSandboxError, match="read a file outside"):
        jails.jail("bwrap")


def test_without_a_sandbox_only_if_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bool] = []

    def find(unsafe: bool) -> Jail:
        tried.append(unsafe)
        return Jail("bwrap", sys.executable)

    monkeypatch.setattr(jails, "_found", find)
    assert jails.chosen().name == "bwrap"
    jails.configure(unsafe=True)
    jails.chosen()
    assert tried == [False, True]


def test_sandlock_comes_before_bwrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jails, "jail", lambda name: Jail(name, sys.executable))
    assert jails.chosen().name == "sandlock"


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), 601.0])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(UserError, match="code_seconds"):
        jails.configure(cpu_seconds=seconds)


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="Linux"):
        jails.chosen()


def test_the_folder_is_removed_whatever_is_in_it(tmp_path: Path) -> None:
    deep = tmp_path / "work"
    deep.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    (deep / "link").symlink_to(outside)
    at = os.open(deep, os.O_RDONLY)
    for _ in range(1010):  # deeper than Python's recursion limit, and than a path may be long
        os.mkdir("d" * 8, 0o700, dir_fd=at)
        below = os.open("d" * 8, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (deep / "closed").mkdir(0o000)
    jails._remove(str(deep))
    assert not deep.exists()
    assert (outside / "kept").exists()


def test_readable_paths_do_not_reach_the_home_folder() -> None:
    paths = jails.readable(os.path.realpath(sys.executable))
    assert str(Path.home()) not in paths
    assert "/" not in paths
    assert "/etc" not in paths


def test_a_dead_sandbox_is_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = Ending((b'["begun", 0.1]',), "killed", "")
    monkeypatch.setattr(Jail, "run", lambda self, request, limits: ending)
    with pytest.raises(NoSandboxError, match="ended without a word"):
        jails.jail("unsafe", python=sys.executable)


def test_a_program_is_the_first_to_go_when_memory_runs_out() -> None:
    command = ["/bin/sh", "-c", "read request; cat /proc/self/oom_score_adj"]
    ending = launch(command, {"program": ""}, Limits(), gentle=False)
    assert ending.why == "ended"
    assert ending.lines == (b"1000",)
