"""Figures of what was found by fine-tuning, from the findings alone."""

from collections.abc import Mapping
from typing import Any

from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, new_figure

LABELS = {
    "accuracy": "all trained", "untrained_accuracy": "all trained, from an untrained network",
    "frozen_accuracy": "new layer alone", "untrained_frozen_accuracy": "new layer alone, on an untrained network",
    "bag_of_words_accuracy": "bag of words", "majority_accuracy": "most frequent label",
}  # fmt: skip
"""Metric, without its instrument -> what it is called, in the order of the figures"""
NETWORKS = ("accuracy", "frozen_accuracy")
"""What is about the network itself; all else are controls"""
TASKS = {
    "held_out_loss": "masked-word loss on held-out text (nats)",
    "agreement": "agreement: share of pairs preferred rightly",
}
GREY = "0.45"


def plot_accuracies(values: Mapping[str, Any]) -> Drawing:
    """A row each: the mean over seeds with its interval, a point for every seed, that interval over sentences."""
    found = {name: values["accuracies"][name] for name in LABELS if name in values["accuracies"]}
    figure = new_figure(7.2, 0.45 * len(found) + 1.0)
    panel = figure.subplots()
    for row, (name, one) in enumerate(found.items()):
        colour = COLOURS[0] if name in NETWORKS else GREY
        for place, (accuracy, low, high) in enumerate(one["seeds"]):
            height = row + 0.22 * (place - (len(one["seeds"]) - 1) / 2) / max(len(one["seeds"]) - 1, 1)
            panel.plot([low, high], [height, height], color=colour, alpha=0.35, linewidth=1.2)
            panel.plot([accuracy], [height], "o", color=colour, alpha=0.45, markersize=3.5)
        panel.plot([one["mean"]] * 2, [row - 0.26, row + 0.26], color=colour, linewidth=2.2)
        panel.text(
            1.015, row, f"{one['mean']:.3f}", transform=panel.get_yaxis_transform(), va="center", fontsize=9
        )
    panel.set_yticks(range(len(found)), [LABELS[name] for name in found])
    panel.set_ylim(len(found) - 0.5, -0.5)
    finish(panel, "accuracy on the test sentences", "")
    seeds = max(len(one["seeds"]) for one in found.values())
    caption = (
        f"A line for each of {seeds} seeds: its accuracy (point) and the 95 % interval over the "
        f"{values['tests']:,} test sentences (Wilson). The upright stroke and the number are the "
        "mean over seeds. Grey: controls."
    )
    return Drawing(figure, caption)


def plot_forgetting(values: Mapping[str, Any]) -> Drawing:
    """A panel for each old task: what the network scores along fine-tuning, and what an untrained one scores."""
    tasks = values["forgetting"]
    figure = new_figure(min(4.4 * len(tasks) + 0.6, 10), 3.3)
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for panel, (name, task) in zip(panels, tasks.items(), strict=True):
        panel.plot(task["steps"], task["values"], "o-", color=COLOURS[0], markersize=4)
        panel.axhline(task["values"][0], color=COLOURS[0], linewidth=1, linestyle=":")
        panel.axhline(task["untrained"], color=GREY, linewidth=1, linestyle="--")
        finish(panel, "step of fine-tuning", TASKS.get(name, str(name)))
    caption = (
        "What is forgotten while all parameters learn to classify sentences, at rate "
        f"{values['forgetting_rate']:g}. Dotted: before the first step. Dashed: an untrained network, which has "
        "nothing to forget."
    )
    return Drawing(figure, caption)


def plot_over_steps(by_step: Mapping[int, Mapping[str, Any]]) -> Drawing:
    """Accuracy after fine-tuning from each kept checkpoint, with the controls of the last."""
    steps = list(by_step)
    last = by_step[steps[-1]]["accuracies"]
    figure = new_figure(6.4, 3.6)
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
    panel.set_xlim(left=0)
    finish(panel, "optimizer step of pretraining", "accuracy on the test sentences")
    panel.legend(fontsize=8, frameon=False)
    seeds = max(len(one["seeds"]) for one in last.values())
    return Drawing(
        figure,
        f"Accuracy after fine-tuning from each kept checkpoint: mean over {seeds} seeds of fine-tuning with its "
        "95 % interval (Student's t). Grey: controls.",
    )
