"""Figures of the measures of attention heads over training."""

from collections.abc import Callable

import numpy as np

from minibert.diagnostics.attention import maps  # noqa: F401  (its drawings register themselves)
from minibert.diagnostics.attention.measures import CLOSE, cluster_heads
from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.plotting.series import History, by_head, by_layer, layer_name, metric_name, read
from minibert.diagnostics.plotting.style import COLOURS, SEQUENTIAL, Drawing, finish, new_figure, step_axis

PATTERNS = {
    "to_self": "on itself", "to_previous": "on the token before", "to_next": "on the token behind",
    "to_cls": "on [CLS]", "to_sep": "on [SEP]",
}  # fmt: skip
ROWS = (
    "Means over the rows of a training batch's real tokens; in the last layer over those of predicted tokens "
    "alone, unless it was computed everywhere."
)
MOST_NAMED = 48
"""Heads up to which a matrix of them is labelled with their names"""


@drawing("attention")
def plot_attention_quantities(record) -> dict[str, Drawing]:
    """Entropy, distance and patterns of each head from ``attention_patterns``; what ``head_distances`` found."""
    return _plot_patterns(record) | _plot_head_distances(record)


def _plot_patterns(record) -> dict[str, Drawing]:
    entropy = _read(record, "entropy_share")
    if not entropy:
        return {}
    distance = _read(record, "distance")
    shares = {quantity: _read(record, quantity) for quantity in PATTERNS}
    shares = {quantity: histories for quantity, histories in shares.items() if histories}

    def uniform(quantity: str, layer: int) -> History:
        # A curve, not a constant: it depends on the rows and pieces of the batch, and so do the heads.
        return record.history(metric_name("attention_uniform", quantity, layer_name(layer)))

    steps, _ = next(iter(entropy.values()))
    last, alike = steps[-1], (steps, [1.0] * len(steps))
    return {
        "entropy_share": Drawing(
            plot_heads_by_layer(entropy, "entropy / maximum", lambda layer: alike),
            f"How widely each head attends: 1 is uniform attention (dashed), 0 is one token. {ROWS}",
        ),
        "distance": Drawing(
            plot_heads_by_layer(distance, "distance (tokens)", lambda layer: uniform("distance", layer)),
            f"How far each head attends; dashed, uniform attention. {ROWS}",
        ),
        "patterns": Drawing(
            _plot_last_step(entropy, shares, uniform),
            f"Every head at step {last:,}: entropy as a share of its maximum, and shares of attention on certain "
            f"tokens, in brackets those of uniform attention. {ROWS}",
        ),
        "patterns_over_steps": Drawing(
            _plot_shares_over_steps(shares, uniform),
            f"Shares of attention on certain tokens, a line for each head; dashed, uniform attention. {ROWS}",
        ),
    }


def plot_heads_by_layer(
    histories: dict[tuple[int, int], History], label: str, reference: Callable[[int], History]
):
    """A panel for each layer, a line for each head. ``histories``: (layer, head) -> steps and values"""
    layers, heads = _sizes(histories)
    columns = min(layers, 4)
    rows = -(-layers // columns)
    figure = new_figure(max(3 * columns, 5), 2.6 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    colours = _colours(heads, COLOURS[:6])
    for layer, panel in enumerate(panels):
        if layer >= layers:
            panel.set_axis_off()
            continue
        for head in range(heads):
            steps, values = histories.get((layer, head), ([], []))
            panel.plot(steps, values, color=colours[head], linewidth=1.3, label=f"head {head}")
        panel.plot(*reference(layer), color="grey", linestyle="--", linewidth=1, label="uniform attention")
        finish(panel, "", label if layer % columns == 0 else "", f"layer {layer}")
        _steps(panel, histories, bottom=layer + columns >= layers)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(heads + 1, 7),
        frameon=False,
        fontsize=8,
    )
    return figure


def _plot_last_step(entropy, shares, uniform):
    """Heat maps of layers by heads: entropy, and every share."""
    layers, heads = _sizes(entropy)
    figure = new_figure(max(3 * (0.28 * heads + 1.4), 9), max(2 * (0.28 * layers + 1.2), 4.5))
    panels = figure.subplots(2, 3).ravel()
    most = max((values[-1] for histories in shares.values() for _, values in histories.values()), default=1.0)
    numbered = layers * heads <= 48
    for panel in panels[1 + len(shares) :]:
        panel.set_axis_off()
    named = {"entropy / maximum": entropy}
    for quantity, histories in shares.items():
        _, alike = uniform(quantity, 0)
        named[PATTERNS[quantity] + (f" (uniform: {alike[-1]:.3f})" if alike else "")] = histories
    for panel, (name, histories) in zip(panels, named.items(), strict=False):
        values = np.full((layers, heads), np.nan)
        for place, (_, history) in histories.items():
            values[place] = history[-1]
        top = 1.0 if histories is entropy else most
        image = panel.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=top, aspect="auto")
        panel.set_title(name, fontsize=10)
        panel.set_xticks(range(heads), range(heads), fontsize=8)
        panel.set_yticks(range(layers), range(layers), fontsize=8)
        panel.set(xlabel="head", ylabel="layer")
        for (layer, head), value in np.ndenumerate(values) if numbered else ():
            colour = "black" if value > 0.6 * top else "white"
            text = f"{value:.2f}" if histories is entropy else f"{value:.3f}".lstrip("0")
            panel.text(head, layer, text, ha="center", va="center", color=colour, fontsize=7)
        figure.colorbar(image, ax=panel)
    return figure


def _plot_shares_over_steps(shares, uniform):
    figure = new_figure(10, 5.6)
    panels = figure.subplots(2, 3, sharex=True).ravel()
    layers = max(_sizes(histories)[0] for histories in shares.values())
    colours = _colours(layers, COLOURS[:4])
    for index, (panel, (quantity, histories)) in enumerate(zip(panels, shares.items(), strict=False)):
        for (layer, head), (steps, values) in histories.items():
            label = f"layer {layer}" if head == 0 else None
            panel.plot(steps, values, color=colours[layer], linewidth=1, alpha=0.8, label=label)
        panel.plot(*uniform(quantity, 0), color="grey", linestyle="--", linewidth=1, label="uniform attention")
        finish(panel, "", "share of attention" if index % 3 == 0 else "", PATTERNS[quantity])
        _steps(panel, histories, bottom=index >= 2)
        panel.set_ylim(bottom=0)
    for panel in panels[len(shares) :]:
        panel.set_axis_off()
    legend = panels[0].get_legend_handles_labels()
    panels[-1].legend(*legend, loc="center", frameon=False, fontsize=9, ncols=1 if layers <= 6 else 2)
    return figure


def _plot_head_distances(record) -> dict[str, Drawing]:
    drawn = {}
    histories = by_layer(read(record, "head_distance"))
    if histories:
        figure = new_figure(6, 4)
        panel = figure.subplots()
        colours = _colours(len(histories), COLOURS[:6])
        for (layer, (steps, values)), colour in zip(histories.items(), colours, strict=True):
            panel.plot(steps, values, color=colour, label=f"layer {layer}")
        finish(panel, "", "Jensen-Shannon divergence (nats)")
        step_axis(panel, next(iter(histories.values()))[0])
        panel.set_ylim(bottom=0)
        panel.legend(frameon=False, fontsize=8, ncols=1 if len(histories) <= 6 else 2)
        drawn["head_distance"] = Drawing(
            figure,
            "How different the heads of a layer are, as a mean over its pairs of heads and over rows of held-out "
            f"sequences. 0: all are the same; {np.log(2):.3f}: no two of them attend to the same token.",
        )
    recorded = record.arrays("head_distances")
    if recorded:
        last = max(recorded)
        drawn["head_distances"] = Drawing(
            plot_head_distances(recorded[last]["distances"], recorded[last]["layers"]),
            f"How different every two heads are at step {last:,}. Heads are ordered by the tree of their average "
            f"linkage; branches that meet below the dashed line (a divergence of {CLOSE} nats) are one group.",
        )
    return drawn


def plot_head_distances(distances: np.ndarray, layers: np.ndarray):
    """The distances (G, G) between heads, in nats, ordered by the tree above them; ``layers`` (G,) of the heads"""
    from matplotlib.collections import LineCollection
    from scipy.cluster.hierarchy import dendrogram

    clusters, count = cluster_heads(distances), len(distances)
    side = float(np.clip(0.28 * count, 4.5, 9))
    named = count <= MOST_NAMED
    figure = new_figure(side + 1.5, side + 1.8)
    heights = (1.3, side) if named else (1.3, side, 0.25)
    tree, panel, *strip = figure.subplots(len(heights), 1, height_ratios=heights, sharex=True)
    if count > 1:
        drawn = dendrogram(clusters.linkage, no_plot=True)
        # SciPy puts leaf k at 10 k + 5.
        lines = [
            list(zip((np.array(x) - 5) / 10, y, strict=True))
            for x, y in zip(drawn["icoord"], drawn["dcoord"], strict=True)
        ]
        tree.add_collection(LineCollection(lines, colors="0.25", linewidths=1))
        tree.set_ylim(0, clusters.linkage[:, 2].max() * 1.08 + 1e-6)
    tree.axhline(np.sqrt(CLOSE), color=COLOURS[1], linestyle="--", linewidth=1)
    tree.set_ylabel("√divergence", fontsize=8)
    tree.tick_params(labelsize=7, bottom=False, labelbottom=False)
    tree.spines[["top", "right", "bottom"]].set_visible(False)

    order = clusters.order
    image = panel.imshow(distances[np.ix_(order, order)], cmap=SEQUENTIAL, vmin=0, aspect="auto")
    panel.tick_params(length=0, labelbottom=named, labelleft=named)
    if named:
        names = [f"{layers[head]}.{np.sum(layers[:head] == layers[head])}" for head in order]
        panel.set_xticks(range(count), names, rotation=90, fontsize=8)
        panel.set_yticks(range(count), names, fontsize=8)
        panel.set(xlabel="layer.head", ylabel="layer.head")
    for under in strip:
        layer_image = under.imshow(layers[order][None], cmap=SEQUENTIAL, aspect="auto")
        under.tick_params(length=0, labelbottom=False, labelleft=False)
        under.set_xlabel("heads, with their layers")
        figure.colorbar(layer_image, ax=under, label="layer", orientation="horizontal", aspect=40)
    figure.colorbar(image, ax=[tree, panel], label="Jensen-Shannon divergence (nats)", shrink=0.6)
    return figure


def _read(record, quantity: str) -> dict[tuple[int, int], History]:
    """(layer, head) -> steps and values, in order"""
    return by_head(read(record, f"attention_{quantity}"))


def _sizes(histories) -> tuple[int, int]:
    return 1 + max(layer for layer, _ in histories), 1 + max(head for _, head in histories)


def _colours(count: int, few) -> list:
    if count <= len(few):
        return list(few[:count])
    from matplotlib import colormaps

    return [colormaps[SEQUENTIAL](place) for place in np.linspace(0, 0.92, count)]


def _steps(panel, histories, bottom: bool) -> None:
    step_axis(panel, next(iter(histories.values()))[0])
    if not bottom:
        panel.set_xlabel("")
    panel.tick_params(labelsize=8, labelbottom=bottom)
