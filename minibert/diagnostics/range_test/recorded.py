"""The results of a range test, recorded at the end of its run."""

import math

from minibert.diagnostics.plotting.series import metric_name
from minibert.diagnostics.range_test.measures import analyze_learning_rate_sensitivity

RATES = {
    name: metric_name("lr_range", name)
    for name in (
        "suggested_rate", "steepest_rate", "lowest_loss_rate", "divergence_rate", "learning_from", "learning_to",
        "learning_decades",
    )
}  # fmt: skip
"""Result of the analysis -> metric"""
SMOOTHED = metric_name("lr_range", "smoothed_loss")
METRICS = (*RATES.values(), SMOOTHED)


def conclude_range_test(record, config) -> None:
    """Log the results of a run with ``schedule=range_test``, as ``lr_range/...``.

    Of another run nothing is logged.

    ``record`` has ``history(metric)``, ``log(metrics, step)`` and ``flush()``, as a run has.
    """
    # What could not be stored cannot be read back: the run is left unfinished, and concluded when it is continued.
    if config.schedule.name != "range_test" or not record.flush():
        return
    steps, rates = record.history("train/learning_rate")
    _, losses = record.history("train/loss")
    if steps[-1] < config.training.steps:  # the test ended where the loss exploded
        losses[-1] = math.inf
    found = analyze_learning_rate_sensitivity(rates, losses)
    for step, loss in zip(steps, found.smoothed, strict=True):
        if math.isfinite(loss):
            record.log({SMOOTHED: loss}, step)
    results = {metric: getattr(found, name) for name, metric in RATES.items()}
    record.log({metric: value for metric, value in results.items() if value is not None}, steps[-1])
    record.flush()
