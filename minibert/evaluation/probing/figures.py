"""Figures of probes: by layer, by layer and checkpoint, and the gain over training."""

from collections.abc import Mapping, Sequence

import numpy as np

from minibert.diagnostics.plotting.panels import label_once, small_panels
from minibert.diagnostics.plotting.style import (
    COLOURS,
    SEQUENTIAL,
    Drawing,
    distinct_colours,
    finish,
    new_figure,
    step_axis,
)

TRAINED = {"color": COLOURS[0], "marker": "o", "markersize": 4, "label": "trained"}
UNTRAINED = {"color": "0.45", "marker": "s", "markersize": 3.5, "label": "untrained"}
CONTROL = {"color": COLOURS[1], "marker": "^", "markersize": 4, "label": "control task"}
WORD_TAG = {"color": COLOURS[2], "linestyle": "--", "label": "most frequent tag of the word"}
MAJORITY = {"color": COLOURS[4], "linestyle": ":", "label": "majority class"}
MOST_NUMBERS = 8
"""Checkpoints up to which the accuracy is written into a grid"""


def plot_layers(values: Mapping[str, Mapping]) -> Drawing:
    """Accuracy by layer of every task, beside its controls. ``values``: of one checkpoint"""
    figure, panels = small_panels(len(values))
    for panel, (task, found) in zip(panels, values.items(), strict=True):
        layers = range(len(found["accuracy"]))
        accuracy = np.array(found["accuracy"])
        bars = np.array([accuracy - found["low"], found["high"] - accuracy])
        panel.errorbar(layers, accuracy, np.maximum(bars, 0), **TRAINED)
        panel.plot(layers, found["untrained_accuracy"], **UNTRAINED)
        panel.plot(layers, found["control_accuracy"], **CONTROL)
        panel.axhline(found["word_tag_accuracy"], **WORD_TAG)
        panel.axhline(found["majority_accuracy"], **MAJORITY)
        _finish(panel, task, layers)
        panel.set_ylim(0, 1.02)
    label_once(figure, panels, "layer (0: output of the embeddings)", "accuracy on the test part")
    _legend(figure, panels)
    caption = (
        "Accuracy of a linear probe at each layer, with 95 % intervals over test examples. Above the dashed line, "
        "it reads more than which word it is; above the grey one, more than an untrained network gives. The "
        "control task has a random label for each word: a probe that reads it learns words by heart."
    )
    return Drawing(figure, caption)


def plot_compression(values: Mapping[str, Mapping]) -> Drawing:
    """Uniform by online code length at each layer, of the network and of the untrained one."""
    figure, panels = small_panels(len(values))
    for panel, (task, found) in zip(panels, values.items(), strict=True):
        layers = range(len(found["compression"]))
        panel.plot(layers, found["compression"], **TRAINED)
        panel.plot(layers, found["untrained_compression"], **UNTRAINED)
        panel.axhline(1, **MAJORITY | {"label": "uniform code"})
        _finish(panel, task, layers)
        low, high = panel.dataLim.intervaly
        panel.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    label_once(figure, panels, "layer (0: output of the embeddings)", "compression (uniform / online code)")
    _legend(figure, panels)
    caption = (
        "How much shorter the labels become when they are sent to one who has the vectors and learns a probe on "
        "the way (online code). More is better: the property is read exactly, and from few examples."
    )
    return Drawing(figure, caption)


def plot_layers_by_checkpoint(by_step: Mapping[int, Mapping[str, Mapping]]) -> Drawing:
    """A grid for each task: accuracy by layer and checkpoint."""
    steps = sorted(by_step)
    tasks = [task for task in by_step[steps[-1]] if all(task in by_step[step] for step in steps)]
    figure, panels = small_panels(len(tasks), width=2.5)
    for panel, task in zip(panels, tasks, strict=True):
        grid = np.array([by_step[step][task]["accuracy"] for step in steps]).T
        _draw_grid(figure, panel, grid, steps)
        panel.set_title(task.replace("_", " "), fontsize=10)
    label_once(figure, panels, "optimizer step", "layer (0: output of the embeddings)")
    caption = "Accuracy of the probes at every layer and checkpoint. Each grid has its own scale of colours."
    return Drawing(figure, caption)


def _draw_grid(figure, panel, grid: np.ndarray, steps: Sequence[int]) -> None:
    """grid (layers, checkpoints)"""
    image = panel.imshow(grid, cmap=SEQUENTIAL, aspect="auto", origin="lower")
    panel.set_yticks(range(len(grid)))
    few = len(steps) <= MOST_NUMBERS
    shown = range(len(steps)) if few else np.linspace(0, len(steps) - 1, 6).round().astype(int)
    panel.set_xticks(list(shown), [f"{steps[place]:,}" for place in shown], rotation=30, ha="right")
    bar = figure.colorbar(image, cax=panel.inset_axes((1.02, 0, 0.04, 1)))
    low, high = grid.min(), grid.max()
    bar.set_ticks([low, high], labels=[f"{100 * low:.0f} %", f"{100 * high:.0f} %"])
    bar.ax.tick_params(labelsize=7, length=2)
    bar.outline.set_visible(False)
    if few and len(grid) <= MOST_NUMBERS:
        middle = (low + high) / 2
        for (layer, place), accuracy in np.ndenumerate(grid):
            colour = "white" if accuracy < middle else "black"
            text = f"{100 * accuracy:.0f}"
            panel.text(place, layer, text, color=colour, fontsize=7, ha="center", va="center")


def plot_gains(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], halves: Mapping[str, float]
) -> Drawing:
    """The share of the last gain over step 0 that each task has reached, over steps."""
    figure = new_figure(7.5, 4)
    panel = figure.add_subplot()
    for (task, (steps, gains)), colour in zip(curves.items(), distinct_colours(len(curves)), strict=True):
        label = f"{task.replace('_', ' ')} ({halves[task]:,.0f})"
        panel.plot(steps, np.array(gains) / gains[-1], color=colour, marker="o", markersize=3.5, label=label)
    panel.axhline(0.5, color="0.4", linestyle="--", linewidth=1)
    finish(panel, "optimizer step", "share of the gain of the last step")
    step_axis(panel, [step for steps, _ in curves.values() for step in steps])
    panel.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    caption = (
        "How much of its final gain in accuracy over step 0 each property has reached, in the layer that is best "
        "at the last step; in brackets, the step of half of the gain. Only properties with a clear gain are drawn."
    )
    return Drawing(figure, caption)


def _finish(panel, task: str, layers: Sequence[int]) -> None:
    finish(panel, "", "", task.replace("_", " "))
    shown = layers if len(layers) <= 9 else layers[:: -(-len(layers) // 7)]
    panel.set_xticks(list(shown))


def _legend(figure, panels) -> None:
    """Once for all panels: beside the last one."""
    handles, labels = panels[-1].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: labels[place] != "trained")
    handles, labels = [handles[place] for place in order], [labels[place] for place in order]
    panels[-1].legend(handles, labels, fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.04, 0.5))
