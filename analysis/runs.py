"""The runs of a sweep as data frames, for questions that no report asks.

>>> import analysis.runs
>>> runs = analysis.runs.load("masking_sweep")                          # doctest: +SKIP
>>> runs.groupby("masking.rate")["eval/loss"].agg(["mean", "std"])      # doctest: +SKIP

``sweep`` is the name of a study or sweep, an id or the first characters of one, or ``last``; of several sweeps of
a study, the last one that has runs. It may also be a single run, as :func:`minibert.load_run` returns it.
``folder``, ``uri`` and ``experiment`` say where it is recorded, as ``tracking.folder`` and so on do on the command
line; without them, in ``mlruns/`` of this checkout. As in the report, a configuration that was trained more than
once counts once. Nothing is written, and no run is left out for its status.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

import numpy as np
import pandas as pd

from minibert.collection import without_collection
from minibert.errors import MinibertError, listed, nearest
from minibert.tracking import Store
from minibert.tracking.records import Record
from minibert.tracking.store import store_errors
from minibert.tracking.sweeps import Child, single
from minibert.tracking.tables import look_at_store

from .assumptions import recorded_settings
from .quantities import AXES, quantity
from .study import find_sweep
from .tracked_runs import LARGEST_STORED, curves, one_per_configuration

ALONG = tuple(key for key in AXES if key != "step")
"""What is recorded beside every evaluation: tokens, seconds and operations until then"""
TRUTH = {"true": True, "false": False}
MISSING = "null"
PATTERN = frozenset("*?[")


def load(
    sweep: Any = "last", *, folder: str | None = None, uri: str | None = None, experiment: str = "minibert"
) -> pd.DataFrame:
    """One row a run: what it is, its settings, and the last value of each of its metrics.

    Columns, in this order:

    * ``run_id``, ``name``, ``status`` (``FINISHED``, ``FAILED``, ``KILLED``, ``RUNNING``), ``reason``
      (text; missing for a run that finished), ``started`` and ``ended`` (UTC; missing while a run has not ended);
    * settings by their names, such as ``masking.rate``, and the option of each group, such as ``optimizer``: whole
      numbers (``Int64``), numbers (``float64``), truth values (``boolean``), or text. A setting that is null, or
      that the option of a run does not have, is missing;
    * metrics by their names, such as ``eval/loss`` (``float64``; NaN where a run did not record one). MLflow's
      database has no infinity and holds ±1.8e308 in its place: it is infinite again here.

    ``frame.attrs["units"]``: column -> unit, of the metrics that have one.

    Raises :class:`MinibertError` when there is no such store or sweep, or it cannot be read.
    """
    _, members = _members(sweep, folder, uri, experiment)
    facts = pd.DataFrame(
        {
            "run_id": [run.id for run in members],
            "name": [run.name for run in members],
            "status": [str(run.status) for run in members],
            "reason": [run.reason for run in members],
            "started": pd.to_datetime([run.started for run in members], unit="s", utc=True),
            "ended": pd.to_datetime([run.ended for run in members], unit="s", utc=True),
        }
    )
    recorded = [recorded_settings(run.parameters, run.tags) for run in members]
    settings = {key: typed([run.get(key) for run in recorded]) for key in _names(recorded) if key not in facts}
    metrics = {
        key: _unlimited(np.array([run.metrics.get(key, np.nan) for run in members]))
        for key in sorted(_names(run.metrics for run in members))
        if key not in settings
    }
    frame = pd.concat([facts, pd.DataFrame(settings), pd.DataFrame(metrics)], axis="columns")
    frame.attrs["units"] = {key: unit for key in metrics if (unit := quantity(key).unit)}
    return frame


def load_curves(
    sweep: Any = "last",
    metrics: str | Sequence[str] = "eval/loss",
    *,
    folder: str | None = None,
    uri: str | None = None,
    experiment: str = "minibert",
) -> pd.DataFrame:
    """One row a recorded point, in order of runs, metrics and steps.

    ``metrics``: names, or patterns such as ``"eval/*"``. Columns: ``run_id``, ``name``, ``metric``, ``step``
    (optimizer steps, ``int64``), ``value`` (``float64``; NaN where it was not finite), and ``tokens_seen``,
    ``tokens_predicted``, ``seconds`` and ``flops`` of training (``float64``; recorded at evaluations, NaN at other
    steps). To have settings beside them: ``curves.merge(runs, on=["run_id", "name"])``.

    Raises :class:`MinibertError` as :func:`load` does, and for a metric that no run recorded.
    """
    store, members = _members(sweep, folder, uri, experiment)
    wanted = [metrics] if isinstance(metrics, str) else list(metrics)
    known = sorted(_names(run.metrics for run in members))
    for each in wanted:
        if not any(_is_meant(metric, [each]) for metric in known):
            raise _unrecorded("metric", each, known)
    parts = []
    with store_errors(store.uri, "read the curves of the runs"), without_collection():
        for run in members:
            shown = [metric for metric in sorted(run.metrics) if _is_meant(metric, wanted)]
            along = [axis for axis in ALONG if axis in run.metrics]
            found = curves(store, run.id, list(dict.fromkeys([*shown, *along])))
            beside = {axis: pd.Series(found[axis].values, found[axis].steps) for axis in along}
            for metric in shown:
                steps = found[metric].steps
                facts = {"run_id": run.id, "name": run.name, "metric": metric, "step": steps}
                axes = {
                    axis: beside[axis].reindex(steps).to_numpy() if axis in beside else np.nan for axis in ALONG
                }
                parts.append(pd.DataFrame(facts | {"value": found[metric].values} | axes))
    return pd.concat(parts, ignore_index=True)


def load_arrays(
    sweep: Any,
    name: str,
    *,
    folder: str | None = None,
    uri: str | None = None,
    experiment: str = "minibert",
) -> dict[str, dict[int, dict[str, np.ndarray]]]:
    """Run id -> step -> key -> array, of the arrays that diagnostics recorded as ``arrays/<name>``.

    Runs without them are left out. Arrays are not stacked, for their shapes differ between sizes of networks.

    Raises :class:`MinibertError` as :func:`load` does, and where no run has arrays of this name.
    """
    store, members = _members(sweep, folder, uri, experiment)
    records = [Record(store, run.id, run.address, continued=True) for run in members]
    found = {record.id: arrays for record in records if (arrays := record.arrays(name))}
    if not found:
        known = {path.split("/")[1] for record in records for path in record.artifacts("arrays")}
        raise _unrecorded("arrays", name, sorted(known))
    return found


def typed(texts: Sequence[str | None]) -> pd.api.extensions.ExtensionArray | np.ndarray:
    """The recorded texts of one setting as the numbers, truth values or words that all of them are.

    >>> typed(["1", "null", "3"]).tolist(), typed(["0.5", "1e-3"]).tolist(), typed(["adamw", None]).tolist()
    ([1, <NA>, 3], [0.5, 0.001], ['adamw', None])
    """
    values = [None if text in (None, MISSING) else text for text in texts]
    given = [text for text in values if text is not None]
    if not given:
        return np.array(values, dtype=object)
    if all(text in TRUTH for text in given):
        return pd.array([None if text is None else TRUTH[text] for text in values], dtype="boolean")
    try:
        return pd.array([None if text is None else int(text) for text in values], dtype="Int64")
    except (ValueError, OverflowError):
        pass
    try:
        return np.array([np.nan if text is None else float(text) for text in values])
    except ValueError:
        return np.array(values, dtype=object)


def _members(sweep: Any, folder: str | None, uri: str | None, experiment: str) -> tuple[Store, list[Child]]:
    run_id = getattr(sweep, "id", None)
    if not isinstance(sweep if run_id is None else run_id, str):
        raise MinibertError(
            f"sweep={sweep!r} is of type {type(sweep).__name__}. Allowed: the name or id of a sweep, last, or a "
            "run of load_run."
        )
    store = look_at_store(uri, folder, experiment)
    if run_id is not None:
        return store, [single(store, run_id)]
    return store, one_per_configuration(find_sweep(store, cast(str, sweep))[1])


def _names(mappings) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _is_meant(metric: str, wanted: Sequence[str]) -> bool:
    return any(metric == each or (PATTERN & {*each} and fnmatchcase(metric, each)) for each in wanted)


def _unrecorded(kind: str, given: str, known: Sequence[str]) -> MinibertError:
    if not known:
        return MinibertError(f"{kind} '{given}': the runs recorded none.")
    recorded = ", ".join(listed(known, 8))
    return MinibertError(f"{kind} '{given}': no run recorded it{nearest(given, known)}. Recorded were {recorded}.")


def _unlimited(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) >= LARGEST_STORED, np.copysign(np.inf, values), values)
