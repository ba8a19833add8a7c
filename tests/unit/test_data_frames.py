"""The runs of a sweep as data frames: against what was recorded, and what is refused."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.runs import load, load_arrays, load_curves, typed
from minibert.errors import MinibertError
from minibert.tracking import claim, open_sweep, start_run
from tests.support.reports import copied_store

STUDY = {"name": "rates", "factor": "masking.rate"}


def settings(rate, **others):
    return {"masking": {"rate": rate}, "seed": 0, "model": {"qk_norm": False}, "data": {"path": None}} | others


@pytest.fixture(scope="module")
def folder(empty_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    store = copied_store(empty_database, folder)
    sweep = open_sweep(store, "rates", "a" * 64, {}, {}, {"study": STUDY})

    def plant(key, given, points, arrays=None, status="FINISHED", reason=None, tags=None):
        with claim(store, key * 64) as held:
            run = start_run(held, f"run {key}", given, tags or {}, sweep.id)
            for step, values in points.items():
                run.log(values, step)
            run.flush()
            if arrays:
                run.log_arrays("attention_entropy", 4, arrays)
            run.finish(status, reason)

    evaluated = {"tokens_seen": 0.0, "tokens_predicted": 0.0, "seconds": 0.0, "flops": 0.0}
    plant(
        "1", settings(0.15),
        {0: {"eval/loss": 7.0, **evaluated}, 2: {"train/loss": 6.5},
         4: {"eval/loss": 6.0, "tokens_seen": 40.0, "tokens_predicted": 6.0, "seconds": 1.5, "flops": 9e3}},
        {"entropy": np.arange(6.0).reshape(2, 3)}, tags={"choice.optimizer": "muon"},
    )  # fmt: skip
    plant("2", settings(0.4, seed=1), {0: {"eval/loss": math.inf}}, tags={"choice.optimizer": "adamw"})
    plant(
        "3", settings(0.4, seed=2, extra="words"), {}, status="FAILED", reason="loss is NaN",
        tags={"choice.optimizer": "adamw"},
    )  # fmt: skip
    sweep.finish("FINISHED")
    return str(folder)


def test_a_row_a_run_with_settings_of_their_types_and_missing_values(folder):
    runs = load("rates", folder=folder).set_index("name").sort_index()
    assert list(runs["status"]) == ["FINISHED", "FINISHED", "FAILED"]
    assert list(runs["reason"].fillna("")) == ["", "", "loss is NaN"]
    assert runs["masking.rate"].dtype == "float64" and list(runs["masking.rate"]) == [0.15, 0.4, 0.4]
    assert runs["seed"].dtype == "Int64" and list(runs["seed"]) == [0, 1, 2]
    assert runs["model.qk_norm"].dtype == "boolean" and not runs["model.qk_norm"].any()
    assert runs["data.path"].isna().all()
    assert list(runs["optimizer"]) == ["muon", "adamw", "adamw"]
    assert list(runs["extra"].isna()) == [True, True, False]
    assert isinstance(runs["started"].dtype, pd.DatetimeTZDtype) and (runs["ended"] >= runs["started"]).all()
    np.testing.assert_array_equal(runs["eval/loss"], [6.0, np.inf, np.nan])
    assert runs.attrs["units"]["eval/loss"] == "nats per masked token"
    assert runs.attrs["units"]["seconds"] == "s"


def test_a_sweep_is_known_by_its_id_and_as_the_last_one(folder):
    runs = load("rates", folder=folder)
    for word in ("last", load_parent(folder)[:8]):
        pd.testing.assert_frame_equal(load(word, folder=folder), runs)


def load_parent(folder):
    from minibert.tracking.store import open_existing_store
    from minibert.tracking.sweeps import search

    (sweep,) = search(open_existing_store(None, folder, "minibert"), "tags.`minibert.kind` = 'sweep'")
    return sweep.info.run_id


def test_a_row_a_point_with_what_was_recorded_beside_evaluations(folder):
    curves = load_curves("rates", ["eval/*", "train/loss"], folder=folder)
    first = curves[curves["name"] == "run 1"].drop(columns=["run_id", "name"])
    assert first.fillna(-1).values.tolist() == [
        ["eval/loss", 0, 7.0, 0.0, 0.0, 0.0, 0.0],
        ["eval/loss", 4, 6.0, 40.0, 6.0, 1.5, 9e3],
        ["train/loss", 2, 6.5, -1, -1, -1, -1],
    ]
    other = curves[curves["name"] == "run 2"]
    assert len(other) == 1 and math.isnan(other["value"].item()) and math.isnan(other["seconds"].item())
    assert curves["step"].dtype == "int64" and set(curves["name"]) == {"run 1", "run 2"}
    runs = load("rates", folder=folder)
    assert list(curves.merge(runs, on=["run_id", "name"])["masking.rate"]) == [0.15, 0.15, 0.15, 0.4]


def test_arrays_by_run_and_step(folder):
    ((run, by_step),) = load_arrays("rates", "attention_entropy", folder=folder).items()
    runs = load("rates", folder=folder)
    assert list(runs.loc[runs["run_id"] == run, "name"]) == ["run 1"]
    np.testing.assert_array_equal(by_step[4]["entropy"], np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda folder: load("rate", folder=folder), "did you mean 'rates'"),
        (lambda folder: load(7, folder=folder), "of type int. Allowed: the name or id of a sweep"),
        (lambda folder: load_curves("rates", "eval/los", folder=folder), "did you mean 'eval/loss'"),
        (lambda folder: load_curves("rates", "probing/*", folder=folder), "no run recorded it"),
        (lambda folder: load_arrays("rates", "attention_entropi", folder=folder), "'attention_entropy'"),
        (lambda folder: load("rates", folder=f"{folder}/elsewhere"), "elsewhere"),
    ],
)
def test_what_is_not_there_is_one_message(folder, ask, said):
    with pytest.raises(MinibertError, match=said):
        ask(folder)


@pytest.mark.parametrize(
    ("texts", "values", "dtype"),
    [
        (["1", "2"], [1, 2], "Int64"),
        (["1", "0.5"], [1.0, 0.5], "float64"),
        (["true", "null"], [True, pd.NA], "boolean"),
        (["true", "1"], ["true", "1"], "object"),
        (["99999999999999999999", "1.0"], [1e20, 1.0], "float64"),
        ([None, "null"], [None, None], "object"),
    ],
)
def test_settings_are_numbers_only_where_all_of_them_are(texts, values, dtype):
    found = typed(texts)
    assert str(found.dtype) == dtype
    assert str(found.tolist()) == str(values)


def test_a_single_run_is_told_by_what_has_its_id(folder):
    """As ``load_run`` returns it."""
    runs = load("rates", folder=folder).set_index("name")
    one = SimpleNamespace(id=runs.loc["run 1", "run_id"])
    found = load(one, folder=folder)
    assert list(found["name"]) == ["run 1"] and list(found["masking.rate"]) == [0.15]
    curves = load_curves(one, ["train/loss", "eval/loss"], folder=folder)
    assert list(curves["step"]) == [0, 4, 2] and list(curves["value"]) == [7.0, 6.0, 6.5]
    assert list(load_arrays(one, "attention_entropy", folder=folder)) == [one.id]
    with pytest.raises(MinibertError, match=r"metric 'eval/los': no run recorded it .did you mean 'eval/loss'"):
        load_curves(one, "eval/los", folder=folder)
    with pytest.raises(MinibertError, match="Allowed: the name or id of a sweep, last, or a run of load_run"):
        load(5, folder=folder)
