"""The curves of one training run."""

from collections.abc import Callable

LABELS = {
    "loss": ("loss (nats per predicted token)", {"train/loss": "training", "eval/loss": "frozen held-out masks"}),
    "learning_rate": ("learning rate", {"train/learning_rate": None}),
    "gradient_norm": ("gradient norm before clipping (nats per unit)", {"gradient_norm/global": None}),
}
"""Figure -> label of the y axis, and metrics with their names in the legend."""


def plot_training_curves(history: Callable[[str], tuple[list[int], list[float]]]) -> dict:
    """Figures ``loss``, ``learning_rate`` and ``gradient_norm`` against optimizer steps.

    ``history`` gives the steps and values of a metric by name.
    """
    from matplotlib.figure import Figure

    figures = {}
    for name, (label, metrics) in LABELS.items():
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for metric, curve in metrics.items():
            steps, values = history(metric)
            axes.plot(steps, values, label=curve, marker="o" if metric == "eval/loss" else None, markersize=3)
        if name == "loss":
            steps, values = history("baseline/unigram_entropy")
            axes.axhline(values[-1], color="grey", linestyle="--", label="unigram entropy")
            axes.legend()
        if name == "gradient_norm":
            axes.set_yscale("log")
        axes.set(xlabel="optimizer step", ylabel=label)
        axes.grid(alpha=0.3)
        figures[name] = figure
    return figures
