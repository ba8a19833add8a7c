"""What may be wrong with a training run, found in what the run has recorded.

Limits are relative to the run's own history, to the network or to the text, so that they hold for every optimizer
and size. Beside each stands the range that healthy runs measured: every optimizer at its default rate with models
debug and tiny on the default corpus for 300 steps, some for 2,000; tiny networks with every position scheme for
500 steps; and what the same networks did at rates that are too large.
"""

from collections.abc import Callable
from typing import Any

from minibert.diagnostics.health.issues import SEVERITIES, Finding, Health, Histories, NotRecordedError, found_at
from minibert.diagnostics.health.layer_checks import (
    check_collapsed_attention,
    check_dead_units,
    check_saturated_attention,
)
from minibert.diagnostics.health.loss_checks import (
    check_divergence,
    check_overfitting,
    check_plateau,
    check_predictions,
    find_plateau_end,
    loss_against_level,
)
from minibert.diagnostics.health.step_checks import (
    check_exploding_gradients,
    check_large_updates,
    check_small_updates,
    check_vanishing_gradients,
)

DUPLICATE_SEQUENCES = 0.01
"""Share of the training sequences that occur more than once, token for token. The default corpus has 0.0001 to
0.0003."""
REPEATED_TEXT = 0.1
"""Share of the training text in passages of 32 tokens that occur elsewhere too. The default corpus has 0.014 to
0.019."""


def detect_training_issues(record: Any) -> Health:
    """Check what a run has recorded for common problems of training.

    ``record`` is a run's :class:`minibert.tracking.records.Record`, open or long finished, or a mapping
    metric -> (steps, values). The issues, and the metrics that each is found by:

    ======================== ======================================================================================
    ``divergence``           ``train/loss``, ``eval/loss``: NaN, infinite, or far above their own minima
    ``exploding_gradients``  ``gradient_norm/global``: NaN, infinite, or far above its own median
    ``vanishing_gradients``  ``gradient_norm/layer_i``: very small compared with the whole network's
    ``large_updates``        ``update_ratio/<parameter>``: an update as large as the weights
    ``small_updates``        ``update_ratio/<parameter>``: all updates together change almost nothing
    ``loss_plateau``         ``eval/loss``, or else ``train/loss``: never below ``baseline/unigram_entropy``
    ``overfitting``          ``eval/loss`` ends above its minimum, while ``train/loss`` falls
    ``dead_units``           ``dead_units/layer_i``: nearly all of a layer's units
    ``saturated_attention``  ``attention_entropy_share/layer_i/head_j``: almost zero, and no loss below the unigram
                             entropy; with one, a note
    ``collapsed_attention``  ``attention_to_cls|sep|self/layer_i/head_j``: nearly all of it; or
                             ``head_distance/layer_i``: heads have become the same
    ``duplicate_data``       ``health/duplicate_share``, ``health/repeated_text_share``: much repeated text
    ``no_predictions``       ``tokens_predicted``: none, or fewer than one a step
    ======================== ======================================================================================

    The rules and their limits are in :mod:`minibert.diagnostics.health.loss_checks`, ``step_checks`` and
    ``layer_checks``. What was not recorded is not checked, and :attr:`Health.not_checked` says so.

    Raises :class:`MinibertError` for a record of another kind.
    """
    histories = Histories.of_record(record)
    findings, not_checked = [], {}
    for issue, check in CHECKS.items():
        try:
            findings += check(histories)
        except NotRecordedError as reason:
            not_checked[issue] = str(reason)
    findings.sort(key=lambda each: SEVERITIES.index(each.severity))
    checked = tuple(issue for issue in CHECKS if issue not in not_checked)
    return Health(findings, checked, not_checked, _plateau_left_step(histories))


def check_duplicate_data(histories: Histories) -> list[Finding]:
    """Whether much of the training text occurs more than once: whole sequences, or passages of 32 tokens."""
    limits = {
        "health/duplicate_share": (DUPLICATE_SEQUENCES, "of the training sequences occur more than once"),
        "health/repeated_text_share": (REPEATED_TEXT, "of the training text occurs elsewhere in it too"),
    }
    recorded = {metric: histories.of(metric).finite for metric in limits}
    if not any(len(each.values) for each in recorded.values()):
        raise NotRecordedError("health/duplicate_share is not recorded")
    last = {metric: each.values[-1] for metric, each in recorded.items() if len(each.values)}
    above = [metric for metric, share in last.items() if share > limits[metric][0]]
    if not above:
        return []
    shares = [f"{last[name]:.1%} {limits[name][1]} (limit {limits[name][0]:.0%})" for name in above]
    metric = above[0]
    return [
        found_at(
            recorded[metric],
            -1,
            "duplicate_data",
            "warning",
            metric,
            f"{' and '.join(shares)}.",
            cause="documents that are copies of each other but for a few words, or that share passages.",
            advice="each text once in data.path; passages that many documents share taken out.",
        )
    ]


CHECKS: dict[str, Callable[[Histories], list[Finding]]] = {
    "divergence": check_divergence,
    "exploding_gradients": check_exploding_gradients,
    "vanishing_gradients": check_vanishing_gradients,
    "large_updates": check_large_updates,
    "small_updates": check_small_updates,
    "loss_plateau": check_plateau,
    "overfitting": check_overfitting,
    "dead_units": check_dead_units,
    "saturated_attention": check_saturated_attention,
    "collapsed_attention": check_collapsed_attention,
    "duplicate_data": check_duplicate_data,
    "no_predictions": check_predictions,
}
"""Issue -> its check, which raises :class:`NotRecordedError` if what it needs is not recorded"""


def _plateau_left_step(histories: Histories) -> int | None:
    try:
        _, loss, level = loss_against_level(histories)
    except NotRecordedError:
        return None
    return find_plateau_end(loss.steps, loss.values, level)
