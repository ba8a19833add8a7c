"""What ends before its first run, or first step: its record is closed, and the list of sweeps tells the truth."""

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.util import find_spec

import pytest

from minibert import search, sweeps
from minibert.errors import MinibertError
from minibert.run import main
from minibert.tracking import claim, open_store, open_sweep, start_run
from minibert.tracking.processes import STARTED, process_tags

SWEEP = "a sweep of seeds"


@pytest.fixture
def words(small_settings, empty_database, tmp_path) -> list[str]:
    """Those of a run in a store of its own."""
    shutil.copy(empty_database, tmp_path)
    return [*small_settings, "diagnostics=off", f"tracking.folder={tmp_path}"]


@pytest.fixture
def sweep(words) -> list[str]:
    return ["--multirun", *words, "seed=0,1", "hydra/launcher=basic", f"study.name='{SWEEP}'"]


@pytest.fixture
def after(monkeypatch):
    """``after(function, act)``: what happens each time that this function, named by its path, has been called."""

    def then(path: str, act: Callable[[], object]) -> None:
        module, _, name = path.rpartition(".")
        original = getattr(import_module(module), name)

        def called(*arguments, **options):
            result = original(*arguments, **options)
            act()
            return result

        monkeypatch.setattr(path, called)

    return then


def record(folder, kind: str) -> tuple[str, str]:
    """(status, reason) of the only sweep or run of a store."""
    store = open_store(None, folder, "minibert")
    (found,) = store.client.search_runs([store.experiment_id], f"tags.`minibert.kind` = '{kind}'")
    return found.info.status, found.data.tags.get("minibert.reason", "")


def sweep_id(folder) -> str:
    store = open_store(None, folder, "minibert")
    (found,) = store.client.search_runs([store.experiment_id], "tags.`minibert.kind` = 'sweep'")
    return found.info.run_id


def row(folder, capsys, name: str = SWEEP) -> list[str]:
    """What the list of sweeps says of one."""
    capsys.readouterr()
    assert sweeps.main(["list", f"tracking.folder={folder}"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if name in line]
    return [cell.strip() for cell in line.strip("│").split("│")]


PLACES = {
    "the parent was made": "minibert.tracking.sweeps.create",
    "its plan was written": "minibert.tracking.sweeps.add_to_plan",
    "it was opened": "minibert.running.sweep.open_sweep",
    "what is left was looked for": "minibert.running.sweep._join_finished",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", PLACES)
def test_a_signal_before_the_first_run_closes_the_sweep_as_killed(sweep, after, tmp_path, capsys, place, number):
    after(PLACES[place], lambda: signal.raise_signal(number))
    assert main(sweep) == 128 + number
    printed = capsys.readouterr()
    assert "0 of 2 runs finished" in printed.out and "The same command continues the sweep" in printed.err
    assert printed.out.splitlines()[-1].startswith("No report was written: no run has finished. The same command")
    assert record(tmp_path, "sweep") == ("KILLED", signal.Signals(number).name)
    assert row(tmp_path, capsys)[2:4] == ["killed", "0 of 2"]


def test_a_sweep_that_is_ended_early_says_in_its_last_line_how_to_have_a_report(sweep, after, tmp_path, capsys):
    """First after one of two runs, and then, by the same command, once the report has begun."""
    with pytest.MonkeyPatch.context() as first:
        close = import_module("minibert.running.life")._close

        def close_and_end(*words):
            untold = close(*words)
            signal.raise_signal(signal.SIGINT)
            return untold

        first.setattr("minibert.running.life._close", close_and_end)
        assert main(sweep) == 128 + signal.SIGINT
    printed = capsys.readouterr()
    command = f"python -m minibert.report {sweep_id(tmp_path)[:8]} tracking.folder={tmp_path}"
    assert "1 of 2 runs finished" in printed.out
    assert printed.out.splitlines()[-1] == (
        "No report was written. The same command writes it once all runs have finished; "
        f"`{command}` writes one of those that have."
    )
    after("minibert.run._report", lambda: signal.raise_signal(signal.SIGTERM))
    assert main(sweep) == 128 + signal.SIGTERM
    printed = capsys.readouterr()
    assert "2 of 2 runs finished" in printed.out and "ended by SIGTERM" in printed.err
    assert printed.out.splitlines()[-1] == f"The report was not finished: `{command}` writes it."
    assert record(tmp_path, "sweep") == ("FINISHED", "")


def test_a_sweep_without_a_report_that_is_ended_early_says_nothing_of_one(sweep, after, capsys):
    after(PLACES["it was opened"], lambda: signal.raise_signal(signal.SIGINT))
    assert main([*sweep, "tracking.report=false"]) == 128 + signal.SIGINT
    assert "No report" not in capsys.readouterr().out


def test_a_reader_that_goes_away_before_the_first_run_closes_the_sweep_as_killed(sweep, after, tmp_path, capsys):
    with pytest.MonkeyPatch.context() as first:
        first.setattr("minibert.running.sweep._join_finished", lambda *_: signal.raise_signal(signal.SIGTERM))
        main(sweep)
    reading, writing = os.pipe()
    after("minibert.running.sweep.open_sweep", lambda: os.close(reading))
    with os.fdopen(writing, "w") as pipe, redirect_stdout(pipe), pytest.raises(SystemExit) as ended:
        main([word if word != "seed=0,1" else "seed=2" for word in sweep])  # which says that two others are there
    assert ended.value.code == 128 + signal.SIGPIPE
    assert record(tmp_path, "sweep") == ("KILLED", "SIGPIPE")
    assert row(tmp_path, capsys)[2:4] == ["killed", "0 of 3"]


def test_a_sweep_is_closed_though_nobody_reads_why_it_could_not_be_described(sweep, after, monkeypatch, tmp_path):
    def refuse(*_):
        raise MinibertError("The store takes no notes.")

    monkeypatch.setattr("minibert.running.sweep.describe_sweep", refuse)
    after("minibert.running.sweep._join_finished", lambda: signal.raise_signal(signal.SIGTERM))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe, redirect_stderr(pipe), pytest.raises(SystemExit):
        main(sweep)
    assert record(tmp_path, "sweep") == ("KILLED", "SIGTERM")


def test_a_disk_that_takes_no_plan_closes_the_sweep_as_failed_with_the_reason(sweep, tmp_path, capsys):
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    assert main(sweep) == 2
    told = capsys.readouterr().err
    status, reason = record(tmp_path, "sweep")
    assert status == "FAILED" and "could not store planned.json" in reason and reason in told
    assert row(tmp_path, capsys)[2:4] == ["failed", "0 of 2"]


def test_a_plan_that_is_refused_leaves_no_sweep(sweep, tmp_path, capsys):
    assert main([*sweep, "masking.rate=0.15,1.5"]) == 2
    store = open_store(None, tmp_path, "minibert")
    assert not store.client.search_runs([store.experiment_id])


@pytest.mark.parametrize("place", ["minibert.tracking.runs.create", "minibert.running.life.start_run"])
def test_a_signal_before_the_first_step_closes_the_run_as_killed(words, after, tmp_path, capsys, place):
    after(place, lambda: signal.raise_signal(signal.SIGTERM))
    assert main(words) == 128 + signal.SIGTERM
    assert record(tmp_path, "run") == ("KILLED", "SIGTERM")


def test_a_run_that_cannot_be_prepared_is_closed_as_failed(words, after, tmp_path, capsys):
    def spoil():
        shutil.rmtree(tmp_path / "work")
        (tmp_path / "work").write_text("a file where the folder should be")

    after("minibert.tracking.runs.create", spoil)
    assert main(words) == 1
    (tmp_path / "work").unlink()
    status, reason = record(tmp_path, "run")
    assert status == "FAILED" and "work" in reason


@pytest.mark.skipif(find_spec("optuna") is None, reason="needs the extra hpo: pip install 'minibert[hpo]'")
@pytest.mark.parametrize(
    "place", ["minibert.tracking.sweeps.create", "minibert.running.search.running.open_sweep"]
)
def test_a_signal_before_the_first_trial_closes_the_search_as_killed(words, after, tmp_path, capsys, place):
    after(place, lambda: signal.raise_signal(signal.SIGINT))
    assert search.main(["+search=adamw_rate", "search.trials=2", *words]) == 128 + signal.SIGINT
    assert record(tmp_path, "sweep") == ("KILLED", "SIGINT")
    assert row(tmp_path, capsys, "adamw_rate")[2] == "killed"


def test_runs_whose_process_is_gone_are_not_listed_as_running(empty_database, tmp_path, capsys):
    shutil.copy(empty_database, tmp_path)
    store = open_store(None, tmp_path, "minibert")
    hashes = [digit * 64 for digit in "abc"]
    parent = open_sweep(store, SWEEP, "5" * 64, dict.fromkeys(hashes, "a run"), {}, {})
    gone = process_tags() | {STARTED: "1.0"}
    for config_hash, tags in zip(hashes, (gone, gone, process_tags()), strict=True):
        with claim(store, config_hash) as held:
            start_run(held, "a run", {}, tags, parent=parent.id)
    assert row(tmp_path, capsys)[2:7] == ["running", "0 of 3", "0", "2", "1"]
    parent.set_tags({STARTED: "1.0"})
    assert row(tmp_path, capsys)[2] == "running"  # one of its runs is alive
