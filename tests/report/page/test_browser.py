"""The report in a real Chromium: no complaint, no request, keyboard and pointer, the filter, a phone, and axe-core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import BINARY, Chromium
from pages import write_run

from simko.report.page.build import report

ROOT = Path(__file__).resolve().parents[3]
_INSIDE = "node_modules/axe-core/axe.min.js"
PLACES = [os.environ.get("SIMKO_TEST_AXE"), ROOT / _INSIDE, f"/usr/lib/{_INSIDE}", f"/usr/local/lib/{_INSIDE}"]
AXE = next((Path(place) for place in PLACES if place and Path(place).is_file()), None)
pytestmark = pytest.mark.skipif(BINARY is None, reason="needs Chromium (Debian: apt install chromium)")
_OWN = "document.title='owned'"
HOSTILE = f'</script><script>{_OWN}</script><img src=http://127.0.0.1:9/x onerror="{_OWN}">\u202e\x1b'


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("browser")
    page, _ = report([write_run(folder / "run", text=HOSTILE, problem=HOSTILE, task=HOSTILE)])
    (folder / "report.html").write_text(page, encoding="utf-8")
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    browser = Chromium(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def view(chromium: Chromium, address: str) -> Chromium:
    chromium.look(1100)
    chromium.open(address)
    return chromium


def test_nothing_is_loaded_and_nothing_complains(view: Chromium, address: str) -> None:
    view.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert view.complaints() == []
    assert view.requests() == [address]
    assert "simko report" in view.run("document.title")


def test_arrow_keys_walk_over_the_tokens(view: Chromium) -> None:
    view.run("document.querySelector('.forks .d').focus()")
    assert view.run("document.querySelector('.panel h4').textContent") == "Token t1"
    view.key("ArrowRight", 39)
    assert view.run("document.querySelector('.panel h4').textContent") == "Token t2"
    assert view.run("document.activeElement.textContent") == "t2"
    panel = view.run("document.querySelector('.panel').textContent")
    assert "reward shared with the candidates" in panel
    assert "30.0 → 60.0" in panel
    view.key("ArrowDown", 40)
    assert view.run("document.activeElement.closest('.answer').id") == "m0-1"
    assert view.run("document.querySelectorAll('.forks [tabindex=\"0\"].d').length") == 1
    assert view.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    view.key("End", 35)
    assert view.run("document.activeElement === [...document.querySelectorAll('.forks .d')].pop()")


def test_the_pointer_shows_a_token_and_a_tap_too(view: Chromium) -> None:
    view.run("document.querySelectorAll('.forks .d')[2].scrollIntoView({block: 'center'})")
    box = view.run(
        "(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelectorAll('.forks .d')[2].getBoundingClientRect())"
    )
    view.hover(*box)
    assert view.run("document.querySelector('.panel h4').textContent") == "Token t3"
    assert view.run("parseFloat(document.querySelector('.panel .new').getBoundingClientRect().width)") > 10
    view.run("document.querySelectorAll('.forks .d')[1].click()")
    assert view.run("document.querySelector('.panel h4').textContent") == "Token t2"


def test_shading_by_the_entropy_before_training(view: Chromium) -> None:
    shade = "getComputedStyle(document.querySelector('.forks .d')).backgroundColor"
    after = view.run(shade)
    view.run("document.getElementById('shade-before').click()")
    assert view.run(shade) != after


def test_the_groups_are_filtered(view: Chromium) -> None:
    shown = "[...document.querySelectorAll('.group')].filter(g => !g.hidden).length"
    put = "(e => {{ e.value = '{1}'; e.dispatchEvent(new Event('input', {{bubbles: true}})) }})(document.getElementById('{0}'))"
    every = view.run(shown)
    view.run(put.format("f-step", "3"))
    assert 0 < view.run(shown) < every
    view.run(put.format("f-step", ""))
    view.run(put.format("f-kind", "failed"))
    assert 0 < view.run(shown) < every
    view.run(put.format("f-kind", ""))
    view.run(put.format("f-verdict", "right"))
    rows = "[...document.querySelectorAll('.group tbody tr')].filter(r => !r.hidden && !r.matches('.right')).length"
    assert view.run(rows) == 0
    assert 0 < view.run(shown) < every
    view.run(put.format("f-verdict", ""))
    view.run(put.format("f-text", "AGAIN5"))
    assert view.run(shown) == 4
    assert view.run("document.getElementById('f-count').textContent") == f"4 of {every} groups"
    view.run(put.format("f-text", "nothing like this"))
    assert view.run(shown) == 0


@pytest.mark.parametrize("width", [360, 1100])
def test_no_sideways_scroll(view: Chromium, width: int) -> None:
    view.look(width)
    view.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert view.run("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_panel_covers_no_token(view: Chromium) -> None:
    view.look(360)
    view.run("document.querySelectorAll('.forks .d')[5].click()")
    assert view.run(
        "document.querySelector('.panel').previousElementSibling === document.querySelectorAll('.tokens-line')[1]"
    )


def test_without_a_script_the_page_says_it_all(chromium: Chromium, address: str) -> None:
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(address)
        hidden = "[...document.querySelectorAll('.needs-script')].every(e => e.offsetParent === null)"
        assert chromium.run(hidden)
        assert chromium.run("document.querySelector('.forks .d').title") != ""
        assert chromium.run("document.querySelectorAll('.tokens tbody tr').length") == 8
        assert chromium.complaints() == []
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.skipif(AXE is None, reason="needs axe-core (npm install axe-core, or SIMKO_TEST_AXE=axe.min.js)")
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(view: Chromium, dark: bool) -> None:
    assert AXE is not None
    view.look(1100, dark=dark)
    view.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    view.run(AXE.read_text(encoding="utf-8"))
    found = view.run(
        "axe.run().then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 150)).slice(0, 3)))"
    )
    assert found == []
