"""The benchmark of the evaluation: what it scores, and how it judges."""

import io

import pytest
from rich.console import Console

from minibert.command_line.terminal import print_table
from minibert.data.annotated.minimal_pairs import MinimalPair
from tests.benchmarks.evaluation import WORKS, Row, parse, spread_sentences, table

PAIRS = [MinimalPair(f"good {number}", f"bad {number}", "p") for number in range(10)]


def test_pairs_are_taken_evenly_with_both_sentences():
    assert spread_sentences(PAIRS, 3) == ["good 0", "bad 0", "good 4", "bad 4", "good 9", "bad 9"]
    assert len(spread_sentences(PAIRS, 1000)) == 20


def test_a_target_bounds_the_seconds_or_their_ratio_to_what_is_beside():
    assert Row("w", [3.0, 1.0, 2.0], 180.0).value == 2.0
    assert Row("w", [3.0, 1.0, 2.0], 0.2, "minicons", beside=8.0).value == 0.25


def printed(*rows: Row) -> str:
    pipe = io.StringIO()
    print_table(Console(file=pipe, width=20), table(list(rows)))
    return pipe.getvalue()


def test_the_table_judges_only_on_a_quiet_machine():
    met, missed = Row("pairs", [1.0], 0.2, "minicons", 10.0), Row("pairs", [3.0], 0.2, "minicons", 10.0)
    assert "met" in printed(met) and "missed" in printed(missed)
    busy = printed(Row("pairs", [3.0], 0.2, "minicons", 10.0, others=0.5))
    assert "void" in busy and "50% of the machine went to others" in busy and "missed" not in busy
    assert not {"met", "missed", "void"} & {*printed(Row("pairs", [3.0])).split()}


def test_one_work_can_be_asked_for_and_settings_follow():
    options = parse(["--only", "pairs", "model.layers=1"])
    assert (options.only, options.overrides) == ("pairs", ["model.layers=1"])
    assert set(WORKS) == {"pairs", "paradigms", "probes", "full"}
    with pytest.raises(SystemExit):
        parse(["--only", "nothing"])
