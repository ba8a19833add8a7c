"""Figures of what was found by fine-tuning, from the findings alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, new_figure, step_axis

LABELS = {
    "accuracy": "all trained", "untrained_accuracy": "all trained, from an untrained network",
    "frozen_accuracy": "new layer alone", "untrained_frozen_accuracy": "new layer alone, on an untrained network",
    "bag_of_words_accuracy": "bag of words", "majority_accuracy": "most frequent label",
}  # fmt: skip
"""Metric, without its instrument -> what it is called, in the order of the figures"""
NETWORKS = ("accuracy", "frozen_accuracy")
"""What is about the network itself; all else are controls"""
TASKS = {
    "held_out_loss": ("masked words of held-out text", "loss (nats)"),
    "agreement": ("subject-verb agreement", "accuracy on minimal pairs"),
}
"""Old task -> its title and what is measured of it"""
LEAST_SPAN = 0.2
"""Of an axis, as a share of the first value: what changes less is shown as almost level"""
GREY = "0.45"


def plot_accuracies(values: Mapping[str, Any]) -> Drawing:
    """A row each: the mean over seeds, and for every seed a point with its interval over sentences."""
    found = {name: values["accuracies"][name] for name in LABELS if name in values["accuracies"]}
    figure = new_figure(7.4, 0.55 * len(found) + 1.0)
    panel = figure.subplots()
    for row, (name, one) in enumerate(found.items()):
        colour = COLOURS[0] if name in NETWORKS else GREY
        heights = [row] if len(one["seeds"]) == 1 else np.linspace(row - 0.24, row + 0.24, len(one["seeds"]))
        for height, (accuracy, low, high) in zip(heights, one["seeds"], strict=True):
            panel.plot([low, high], [height, height], color=colour, alpha=0.35, linewidth=1.2)
            panel.plot([accuracy], [height], "o", color=colour, alpha=0.5, markersize=3.5)
        panel.plot([one["mean"]] * 2, [row - 0.34, row + 0.34], color=colour, linewidth=2)
        right = panel.get_yaxis_transform()
        panel.text(1.02, row, f"{one['mean']:.3f}", transform=right, va="center", fontsize=9)
    panel.text(1.02, -0.62, "mean", transform=panel.get_yaxis_transform(), va="center", fontsize=9, color=GREY)
    panel.set_yticks(range(len(found)), [LABELS[name] for name in found])
    panel.set_ylim(len(found) - 0.5, -0.5)
    finish(panel, "accuracy on the test sentences", "")
    seeds = max(len(one["seeds"]) for one in found.values())
    caption = (
        f"For each of {seeds} seeds the accuracy (point) and its 95 % interval over the {values['tests']:,} test "
        "sentences (Wilson). The upright stroke and the number are the mean over seeds. Grey: controls."
    )
    return Drawing(figure, caption)


def plot_forgetting(values: Mapping[str, Any]) -> Drawing:
    """A panel for each old task: what the network scores along fine-tuning, and what an untrained one scores."""
    tasks = values["forgetting"]
    figure = new_figure(min(4.2 * len(tasks) + 0.6, 10), 3.4)
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for panel, (name, task) in zip(panels, tasks.items(), strict=True):
        begun, untrained = task["values"][0], task["untrained"]
        panel.plot(task["steps"], task["values"], "o-", color=COLOURS[0], markersize=4)
        panel.axhline(begun, color=COLOURS[0], linewidth=1, linestyle=":", label=f"before: {begun:.3g}")
        panel.axhline(untrained, color=GREY, linewidth=1, linestyle="--", label=f"untrained: {untrained:.3g}")
        panel.set_ylim(*_limits(task["values"], untrained))
        title, unit = TASKS.get(name, (str(name), "score"))
        finish(panel, "step of fine-tuning", unit, title)
        panel.legend(fontsize=8, frameon=False)
    caption = (
        "What is forgotten while all parameters learn to classify sentences, at rate "
        f"{values['forgetting_rate']:g}. Dotted: before the first step. Dashed, where it is in the picture: an "
        "untrained network, which has nothing to forget."
    )
    return Drawing(figure, caption)


def _limits(curve: Sequence[float], untrained: float) -> tuple[float, float]:
    """Of the axis: the curve fills it, and the untrained network is on it if that is not far away."""
    low, high = min(curve), max(curve)
    room = max(LEAST_SPAN * abs(curve[0]) - (high - low), 0) / 2
    low, high = low - room, high + room
    span = max(high - low, 1e-9)
    if low - span < untrained < high + span:
        low, high = min(low, untrained), max(high, untrained)
    margin = 0.08 * (high - low)
    return low - margin, high + 3 * margin  # above, for the legend


def plot_over_steps(by_step: Mapping[int, Mapping[str, Any]]) -> Drawing:
    """Accuracy after fine-tuning from each kept checkpoint, with the controls of the last."""
    steps = list(by_step)
    last = by_step[steps[-1]]["accuracies"]
    figure = new_figure(8.6, 3.6)
    panel = figure.subplots()
    for colour, name in zip(COLOURS, NETWORKS, strict=False):
        found = {step: by_step[step]["accuracies"][name] for step in steps if name in by_step[step]["accuracies"]}
        if not found:
            continue
        means = [one["mean"] for one in found.values()]
        panel.plot(list(found), means, "o-", color=colour, markersize=4, label=LABELS[name])
        bounded = {step: one for step, one in found.items() if one["low"] is not None}
        panel.fill_between(
            list(bounded),
            [one["low"] for one in bounded.values()],
            [one["high"] for one in bounded.values()],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    for style, name in zip((":", "--", "-."), [name for name in LABELS if name not in NETWORKS], strict=False):
        if name in last:
            panel.axhline(last[name]["mean"], color=GREY, linewidth=1, linestyle=style, label=LABELS[name])
    finish(panel, "", "accuracy on the test sentences")
    step_axis(panel, steps)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    seeds = max(len(one["seeds"]) for one in last.values())
    return Drawing(
        figure,
        f"Accuracy after fine-tuning from each kept checkpoint: mean over {seeds} seeds of fine-tuning with its "
        "95 % interval (Student's t). Grey: controls.",
    )
