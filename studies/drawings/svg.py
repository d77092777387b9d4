"""Boxes, arrows and labels as SVG, in one style: a light sheet of its own, so that it reads on a light and on a dark page."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from pathlib import Path
from typing import NamedTuple

WIDTH = 760
SIZE = 14  # of the letters, in pixels at full width
LINE = 20  # from one line of text to the next
INSET = 9  # from the edge of a box to its text
FONTS = "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
KINDS = {  # fill and edge
    "plain": ("#ffffff", "#5b6675"),
    "ours": ("#dbe9f8", "#2b5f9e"),
    "good": ("#dcefdc", "#35733f"),
    "bad": ("#f9dfdc", "#a63a2e"),
    "mind": ("#fcebcd", "#94610f"),
    "panel": ("#eef0f3", "#b4bcc6"),
}
INK = "#1b2430"


class Box(NamedTuple):
    """Where a box lies. Its sides are points, where arrows begin and end."""

    x: float
    y: float
    w: float
    h: float

    @property
    def left(self) -> tuple[float, float]:
        """The middle of the left side."""
        return self.x, self.y + self.h / 2

    @property
    def right(self) -> tuple[float, float]:
        """The middle of the right side."""
        return self.x + self.w, self.y + self.h / 2

    @property
    def top(self) -> tuple[float, float]:
        """The middle of the upper side."""
        return self.x + self.w / 2, self.y

    @property
    def bottom(self) -> tuple[float, float]:
        """The middle of the lower side."""
        return self.x + self.w / 2, self.y + self.h


class Drawing:
    """One drawing. `name` is that of its file, `title` and `description` are read aloud in its place."""

    def __init__(self, name: str, height: float, title: str, description: str) -> None:
        self.name, self.height, self.title, self.description = name, height, title, description
        self._parts: list[str] = []

    def box(self, x: float, y: float, w: float, text: str, kind: str = "plain", h: float = 0.0) -> Box:
        """Draw a box round lines of text, the first of them bold. It is as high as its text unless `h` says more.

        Raises:
            ValueError: the text does not fit.
        """
        lines = text.split("\n") if text else []
        box = Box(x, y, w, h or LINE * len(lines) + 2 * INSET)
        fill, edge = KINDS[kind]
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{box.h:g}" rx="7" fill="{fill}" stroke="{edge}" '
            'stroke-width="1.5"/>'
        )
        if LINE * len(lines) + INSET > box.h:
            raise ValueError(f"{self.name}: {len(lines)} lines do not fit into a box of height {box.h:g}: {lines[0]}")
        first = y + INSET if kind == "panel" else y + (box.h - LINE * len(lines)) / 2
        for index, line in enumerate(lines):
            if width_of(line, bold=index == 0) > w - 2 * INSET:
                raise ValueError(f"{self.name}: too long for a box of width {w:g}: {line}")
            self.text(x + w / 2, first + LINE * index, line, "middle", bold=index == 0)
        return box

    def text(self, x: float, y: float, text: str, anchor: str = "start", bold: bool = False) -> None:
        """Draw lines of text whose first begins `y` below the edge.

        Raises:
            ValueError: a line leaves the sheet.
        """
        for index, line in enumerate(text.split("\n")):
            width = width_of(line, bold)
            left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
            if left < INSET / 2 or left + width > WIDTH - INSET / 2 or y + LINE * (index + 1) > self.height:
                raise ValueError(f"{self.name}: leaves the sheet: {line}")
            weight = ' font-weight="bold"' if bold else ""
            self._parts.append(
                f'<text x="{x:g}" y="{y + LINE * index + 15:g}" text-anchor="{anchor}"{weight}>{escape(line)}</text>'
            )

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        """Draw an arrow along these points, with its head at the last."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.7"{dashes} marker-end="url(#head)"/>'
        )

    def line(self, start: tuple[float, float], end: tuple[float, float], dashed: bool = False) -> None:
        """Draw a line without a head."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        (x, y), (u, v) = start, end
        self._parts.append(
            f'<line x1="{x:g}" y1="{y:g}" x2="{u:g}" y2="{v:g}" stroke="{INK}" stroke-width="1.5"{dashes}/>'
        )

    def svg(self) -> str:
        """The whole file."""
        head = "M0,0 L9,4.5 L0,9 z"
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height:g}" width="{WIDTH}" '
                f'height="{self.height:g}" role="img" aria-labelledby="t-{self.name} d-{self.name}" '
                f'font-family="{FONTS}" font-size="{SIZE}" fill="{INK}">',
                f'<title id="t-{self.name}">{escape(self.title)}</title>',
                f'<desc id="d-{self.name}">{escape(self.description)}</desc>',
                '<defs><marker id="head" viewBox="0 0 9 9" refX="8" refY="4.5" markerWidth="6" markerHeight="6" '
                f'orient="auto-start-reverse"><path d="{head}" fill="{INK}"/></marker></defs>',
                f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{self.height - 1:g}" rx="12" fill="#f7f8fa" '
                'stroke="#d5dae1"/>',
                *self._parts,
                "</svg>\n",
            ]
        )


def width_of(text: str, bold: bool = False) -> float:
    """Return the width of a line in DejaVu Sans, in pixels: the widest of the fonts that a system may take."""
    font = _font(bold)
    font.set_text(text)
    return float(font.get_width_height()[0]) / 64


@lru_cache
def _font(bold: bool):  # type: ignore[no-untyped-def]
    import matplotlib
    from matplotlib.ft2font import FT2Font

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    font = FT2Font(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name))
    font.set_size(SIZE, 72)  # at 72 dots an inch a point is a pixel
    return font
