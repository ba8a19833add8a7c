"""Figures of what an explorer finds, in the style of all figures.

Attention has its own: :func:`minibert.diagnostics.visualize_attention_patterns` and
:func:`minibert.diagnostics.attention.maps.plot_attention_maps` take ``AttentionHeads.weights``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.style import COLOURS, DIVERGING, SEQUENTIAL, as_label, finish, new_figure
from minibert.exploration.ablation import HeadEffects
from minibert.exploration.gradient_flow import GradientFlow
from minibert.exploration.guesses import LayerGuesses
from minibert.exploration.layers import LayerComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READABLE = 80
"""Tokens up to which an axis is labelled with them"""


def plot_guesses(found: LayerGuesses, position: int | None = None) -> "Figure":
    """The likeliest tokens at a position, by default the first [MASK], after each layer: a row a place."""
    position = found.sentence.position(position)
    shares = found.probabilities[:, position]
    places, ranks = shares.shape
    figure = new_figure(1.4 * ranks + 2.6, 0.42 * places + 1.2)
    panel = figure.subplots()
    image = panel.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    for (place, rank), share in np.ndenumerate(shares):
        colour = "black" if share > 0.6 else "white"
        text = f"{as_label(found.tokens[place][position][rank])} {share:.2f}"
        panel.text(rank, place, text, ha="center", va="center", color=colour, fontsize=8)
    panel.set_xticks(range(ranks), [str(rank + 1) for rank in range(ranks)])
    panel.set_yticks(range(places), found.places)
    panel.set(xlabel="rank of the guess", ylabel="head applied after")
    panel.set_title(f"guesses at position {position}", fontsize=10)
    figure.colorbar(image, ax=panel, label="probability")
    return figure


def plot_flow(found: GradientFlow) -> "Figure":
    """Left, the length of the gradient at each token and place; right, what goes past or through each branch."""
    tokens, places = found.sentence.tokens, found.places
    figure = new_figure(0.32 * len(tokens) + 7.5, 0.32 * len(places) + 1.8)
    panel, paths = figure.subplots(1, 2, width_ratios=(max(0.32 * len(tokens), 3), 3))
    norms = found.norms[::-1]
    floor = max(norms.max() * 1e-6, np.finfo(float).tiny)
    image = panel.imshow(np.log10(np.maximum(norms, floor)), cmap=SEQUENTIAL, aspect="auto")
    _token_axis(panel, tokens)
    panel.set_yticks(range(len(places)), places[::-1], fontsize=8)
    panel.set_title(f"-log p({as_label(found.target)}) = {found.loss:.3f} nats", fontsize=10)
    figure.colorbar(image, ax=panel, label="log₁₀ ‖∂loss/∂h‖")
    rows = np.arange(len(found.blocks))
    blocks = found.blocks[::-1]
    paths.barh(rows - 0.2, [each.arriving for each in blocks], 0.4, color=COLOURS[0], label="past the branch")
    paths.barh(rows + 0.2, [each.branch for each in blocks], 0.4, color=COLOURS[1], label="through it")
    paths.set_yticks(rows, [each.name for each in blocks], fontsize=8)
    paths.invert_yaxis()
    finish(paths, "gradient (norm over all tokens)", "")
    paths.legend(fontsize=8, frameon=False)
    return figure


def plot_comparison(found: LayerComparison) -> "Figure":
    """CKA and cosines of all pairs of places."""
    matrices = {"linear CKA": found.similarity, "cosine of the same token": found.cosines}
    shown = {name: matrix for name, matrix in matrices.items() if matrix is not None}
    side = 0.5 * len(found.places) + 1.8
    figure = new_figure((side + 1) * max(len(shown), 1), side)
    panels = figure.subplots(1, max(len(shown), 1), squeeze=False).ravel()
    for panel, (name, matrix) in zip(panels, shown.items(), strict=False):
        image = panel.imshow(matrix, cmap=SEQUENTIAL, vmin=min(0.0, float(matrix.min())), vmax=1)
        panel.set_xticks(range(len(found.other_places)), found.other_places, rotation=90, fontsize=8)
        panel.set_yticks(range(len(found.places)), found.places, fontsize=8)
        panel.set_title(name, fontsize=10)
        figure.colorbar(image, ax=panel, shrink=0.8)
    return figure


def plot_head_effects(found: HeadEffects) -> "Figure":
    """How much log p(target) falls without each head: red heads help, blue ones hinder."""
    layers, heads = found.effects.shape
    figure = new_figure(0.7 * heads + 2.5, 0.5 * layers + 1.6)
    panel = figure.subplots()
    most = float(np.abs(found.effects).max()) or 1.0
    image = panel.imshow(found.effects, cmap=DIVERGING, vmin=-most, vmax=most, aspect="auto")
    panel.set_xticks(range(heads))
    panel.set_yticks(range(layers))
    panel.set(xlabel="head", ylabel="layer")
    panel.set_title(f"log p({as_label(found.target)}) = {found.log_probability:.3f} nats", fontsize=10)
    figure.colorbar(image, ax=panel, label="fall of log p without it (nats)")
    return figure


def _token_axis(panel, tokens: Sequence[str]) -> None:
    if len(tokens) <= READABLE:
        panel.set_xticks(range(len(tokens)), list(map(as_label, tokens)), rotation=90, fontsize=8)
    panel.set_xlabel("token")
