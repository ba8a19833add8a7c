"""Saved views of a sweep for MLflow's page of runs: what its tag holds once it is read as the page reads it."""

import base64
import json
import zlib
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from minibert.tracking.sweeps import member_tag
from minibert.tracking.views import LONGEST_TAG, TAG, save_views

KEYS = ["optimizer", "optimizer.rate_factor", "seed"]
METRICS = ["eval/loss", "train/loss", "gradient_norm/global", "attention_entropy/head/0.0"]


def saved(keys, metric="eval/loss", metrics=METRICS):
    """label -> (words of the address, state), as MLflow's page finds them."""
    tags = {}
    client = SimpleNamespace(set_experiment_tag=lambda experiment, key, value: tags.update({key: value}))
    store = SimpleNamespace(uri="sqlite:///a.db", experiment_id="7", client=client)
    sweep = SimpleNamespace(id="5" * 32, sweep_hash="c0ffee" * 10, store=store)
    paths = save_views(sweep, keys, metric, metrics)
    views = {}
    for label, path in paths.items():
        page, _, query = path.partition("?")
        words = {name: values[0] for name, values in parse_qs(query).items()}
        header, _, text = tags[TAG + words["viewStateShareKey"]].partition(";")
        assert page == "/#/experiments/7/runs" and header == "deflate" and len(text) < LONGEST_TAG
        views[label] = words, json.loads(zlib.decompress(base64.b64decode(text)))
    return views


def test_the_table_shows_the_runs_of_the_sweep_unfolded_and_what_varies_first():
    words, state = saved(KEYS)["Table of the runs"]
    assert "compareRunsMode" not in words
    assert state["searchFilter"] == f"tags.`{member_tag('c0ffee' * 10)}` != ''"
    first = ["tags.`choice.optimizer`", "params.`optimizer.rate_factor`", "params.`seed`", "metrics.`eval/loss`"]
    assert state["selectedColumns"][:4] == state["columnOrder"][:4] == first
    assert state["orderByKey"] not in ("", "attributes.start_time")  # MLflow folds children in both


def test_the_curves_are_averaged_over_seeds_and_drawn_for_recorded_metrics_only():
    compared = "minimal_pairs/accuracy"
    words, state = saved(KEYS, compared, [*METRICS, compared])["Curves, seeds averaged"]
    assert words["compareRunsMode"] == "CHART"
    groups = [(group["mode"], group["groupByData"]) for group in state["groupBy"]["groupByKeys"]]
    assert groups == [("tag", "choice.optimizer"), ("param", "optimizer.rate_factor")]
    drawn = [chart["metricKey"] for chart in state["compareRunCharts"]]
    assert drawn == [compared, "eval/loss", "train/loss", "gradient_norm/global"]
    opened = {section["uuid"]: section["display"] for section in state["compareRunSections"]}
    assert [name for name, shown in opened.items() if shown] == ["Sweep"]
    assert "attention_entropy/head" in opened
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {"Sweep"}


@pytest.mark.parametrize("keys", [["seed"], ["seeds.init", "seed"]])
def test_a_sweep_over_seeds_alone_is_not_grouped(keys):
    assert saved(keys)["Curves, seeds averaged"][1]["groupBy"] is None


def test_a_view_with_hundreds_of_groups_of_metrics_still_fits_into_a_tag():
    many = [f"{zlib.crc32(str(number).encode()):x}/{number}/value" for number in range(2000)]
    state = saved(KEYS, metrics=[*METRICS, *many])["Curves, seeds averaged"][1]
    assert [section["name"] for section in state["compareRunSections"]] == ["Sweep"]
    assert state["compareRunCharts"]
