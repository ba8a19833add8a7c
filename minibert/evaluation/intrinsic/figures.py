"""The figures of the instrument ``intrinsic``: loss by kind of token, reliability, and losses over the steps."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.panels import colours_of
from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, new_figure, step_axis
from minibert.evaluation.instruments import Conclusion, Findings
from minibert.evaluation.intervals import NORMAL
from minibert.evaluation.intrinsic.tables import readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {
    "frequency": "frequency in the training text",
    "position": "position in the text",
    "piece": "piece of a word",
    "part_of_speech": "part of speech",
}
"""Kind of tokens -> what its bands are by"""
LINES = (("loss", "model", "o", 5), ("unigram", "word frequencies", "|", 11), ("untrained", "untrained", "x", 6))
"""Quantity of a band, its name, marker and size"""
PANEL = 3.6
"""Inches"""


def conclude(by_step: Mapping[int, Findings]) -> Conclusion:
    """The bands and the reliability at the last step; with several steps, the loss of each frequency over them."""
    step, last = max(by_step.items(), default=(0, None))
    if last is None:
        return Conclusion()
    figures = {}
    if any(kind in last.values for kind in KINDS):
        figures["loss_by_kind"] = draw_bands(last.values, step)
    if "reliability" in last.values:
        figures["reliability"] = draw_reliability(last.values["reliability"], step)
    histories = frequency_histories(by_step)
    if histories:
        figures["loss_by_frequency_over_steps"] = draw_histories(histories)
    return Conclusion(figures)


def frequency_histories(by_step: Mapping[int, Findings]) -> dict[str, tuple[list[int], list[float]]]:
    """Frequency band -> steps and losses, of bands that are there at two steps or more."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for step, findings in sorted(by_step.items()):
        for band in findings.values.get("frequency", []):
            steps, losses = found.setdefault(band["name"], ([], []))
            steps.append(step)
            losses.append(band["loss"])
    return {name: history for name, history in found.items() if len(history[0]) > 1}


def draw_bands(values: Mapping, step: int) -> Drawing:
    """A panel for each kind, a row for each band: the model's loss with its interval, and the controls."""
    kinds = [kind for kind in KINDS if kind in values]
    width, height = PANEL * len(kinds), 1.4 + 0.26 * max(len(values[kind]) for kind in kinds)
    edges = {"left": 1.35 / width, "right": 1 - 0.1 / width, "bottom": 0.8 / height, "top": 1 - 0.3 / height}
    figure, panels = placed_panels(width, height, 1, len(kinds), edges | {"wspace": 0.45})
    for panel, kind in zip(panels, kinds, strict=True):
        bands = values[kind]
        places = np.arange(len(bands))
        for (quantity, label, marker, size), colour in zip(LINES, COLOURS, strict=False):
            losses = [band[quantity] for band in bands]
            if any(loss is None for loss in losses):
                continue
            errors = [band["error"] for band in bands] if quantity == "loss" else None
            panel.errorbar(losses, places, xerr=errors, fmt=marker, color=colour, markersize=size, label=label)
        unit = "nats a word" if kind == "part_of_speech" else "nats a token"
        finish(panel, unit, "", f"by {KINDS[kind]}")
        panel.set_yticks(places, [readable(band["name"]) for band in bands], fontsize=8)
        panel.set_ylim(len(bands) - 0.5, -0.5)
        panel.set_xlim(left=0)
    lines = panels[0].get_legend_handles_labels()
    figure.legend(*lines, loc="lower center", ncols=len(LINES), frameon=False, fontsize=9)
    caption = (
        f"Loss of masked tokens by kind at step {step:,}, with the 95 % interval over sequences. Word "
        "frequencies: the loss on the same tokens by how often each is in the training text. Untrained: the "
        "network before its first step."
    )
    return Drawing(figure, caption)


def draw_reliability(values: Mapping, step: int) -> Drawing:
    """Above, how often guesses of a probability are right; below, how many guesses have it."""
    counts, confidence, accuracy = (np.array(values[name]) for name in ("counts", "confidence", "accuracy"))
    bins, filled = len(counts), counts > 0
    place = {"left": 0.15, "right": 0.96, "bottom": 0.11, "top": 0.97, "hspace": 0.08, "height_ratios": [3, 1]}
    figure, (above, below) = placed_panels(4.2, 4.6, 2, 1, place, sharex=True)
    above.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1, label="perfectly calibrated")
    half = NORMAL * np.sqrt(accuracy[filled] * (1 - accuracy[filled]) / counts[filled])
    above.errorbar(
        confidence[filled], accuracy[filled], half, fmt="o-", color=COLOURS[0], elinewidth=1, label="model"
    )
    finish(above, "", "share that is right")
    above.set(xlim=(0, 1), ylim=(0, 1))
    above.legend(frameon=False, fontsize=9, loc="upper left")
    below.bar((np.arange(bins) + 0.5) / bins, counts, width=0.9 / bins, color=COLOURS[0])
    finish(below, "probability of the guess", "guesses")
    caption = (
        f"Reliability at step {step:,}: guesses for masked tokens, sorted by the probability that the model gives "
        f"them, in {bins} bins. Expected calibration error {100 * values['error']:.1f} points (95 % interval "
        f"{100 * values['low']:.1f} to {100 * values['high']:.1f}; {100 * values['by_chance']:.1f} of a perfectly "
        "calibrated model, by chance). Bars: the 95 % interval of a bin."
    )
    return Drawing(figure, caption)


def placed_panels(
    width: float, height: float, rows: int, columns: int, place: Mapping, **settings
) -> tuple["Figure", list]:
    """A figure in inches, and its panels at the given place."""
    figure = new_figure(width, height, placed=True)
    return figure, list(figure.subplots(rows, columns, squeeze=False, gridspec_kw=dict(place), **settings).flat)


def draw_histories(histories: Mapping[str, tuple[list[int], list[float]]]) -> Drawing:
    """The loss of each frequency band over the optimizer steps."""
    figure = new_figure(6.2, 3.6)
    panel = figure.subplots()
    for (name, (steps, losses)), colour in zip(histories.items(), colours_of(histories).values(), strict=True):
        panel.plot(steps, losses, "o-", color=colour, markersize=3, linewidth=1.5, label=readable(name))
    finish(panel, "optimizer step", "nats a token")
    step_axis(panel, [step for steps, _ in histories.values() for step in steps])
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    panel.legend(title="times in the\ntraining text", frameon=False, fontsize=8, title_fontsize=8, **beside)
    return Drawing(figure, "Loss of masked tokens over the steps, by how often they are in the training text.")
