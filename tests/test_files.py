"""Writing: whole or not at all, and every refusal names the file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simko import files
from simko.errors import UserError
from simko.files import (
    LOCK,
    append,
    check_space,
    clear_scratch,
    is_locked,
    locked,
    odd_file,
    remove,
    replace_folder,
    whole_file,
    whole_folder,
    write,
    write_atomically,
)


def full(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes `limit` more bytes."""
    real, left = os.write, limit

    def write_some(handle: int, data: Any) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = real(handle, bytes(data)[:left])
        left -= done
        return done

    monkeypatch.setattr(os, "write", write_some)


@pytest.mark.parametrize("limit", [0, 3])
def test_a_full_disk_leaves_no_half_file(tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "a", "old")
    append(tmp_path / "log", b"one\n")
    for attempt in (
        lambda: write(tmp_path / "b", b"content"),
        lambda: write_atomically(tmp_path / "a", "content"),
        lambda: append(tmp_path / "log", b"content\n"),
    ):
        with monkeypatch.context() as patched:
            full(limit, patched)
            with pytest.raises(OSError, match="No space left on device") as caught:
                attempt()
        assert Path(caught.value.filename).parent == tmp_path
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old", "log": "one\n"}


def test_a_signal_in_the_midst_of_a_write_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(handle: int, data: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    for attempt in (lambda: write(tmp_path / "b", b"x"), lambda: write_atomically(tmp_path / "a", "x")):
        with pytest.raises(KeyboardInterrupt):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_folders_take_their_name_whole(tmp_path: Path) -> None:
    for content in ("one", "two"):
        scratch = tmp_path / ".made.writing"
        scratch.mkdir()
        (scratch / "file").write_text(content)
        replace_folder(scratch, tmp_path / "made")
        assert [path.name for path in tmp_path.iterdir()] == ["made"]
        assert (tmp_path / "made" / "file").read_text() == content


def test_a_folder_is_not_deleted_before_its_successor_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in (("made", "one"), (".made.writing", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(content)
    real = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if target.name == "made":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OSError, match="Input/output error"):
        replace_folder(tmp_path / ".made.writing", tmp_path / "made")
    assert sorted(path.read_text() for path in tmp_path.rglob("file")) == ["one", "two"]


def test_a_removal_that_is_cut_short_leaves_nothing_under_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", lambda *_, **__: None)  # killed here
        remove(tmp_path / "old")
    assert not (tmp_path / "old").exists()
    clear_scratch(tmp_path)
    assert list(tmp_path.iterdir()) == []
    remove(tmp_path / "old")


def test_clearing_takes_scratch_alone(tmp_path: Path) -> None:
    for name in (".a.writing", "b", ".c"):
        (tmp_path / name).touch()
    clear_scratch(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"b", ".c"}


def test_a_folder_is_locked_by_one_at_a_time_and_keeps_no_file(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path), pytest.raises(BlockingIOError), locked(tmp_path):
            raise AssertionError("not reached")
        assert list(tmp_path.iterdir()) == []


def test_another_process_is_kept_out_until_the_first_is_killed(tmp_path: Path) -> None:
    code = "import sys, pathlib, simko.files\nwith simko.files.locked(pathlib.Path(sys.argv[1])): print(flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(BlockingIOError), locked(tmp_path):
            raise AssertionError("not reached")
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        other.kill()
        other.wait()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_not_a_link(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match=r"\.lock"), locked(tmp_path / "run"):
        raise AssertionError("not reached")
    assert not (tmp_path / "outside").exists()


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    final = tmp_path / "made"

    def interrupted() -> None:
        with whole_folder(final) as scratch:
            (scratch / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".made.writing").mkdir()
    (tmp_path / ".made.writing" / "half").touch()  # a kill left it
    with whole_folder(final) as scratch:
        (scratch / "file").write_text("x")
        assert not final.exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "file"]


def test_a_disk_that_is_too_small_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    assert check_space(tmp_path, 10**8, "it", "mend") == "0.17 GB of disk, 1.00 GB are free"
    with pytest.raises(UserError, match=r"^it takes 1\.07 GB of disk, 1\.00 GB are free; mend$"):
        check_space(tmp_path, 10**9, "it", "mend")


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "log").symlink_to(outside)
    (folder / ".a.writing").symlink_to(outside)
    for attempt in (
        lambda: append(folder / "log", b"ours"),
        lambda: write(folder / "log", b"ours"),
        lambda: write_atomically(folder / "a", b"ours"),
    ):
        with pytest.raises(OSError, match=r"log|\.a\.writing"):
            attempt()
    assert outside.read_text() == "theirs"


def test_what_is_no_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("")
    assert odd_file(tmp_path) is None
    os.mkfifo(tmp_path / "a" / "b" / "pipe")
    assert odd_file(tmp_path) == tmp_path / "a" / "b" / "pipe"
    (tmp_path / "a" / "link").symlink_to("/")
    assert odd_file(tmp_path) == tmp_path / "a" / "link"


def test_a_child_that_an_environment_forked_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A run forks a child and is killed: the child lives on, and the folder is free."""
    reader, writer = os.pipe()
    heard, says = os.pipe()
    run = os.fork()
    if not run:
        with locked(tmp_path):
            if not os.fork():
                os.close(writer)
                os.write(says, b".")
                os.read(reader, 1)  # until the test has tried
                os._exit(0)
            os.read(heard, 1)
            os._exit(0)  # as a kill: nothing is cleaned up
    os.waitpid(run, 0)
    try:
        assert (tmp_path / ".lock").exists()
        with locked(tmp_path):
            pass
    finally:
        for handle in (reader, writer, heard, says):
            os.close(handle)


def test_the_disk_has_a_content_before_its_name_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut needs this, and no other test notices if it is left out."""
    events: list[tuple[str, str]] = []
    fsync, replace, rename = os.fsync, Path.replace, Path.rename

    def synced(handle: int) -> None:
        events.append(("sync", Path(os.readlink(f"/proc/self/fd/{handle}")).name))
        fsync(handle)

    def named(real: Any) -> Any:
        def move(self: Path, target: Path) -> Path:
            events.append(("name", Path(target).name))
            return real(self, target)

        return move

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named(replace))
    monkeypatch.setattr(Path, "rename", named(rename))
    write_atomically(tmp_path / "a", "content")
    assert events == [("sync", ".a.writing"), ("name", "a"), ("sync", tmp_path.name)]
    events.clear()
    append(tmp_path / "a", b"more")
    assert events == [("sync", "a")]
    events.clear()
    scratch = tmp_path / ".f.writing"
    (scratch / "inner").mkdir(parents=True)
    (scratch / "inner" / "x").write_text("x")
    replace_folder(scratch, tmp_path / "f")
    named_at = events.index(("name", "f"))
    assert {("sync", "x"), ("sync", "inner"), ("sync", ".f.writing")} <= set(events[:named_at])
    assert ("sync", tmp_path.name) in events[named_at:]


def test_asking_for_a_lock_takes_it_from_nobody(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert not list(tmp_path.iterdir())
    with locked(tmp_path):
        assert is_locked(tmp_path)
        os.utime(tmp_path / LOCK, (0, 0))
        assert is_locked(tmp_path)
    (tmp_path / LOCK).touch()  # as a killed process leaves it
    assert is_locked(tmp_path)  # new: somebody may be about to lock it
    os.utime(tmp_path / LOCK, (0, 0))
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_a_link_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK).symlink_to("nowhere")
    assert not is_locked(tmp_path)
    (tmp_path / LOCK).unlink()
    os.mkfifo(tmp_path / LOCK)
    os.utime(tmp_path / LOCK, (0, 0))
    assert not is_locked(tmp_path)


def test_a_long_file_takes_its_name_whole(tmp_path: Path) -> None:
    path = tmp_path / "long[1].gz"
    path.write_text("old")
    with whole_file(path) as add:
        add(b"one ")
        assert path.read_text() == "old"
        add(b"two")
    assert path.read_text() == "one two"

    def killed() -> None:
        with whole_file(path) as add:
            add(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(path.name, "one two")]


def test_a_long_file_on_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        full(3, patched)
        with pytest.raises(OSError, match="No space left") as caught, whole_file(tmp_path / "a") as add:
            add(b"content")
    assert caught.value.filename == str(tmp_path / "a")
    with pytest.raises(OSError, match="of another"), whole_file(tmp_path / "a"):
        raise OSError(5, "of another")
    assert list(tmp_path.iterdir()) == []


def test_only_what_a_killed_process_left_of_a_long_file_is_cleared(tmp_path: Path) -> None:
    dead, alive, other = (tmp_path / f".{name}.writing" for name in ("a.999999999", f"a.{os.getppid()}", "b.999999999"))
    for path in (dead, alive, other):
        path.write_text("half")
    with whole_file(tmp_path / "a") as add:
        add(b"x")
    assert {path.name for path in tmp_path.iterdir()} == {"a", alive.name, other.name}
