"""The loss of a run by its parts: of the objective, and of the network."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minibert.diagnostics.gradients.loss_component_figures import stack_loss_components
from minibert.diagnostics.gradients.loss_components import LossComponents
from minibert.diagnostics.plotting.series import MetricRecord, last_value
from minibert.diagnostics.plotting.style import COLOURS, finish, new_figure
from minibert.errors import MinibertError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = {"unigram entropy": "baseline/unigram_entropy", "bigram model": "baseline/bigram_cross_entropy"}
"""Name -> metric of what counting words reaches on the held-out text, in nats per token"""
CHANGE = "loss_change/"
NOT_GROUPS = ("curvature", "measured", "remainder")
MLM = "mlm"
Parts = dict[str, tuple[list[int], np.ndarray]]
"""Task -> steps and values"""


def levels(record: MetricRecord) -> dict[str, float]:
    """The losses that counting words reaches on the held-out text, as far as they are recorded."""
    found = {name: last_value(record, metric) for name, metric in LEVELS.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def objective_parts(record: MetricRecord, parameters: Mapping[str, str]) -> Parts:
    """Task -> steps and weight · mean loss, in nats: what each task of the objective adds to the training loss.

    Empty where tasks are not measured apart: then masked words are the whole objective. ``parameters`` are the
    recorded settings, which hold the weights ``objective.<task>`` and the factor ``objective.weight``; masked
    words have the weight 1.
    """
    found = {}
    for name in record.metric_names("train/"):
        task = name.removeprefix("train/").removesuffix("_loss")
        weight = _weight(task, parameters)
        if name == f"train/{task}_loss" and weight is not None:
            steps, values = record.history(name)
            found[task] = steps, weight * np.asarray(values, np.float64)
    return found if len(found) > 1 or (found and MLM not in found) else {}


def loss_changes(record: MetricRecord) -> tuple[list[int], list[LossComponents]]:
    """The steps at which the change of the loss was taken apart, and its parts; the curvature is of all groups.

    Empty where the diagnostic ``loss_components`` was not taken, which is one of ``diagnostics=standard``.
    """
    groups = [name.removeprefix(CHANGE) for name in record.metric_names(CHANGE)]
    groups = [group for group in groups if group not in NOT_GROUPS]
    found = {name: dict(zip(*record.history(CHANGE + name), strict=True)) for name in (*groups, *NOT_GROUPS)}
    steps = sorted(set.intersection(*(set(values) for values in found.values()))) if groups else []
    components = [
        LossComponents(
            {group: found[group][step] for group in groups},
            {"all": found["curvature"][step]},
            found["measured"][step],
        )
        for step in steps
    ]
    return steps, components


def plot_losses(record: MetricRecord, parameters: Mapping[str, str]) -> "Figure":
    """The figure of :meth:`minibert.watching.analyzer.TrainingAnalyzer.plot_loss_components`.

    Raises :class:`MinibertError` where no loss is recorded yet.
    """
    if not (record.history("train/loss")[0] or record.history("eval/loss")[0]):
        raise MinibertError(
            "train/loss: no point is recorded yet. Allowed: a run that has done training.log_every steps."
        )
    parts, (steps, changes) = objective_parts(record, parameters), loss_changes(record)
    heights = [3.2] + [2.4] * bool(parts) + [3.0, 2.0] * bool(steps)
    figure = new_figure(max(8.0, 4 + 0.28 * len(steps)), sum(heights))
    panels = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    _draw_losses(panels.pop(0), record)
    if parts:
        _draw_parts(panels.pop(0), parts)
    if steps:
        stack_loss_components(panels[0], panels[1], changes, steps)
        panels[0].sharex(panels[1])
        panels[0].tick_params(labelbottom=False)
        panels[0].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    return figure


def _draw_losses(panel: Any, record: MetricRecord) -> None:
    panel.plot(*record.history("train/loss"), color=COLOURS[0], linewidth=1, label="training, all parts")
    panel.plot(*record.history("eval/loss"), color=COLOURS[1], marker="o", markersize=3, label="held out")
    for (name, value), line in zip(levels(record).items(), ("--", ":"), strict=False):
        panel.axhline(value, color="grey", linestyle=line, linewidth=1, label=name)
    finish(panel, "optimizer step", "loss (nats per\npredicted token)")
    panel.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)


def _draw_parts(panel: Any, parts: Parts) -> None:
    for (task, (steps, values)), colour in zip(parts.items(), COLOURS, strict=False):
        name = "masked words" if task == MLM else task.replace("_", " ")
        panel.plot(steps, values, color=colour, linewidth=1.2, label=name)
    panel.set_ylim(bottom=0)
    finish(panel, "optimizer step", "weight · loss\nof each task (nats)")
    panel.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)


def _weight(task: str, parameters: Mapping[str, str]) -> float | None:
    """Of a task in the training loss; None for what is no task, or one whose weight is not recorded."""
    if task == MLM:
        return 1.0
    try:
        return float(parameters[f"objective.{task}"]) * float(parameters.get("objective.weight", 1))
    except (KeyError, ValueError):
        return None
