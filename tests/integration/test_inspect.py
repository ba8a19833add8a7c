"""Diagnostics of one's own, in training and afterwards."""

import shutil
from pathlib import Path

import pytest

from minibert.diagnostics.engine import registry
from minibert.tracking import open_store

MEASURE = """
import numpy as np
from minibert.diagnostics import diagnostic


def measure(caches, gradients, batch):
    hidden = np.concatenate([cache.hidden_states[1].ravel() for cache in caches])
    return float(np.square(hidden).mean()), gradients.norm(), batch.predictions
"""
IN_TRAINING = (
    MEASURE
    + """

@diagnostic("in_training")
def in_training(caches, gradients, batch):
    size, norm, predictions = measure(caches, gradients, batch)
    hidden = caches[0].hidden_states[0][0]
    return {"own/size": size, "own/norm": norm, "own/predictions": predictions, "hidden": hidden}


@diagnostic("from_the_update")
def from_the_update(update):
    return {"own/update": update.norm()}
"""
)
AFTERWARDS = (
    MEASURE
    + """

@diagnostic("afterwards")
def afterwards(caches, gradients, batch):
    size, norm, predictions = measure(caches, gradients, batch)
    return {"later/size": size, "later/norm": norm, "later/predictions": predictions}
"""
)


@pytest.fixture(scope="module")
def inspected(door, small_settings, empty_database, rough_figures, tmp_path_factory):
    """A run with a diagnostic of its own, inspected twice with another: (store, run, what was printed)."""
    folder = tmp_path_factory.mktemp("inspected")
    shutil.copy(empty_database, folder)
    # Names that nobody else gives: the checkout comes before this folder on the path.
    (folder / "diagnostics_of_this_test.py").write_text(IN_TRAINING)
    (folder / "later_diagnostics_of_this_test.py").write_text(AFTERWARDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(registry, "_DIAGNOSTICS", dict(registry._DIAGNOSTICS))
        return inspect(folder, door, small_settings)


def inspect(folder, door, small_settings):
    trained = door(
        *small_settings,
        f"tracking.folder={folder}",
        "diagnostics.modules=[diagnostics_of_this_test]",
        "diagnostics.figures=[]",
        "model.dropout=0.1",
    )
    assert trained.returncode == 0, trained.stderr
    store = open_store(None, folder, "minibert")
    (run,) = store.client.search_runs([store.experiment_id])
    words = [
        f"run={run.info.run_id}",
        f"folder={folder}",
        "modules=[later_diagnostics_of_this_test,diagnostics_of_this_test]",
        "steps=[0,4,20]",
        "figures=[training,health]",
    ]
    done = [door(*words, module="minibert.inspect") for _ in range(2)]
    assert [each.returncode for each in done] == [0, 0], done[0].stderr
    return store, store.client.get_run(run.info.run_id), done[0].stdout


def history(store, run, metric):
    return {point.step: point.value for point in store.client.get_metric_history(run.info.run_id, metric)}


def test_a_module_of_ones_own_is_recorded_beside_the_built_in_diagnostics(inspected, tmp_path):
    store, run, _ = inspected
    assert list(history(store, run, "own/size")) == [0, 1, 2, 4, 8, 16, 20]
    assert 20 not in history(store, run, "own/update")
    assert "effective_rank/embeddings.token.weight" in run.data.metrics
    arrays = Path(store.client.download_artifacts(run.info.run_id, "arrays/in_training", tmp_path))
    assert len(list(arrays.glob("step_*.npz"))) == 7


def test_what_is_computed_afterwards_equals_what_training_saw_to_the_bit(inspected):
    store, run, _ = inspected
    for part in ("size", "norm", "predictions"):
        seen, later = (history(store, run, f"{when}/{part}") for when in ("own", "later"))
        assert later == {step: seen[step] for step in (0, 4, 20)}


def test_inspecting_twice_adds_nothing_twice_and_leaves_the_run_finished(inspected):
    store, run, _ = inspected
    points = store.client.get_metric_history(run.info.run_id, "later/size")
    assert sorted(point.step for point in points) == [0, 4, 20]
    assert run.info.status == "FINISHED"


def test_it_says_what_it_does_and_what_cannot_be_had(inspected):
    _, _, printed = inspected
    assert "left out, because they need the updates of training: from_the_update" in printed
    assert "step 4 (2 of 3)" in printed


def test_the_page_shows_every_figure_by_itself(inspected, tmp_path):
    store, run, _ = inspected
    page = Path(store.client.download_artifacts(run.info.run_id, "figures/index.html", tmp_path)).read_text()
    figures = Path(store.client.download_artifacts(run.info.run_id, "figures", tmp_path))
    assert page.count("data:image/png;base64,") == len(list(figures.glob("*/*.png"))) >= 3
    assert "http" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run={run}", "steps=[3]"], "has no checkpoint of step 3. Kept steps: 0, 1, 2, 4"),
        (["run={run}", "quantities=[weight_spectrum]"], "did you mean 'weight_spectra'"),
        (["run={run}", "step=3"], "step=3: unknown name 'step' (did you mean 'steps'?)"),
        (["run=nothing"], "run=nothing: no such run in"),
        (["steps=all"], "run must be given"),
        (["run={run}", "diagnostics=fuller"], "did you mean 'full'"),
        (["run={run}", "figures=[trainin]"], "did you mean 'training'"),
        (["run={run}", "modules=[nope]"], "modules=nope: cannot be imported"),
    ],
)
def test_wrong_words_are_refused_with_the_way_out(inspected, capsys, words, message):
    from minibert.inspect import main

    store, run, _ = inspected
    words = [word.format(run=run.info.run_id) for word in words]
    assert main([*words, f"folder={store.folder}"]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("word", ["last", "{run:.8}", "{name}"])
def test_a_run_is_inspected_by_the_first_characters_of_its_id_by_its_name_or_as_the_last(inspected, capsys, word):
    from minibert.inspect import main

    store, run, _ = inspected
    word = word.format(run=run.info.run_id, name=run.info.run_name)
    assert main([f"run={word}", "steps=[3]", f"folder={store.folder}"]) == 2
    assert f"{run.info.run_id} has no checkpoint of step 3" in capsys.readouterr().err.replace("\n", " ")


def test_a_module_that_a_run_names_is_not_imported_unless_named_here(inspected, capsys, tmp_path):
    from minibert.inspect import main

    store, run, _ = inspected
    config = Path(store.client.download_artifacts(run.info.run_id, "config.yaml", tmp_path)).read_text()
    assert "diagnostics_of_this_test" in config
    assert (
        main([f"run={run.info.run_id}", f"folder={store.folder}", "steps=last", "quantities=[in_training]"]) == 2
    )
    assert "in_training" in capsys.readouterr().err
