"""The curves of one training run."""

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.plotting.panels import placed_panels
from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, new_figure

CURVES = {
    "loss": ("loss (nats per predicted token)", {"train/loss": "training", "eval/loss": "frozen held-out masks"}),
    "learning_rate": ("learning rate", {"train/learning_rate": None}),
    "gradient_norm": ("gradient norm before clipping (nats per unit)", {"gradient_norm/global": None}),
}
"""Figure -> label of the y axis, and metrics with their names in the legend."""
SIZE = 6.0, 4.0
"""Inches"""
CAPTIONS = {
    "loss": "Loss on training batches, as a mean since the last point, and on held-out text with fixed masks.",
    "learning_rate": "The learning rate of each step, as the schedule sets it.",
    "gradient_norm": "The norm of the whole gradient of each logged step.",
}


@drawing("training")
def plot_training_curves(record) -> dict[str, Drawing]:
    """``loss``, ``learning_rate`` and ``gradient_norm`` against optimizer steps."""
    drawn = {}
    for name, (label, metrics) in CURVES.items():
        figure = new_figure(*SIZE, placed=True)
        (panel,) = placed_panels(figure, *SIZE)
        for (metric, curve), colour in zip(metrics.items(), COLOURS, strict=False):
            steps, values = record.history(metric)
            marker = "o" if metric == "eval/loss" else None
            panel.plot(steps, values, label=curve, color=colour, marker=marker, markersize=3)
        if name == "loss":
            for level in record.history("baseline/unigram_entropy")[1][-1:]:
                panel.axhline(level, color="grey", linestyle="--", label="unigram entropy")
            panel.legend(frameon=False)
        if name == "gradient_norm" and any(value > 0 for value in values):
            panel.set_yscale("log")
        finish(panel, "optimizer step", label)
        drawn[name] = Drawing(figure, CAPTIONS[name])
    return drawn
