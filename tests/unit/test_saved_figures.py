"""A figure is arranged once and drawn once to be saved, and looks as matplotlib's two drawings make it."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minibert.diagnostics.health.curves import plot_training_curves
from minibert.diagnostics.plotting.document import picture
from minibert.diagnostics.plotting.panels import placed_panels
from minibert.diagnostics.plotting.style import Drawing, finish, new_figure, step_axis


def curves():
    figure = new_figure(5, 3)
    panel = figure.subplots()
    panel.plot([1, 10, 100], [3.0, 0.02, 500.0], label="a curve")
    panel.set_yscale("log")
    panel.annotate("here", (10, 0.02), xytext=(20, 20), textcoords="offset points")
    panel.legend(frameon=False)
    finish(panel, "optimizer step", "loss (nats)", "a title")
    return figure


def panels():
    figure = new_figure(6, 5)
    above, below = figure.subfigures(2, 1, height_ratios=[3, 1])
    for panel in above.subplots(2, 2).ravel():
        panel.plot([0, 1, 20], [1, 2, 3])
        step_axis(panel, np.array([20]))
    below.text(0.1, 0.5, "a sentence of the page")
    return figure


def placed():
    figure = new_figure(11, 7, placed=True)
    for panel in placed_panels(figure, 11, 7, 2, 2):
        panel.plot([0, 1, 20], [0.02, 2, 300])
        panel.set_yscale("log")
        finish(panel, "optimizer step", "loss (nats)", "a title")
    return figure


def pictures():
    figure = new_figure(4, 4)
    panel = figure.subplots()
    image = panel.imshow(np.arange(12).reshape(3, 4))
    figure.colorbar(image, ax=panel, label="a bar of colours")
    figure.legend(handles=panel.plot([0, 3], [0, 2], label="a line"), loc="outside right upper")
    return figure


@pytest.mark.parametrize("draw", [curves, panels, pictures])
def test_the_picture_is_that_of_two_whole_drawings(draw, monkeypatch):
    saved = picture("a title", Drawing(draw(), "")).png
    monkeypatch.setattr("minibert.diagnostics.plotting.literal.LiteralFigure._is_arranged", lambda _: False)
    expected = picture("a title", Drawing(draw(), "")).png
    assert np.array_equal(*(np.asarray(Image.open(BytesIO(each))) for each in (saved, expected)))


@pytest.mark.parametrize("draw", [curves, placed])
def test_a_figure_is_drawn_once_to_be_saved(draw, monkeypatch):
    drawn = []
    original = Figure.draw
    monkeypatch.setattr(
        Figure, "draw", lambda figure, renderer: drawn.append(figure) or original(figure, renderer)
    )
    picture("a title", Drawing(draw(), ""))
    assert len(drawn) == 1


class Recorded:
    """The metrics of a run whose values are of one size."""

    def __init__(self, size: float):
        self.size = size

    def history(self, metric: str) -> tuple[list[int], list[float]]:
        return [0, 50_000, 100_000], [self.size, 0.31 * self.size, 0.29 * self.size]


@pytest.mark.parametrize("size", [3e-7, 0.002345, 1, 123_456])
def test_the_labels_of_placed_panels_have_room_for_numbers_of_every_size(size):
    for drawn in [*plot_training_curves(Recorded(size)).values(), Drawing(placed(), "")]:
        width, height = drawn.figure.get_size_inches()
        drawn.figure.draw_without_rendering()
        for panel in drawn.figure.axes:
            (left, low), (right, high) = (
                panel.get_tightbbox().transformed(drawn.figure.dpi_scale_trans.inverted()).get_points()
            )
            assert 0 <= left < right <= width
            assert 0 <= low < high <= height
