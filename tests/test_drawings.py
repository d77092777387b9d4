"""The drawings of the docs are what their command writes, they are well-formed, and their text stays in its boxes."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from studies.drawings.__main__ import IMAGES, drawings
from studies.drawings.svg import WIDTH, Drawing, width_of

DOCS = IMAGES.parent
SVG = "{http://www.w3.org/2000/svg}"


def test_the_files_are_what_the_command_writes() -> None:
    written = {f"{drawing.name}.svg": drawing.svg() for drawing in drawings()}
    stored = {path.name: path.read_text(encoding="utf-8") for path in IMAGES.glob("*.svg")}
    assert stored == written, "run: python -m studies.drawings"


def test_each_reads_without_sight_and_on_a_dark_page() -> None:
    for path in IMAGES.glob("*.svg"):
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        labels = str(root.get("aria-labelledby")).split()
        named = {element.get("id"): element.text for element in root if element.tag in (f"{SVG}title", f"{SVG}desc")}
        assert list(named) == labels, path.name
        assert all(named.values()), path.name
        sheet = next(element for element in root if element.tag == f"{SVG}rect")
        assert float(str(sheet.get("width"))) == WIDTH - 1, path.name
        assert str(sheet.get("fill")).startswith("#f"), path.name
        assert int(str(root.get("font-size"))) >= 14, path.name


def test_every_picture_is_on_a_page_and_a_plot_beside_its_command() -> None:
    pages = [path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")]
    for image in IMAGES.iterdir():
        uses = [text[text.index(f"images/{image.name})") :] for text in pages if f"images/{image.name})" in text]
        assert uses, f"{image.name} is on no page"
        commands = [re.match(r"[^#]{0,200}\nWritten by\s`(simko|python -m) ", text) for text in uses]
        assert image.suffix == ".svg" or any(commands), f"{image.name} does not stand beside the command that writes it"


def test_text_that_leaves_its_box_is_refused() -> None:
    draw = Drawing("x", 100, "t", "d")
    assert 40 < width_of("a word") < width_of("a word", bold=True) < 70
    draw.box(10, 10, 80, "a word")
    with pytest.raises(ValueError, match="too long for a box of width 60: a word"):
        draw.box(10, 10, 60, "a word")
    with pytest.raises(ValueError, match="2 lines do not fit"):
        draw.box(10, 10, 80, "a\nb", h=30)
    with pytest.raises(ValueError, match="leaves the sheet"):
        draw.text(WIDTH - 20, 10, "a word")


def test_the_command_writes_into_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from studies.drawings import __main__ as command

    monkeypatch.setattr("sys.argv", ["drawings", "--out", str(tmp_path)])
    command.main()
    assert len(list(tmp_path.iterdir())) == len(drawings())
