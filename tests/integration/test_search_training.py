"""A search that trains: its runs, a repeated one, and one that is killed in the middle and continued."""

import os
import shutil
import signal
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from minibert.running.search.reading import read_search
from minibert.running.search.study import Place
from minibert.search import main
from minibert.tracking import open_store
from tests.support.copies import Copy

optuna = pytest.importorskip("optuna", reason="needs the extra hpo: pip install 'minibert[hpo]'")

TRIALS = 4


@pytest.fixture(scope="module")
def search(small_settings, tmp_path_factory):
    """A file that states a search of debug size."""
    words = dict(word.split("=", 1) for word in small_settings)
    settings = words | {"training.checkpoint_seconds": "0.001", "evaluation.every": "2"}
    settings |= {"diagnostics": "off", "diagnostics.figures": "[]"}
    parameters = {
        "optimizer": {"kind": "categorical", "choices": ["adamw", "sgd"]},
        "optimizer.learning_rate": {"low": 1e-4, "high": 3e-2, "log": True},
        "optimizer.momentum": {"low": 0.5, "high": 0.9, "when": {"optimizer": ["sgd"]}},
    }
    file = tmp_path_factory.mktemp("search") / "toy.yaml"
    stated = {"settings": settings, "parameters": parameters, "trials": TRIALS, "startup": 2, "prune_after": 0.3}
    file.write_text(OmegaConf.to_yaml(OmegaConf.create(stated)))
    return file


def studied(search, folder, name="toy"):
    """The trials of the study in a store, without the process and the run that are each store's own."""
    from minibert.running.search.study import _storage

    asked = replace(read_search([f"+search={search}"]).search, name=name)
    study = optuna.load_study(study_name=None, storage=_storage(asked, Place(folder / "search", name)))
    return [
        (trial.state.name, trial.params, trial.values, trial.intermediate_values, trial.user_attrs["name"])
        for trial in study.trials
    ]


def recorded(folder, kind="run"):
    store = open_store(None, folder, "minibert")
    return store.client.search_runs([store.experiment_id], f"tags.`minibert.kind` = '{kind}'")


@pytest.fixture(scope="module")
def undisturbed(search, empty_database, tmp_path_factory):
    """The store of a search that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(empty_database, folder)
    assert main([f"+search={search}", f"tracking.folder={folder}"]) == 0
    return folder


def test_trials_are_runs_under_one_parent(search, undisturbed):
    (parent,) = recorded(undisturbed, "sweep")
    runs, trials = recorded(undisturbed), studied(search, undisturbed)
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", "toy")
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
    assert {run.info.run_name for run in runs} == {name for *_, name in trials}
    states = {"COMPLETE": "FINISHED", "PRUNED": "KILLED"}
    assert sorted(run.info.status for run in runs) == sorted(states[state] for state, *_ in trials)
    finished = {run.info.run_name: run.data.metrics["eval/loss"] for run in runs if run.info.status == "FINISHED"}
    assert finished == {name: values[0] for state, _, values, _, name in trials if state == "COMPLETE"}
    assert {path.name for path in (undisturbed / "search").glob("toy*")} == {
        "toy.journal", "toy.html", "toy_best.yaml"
    }  # fmt: skip


def test_a_trial_that_repeats_a_finished_run_is_found(search, undisturbed, tmp_path, capsys):
    """Another study with the same seed asks for the same runs: nothing is trained."""
    shutil.copytree(undisturbed, tmp_path / "store")
    before = {run.info.run_id: run.info.end_time for run in recorded(tmp_path / "store")}
    assert main([f"+search={search}", "search.name=again", f"tracking.folder={tmp_path / 'store'}"]) == 0
    assert studied(search, tmp_path / "store", "again") == studied(search, undisturbed)
    assert {run.info.run_id: run.info.end_time for run in recorded(tmp_path / "store")} == before
    assert "found" in capsys.readouterr().out


def test_a_killed_search_goes_on_to_the_same_trials(search, undisturbed, empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path)
    words = [f"+search={search}", f"tracking.folder={tmp_path}"]
    with Copy(main, words, tmp_path / "printed.txt") as copy:
        copy.until(lambda: "\ntrial 0" in copy.printed)
        assert not copy.has_ended(), copy.printed
        os.kill(copy.pid, signal.SIGKILL)
        assert copy.wait() == -signal.SIGKILL
    assert main(words) == 0
    assert studied(search, tmp_path) == studied(search, undisturbed)
    runs = recorded(tmp_path)
    assert len(runs) == TRIALS, "the run of the trial that was killed was continued"
    assert {run.info.status for run in recorded(tmp_path, "sweep")} == {"FINISHED"}
