"""The pictures of a report are taken with a browser, and one that takes none is told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from simko.errors import UserError
from studies import screenshots


def test_a_picture_for_each_window_and_one_line_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, page = tmp_path / "chromium", tmp_path / "report.html"
    page.write_text("<p>x</p>")
    program.write_text('#!/bin/sh\nfor word; do case $word in --screenshot=*) echo "$@" > "${word#*=}";; esac; done\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    screenshots.main([str(page), "--out", str(tmp_path)])
    phone = (tmp_path / "report-phone.png").read_text()
    assert "--window-size=390,1300" in phone
    assert phone.strip().endswith(page.as_uri())
    assert "--window-size=1000,1500" in (tmp_path / "report.png").read_text()

    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty has no report"):  # and no picture of the browser's own error
        screenshots.main([str(tmp_path / "empty"), "--out", str(tmp_path)])

    program.write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "report.png").unlink()
    with pytest.raises(UserError, match=r"took no picture of .*report\.html \(exit code 3\)"):
        screenshots.main([str(page), "--out", str(tmp_path)])
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(UserError, match="no browser was found"):
        screenshots.browser()
