"""Saved views of a sweep on MLflow's page of runs: its runs without unfolding, what varies first, chosen charts.

MLflow's page keeps a view that is shared as a tag of the experiment: JSON, compressed by zlib, that the address of
the page names. The fields are those of MLflow 3; its page passes over those that it does not know.
"""

import base64
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from minibert.tracking.lookup import short_id
from minibert.tracking.results import LOSS
from minibert.tracking.store import store_errors
from minibert.tracking.sweeps import Sweep, member_tag

TAG = "mlflow.sharedViewState."
LONGEST_TAG = 5000
"""Characters that MLflow keeps of a tag of an experiment"""
CURVES = (LOSS, "train/loss", "train/learning_rate", "gradient_norm/global")
"""The metrics whose charts come first, after the one that the sweep compares"""
MOST_SHOWN = 100
"""Runs in one chart: MLflow draws ten if nothing is said"""
FIRST = "Sweep"
"""The one section of charts that is open"""
SEEDS = "seed"
"""What the keys begin with whose values are averaged over"""


def save_views(sweep: Sweep, keys: Sequence[str], metric: str, measured: Collection[str]) -> dict[str, str]:
    """Save the views of a sweep and return their addresses: label -> path on the server.

    ``keys`` are what the runs differ in, ``metric`` is what the sweep compares, ``measured`` are the names of all
    metrics of its runs. The table has a row a run. The curves have one line for all seeds of a setting, the mean
    with its range, where MLflow's page offers that.
    """
    rows = _state(sweep, keys, metric)
    views = {
        "Table of the runs": ("", rows),
        "Curves, seeds averaged": ("&compareRunsMode=CHART", rows | _charts(keys, metric, measured)),
    }
    paths = {}
    for number, (label, (mode, state)) in enumerate(views.items()):
        key = f"{short_id(sweep.id)}{number}"
        with store_errors(sweep.store.uri, "save a view of the sweep"):
            sweep.store.client.set_experiment_tag(sweep.store.experiment_id, TAG + key, _compressed(state))
        page = f"/#/experiments/{sweep.store.experiment_id}/runs"
        paths[label] = f"{page}?viewStateShareKey={key}&workflowType=machine_learning{mode}"
    return paths


def _state(sweep: Sweep, keys: Sequence[str], metric: str) -> dict[str, Any]:
    """The rows and columns: children have no parent to be folded under when they are ordered by a column."""
    compared = [f"metrics.`{name}`" for name in dict.fromkeys((metric, LOSS))]
    columns = [*map(_column, keys), *compared, "attributes.`Duration`"]
    return {
        "searchFilter": f"tags.`{member_tag(sweep.sweep_hash)}` != ''",
        "orderByKey": columns[0],
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "runsHiddenMode": "SHOW_ALL",
    }


def _charts(keys: Sequence[str], metric: str, measured: Collection[str]) -> dict[str, Any]:
    chosen = [name for name in dict.fromkeys((metric, *CURVES)) if name in measured]
    rooms = sorted({name.rpartition("/")[0] for name in measured})  # as MLflow names its sections
    grouped = [_group(key) for key in keys if not key.startswith(SEEDS)]
    return {
        "compareRunCharts": [_curve(name) for name in chosen],
        "compareRunSections": [_section(FIRST, shown=True), *(_section(room, shown=False) for room in rooms)],
        "isAccordionReordered": True,  # else MLflow puts the sections into the order of the alphabet
        "groupBy": {"aggregateFunction": "average", "groupByKeys": grouped} if grouped else None,
        "useGroupedValuesInCharts": True,
    }


def _curve(metric: str) -> dict[str, Any]:
    return {
        "uuid": metric,
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "metricSectionId": FIRST,
        "runsCountToCompare": MOST_SHOWN,
        "deleted": False,
        "isGenerated": False,
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "lineSmoothness": 0,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }


def _section(name: str, shown: bool) -> dict[str, Any]:
    fixed = {"columns": 2, "isReordered": False, "deleted": False, "isGenerated": True}
    return {"uuid": name, "name": name, "display": shown, **fixed}


def _recorded(key: str) -> tuple[str, str]:
    """Where MLflow has the value of a key of a sweep: a group is the tag of the option chosen."""
    is_group = "." not in key and key != "seed"
    return ("tags", f"choice.{key}") if is_group else ("params", key)


def _column(key: str) -> str:
    kind, name = _recorded(key)
    return f"{kind}.`{name}`"


def _group(key: str) -> Mapping[str, str]:
    kind, name = _recorded(key)
    return {"mode": {"tags": "tag", "params": "param"}[kind], "groupByData": name}


def _compressed(state: Mapping[str, Any]) -> str:
    """The state as a tag; without its closed sections where it would be too long for one."""
    for sections in (state.get("compareRunSections", []), state.get("compareRunSections", [])[:1]):
        shorter = dict(state) | ({"compareRunSections": sections} if sections else {})
        text = json.dumps(shorter, separators=(",", ":")).encode()
        tag = "deflate;" + base64.b64encode(zlib.compress(text, 9)).decode()
        if len(tag) <= LONGEST_TAG:
            break
    return tag
