"""A figure is arranged once and drawn once to be saved, and looks as matplotlib's two drawings make it."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minibert.diagnostics.plotting.document import picture
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


def test_a_figure_is_drawn_once_to_be_saved(monkeypatch):
    drawn = []
    original = Figure.draw
    monkeypatch.setattr(
        Figure, "draw", lambda figure, renderer: drawn.append(figure) or original(figure, renderer)
    )
    picture("a title", Drawing(curves(), ""))
    assert len(drawn) == 1
