"""The values of a setting have one order and one form in a report."""

import pytest

from analysis.assumptions import listed
from analysis.values import in_order, same_value, shown
from tests.support.studies import study_of


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (["0.6", "0.15", "0.4"], ["0.15", "0.40", "0.60"]),
        (["1000000.0", "10000.0"], ["1e4", "1e6"]),
        (["0.0001", "1e-05"], ["1e-5", "1e-4"]),
        (["0.0003", "0.001"], ["0.0003", "0.0010"]),
        (["2.0", "1.0"], ["1", "2"]),
        (["1.0", "0.5"], ["0.5", "1.0"]),
        (["1024", "64", "100000"], ["64", "1024", "100000"]),
        (["2500000.0", "-0.5"], ["-0.5", "2.5e6"]),
        (["10000.0"], ["1e4"]),
        (["2000.0", "10000.0", "12345.0"], ["2000", "1e4", "12345"]),
        (["lion", "adamw"], ["lion", "adamw"]),
        (["null", "0.25", "0.1"], ["0.10", "0.25", "null"]),
    ],
)
def test_values_are_printed_by_size_and_as_short_as_a_command_gives_them(recorded, expected):
    found = shown(recorded)
    assert list(found) == list(in_order(recorded))
    assert list(found.values()) == expected
    assert all(same_value(value, text) for value, text in found.items())


def test_sentences_list_numbers_by_size_and_names_in_the_order_of_the_command():
    assert listed({"masking.rate": ["0.6", "0.15", "0.4"], "optimizer": ["lion", "adamw"]}) == (
        "masking.rate (0.15, 0.40, 0.60) and optimizer (lion, adamw)"
    )


def test_combinations_have_the_order_and_the_form_of_their_values():
    cells = {(rate, name): {0: 5.0, 1: 5.1} for rate in ("1000000.0", "10000.0") for name in ("lion", "adamw")}
    study = study_of(cells, ("model.position.base", "optimizer"))
    assert [study.shown(value) for value in study.values] == [
        "1e4 · lion", "1e4 · adamw", "1e6 · lion", "1e6 · adamw"
    ]  # fmt: skip
