"""Figures of the geometry of hidden states over training."""

import math
from collections.abc import Mapping

import numpy as np

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.geometry.collapse import SHARE_THRESHOLD, SPREAD_THRESHOLD, is_collapsed
from minibert.diagnostics.geometry.measures import correlate_norms
from minibert.diagnostics.plotting.series import (
    last_value,
    locate,
    metric_name,
    quantities_within,
    read,
    split_pair,
)
from minibert.diagnostics.plotting.style import COLOURS, SEQUENTIAL, Drawing, finish, new_figure, step_axis

GEOMETRY = {
    "token_diversity": "token diversity (1 − cosine)",
    "anisotropy": "anisotropy (mean cosine)",
    "isotropy": "isotropy (min Z / max Z)",
    "intrinsic_dimension": "intrinsic dimension (TwoNN)",
    "norm_frequency_correlation": "norm against frequency (ρ)",
}
COLLAPSE = {
    "spread": ("spread (share of the mean square)", SPREAD_THRESHOLD, "below: one point"),
    "first_direction_share": ("first direction (share of variance)", SHARE_THRESHOLD, "above: one line"),
}
MOST_MATRICES = 6
MOST_REFERENCES = 5
"""Largest number of dotted lines in a panel; with more places, only the first and the last have one."""
LOWEST_STABILITY = -0.5
"""Bars that go further down are cut there, and labelled."""
History = Mapping[str, tuple[list[int], list[float]]]
"""Place -> steps and values"""


@drawing("geometry")
def plot_representation_geometry(record) -> dict[str, Drawing]:
    """``quantities``, the measures over steps, and ``norm_frequency``, every token's norm at the last step."""
    histories = {quantity: _histories(record, quantity) for quantity in GEOMETRY}
    histories = {quantity: found for quantity, found in histories.items() if found}
    if not histories:
        return {}
    figure = plot_places_over_steps(histories, GEOMETRY)
    caption = (
        "Measures of the token vectors of held-out text at every place of the network; dotted, the values at "
        "initialisation. Isotropy is computed after scaling the vectors to a mean square norm of 1."
    )
    drawn = {"quantities": Drawing(figure, caption)}
    arrays = record.arrays("representation_geometry")
    if arrays:
        first, last = min(arrays), max(arrays)
        figure = plot_norms_by_frequency(arrays[last], arrays[first] if first < last else None)
        caption = f"Mean norm of each token of the held-out text, at step {last:,}" + (
            f" and, grey, at step {first:,}; ρ is Spearman's rank correlation." if first < last else "."
        )
        drawn["norm_frequency"] = Drawing(figure, caption)
    return drawn


@drawing("geometry")
def plot_similarity(record) -> dict[str, Drawing]:
    """``layer_similarity``, matrices at some of the steps, and ``neighbour_similarity`` over all steps."""
    matrices = {step: arrays["similarity"] for step, arrays in record.arrays("layer_similarity").items()}
    if not matrices:
        return {}
    caption = "Debiased linear CKA of the hidden states of every two places: 1 is equal up to rotation and scale."
    drawn = {"layer_similarity": Drawing(plot_layer_similarity(matrices), caption)}
    histories = _histories(record, "layer_similarity")
    if histories:
        histories = {" to ".join(split_pair(pair)): history for pair, history in histories.items()}
        figure = plot_places_over_steps({"cka": histories}, {"cka": "similarity (debiased CKA)"})
        drawn["neighbour_similarity"] = Drawing(
            figure, "Similarity of the hidden states before and after each layer; dotted, at initialisation."
        )
    return drawn


@drawing("geometry")
def plot_collapse(record) -> dict[str, Drawing]:
    """``mode_collapse``: both measures with their thresholds, and what is collapsed at the end, if anything is."""
    histories = {quantity: _histories(record, f"mode_collapse/{quantity}") for quantity in COLLAPSE}
    if not all(histories.values()):
        return {}
    figure = plot_places_over_steps(histories, {name: label for name, (label, _, _) in COLLAPSE.items()})
    for panel, (_, threshold, meaning) in zip(figure.axes, COLLAPSE.values(), strict=False):
        panel.axhline(threshold, color=COLOURS[1], linewidth=1)
        above = meaning.startswith("above")
        panel.annotate(
            meaning,
            (0.02, threshold),
            (0, 3 if above else -3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            color=COLOURS[1],
            ha="left",
            va="bottom" if above else "top",
            fontsize=8,
        )
        panel.set_ylim(-0.08, 1.05)
    collapsed = [
        place
        for place, (_, spreads) in histories["spread"].items()
        if is_collapsed(spreads[-1], histories["first_direction_share"][place][1][-1])
    ]
    caption = "How far tokens are spread around their mean, and the share of this variance in one direction."
    return {
        "mode_collapse": Drawing(figure, f"{caption} Collapsed at the end: {', '.join(collapsed) or 'nothing'}.")
    }


@drawing("geometry")
def plot_stability(record) -> dict[str, Drawing]:
    """``stability``: every perturbation in a panel, from the embeddings to the last layer."""
    perturbations = quantities_within(record, "stability_cosine")
    if not perturbations:
        return {}

    def last(quantity: str, *parts: str) -> float:
        return last_value(record, metric_name(quantity, *parts))

    order = {name: index for index, name in enumerate(("typos", "case", "synonym", "dropout"))}
    perturbations.sort(key=lambda name: order.get(name, len(order)))
    cosines = (_histories(record, f"stability_cosine/{name}") for name in perturbations)
    places = sorted({place for found in cosines for place in found}, key=lambda place: locate(place).depth)
    found = {
        name: {
            "stability": [last("stability", name, place) for place in places],
            "cosine": [last("stability_cosine", name, place) for place in places],
            "changed": last("stability_changed", name),
        }
        for name in perturbations
    }
    baseline = [last("stability_baseline", place) for place in places]
    caption = (
        "How similar a sentence's mean vector stays under a change that keeps the meaning, at the end of the run. "
        "Bars: (cosine − baseline) / (1 − baseline); 1: unchanged; 0: as different as another sentence. "
        "With a tokenizer that lower-cases, a change of case has no effect."
    )
    return {"stability": Drawing(plot_representation_stability(places, found, baseline), caption)}


def plot_places_over_steps(histories: Mapping[str, History], labels: Mapping[str, str]):
    """A panel a quantity, a line a place from dark (embeddings) to light (last layer), initial values dotted."""
    count = len(histories)
    columns = min(count + (count > 3), 3)
    rows = math.ceil((count + (count > 3)) / columns)
    figure = new_figure(max(3.7 * columns, 6), 3.2 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (quantity, places) in zip(panels, histories.items(), strict=False):
        colours = _colours(len(places))
        for index, (place, (steps, values)) in enumerate(places.items()):
            panel.plot(steps, values, color=colours[index], marker="o", markersize=2.5, linewidth=1.4, label=place)
            if len(places) <= MOST_REFERENCES or index in (0, len(places) - 1):
                panel.axhline(values[0], color=colours[index], linestyle=":", linewidth=1)
        finish(panel, "optimizer step", labels[quantity])
        step_axis(panel, max((steps for steps, _ in places.values()), key=len))
    handles, names = panels[0].get_legend_handles_labels()
    for panel in panels[count:]:
        panel.set_axis_off()
    wide = 2 if len(names) > 8 else 1
    if count < len(panels):
        panels[count].legend(handles, names, frameon=False, loc="center", ncols=wide, fontsize=9)
    else:
        figure.legend(handles, names, frameon=False, loc="outside right center", ncols=1, fontsize=8)
    return figure


def plot_layer_similarity(matrices: Mapping[int, np.ndarray]):
    """Heat maps of CKA matrices (L + 1, L + 1) by step: at most six, evenly spread over those given."""
    steps = sorted(matrices)
    picked = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MOST_MATRICES)).round().astype(int))
    steps = [steps[index] for index in picked]
    size = len(matrices[steps[0]])
    columns = min(len(steps), 3)
    rows = math.ceil(len(steps) / columns)
    side = 2.6 if size <= 5 else 3.6
    figure = new_figure(side * columns + 0.9, (side + 0.15) * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    names = ["emb", *map(str, range(size - 1))]
    font = 8 if size <= 5 else 6.5 if size <= 9 else 5.2
    for number, panel in enumerate(panels.ravel()):
        if number >= len(steps):
            panel.set_axis_off()
            continue
        matrix = np.asarray(matrices[steps[number]])
        shown = panel.imshow(matrix, cmap=SEQUENTIAL, vmin=0, vmax=1)
        for row, column in np.ndindex(matrix.shape):
            value = float(matrix[row, column])
            panel.text(
                column,
                row,
                _short(value),
                ha="center",
                va="center",
                fontsize=font,
                color="black" if value > 0.6 else "white",
            )
        panel.set_xticks(range(size), names, fontsize=8)
        panel.set_yticks(range(size), names, fontsize=8)
        panel.set_title(f"step {steps[number]:,}", fontsize=10)
        panel.set(
            xlabel="layer" if number + columns >= len(steps) else "",
            ylabel="layer" if number % columns == 0 else "",
        )
    figure.colorbar(shown, ax=panels, label="similarity (debiased CKA)", shrink=0.6, aspect=25)
    return figure


def plot_norms_by_frequency(arrays: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray] | None = None):
    """Norm of each token over its count in the training text, a panel a place; ``initial`` in grey behind.

    ``arrays`` holds ``counts`` (m,) and ``norms/<place>`` (m,).
    """
    places = sorted(
        (key for key in arrays if key.startswith("norms/")),
        key=lambda key: locate(key.removeprefix("norms/")).depth,
    )
    columns = min(len(places), 4 if len(places) <= 8 else 5)
    rows = math.ceil(len(places) / columns)
    figure = new_figure(2.9 * columns, 2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for number, (panel, key) in enumerate(zip(panels, places, strict=False)):
        if initial is not None and key in initial:
            panel.scatter(initial["counts"], initial[key], s=5, color="0.75", linewidths=0)
        panel.scatter(arrays["counts"], arrays[key], s=6, color=COLOURS[0], alpha=0.6, linewidths=0)
        panel.set_xscale("log")
        correlation = correlate_norms(arrays[key], arrays["counts"])
        bottom = number + columns >= len(places)
        finish(
            panel,
            "count in the training text" if bottom else "",
            "norm" if number % columns == 0 else "",
            f"{key.removeprefix('norms/')}, ρ = {round(correlation, 2) + 0:.2f}",
        )
        panel.tick_params(labelbottom=bottom)
        highest = max(found[key].max() for found in (arrays, initial or {}) if key in found)
        panel.set_ylim(0, 1.12 * highest or 1)
    for panel in panels[len(places) :]:
        panel.set_axis_off()
    return figure


def plot_representation_stability(places: list[str], found: Mapping[str, Mapping], baseline: list[float]):
    """Bars of stability with the bare cosine and the baseline as lines: a panel a perturbation.

    ``found`` maps a perturbation to ``stability`` and ``cosine``, a value a place, and ``changed``, a share of
    the texts.
    """
    columns = 2 if len(found) > 1 else 1
    rows = math.ceil(len(found) / columns)
    figure = new_figure(max(4.2, 1.8 + 0.36 * len(places)) * columns, 2.8 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    x = np.arange(len(places))
    for number, (panel, (name, values)) in enumerate(zip(panels, found.items(), strict=False)):
        panel.bar(x, values["stability"], width=0.65, color=COLOURS[5], label="stability")
        for place, value in zip(x, values["stability"], strict=True):
            if value < LOWEST_STABILITY:
                panel.annotate(
                    f"{value:.1f}",
                    (place, LOWEST_STABILITY),
                    (0, 3),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
        panel.plot(x, values["cosine"], color=COLOURS[0], marker="o", markersize=4, label="cosine")
        panel.plot(x, baseline, color="0.35", linestyle="--", marker=".", label="baseline: other sentences")
        finish(
            panel,
            "",
            "share, cosine" if number % columns == 0 else "",
            f"{name} ({values['changed']:.0%} of texts changed)",
        )
        short = [place.replace("embeddings", "emb").replace("layer_", "") for place in places]
        panel.set_xticks(x, short)
        panel.set_xlabel("layer")
    panels[0].set_ylim(max(panels[0].get_ylim()[0], LOWEST_STABILITY), 1.08)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=3)
    return figure


def _histories(record, quantity: str) -> dict[str, tuple[list[int], list[float]]]:
    """Place -> history of a quantity, from the embeddings to the last layer."""
    return {each.part: each.history for each in read(record, quantity)}


def _colours(count: int):
    from matplotlib import colormaps

    return colormaps[SEQUENTIAL](np.linspace(0, 0.88, count))


def _short(value: float) -> str:
    """Two decimals without the zero before them."""
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text[:-1]
