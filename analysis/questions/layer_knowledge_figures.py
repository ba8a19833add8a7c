"""Figures of what the layers know: by layer, by checkpoint, and when each kind is learnt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.depths import layer_colour
from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, new_figure

from ..statistics import Estimate, mean_curve, mean_interval
from .layer_knowledge_measures import LEAST_GAIN, Known, Learnt, step_of
from .probe_records import ProbedKind, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
"""Most panels in a row"""
BAND = 0.15
"""Opacity of the interval around a curve"""
ROOM = 0.08
"""Share of the axis above and below what is drawn"""
MOST_UPRIGHT = 5
"""Marks of an axis that stand side by side without being turned"""
FIRST = "trained network"
"""What the legend names first"""
UNTRAINED = "0.45"
REFERENCES = {
    "word_tag_accuracy": (COLOURS[2], "--", "most frequent label of the word"),
    "majority_accuracy": (COLOURS[3], ":", "most frequent label"),
}
"""Recorded quantity -> colour, style and name of its line"""


def draw(kinds: Sequence[Known], times: Sequence[Learnt]) -> dict[str, Drawing]:
    """File name -> figure."""
    drawn = {
        "knowledge_by_layer.png": Drawing(
            by_layer(kinds),
            "Accuracy of a linear probe at each layer of the trained network; 0 is the output of the embeddings. "
            "Dots: seeds; lines: means; bars and bands: 95 % intervals. Above the green line, a probe reads more "
            "than which word it is; above the grey one, more than from an untrained network. The control task has "
            "a random label for each word, which a probe can only learn by heart.",
        )
    }
    if times:
        drawn["knowledge_by_checkpoint.png"] = Drawing(
            by_checkpoint(kinds),
            "Accuracy of the probes while the network is trained: a colour a layer, means over seeds, bands: 95 % "
            "intervals. Dashed: the most frequent label of each word.",
        )
    if any(each.time.n for each in times):
        drawn["knowledge_times.png"] = Drawing(
            when(times, kinds[0].runs[0].steps),
            "The step at which each kind of knowledge reaches half of its last gain over step 0, in its best "
            "layer. Dots: seeds; diamonds: means over seeds with 95 % intervals. The marks of the axis are the "
            "checkpoints, between which the accuracy is taken to change evenly on this scale.",
        )
    return drawn


def by_layer(kinds: Sequence[Known]) -> "Figure":
    """A panel a kind: the probe and its controls over the layers."""
    figure, panels = _panels(len(kinds))
    for panel, kind in zip(panels, kinds, strict=True):
        layers = np.arange(len(kind.by_layer))
        probed = [run.kinds[kind.name] for run in kind.runs]
        for each in probed if len(probed) > 1 else ():
            panel.plot(layers + 0.12, each.last("accuracy"), ".", color=COLOURS[0], markersize=4, alpha=0.6)
        means, half_widths = zip(*((each.mean, each.half_width) for each in kind.by_layer), strict=True)
        panel.errorbar(
            layers, means, np.nan_to_num(half_widths), color=COLOURS[0], marker="o", markersize=4, capsize=3,
            label=FIRST,
        )  # fmt: skip
        untrained, control = _over_seeds(probed, "untrained_accuracy"), _over_seeds(probed, "control_accuracy")
        _curve(panel, layers, untrained, UNTRAINED, "untrained network", marker="s", markersize=3.5)
        _curve(panel, layers, control, COLOURS[1], "control task", marker="^", markersize=4)
        for quantity, (colour, style, label) in REFERENCES.items():
            level = probed[0].references[quantity]
            panel.axhline(level, color=colour, linestyle=style, linewidth=1.3, label=label)
        finish(panel, "layer", "accuracy", words(kind.name))
        panel.set_xticks(layers)
    _legend(figure, panels)
    figure.suptitle(f"What a linear probe reads from each layer, {_seeds(kinds)}", fontsize=11)
    return figure


def by_checkpoint(kinds: Sequence[Known]) -> "Figure":
    """A panel a kind: the accuracy of every layer over the steps."""
    figure, panels = _panels(len(kinds))
    for panel, kind in zip(panels, kinds, strict=True):
        layers = len(kind.by_layer)
        for layer in range(layers):
            curves = [run.kinds[kind.name].accuracy[layer] for run in kind.runs]
            steps, means = mean_curve([run.steps for run in kind.runs], curves)
            label = f"layer {layer}" if layer else "embeddings"
            _curve(panel, steps, means, layer_colour(layer, layers), label, linewidth=1.6)
        finish(panel, "optimizer step", "accuracy", words(kind.name))
        _checkpoints(panel, steps)
        _limit(panel, [run.kinds[kind.name].accuracy for run in kind.runs])
        word_tag = kind.runs[0].kinds[kind.name].references["word_tag_accuracy"]
        panel.axhline(word_tag, color="0.3", linestyle="--", linewidth=1, label="most frequent label of the word")
    _legend(figure, panels)
    figure.suptitle(f"What a linear probe reads during training, {_seeds(kinds)}", fontsize=11)
    return figure


def when(times: Sequence[Learnt], steps: np.ndarray) -> "Figure":
    """A row a kind, the soonest at the top. ``steps``: of the checkpoints"""
    figure = new_figure(8.5, 0.42 * len(times) + 1.3)
    panel = figure.subplots()
    for row, each in enumerate(times):
        for index, time in enumerate(each.by_seed.values()):
            y = row - 0.28 + 0.36 * index / len(each.by_seed)
            panel.plot(step_of(time), y, "o", color=COLOURS[index % len(COLOURS)], markersize=4.5)
        if each.dated:
            panel.plot(step_of(each.time.mean), row + 0.25, "D", color="black", markersize=5)
            ends = [max(step_of(each.time.low), 0), step_of(each.time.high)]
            panel.plot(ends, [row + 0.25] * 2, color="black", linewidth=2)
        else:
            text = f"gains {LEAST_GAIN} in {each.time.n} of {len(each.by_seed)} runs"
            panel.text(0.99, row, text, transform=panel.get_yaxis_transform(), ha="right", va="center", fontsize=8)
    finish(panel, "optimizer step", "", "Half of the last gain is reached")
    _checkpoints(panel, steps)
    panel.set_yticks(range(len(times)), [words(each.name) for each in times])
    panel.set_ylim(len(times) - 0.4, -0.6)
    panel.grid(False, axis="y")
    return figure


def _panels(count: int) -> tuple["Figure", list["Axes"]]:
    """So many panels in rows of at most :data:`COLUMNS`."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = new_figure(3.1 * columns + 0.4, 2.5 * rows + 1)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for empty in panels[count:]:
        empty.set_axis_off()
    return figure, list(panels[:count])


def _over_seeds(probed: Sequence[ProbedKind], quantity: str) -> list[Estimate]:
    """Of each layer, at the last checkpoint"""
    by_layer = zip(*(each.last(quantity) for each in probed), strict=True)
    return [mean_interval(list(values)) for values in by_layer]


def _curve(panel: "Axes", x, means: Sequence[Estimate], colour, label: str, **style) -> None:
    """Means with their intervals as a band."""
    panel.plot(x, [each.mean for each in means], color=colour, label=label, **style)
    low, high = [each.low for each in means], [each.high for each in means]
    panel.fill_between(x, low, high, color=colour, alpha=BAND, linewidth=0)


def _checkpoints(panel: "Axes", steps: np.ndarray) -> None:
    """Optimizer steps by logarithm, with step 0 and marks at the checkpoints."""
    later = steps[steps > 0]
    panel.set_xscale("symlog", base=2, linthresh=later.min() if later.size else 1, linscale=1)
    panel.set_xticks(steps, [f"{step:,}" for step in steps], rotation=45 if len(steps) > MOST_UPRIGHT else 0)
    panel.minorticks_off()
    panel.set_xlim(0, max(steps[-1], 1))


def _limit(panel: "Axes", drawn: Sequence[np.ndarray]) -> None:
    """The range of the seeds: the interval of two of them can be many times as wide."""
    values = np.concatenate([each.ravel() for each in drawn])
    low, high = np.nanmin(values), np.nanmax(values)
    room = ROOM * (high - low) or 0.01
    panel.set_ylim(low - room, high + room)


def _legend(figure: "Figure", panels: Sequence["Axes"]) -> None:
    entries = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
    ordered = sorted(entries, key=lambda label: label != FIRST)
    figure.legend(
        [entries[label] for label in ordered],
        ordered,
        loc="outside lower center",
        ncols=6,
        frameon=False,
        fontsize=9,
    )


def _seeds(kinds: Sequence[Known]) -> str:
    count = max(len(kind.runs) for kind in kinds)
    return f"{count} seeds" if count > 1 else "one seed: no interval, no claim"
