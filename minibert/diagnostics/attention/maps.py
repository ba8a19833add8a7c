"""Figures of attention weights: maps, whose row i shows what token i attends to, and lines between tokens."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.attention.measures import attention_of_text
from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.plotting.style import COLOURS, SEQUENTIAL, Drawing, new_figure
from minibert.errors import MinibertError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_STEPS = 6
"""Steps of training shown side by side"""
SCALE_LABEL = "attention weight (square-root scale)"
READABLE = 80
"""Tokens up to which a map is labelled with them"""


@drawing("attention")
def plot_recorded_maps(record) -> dict[str, Drawing]:
    """From ``attention_maps``: all heads at the end and over the steps; the head of the lowest entropy alone."""
    recorded = record.arrays("attention_maps")
    if not recorded:
        return {}
    maps = {step: arrays["weights"] for step, arrays in recorded.items()}
    last = max(maps)
    tokens = [str(token) for token in recorded[last]["tokens"]]
    layer, head = sharpest_head(maps[last])
    name = f"layer {layer}, head {head}"
    said = (
        "Row i of a map shows what token i of a held-out, masked sequence attends to, in a pass without dropout."
    )
    return {
        "maps": Drawing(
            plot_attention_maps(maps[last], f"step {last:,}"), f"All heads at the last measured step. {said}"
        ),
        "maps_over_steps": Drawing(
            plot_attention_over_steps(maps), f"All heads in the course of training. {said}"
        ),
        "sharpest_head_over_steps": Drawing(
            plot_head_over_steps(maps, layer, head), f"The head of the lowest entropy at the end, {name}. {said}"
        ),
        "sharpest_head": Drawing(
            visualize_attention_patterns(maps[last], tokens, layer, head),
            f"The same head, {name}, at step {last:,} with the tokens. To the right, a line from each token "
            "(left) to those that it attends to (right); a darker line is a larger weight.",
        ),
    }


def visualize_attention_patterns(attention_weights, tokens: Sequence[str], layer: int, head: int) -> "Figure":
    """One head on one sequence: its map, and lines from each token to those that it attends to.

    A darker line is a larger weight.

    ``attention_weights``: for each layer (H, T, T) or (1, H, T, T), such as one array (L, H, T, T) or
    ``[layer.attention.weights for layer in cache.layers]``; ``tokens``: T texts. Layers and heads count from 0.
    Raises :class:`MinibertError` for a layer or head that is not there, and where shapes do not fit.
    """
    weights = _one_head(attention_weights, tokens, layer, head)
    side = _side(len(tokens))
    figure = new_figure(side + 5.5, side + 1.2)
    panel, lines = figure.subplots(1, 2, width_ratios=(side, 4))
    _labelled_map(figure, panel, weights, tokens)
    _lines(lines, weights, tokens)
    figure.suptitle(f"layer {layer}, head {head}", fontsize=11)
    return figure


def create_attention_heatmap(model, text: str, layer: int, head: int, tokenizer=None) -> "Figure":
    """The map of one head on a text, labelled with its tokens.

    ``model`` is a run of :func:`minibert.load_run`, or a MiniBERT with its ``tokenizer`` beside it. [MASK] in the
    text is a mask. Layers and heads count from 0. Raises :class:`MinibertError` without a tokenizer, for a text
    that is longer than the network's ``max_length``, and for a layer or head that is not there.
    """
    weights, tokens = attention_of_text(model, text, tokenizer)
    weights = _one_head(weights, tokens, layer, head)
    side = _side(len(tokens))
    figure = new_figure(side + 1.5, side + 1.0)
    panel = figure.subplots()
    _labelled_map(figure, panel, weights, tokens)
    panel.set_title(f"layer {layer}, head {head}", fontsize=11)
    return figure


def plot_attention_over_steps(maps: Mapping[int, np.ndarray]) -> "Figure":
    """A grid of all heads over training steps: a panel for each layer, in it a row a head and a column a step.

    ``maps``: step -> (L, H, T, T), as the arrays ``weights`` of the diagnostic ``attention_maps``. Of more than
    six steps, six are shown, evenly spaced on a logarithmic scale. Raises :class:`MinibertError` where there is no
    step.
    """
    steps = spaced_steps(maps)
    layers, heads = np.shape(maps[steps[0]])[:2]
    tile = 0.72 if layers * heads <= 24 else 0.42
    width, height = tile * len(steps) + 0.8, tile * heads + 1.1
    # As close to a square as panels of this shape allow.
    columns = min(range(1, layers + 1), key=lambda count: max(count * width, -(-layers // count) * height))
    rows = -(-layers // columns)
    figure = new_figure(columns * width + 1.2, rows * height)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    scale = _scale([maps[step] for step in steps])
    for layer, panel in enumerate(panels):
        if layer >= layers:
            panel.set_axis_off()
            continue
        tiles = np.array([[maps[step][layer, head] for step in steps] for head in range(heads)])
        image = _mosaic(panel, tiles, scale, [f"{step:,}" for step in steps], range(heads))
        panel.set_title(f"layer {layer}", fontsize=10)
        panel.set(xlabel="optimizer step", ylabel="head")
    figure.colorbar(image, ax=panels.tolist(), label=SCALE_LABEL, shrink=0.6, aspect=30, extend="max")
    return figure


def plot_attention_maps(weights: np.ndarray, title: str = "") -> "Figure":
    """The maps of all heads (L, H, T, T): a row for each layer, a column for each head."""
    layers, heads = np.shape(weights)[:2]
    tile = 1.6 if max(layers, heads) <= 6 else 0.8
    figure = new_figure(heads * tile + 1.8, layers * tile + 1)
    panel = figure.subplots()
    image = _mosaic(panel, np.asarray(weights), _scale(weights), range(heads), range(layers))
    panel.set_title(title, fontsize=10)
    panel.set(xlabel="head", ylabel="layer")
    figure.colorbar(image, ax=panel, label=SCALE_LABEL, shrink=0.8, aspect=30, extend="max")
    return figure


def plot_head_over_steps(maps: Mapping[int, np.ndarray], layer: int, head: int) -> "Figure":
    """One head's map at up to six steps, evenly spaced on a logarithmic scale. ``maps``: step -> (L, H, T, T)"""
    steps = spaced_steps(maps)
    columns = min(len(steps), 3)
    rows = -(-len(steps) // columns)
    figure = new_figure(3 * columns + 1, 3.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for panel in panels[len(steps) :]:
        panel.set_axis_off()
    scale = _scale([maps[step][layer, head] for step in steps])
    for step, panel in zip(steps, panels, strict=False):
        image = panel.imshow(np.asarray(maps[step][layer, head], np.float32), cmap=SEQUENTIAL, norm=scale)
        panel.set_title(f"step {step:,}", fontsize=10)
    figure.suptitle(f"layer {layer}, head {head}", fontsize=11)
    figure.supxlabel("position attended to", fontsize=10)
    figure.supylabel("position that attends", fontsize=10)
    figure.colorbar(image, ax=panels.tolist(), label=SCALE_LABEL, shrink=0.7, extend="max")
    return figure


def spaced_steps(maps: Iterable[int], most: int = MOST_STEPS) -> list[int]:
    """First and last step, and between them those nearest to even spacing of log(step + 1)."""
    steps = np.array(sorted(maps))
    if not len(steps):
        raise MinibertError("maps: holds no step. Allowed: step -> (layers, heads, tokens, tokens), one at least.")
    marks = np.log1p(steps)
    wanted = np.linspace(marks[0], marks[-1], most)
    return sorted({int(steps[np.abs(marks - mark).argmin()]) for mark in wanted})


def sharpest_head(weights: np.ndarray) -> tuple[int, int]:
    """Layer and head of the lowest mean entropy over the rows of (L, H, T, T)."""
    weights = np.asarray(weights, np.float64)
    entropies = -(weights * np.log(np.maximum(weights, 1e-12))).sum(axis=-1).mean(axis=-1)
    layer, head = np.unravel_index(entropies.argmin(), entropies.shape)
    return int(layer), int(head)


def _one_head(attention_weights, tokens: Sequence[str], layer: int, head: int) -> np.ndarray:
    """(T, T) float32"""
    _check_index("layer", layer, len(attention_weights))
    weights = np.asarray(attention_weights[layer], np.float32)
    if weights.ndim == 4 and len(weights) == 1:
        weights = weights[0]
    if weights.ndim != 3 or weights.shape[1:] != (len(tokens), len(tokens)):
        raise MinibertError(
            f"attention_weights: a layer of shape {weights.shape} and {len(tokens)} tokens were given. Allowed: "
            "(heads, tokens, tokens) for each layer, of one sequence."
        )
    _check_index("head", head, len(weights))
    return weights[head]


def _check_index(name: str, given: int, count: int) -> None:
    if not 0 <= given < count:
        raise MinibertError(f"{name}={given}: there is no such {name}. Allowed: 0 to {count - 1}.")


def _scale(weights=None):
    """A colour scale from 0 to 1, or to the 99.9th percentile of the weights.

    Most weights are far below 1. On a linear scale, heads that attend to all tokens would have a single colour.
    """
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, 0, 1 if weights is None else float(np.quantile(weights, 0.999)))


def _side(tokens: int) -> float:
    """Inches of a map on which every token has its line."""
    return float(np.clip(0.15 * tokens, 3, 12))


def _labelled_map(figure, panel, weights: np.ndarray, tokens: Sequence[str]) -> None:
    image = panel.imshow(weights, cmap=SEQUENTIAL, norm=_scale())
    if len(tokens) <= READABLE:
        panel.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=7)
        panel.set_yticks(range(len(tokens)), tokens, fontsize=7)
    panel.set(xlabel="token attended to", ylabel="token that attends")
    figure.colorbar(image, ax=panel, label=SCALE_LABEL, shrink=0.6)


def _lines(panel, weights: np.ndarray, tokens: Sequence[str]) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgb

    # Weights up to that of uniform attention are left out: they would be most of the lines.
    asking, seen = np.nonzero(weights > 1.5 / len(tokens))
    colours = np.empty((len(asking), 4))
    colours[:, :3] = to_rgb(COLOURS[0])
    colours[:, 3] = np.clip(weights[asking, seen], 0, 1)
    ends = [[(0.0, i), (1.0, j)] for i, j in zip(asking.tolist(), seen.tolist(), strict=True)]
    panel.add_collection(LineCollection(ends, colors=colours, linewidths=1.2))
    size = 7 if len(tokens) <= READABLE else 3
    for place, token in enumerate(tokens):
        panel.text(-0.03, place, token, ha="right", va="center", fontsize=size)
        panel.text(1.03, place, token, ha="left", va="center", fontsize=size)
    panel.set(xlim=(-0.5, 1.5), ylim=(len(tokens) - 0.5, -0.5))
    panel.set_axis_off()


def _mosaic(panel, tiles: np.ndarray, scale, column_names, row_names):
    """(rows, columns, T, T) as one picture, with lines between the tiles."""
    rows, columns, tokens, _ = tiles.shape
    # Side by side as one array: a panel for each of hundreds of heads takes minutes to draw.
    picture = np.asarray(tiles, np.float32).transpose(0, 2, 1, 3).reshape(rows * tokens, columns * tokens)
    image = panel.imshow(picture, cmap=SEQUENTIAL, norm=scale, extent=(0, columns, rows, 0))
    for line in range(1, columns):
        panel.axvline(line, color="white", linewidth=1)
    for line in range(1, rows):
        panel.axhline(line, color="white", linewidth=1)
    panel.set_xticks(np.arange(columns) + 0.5, column_names, fontsize=8)
    panel.set_yticks(np.arange(rows) + 0.5, row_names, fontsize=8)
    panel.tick_params(length=0)
    return image
