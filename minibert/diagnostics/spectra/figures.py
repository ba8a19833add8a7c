"""Spectra of weights and hidden states over training."""

import numpy as np

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.plotting.panels import (
    AT_START,
    colours_of,
    draw_initial,
    explain_colours,
    has_room_beside,
    in_depth,
    in_order,
    label_once,
    layer_colours,
    name_lines,
    panels_by_kind,
    scale_together,
    small_panels,
)
from minibert.diagnostics.plotting.series import OUTSIDE, Histories, by_kind, locate, read
from minibert.diagnostics.plotting.style import COLOURS, Drawing, finish, step_axis

KINDS = (
    "attention query", "attention key", "attention value", "attention output",
    "feed forward gate", "feed forward in", "feed forward out",
)  # fmt: skip
"""The large matrices of a layer, in the order in which they are read"""

DEFINITIONS = {
    "effective_rank": ("effective rank", "exp of the entropy of the normalised singular values (Roy & Vetterli)"),
    "stable_rank": ("stable rank", "Σσ² / σ₁²"),
    "participation_ratio": ("participation ratio", "(Σσ²)² / Σσ⁴"),
    "spectral_norm": ("largest singular value", "σ₁, the most that the matrix stretches a vector"),
    "condition_number": ("condition number", "σ₁ / σᵣ, where the smallest can be told from zero"),
    "tail_exponent": (
        "tail exponent α",
        "of a power law fitted to the largest σ² (Clauset, Shalizi & Newman); the smaller, the heavier the tail",
    ),
}
"""Quantity -> label of its axis, and definition"""
HIDDEN_LABELS = {quantity: label for quantity, (label, _) in DEFINITIONS.items()} | {
    "spectral_norm": "largest deviation",
    "mean_share": "share of energy in the mean",
}
LOGARITHMIC = ("spectral_norm", "condition_number", "tail_exponent")
SPAN = 1e4
"""What is smaller than the largest singular value by this factor is cut off."""


@drawing("spectra")
def plot_weight_spectra(record) -> dict[str, Drawing]:
    """A figure for each quantity, with a panel for each kind of matrix and a line for each layer."""
    drawn = {}
    for quantity, (label, definition) in DEFINITIONS.items():
        histories = by_kind(read(record, quantity))
        if histories:
            caption = f"{label.capitalize()} of every weight matrix, not centred: {definition}. {AT_START}"
            drawn[quantity] = Drawing(_panels_by_kind(histories, label, quantity in LOGARITHMIC), caption)
    return drawn


@drawing("spectra")
def plot_singular_values(record) -> dict[str, Drawing]:
    """The singular values of every matrix at the first and at the last measured step."""
    recorded = record.arrays("weight_spectra")
    if not recorded:
        return {}
    first, last = min(recorded), max(recorded)
    places: dict[str, dict[int | str, str]] = {}
    for name in recorded[last]:
        location = locate(name)
        places.setdefault(location.kind, {})[location.key] = name
    colours = layer_colours(places.values())
    kinds = in_order(places, KINDS)
    figure, panels = small_panels(len(kinds))
    for kind, panel in zip(kinds, panels, strict=True):
        for index, layer in enumerate(sorted(places[kind], key=in_depth)):
            colour = colours.get(layer, COLOURS[index % len(COLOURS)])
            _draw_spectrum(panel, recorded[first].get(places[kind][layer]), colour, linestyle="--", alpha=0.6)
            _draw_spectrum(panel, recorded[last][places[kind][layer]], colour, label=layer)
        if kind == OUTSIDE:
            name_lines(panel, has_room_beside(panels))
        finish(panel, "", "", kind)
    _scale(kinds, panels, True, SPAN)
    label_once(figure, panels, "index", "singular value")
    if colours:
        explain_colours(figure, colours, "layer")
    caption = f"Singular values of every matrix, largest first, at step {last:,}; dashed, at step {first:,}."
    return {"singular_values": Drawing(figure, caption)}


@drawing("spectra")
def plot_hidden_quantities(record) -> dict[str, Drawing]:
    """How hidden states spread, over steps: a panel for each quantity, a line for each layer."""
    found = {}
    for quantity in HIDDEN_LABELS:
        histories: Histories = {each.location.key: each.history for each in read(record, f"hidden_{quantity}")}
        if histories:
            found[quantity] = histories
    if not found:
        return {}
    colours = colours_of(sorted({place for histories in found.values() for place in histories}, key=in_depth))
    figure, panels = small_panels(len(found))
    for (quantity, histories), panel in zip(found.items(), panels, strict=True):
        for place in sorted(histories, key=in_depth):
            steps, values = histories[place]
            panel.plot(steps, values, color=colours[place], linewidth=1.3)
        draw_initial(panel, histories, colours)
        scale_together([panel], quantity in LOGARITHMIC)
        finish(panel, "", "", HIDDEN_LABELS[quantity])
        step_axis(panel, steps)
    label_once(figure, panels, "optimizer step", "")
    explain_colours(figure, colours, "after layer")
    caption = (
        "Hidden states of held-out sequences, less their mean: over how many directions they spread, and how "
        f"far along the widest. {AT_START}"
    )
    return {"hidden_quantities": Drawing(figure, caption)}


@drawing("spectra")
def plot_hidden_spectra(record) -> dict[str, Drawing]:
    """The spread of hidden states along their principal axes: a panel for each layer, a line for each step."""
    recorded = record.arrays("hidden_spectra")
    if not recorded:
        return {}
    colours = colours_of(sorted(recorded))
    places = sorted(recorded[max(recorded)], key=lambda place: locate(place).depth)
    figure, panels = small_panels(len(places))
    for place, panel in zip(places, panels, strict=True):
        for step, colour in colours.items():
            _draw_spectrum(panel, recorded[step].get(place), colour)
        finish(panel, "", "", place.replace("_", " "))
    scale_together(panels, True, SPAN)
    label_once(figure, panels, "principal axis", "deviation")
    explain_colours(figure, {f"{step:,}": colour for step, colour in colours.items()}, "optimizer step")
    caption = (
        "Standard deviation of the hidden states of held-out sequences along their principal axes, the widest "
        "first, from the first measured step (dark) to the last (bright)."
    )
    return {"hidden_spectra": Drawing(figure, caption)}


def _panels_by_kind(histories: dict[str, Histories], label: str, by_logarithm: bool):
    """A panel for each kind of matrix, a line for each layer; what is outside of the layers, by name."""
    figure, kinds, panels = panels_by_kind([histories], KINDS, label)
    _scale(kinds, panels, by_logarithm)
    return figure


def _scale(kinds: list[str], panels: list, by_logarithm: bool, span: float | None = None) -> None:
    """The matrices of a layer with one range of y; others, which have other shapes, each with its own."""
    alike = [panel for kind, panel in zip(kinds, panels, strict=True) if kind in KINDS]
    scale_together(alike, by_logarithm, span)
    for panel in panels:
        if panel not in alike:
            scale_together([panel], by_logarithm, span)


def _draw_spectrum(panel, values: np.ndarray | None, colour, **style) -> None:
    """Values against their index, from 1; values that cannot be told from zero are left out."""
    if values is not None:
        positive = np.where(values > 0, values, np.nan)
        panel.plot(np.arange(1, len(values) + 1), positive, color=colour, linewidth=1.2, **style)
