"""The range test of a run, as a picture."""

import numpy as np

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.plotting.series import read
from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, new_figure

CAPTION = (
    "Training loss while the learning rate rises step by step. The suggested rate is half of that at which the "
    "smoothed loss is lowest; at the rate of divergence, half of what had been gained is lost again. Shaded: from "
    "the first to the last rate at which the loss falls at least half as fast as at the steepest."
)
MARKS = {
    "suggested_rate": ("suggested", COLOURS[2], "-"),
    "lowest_loss_rate": ("lowest loss", COLOURS[3], "-."),
    "steepest_rate": ("steepest", COLOURS[5], ":"),
    "divergence_rate": ("divergence", COLOURS[1], "--"),
}
"""Metric -> its name in the legend, colour and line"""


@drawing("training")
def plot_range_test(record) -> dict[str, Drawing]:
    """``lr_range``: the losses of a range test against its rates, with what is read from them."""
    found = {each.part: each.values for each in read(record, "lr_range")}
    if "smoothed_loss" not in found:
        return {}
    rates, losses = (np.array(record.history(f"train/{name}")[1]) for name in ("learning_rate", "loss"))
    smoothed = np.array(found["smoothed_loss"])
    figure = new_figure(7.2, 4.4)
    panel = figure.subplots()
    panel.set_xscale("log")
    if "learning_from" in found:
        panel.axvspan(*found["learning_from"], *found["learning_to"], color="0.93", linewidth=0)
    panel.plot(rates, losses, color="0.65", linewidth=0.8, label="each step")
    panel.plot(rates[: len(smoothed)], smoothed, color=COLOURS[0], linewidth=2.2, label="smoothed")
    for metric, (name, colour, line) in MARKS.items():
        if metric in found:
            (rate,) = found[metric]
            panel.axvline(rate, color=colour, linestyle=line, linewidth=1.6, label=f"{name} {rate:.2g}")
    finish(panel, "learning rate", "training loss (nats per predicted token)")
    # What comes after divergence can be a thousand times as high as all there is to see before.
    low, high = losses[: len(smoothed)].min(), max(losses[0], smoothed.max())
    panel.set_ylim(low - 0.05 * (high - low), high + 0.25 * (high - low))
    panel.set_xlim(rates[0], rates[-1])
    figure.legend(loc="outside right upper", frameon=False)
    return {"lr_range": Drawing(figure, CAPTION)}
