"""Names from users' data in figures: taken as they stand, whatever matplotlib would make of them."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib.text import Text

from minibert.diagnostics.plotting.style import Drawing, as_label, new_figure
from minibert.evaluation.control_figures import Kind, Triple, plot_kinds, plot_places, plot_steps
from minibert.evaluation.instruments import Findings
from minibert.evaluation.minimal_pairs import preferences
from minibert.evaluation.minimal_pairs.figures import draw
from minibert.evaluation.semantics.figures import conclude

STRANGE = ["$a_{$", r"$\frac$ \alpha $x$", "_hidden_$_", "<b>&amp;</b>", "a\nb", "x" * 500]
"""Formulas that cannot be read, and other names with a meaning for some program on the way"""
HALF: Triple = [0.5, 0.4, 0.6]


def texts_of(figure) -> list[str]:
    """Draws the figure, and returns what stands in it."""
    figure.savefig(BytesIO(), format="png", dpi=30)
    assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("name", STRANGE)
def test_names_in_figures_of_evaluation_are_taken_literally(name):
    shown = as_label(name)
    places = {name: {name: {"static": HALF, "layer_0": HALF}}}
    figures = [
        plot_kinds([Kind(name, HALF, {name: 0.5})], name),
        plot_places(places, "score"),
        plot_steps({name: {name: {0: HALF, 8: HALF}}}, "score", chance=0.5),
    ]
    for figure in figures:
        assert texts_of(figure).count(shown) >= 2  # as a tick or a title, and in the legend


@pytest.mark.parametrize("name", STRANGE)
def test_names_of_data_sets_paradigms_and_fields_are_taken_literally(name):
    from minibert.data.annotated.minimal_pairs import MinimalPair

    own = preferences([MinimalPair("a", "b", name, field) for field in (name, "other")], np.array([1.0, -1.0]))
    by_step = {step: {name: {who: own for who in ("model", "untrained", "length")}} for step in (0, 8)}
    for drawing in draw(by_step).values():
        assert any(as_label(name) in text or as_label(name.replace("_", " ")) in text
                   for text in texts_of(drawing.figure))  # fmt: skip


def test_names_of_word_pairs_and_sections_are_taken_literally():
    name = STRANGE[0]
    both = {"model": HALF, "untrained": HALF}
    section = {**both, "nearest to c": 0.1, "most frequent answer": 0.2, "questions": 3}
    values = {"similarity": {name: {"static": both, "layer_0": both}}, "analogies": {"static": {name: section}}}
    found = conclude({step: Findings("", values=values) for step in (0, 8)})
    assert {"word_similarity", "analogies"} <= set(found.figures)
    for drawing in found.figures.values():
        texts_of(drawing.figure)


def test_numbers_that_matplotlib_writes_are_still_powers_of_ten():
    figure = new_figure(3, 3)
    panel = figure.subplots()
    panel.set(xscale="log", xlim=(1e-3, 1e3), title="$5 and $6")
    texts_of_ticks = [text for text in panel.get_xticklabels() if text.get_text()]
    figure.savefig(BytesIO(), format="png", dpi=30)
    assert texts_of_ticks and all(text.get_parse_math() for text in panel.get_xticklabels())
    assert not panel.title.get_parse_math()


def test_a_drawing_saved_by_a_page_is_literal():
    from minibert.diagnostics.plotting import document

    figure = new_figure(3, 3)
    figure.subplots().set_xticks([0, 1], STRANGE[:2])
    assert document.picture("$x$", Drawing(figure, "$")).png
