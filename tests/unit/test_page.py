"""The page of a run's figures: what it says of the run, and that one broken drawing costs no other."""

import html
import re
from types import SimpleNamespace

import numpy as np
import pytest

from minibert.diagnostics.engine import page
from minibert.diagnostics.health.curves import plot_training_curves
from minibert.diagnostics.plotting import document
from minibert.diagnostics.plotting.style import Drawing, new_figure
from minibert.errors import MinibertError

NAME = "<script>alert(1)</script>"


class Record:
    """What is drawn, in memory, of a run with a name from outside."""

    id = "0123456789abcdef0123456789abcdef"

    def __init__(self, **histories):
        self.histories, self.files, self.tags = histories, {}, {}

    def entity(self):
        info = SimpleNamespace(run_name=NAME, start_time=1.8e12)
        params = {"model.name": "base", "optimizer.learning_rate": "0.001", "data.path": '"><b>', "seed": "7"}
        return SimpleNamespace(info=info, data=SimpleNamespace(params=params))

    def history(self, metric):
        return self.histories.get(metric, ([], []))

    def log_bytes(self, content, path):
        self.files[path] = content

    def log_text(self, text, path):
        self.files[path] = text

    def set_tags(self, tags):
        self.tags |= tags


def sound(record):
    figure = new_figure(6, 4)
    figure.subplots().plot([1, 2])
    return {"sound_one": Drawing(figure, "All is <well>.")}


def of_no_limits(record):
    figure = new_figure(6, 4)
    figure.subplots().set_xlim(0, np.nan)
    return {"never": Drawing(figure, "")}


def of_no_limits_when_drawn(record):
    figure = new_figure(6, 4)
    panel = figure.subplots()
    panel.set_yscale("function", functions=(lambda x: 1 / 0, lambda x: x))
    return {"late": Drawing(figure, ""), **sound(record)}


def from_damaged_arrays(record):
    raise MinibertError("arrays/maps/step_0000001.npz: is damaged.")


def of_nothing(record):
    return None


def of_no_drawing(record):
    return {"number": 3}


def of_a_path(record):
    return {"../../outside": sound(record)["sound_one"]}


def drawn(*functions, record=None, complete=True):
    record = record or Record()
    return record, page.draw(record, [("spectra", function) for function in functions], complete)


@pytest.mark.parametrize(
    ("broken", "what", "reason"),
    [
        (of_no_limits, "of_no_limits", "NaN"),
        (from_damaged_arrays, "from_damaged_arrays", "is damaged"),
        (of_nothing, "of_nothing", "AttributeError"),
        (of_no_drawing, "number", "AttributeError"),
        (of_a_path, "../../outside", "the name of a drawing"),
    ],
)
def test_a_drawing_that_fails_is_reported_and_the_others_are_drawn(caplog, broken, what, reason):
    record, failed = drawn(broken, sound)
    assert list(failed) == [f"spectra/{what}"] and reason in failed[f"spectra/{what}"]
    assert set(record.files) == {"figures/spectra/sound_one.png", "figures/index.html"}
    assert list(record.tags) == [f"figures.failed.spectra.{what.replace('/', '.')}"]
    assert f"spectra/{what} could not be drawn" in caplog.text
    assert "Not everything could be drawn" in record.files["figures/index.html"]


def test_a_figure_that_fails_when_it_is_written_costs_no_other_of_its_function():
    record, failed = drawn(of_no_limits_when_drawn)
    assert list(failed) == ["spectra/late"]
    assert "figures/spectra/sound_one.png" in record.files


def test_the_page_says_what_run_it_is_of_and_how_it_ended():
    record = Record(
        **{
            "eval/loss": ([0, 2000], [7.0, 5.25]),
            "baseline/unigram_entropy": ([0], [6.5]),
            "baseline/bigram_cross_entropy": ([0], [5.5]),
        }
    )
    text = drawn(sound, record=record)[0].files["figures/index.html"]
    assert "Held-out loss 5.250 nats per predicted token after 2,000 steps" in text
    assert "beside 6.500 (unigram entropy) and 5.500 (loss of a bigram model) of the same text" in text
    assert re.search(r"started \d\d January 2027", text) and Record.id in text
    assert "<dt>learning rate</dt><dd>0.001</dd>" in text and "<dt>seed</dt><dd>7</dd>" in text
    assert "<h3>Sound one</h3>" in text and "prefers-color-scheme: dark" in text
    assert 'style="--inches: 6"' in text and 'name="viewport"' in text


def test_what_comes_from_outside_is_escaped():
    text = drawn(sound)[0].files["figures/index.html"]
    assert NAME not in text and "&lt;script&gt;" in text
    assert '"><b>' not in text and "All is &lt;well&gt;." in text


@pytest.mark.parametrize(
    ("losses", "said"), [([], "No held-out loss"), ([float("nan")], "loss is nan after 1 step.")]
)
def test_without_a_finite_loss_the_page_says_so(losses, said):
    record = Record(**{"eval/loss": ([1] * len(losses), losses)})
    assert said in drawn(sound, record=record)[0].files["figures/index.html"]


def test_some_rooms_alone_name_the_command_for_all():
    record, _ = drawn(sound, complete=False)
    assert html.escape(f"run={Record.id} 'quantities=[]'") in record.files["figures/index.html"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("norms", [[], [0.0, 0.0], [float("nan")], [float("inf"), 1.0]])
def test_training_curves_are_drawn_of_any_numbers_and_of_none(norms):
    record = Record(**{"gradient_norm/global": (list(range(len(norms))), norms)})
    figures = plot_training_curves(record)
    assert list(figures) == ["loss", "learning_rate", "gradient_norm"]
    assert all(document.picture("", figure).png for figure in figures.values())
