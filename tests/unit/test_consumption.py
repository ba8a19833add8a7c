"""What a run took of the machine is recorded where it can be read, added over continuations, never guessed."""

import pytest

from minibert.tracking import consumption as measured
from minibert.tracking.consumption import (
    BEGAN,
    COUNTED,
    JOULES,
    PROCESSOR_SECONDS,
    SECONDS,
    begun,
    consumption,
    lost_time,
    seconds_taken,
)
from tests.support.live_runs import BEGAN as LIVE
from tests.support.live_runs import add_points, training
from tests.support.reports import copied_store


@pytest.fixture
def counter(tmp_path, monkeypatch):
    """Sets the energy counter of one processor, in microjoules."""
    monkeypatch.setattr(measured, "POWERCAP", tmp_path)
    zone = tmp_path / "intel-rapl:0"
    (tmp_path / "intel-rapl:0:0").mkdir()  # a part of it, which must not count twice
    (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("5\n")
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    return lambda value: (zone / "energy_uj").write_text(f"{value}\n")


def test_processor_time_and_energy_are_differences(counter):
    counter(1_000_000_000)
    with consumption({}) as used:
        sum(range(10**6))
        counter(1_360_000_000)
    assert float(used[PROCESSOR_SECONDS]) >= 0 and used[JOULES] == "360"


def test_a_counter_that_began_again_is_followed(counter):
    counter(262_143_328_850 - 1_000_000)
    with consumption({}) as used:
        counter(2_000_000)
    assert used[JOULES] == "3"


def test_what_was_used_before_an_interruption_is_added(counter):
    counter(0)
    with consumption({PROCESSOR_SECONDS: "100.5", JOULES: "40"}) as used:
        counter(2_000_000)
    assert float(used[PROCESSOR_SECONDS]) >= 100.5 and used[JOULES] == "42"


@pytest.mark.parametrize("damage", ["absent", "unreadable", "no largest value", "may have begun again twice"])
def test_energy_that_cannot_be_told_is_not_recorded(counter, tmp_path, monkeypatch, damage):
    counter(0)
    zone = tmp_path / "intel-rapl:0"
    if damage == "absent":
        monkeypatch.setattr(measured, "POWERCAP", tmp_path / "none")
    elif damage == "unreadable":
        (zone / "energy_uj").write_text("not a number")
    elif damage == "no largest value":
        (zone / "max_energy_range_uj").unlink()
    else:
        monkeypatch.setattr(measured, "MOST_WATTS", 1e12)
    with consumption({}) as used:
        sum(range(10**5))
    assert set(used) == {SECONDS, BEGAN, PROCESSOR_SECONDS}


@pytest.mark.parametrize(
    ("before", "last_point", "least"),
    [
        ({}, 0.0, 0.0),
        ({SECONDS: "100.5", BEGAN: COUNTED}, 5000.0, 100.5),  # its last process has recorded its end
        ({BEGAN: "1000.0"}, 1060.0, 60.0),  # it was killed a minute after it began
        ({SECONDS: "100.5", BEGAN: "1000.0"}, 1060.0, 160.5),
        ({SECONDS: "100.5", BEGAN: "1000.0"}, 400.0, 100.5),  # killed before it recorded anything
        ({SECONDS: "100.5", BEGAN: "abc"}, 1060.0, 100.5),  # damaged
        ({SECONDS: "nan", BEGAN: "inf"}, 1060.0, 0.0),
    ],
)
def test_the_time_between_the_starts_of_a_run_is_not_counted(before, last_point, least):
    with consumption(before | lost_time(before, last_point)) as used:
        pass
    assert least <= float(used[SECONDS]) < least + 60 and used[BEGAN] == COUNTED


@pytest.mark.parametrize("kills", [1, 2, 3])
def test_kills_one_after_the_other_lose_no_time(empty_database, tmp_path, kills):
    store = copied_store(empty_database, tmp_path)
    for kill in range(kills):
        with training(store, "a run") as run:  # each records for 50 s, the next begins 950 s later
            run.set_tags({BEGAN: repr(LIVE + 1000 * kill)})
            add_points(run, "train/loss", [5.0], every=10 * (kill + 1), seconds=1000 * kill + 50)
    with training(store, "a run") as run:
        tags = store.client.get_run(run.id).data.tags
        assert tags[SECONDS] == run.before[SECONDS] == f"{50 * kills:.1f}"


def test_the_time_of_a_run_is_told_where_it_is_known():
    assert seconds_taken({SECONDS: "30.0", BEGAN: COUNTED}, 0.0, 90_000.0) == 30.0
    assert seconds_taken({}, 100.0, 160.0) == 60.0  # of an early version
    assert seconds_taken({SECONDS: "30.0", BEGAN: COUNTED}, 0.0, None) is None  # it is being trained
    assert seconds_taken({SECONDS: "30.0", **begun()}, 0.0, 90_000.0) is None  # its last process was killed
