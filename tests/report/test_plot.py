"""The picture is written whole, has all its parts, and its names do not overlap."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from simko.report import Band, FirstLoss
from simko.report.plot import BASE_COLOUR, COLOURS, draw_curves, plot_curves, spread


def curve(name: str, height: float = 0.5, k: tuple[int, ...] = (1, 2, 4, 8), last_is_n: bool = False) -> Band:
    mean = np.linspace(0.1, height, len(k))
    return Band(name, k, mean, mean - 0.05, mean + 0.05, last_is_n=last_is_n)


SHADE = [round(255 - 0.14 * (255 - int(COLOURS[0][i : i + 2], 16))) for i in (1, 3, 5)]  # the first colour at 14 %


def pixels(png: bytes) -> np.ndarray:
    return np.round(255 * imread(io.BytesIO(png))[..., :3]).astype(int)


def has_colour(png: bytes, colour: str) -> bool:
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(pixels(png) - rgb).max(axis=-1) <= 2).sum() > 50)


def test_three_curves_each_in_its_colour() -> None:
    png = draw_curves([curve("simko", 0.9), curve("grpo", 0.7), curve("base", 0.8)], "a title", "a subtitle")
    assert pixels(png).shape == (880, 1520, 3)
    for colour in (COLOURS[0], COLOURS[1], BASE_COLOUR):
        assert has_colour(png, colour)
    assert not has_colour(png, COLOURS[2])


def test_intervals_are_shaded() -> None:
    mean = np.array([0.2, 0.4, 0.6, 0.8])
    narrow, wide = (Band("a", (1, 2, 4, 8), mean, mean - half, mean + half) for half in (0.01, 0.1))
    shaded = [(pixels(draw_curves([c], "t")) == SHADE).all(axis=-1).sum() for c in (narrow, wide)]
    assert shaded[1] > 4 * shaded[0] > 0


def test_equal_arguments_give_equal_bytes() -> None:
    loss = FirstLoss((2, 4), False, (1, 2, 4))
    assert draw_curves([curve("a")], "t", "s", loss) == draw_curves([curve("a")], "t", "s", loss)


def test_only_a_certain_loss_is_marked() -> None:
    curves = [curve("a"), curve("base")]
    unmarked = draw_curves(curves, "t")
    assert draw_curves(curves, "t", loss=FirstLoss((2, 4), False, (1, 2, 4, 8))) != unmarked
    assert draw_curves(curves, "t", loss=FirstLoss((2, 4), True, (1, 2, 4, 8))) == unmarked
    assert draw_curves(curves, "t", loss=FirstLoss((), True, (1, 2, 4, 8))) == unmarked


def test_all_samples_have_an_open_marker() -> None:
    """The last marker loses its filling, so the curve's colour covers fewer pixels; one K alone keeps its own."""
    rgb = [int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)]
    filled, open_ = (
        (pixels(draw_curves([curve("a", last_is_n=last)], "t")) == rgb).all(axis=-1).sum() for last in (False, True)
    )
    assert filled - 200 < open_ < filled - 20
    one = [draw_curves([curve("a", k=(1,), last_is_n=last)], "t") for last in (False, True)]
    assert one[0] == one[1]


@pytest.mark.parametrize("k", [(1,), (1, 2, 3), (1, 2, 4, 8, 16, 32, 64, 128, 256, 300)])
def test_any_number_of_ks(k: tuple[int, ...]) -> None:
    assert has_colour(draw_curves([curve("a", k=k)], "t"), COLOURS[0])


def test_more_curves_than_colours_and_hostile_names() -> None:
    names = [f"$x_{{{i}" for i in range(9)] + ["\\frac", "n" * 80]
    assert draw_curves([curve(name, 0.5) for name in names], "$\\bad{ title", "$$").startswith(b"\x89PNG")


def test_the_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = plot_curves([curve("a")], tmp_path / "plot.png", "t")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no curve"):
        plot_curves([], tmp_path / "none.png", "t")
    assert [p.name for p in tmp_path.iterdir()] == ["plot.png"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_names_are_spread(heights: list[float]) -> None:
    placed = spread(heights, 0.1)
    order = np.argsort(heights, kind="stable")
    assert np.all(np.diff(np.array(placed)[order]) >= 0.1 - 1e-9)
    assert np.mean(placed) == pytest.approx(np.mean(heights))


def test_names_with_room_stay_where_they_are() -> None:
    assert spread([0.9, 0.1, 0.5], 0.1) == [0.9, 0.1, 0.5]
