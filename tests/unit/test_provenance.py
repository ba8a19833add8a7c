"""What a result depends on besides its configuration: recorded, compared, and named in the report."""

import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.protocol import continued, kernels
from minibert.running.life import _tell_changes
from minibert.tracking import claim, environment, open_store, start_run
from minibert.tracking.provenance import CAUSES, ROOMS, UNRECORDED, changed, continuations, explained

HASWELL = {"kernel.name": "Haswell", "kernel.library": "openblas 0.3.31", "kernel.vectors": "X86_V3"}
SKYLAKE = {**HASWELL, "kernel.name": "SkylakeX"}


@pytest.fixture
def held(empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    with claim(open_store(None, tmp_path, "minibert"), "c0ffee" * 10) as held:
        yield held


def tags(run):
    return run.entity().data.tags


def test_the_environment_names_kernel_library_vectors_and_the_code_of_each_room():
    found = environment()
    assert all(found[tag] for tag in CAUSES["kernel"])
    assert {f"code.{room}" for room in ROOMS} <= set(found)
    assert len({found[f"code.{room}"] for room in ROOMS}) == len(ROOMS)


def test_a_run_that_goes_on_under_another_kernel_says_so_in_the_log_and_as_a_tag(held, caplog):
    start_run(held, "a run", {}, {**HASWELL, "kernel.lanes": "2", "version.numpy": "2.4.5"})
    run = start_run(held, "a run", {}, {**SKYLAKE, "kernel.lanes": "1", "version.numpy": "2.4.6"})
    assert run.changes["kernel.name"] == ("Haswell", "SkylakeX")
    assert tags(run)["kernel.name"] == "SkylakeX"
    assert tags(run)["before_continuation.kernel.name"] == "Haswell"
    _tell_changes(run)
    for told in (
        "kernel: Haswell before, SkylakeX now",
        "lanes: 2 before, 1 now",
        "versions (numpy): 2.4.5 before",
    ):
        assert told in caplog.text


def test_a_run_that_goes_on_under_the_same_kernel_says_nothing(held, caplog):
    start_run(held, "a run", {}, HASWELL)
    run = start_run(held, "a run", {}, HASWELL)
    _tell_changes(run)
    assert run.continued and not run.changes and not caplog.text
    assert not [tag for tag in tags(run) if tag.startswith("before_continuation.")]


def test_every_kernel_that_a_run_was_computed_with_stays_on_record(held):
    for kernel in (HASWELL, SKYLAKE, SKYLAKE, HASWELL):
        run = start_run(held, "a run", {}, kernel)
    assert continuations(tags(run)) == {"kernel.name": ("Haswell, then SkylakeX", "Haswell")}


def test_a_run_of_a_version_that_recorded_no_kernel_is_continued_under_an_unknown_change(held):
    start_run(held, "a run", {}, {"version.numpy": "2.0"})
    run = start_run(held, "a run", {}, {**HASWELL, "version.numpy": "2.0", "kernel.lanes": "2", "code.model": "1"})
    assert set(run.changes) == set(HASWELL)
    assert run.changes["kernel.name"] == (UNRECORDED, "Haswell")


def test_what_differs_is_told_by_its_cause():
    before = {"version.numpy": "1", "code.model": "a", "git.branch": "one", "machine.cpus": "2"}
    now = {"version.numpy": "2", "code.model": "b", "git.branch": "two", "machine.cpus": "4"}
    assert explained(changed(before, now)) == [
        "versions (numpy): 1 before, 2 now",
        "code (model): a before, b now",
    ]


def tracked(name, kernel, **more):
    return SimpleNamespace(name=name, id=f"{name}0123456789", tags=kernel | more)


def study(*runs) -> Any:
    return SimpleNamespace(runs=runs)


def test_the_report_names_the_runs_of_another_kernel_than_most():
    (told,) = kernels(study(tracked("one", HASWELL), tracked("two", HASWELL), tracked("odd", SKYLAKE)))
    assert "odd (odd01234)" in told and "SkylakeX" in told and "2 runs" in told and "one (" not in told
    assert kernels(study(tracked("one", HASWELL), tracked("two", HASWELL))) == []
    assert kernels(study(tracked("old", {}), tracked("older", {}))) == []


def test_the_report_names_the_runs_that_were_continued_under_something_else():
    mixed = tracked("mixed", SKYLAKE, **{"before_continuation.kernel.name": "Haswell"})
    (told,) = continued(study(tracked("pure", SKYLAKE), mixed))
    assert "mixed (mixed012)" in told and "kernel: Haswell before, SkylakeX now" in told and "pure (" not in told
