"""What the record of a run says of its training, also while the run trains."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.command_line.arguments import StoreWords
from minibert.diagnostics.health.detect import detect_training_issues
from minibert.diagnostics.health.issues import SEVERITIES, Finding, Health
from minibert.errors import MinibertError, shown
from minibert.tracking.live import LiveRecord, find_to_read, open_to_read
from minibert.watching.losses import plot_losses
from minibert.watching.updates import update_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

AT_THE_END = ("loss_plateau", "small_updates")
"""Issues that only the whole of a run can have: one that has just begun has not left the unigram level either"""


class TrainingAnalyzer:
    """What the record of a run says of its training. Every method reads what is recorded by now, and only reads.

    ``run`` is the id of a run, its first characters, its name, or ``last``, in the store at ``uri`` or in
    ``folder``, by default that of this checkout. It may also be anything with such an id, as
    :func:`minibert.load_run` and the runs of ``analysis`` have it; a record with ``history(metric)`` and
    ``metric_names(prefix)``; or a mapping metric -> (steps, values).

    >>> analyzer = TrainingAnalyzer("last")                                              # doctest: +SKIP
    >>> analyzer.analyze_parameter_updates().round(4)                                    # doctest: +SKIP

    Raises :class:`MinibertError` if there is no such run, or if the store cannot be read.
    """

    def __init__(self, run: Any, uri: str | None = None, folder: Path | str | None = None):
        self.record = as_record(run, uri, folder)

    def plot_loss_components(self) -> "Figure":
        """The loss by its parts, against optimizer steps, as far as the run records them.

        Above, in nats per predicted token: the training loss (all parts together, means since the last point), the
        held-out loss, and what counting words reaches on the held-out text: the unigram entropy, a bigram model.

        Below it, for an objective of several tasks: weight · loss of each task. They add up to the training loss.

        At the bottom, where the diagnostic ``loss_components`` was taken (``diagnostics=standard``): the change of
        the loss by one step as a sum over the parts of the network
        (:func:`minibert.diagnostics.compute_loss_components`).

        Raises :class:`MinibertError` where no loss is recorded yet.
        """
        return plot_losses(self._now(), _parameters(self.record))

    def analyze_parameter_updates(self, parameters: bool = False) -> "DataFrame":
        """The ratio ‖Δθ‖ / ‖θ‖ of update and weights: a row a part of the network, a column a measured step.

        The part that learns fastest, by the last ratio, stands first; ``global`` is the whole network. With
        ``parameters``, the rows are single weights, gains and biases. While a parameter is zero it has no ratio
        (NaN). About 1e-3 is often called healthy (Karpathy, notes for CS231n, 2015), for plain gradient descent.
        The table is empty if ``parameter_updates`` was not taken (``diagnostics=off``).
        """
        return update_table(self._now(), parameters)

    def detect_training_issues(self) -> Health:
        """What :func:`minibert.diagnostics.detect_training_issues` finds in what is recorded by now.

        While the run trains, an issue that only the whole run can have (:data:`AT_THE_END`) is a note,
        with the steps that are to come.
        """
        return detect_so_far(self._now())

    def _now(self) -> Any:
        if isinstance(self.record, LiveRecord):
            self.record.look()
        return self.record


class MappedRecord:
    """A mapping metric -> (steps, values) as a record. It may grow, and is read anew each time.

    Raises :class:`MinibertError` for a mapping of anything else.
    """

    def __init__(self, histories: Mapping[str, Any]):
        for name, given in histories.items():
            _steps_and_values(name, given)
        self._histories = histories

    def history(self, metric: str) -> tuple[list[int], list[float]]:
        return _steps_and_values(metric, self._histories.get(metric, ((), ())))

    def metric_names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self._histories if name.startswith(prefix))


def as_record(run: Any, uri: str | None = None, folder: Path | str | None = None) -> Any:
    """What :class:`TrainingAnalyzer` takes, as a record. Raises :class:`MinibertError` for anything else."""
    if isinstance(run, Mapping):
        return MappedRecord(run)
    if hasattr(run, "history") and hasattr(run, "metric_names"):
        return run
    word = run if isinstance(run, str) else getattr(run, "id", None)
    if not isinstance(word, str):
        raise MinibertError(
            f"run: a {type(run).__name__} was given. Allowed: the id of a run, its first characters, its name, "
            "last, something with an id, a record with history(metric) and metric_names(prefix), or a mapping "
            "metric -> (steps, values)."
        )
    store = open_to_read(StoreWords(None if folder is None else str(folder), uri, None))
    return LiveRecord(store, find_to_read(store, word))


def _steps_and_values(name: Any, given: Any) -> tuple[list[int], list[float]]:
    """Steps and values of a metric in a mapping. A list of tuples is refused: it would be points (step, value)."""
    series = [list(each) for each in given if _is_series(each)] if isinstance(given, tuple | list) else []
    if not isinstance(name, str):
        problem = f"the name {shown(name)} was given"
    elif len(series) != 2 or len(given) != 2:
        problem = f"{shown(given)} was given"
    elif isinstance(given, list) and any(isinstance(each, tuple) for each in given):
        problem = "a list of tuples was given, as if of points"
    elif len(series[0]) != len(series[1]):
        problem = f"{len(series[0])} steps and {len(series[1])} values were given"
    elif other := [step for step in series[0] if not isinstance(step, Integral) or isinstance(step, bool)]:
        problem = f"the step {shown(other[0])} was given"
    elif other := [value for value in series[1] if not isinstance(value, Real)]:
        problem = f"the value {shown(other[0])} was given"
    else:
        return series[0], series[1]
    raise MinibertError(
        f"run[{name!a}]: {problem}. Allowed: a mapping of the name of a metric to (steps, values), whole numbers "
        "and numbers of equal lengths, such as {'train/loss': ([10, 20], [5.0, 4.5])}."
    )


def _is_series(given: Any) -> bool:
    """Whether this is a list, a tuple, an array or a series, which has an order and can be read again."""
    return (
        isinstance(given, Iterable)
        and hasattr(given, "__len__")
        and hasattr(given, "__getitem__")
        and not (isinstance(given, str | bytes | Mapping))
    )


def detect_so_far(record: Any) -> Health:
    """The health of a run by what is recorded by now; see :meth:`TrainingAnalyzer.detect_training_issues`."""
    health = detect_training_issues(record)
    if not getattr(record, "is_running", False):
        return health
    findings = [_so_far(each, record) if each.issue in AT_THE_END else each for each in health.findings]
    findings.sort(key=lambda each: SEVERITIES.index(each.severity))
    return replace(health, findings=findings)


def _so_far(finding: Finding, record: Any) -> Finding:
    """A note that tells what is still to come, before what to try if the run ends so."""
    steps = _parameters(record).get("training.steps", "")
    left = int(steps) - finding.step if steps.isdecimal() else 0
    wait = f"waiting, for {left:,} of {int(steps):,} steps are to come" if left > 0 else "waiting for its end"
    return replace(
        finding,
        severity="note",
        evidence=f"So far: {finding.evidence}",
        advice=f"{wait}. If it ends so: {finding.advice}",
    )


def _parameters(record: Any) -> Mapping[str, str]:
    """The recorded settings of a run; none of a record without them."""
    if isinstance(record, LiveRecord):
        return record.about.parameters
    return dict(record.entity().data.params) if hasattr(record, "entity") else {}
