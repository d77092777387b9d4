"""Pictures of a comparison: any number of arms, the colours of arms, and no text over another."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from fake_arms import arm, noisy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from simko.report import comparison_plot, frontier
from simko.report.comparable import one_comparison
from simko.report.comparison import results_of
from simko.report.comparison_plot import draw_differences, draw_pass, styles
from simko.report.frontier import draw_frontier
from simko.report.plot import BASE_COLOUR, COLOURS

DRAW = (draw_pass, draw_differences, draw_frontier)


def compared(arms: int, seeds: int = 2, **names: str) -> dict[str, Any]:
    every = [names.get("first", "grpo"), *(f"method number {i}" for i in range(1, arms)), "base"]
    measured = [noisy(name, seed, 0.02 * i) for i, name in enumerate(every) for seed in range(seeds)]
    return results_of(one_comparison(measured), every[0])


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    drawn: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        drawn.append(figure)
        return b""

    monkeypatch.setattr(comparison_plot, "png", keep)
    monkeypatch.setattr(frontier, "png", keep)
    return drawn


def shown_texts(figure: Figure) -> list[Text]:
    """Texts of the figure and of its axes; of the ticks only those inside the limits, as matplotlib draws them."""
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [*axes.texts, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return texts


@pytest.mark.parametrize("arms", [1, 3, 12])
@pytest.mark.parametrize("draw", DRAW)
def test_no_text_lies_over_another_or_outside(draw: Any, arms: int, figures: list[Figure]) -> None:
    draw(compared(arms, first="grpo with a name that is far too long for its panel"))
    (figure,) = figures
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [text for text in shown_texts(figure) if text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    width, height = figure.canvas.get_width_height()
    for i, (name, box) in enumerate(boxes):
        assert min(box.x0, box.y0) >= 0, name
        assert box.x1 <= width, name
        assert box.y1 <= height, name
        for other, second in boxes[i + 1 :]:
            apart = box.x1 <= second.x0 or second.x1 <= box.x0 or box.y1 <= second.y0 or second.y1 <= box.y0
            assert apart, (name, other)


def test_an_arm_has_one_colour_in_every_picture_and_the_base_is_grey() -> None:
    result = compared(9)
    looks = styles(result)
    assert looks["base"]["color"] == BASE_COLOUR
    assert len({(look["color"], look["marker"]) for look in looks.values()}) == 10
    image = np.round(255 * imread(io.BytesIO(draw_frontier(result)))[..., :3]).astype(int)
    for colour in (*COLOURS, BASE_COLOUR):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(image - rgb).max(axis=-1) <= 2).sum() > 50


def test_every_seed_is_a_point_of_the_frontier(figures: list[Figure]) -> None:
    result = compared(2, seeds=3)
    draw_frontier(result)
    axes = figures[0].axes
    assert [one.get_ylabel() for one in axes] == ["pass@8 (%)", "pass@16 (%) (K = n: noisy)"]
    drawn = {tuple(np.round(point, 6)) for line in axes[0].lines for point in line.get_xydata()}
    for entry in result["arms"]:
        for point in entry["seeds"]:
            assert tuple(np.round([100 * point["pass_at_k"]["1"], 100 * point["pass_at_k"]["8"]], 6)) in drawn


def test_differences_are_those_of_the_words(figures: list[Figure]) -> None:
    result = compared(2)
    draw_differences(result)
    gap = result["arms"][2]["against_reference"]
    lines = [line.get_ydata() for line in figures[0].axes[1].lines]
    assert any(len(y) == 5 and np.allclose(y, [100 * row[0] for row in gap["curve"].values()]) for y in lines)
    texts = [text.get_text() for text in figures[0].axes[1].findobj(Text)]
    assert f"to grpo: {gap['words']}" in texts


def test_one_sample_one_arm_and_no_difference() -> None:
    result = results_of(one_comparison([arm("a", n=1, solved=[1, 0])]))
    for draw in (draw_pass, draw_frontier):
        assert draw(result).startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no difference"):
        draw_differences(result)


def test_names_are_no_formulas() -> None:
    result = results_of(one_comparison([noisy("$\\bad{", 0), noisy("base", 0)]))
    for draw in DRAW:
        assert draw(result).startswith(b"\x89PNG")
