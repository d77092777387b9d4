"""The look at the built site, as far as it goes without a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from simko.errors import UserError
from studies import look


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for folder in (".", "how/head", "start"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "index.html").write_text(f"<h1>{folder}</h1>")
    (tmp_path / "404.html").write_text("<h1>not here</h1>")
    return tmp_path


def test_pages_are_their_addresses(site: Path) -> None:
    assert look.pages_of(site) == ["", "how/head/", "start/"]


def test_the_site_is_served_at_a_place_that_is_not_the_root(site: Path) -> None:
    with look.served(site) as address:
        assert urlopen(f"{address}how/head/").read() == b"<h1>how/head</h1>"
        root = address.removesuffix(look.PLACE)
        with pytest.raises(HTTPError, match="404") as refused:
            urlopen(f"{root}/how/head/")
        refused.value.close()


def test_a_rule_that_is_broken_is_one_line() -> None:
    node = {"html": "<img>", "failureSummary": "Fix any:\n  no alt"}
    rule = {"id": "image-alt", "impact": "critical", "help": "Images have alt", "nodes": [node, {"html": "<img id=b>"}]}
    assert list(look.violations({"violations": [rule]})) == ["image-alt (critical), 2 times: <img>: Fix any: no alt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--site", "nowhere"], "nowhere holds no site: make docs"),
        (["--pages", "how/haed"], "has no page 'how/haed/'; it has how/head/, start/"),
        (["--pages", "start"], "pip install playwright axe-playwright-python"),
    ],
)
def test_mistakes_are_one_line(site: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["look", "--site", str(site), "--out", str(site / "out"), *words])
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(UserError, match=message):
        look.main()
