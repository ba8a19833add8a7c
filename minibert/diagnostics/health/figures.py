"""The health of a run on one page: what was recorded, and on it what was found."""

from textwrap import wrap
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minibert.diagnostics.engine.registry import drawing
from minibert.diagnostics.health.detect import detect_training_issues
from minibert.diagnostics.health.issues import Finding, Health, Histories, NotRecordedError
from minibert.diagnostics.health.step_checks import LARGE_UPDATE, update_ratios
from minibert.diagnostics.plotting.panels import placed_panels
from minibert.diagnostics.plotting.style import COLOURS, SEQUENTIAL, Drawing, finish, new_figure, step_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEVERITY_COLOURS = {"problem": COLOURS[1], "warning": COLOURS[4], "note": "0.55"}
LINE = 150
"""Characters of a line of the list of findings"""
LINE_HEIGHT = 0.19
"""Inches"""
WIDTH, HEIGHT = 11.0, 7.0
"""Inches, of the panels"""
STEEP = 3.0
"""A loss that rises to so many times the unigram entropy is drawn on a log scale."""


@drawing("health")
def draw_health(record) -> dict[str, Drawing]:
    """``health``: the page of :func:`plot_training_health`, of a run that recorded a training loss."""
    histories = Histories.of_record(record)
    if not len(histories.of("train/loss").finite.values):
        return {}
    health = detect_training_issues(histories)
    faults = len(health.faults)
    caption = "Nothing was found to be wrong." if not faults else f"{faults} finding{'s' if faults > 1 else ''}."
    caption += f" Checked: {_list(health.checked)}."
    if health.not_checked:
        caption += f" Not checked, for what was not recorded: {_list(health.not_checked)}."
    return {"health": Drawing(plot_training_health(histories, health), caption)}


def plot_training_health(record, health: Health | None = None) -> "Figure":
    """Loss, gradient norm, updates, units and attention over training, with the findings on and below them.

    ``record`` is what :func:`minibert.diagnostics.detect_training_issues` takes, ``health`` what it found in it,
    where that is known.
    """
    histories = Histories.of_record(record)
    health = detect_training_issues(histories) if health is None else health
    lines = _lines(health)
    room = LINE_HEIGHT * (len(lines) + 1)
    figure = new_figure(WIDTH, HEIGHT + room, placed=True)
    above, below = cast(Any, figure.subfigures(2, 1, height_ratios=[HEIGHT, room]))
    loss, gradient, updates, units = placed_panels(above, WIDTH, HEIGHT, 2, 2)
    _draw_loss(loss, histories, health)
    _draw_gradient(gradient, histories)
    _draw_updates(updates, histories)
    _draw_units(units, histories)
    steps = np.array([histories.last_step])
    panels = {"train/": loss, "eval/": loss, "gradient_norm/": gradient, "update_ratio/": updates}
    panels |= {"dead_units/": units, "attention_": units}
    for panel in dict.fromkeys(panels.values()):
        step_axis(panel, steps)
        panel.set_xlim(right=max(1.15 * steps.max(), 1))
    for number, finding in enumerate(health.findings, 1):
        for prefix, panel in panels.items():
            if finding.metric.startswith(prefix):
                _mark(panel, number, finding)
    _write(below, lines)
    return figure


def _draw_loss(panel, histories: Histories, health: Health) -> None:
    levels = {"unigram entropy": "baseline/unigram_entropy", "bigram model": "baseline/bigram_cross_entropy"}
    curves = {"training": "train/loss", "held-out": "eval/loss"}
    top = 0.0
    for (label, metric), colour in zip(curves.items(), COLOURS, strict=False):
        steps, values = histories.of(metric).finite
        marker = "o" if label == "held-out" else None
        panel.plot(steps, values, color=colour, label=label, marker=marker, markersize=3)
        top = max(top, values.max(initial=0))
    for (label, metric), style in zip(levels.items(), ("--", ":"), strict=True):
        level = histories.of(metric).finite.values
        if len(level):
            panel.axhline(level[-1], color="0.4", linestyle=style, linewidth=1, label=label)
            if label == "unigram entropy" and top > STEEP * level[-1]:
                panel.set_yscale("log")
    if health.plateau_left_step is not None:
        panel.axvline(health.plateau_left_step, color=COLOURS[2], linewidth=1)
        panel.annotate(
            f"leaves the unigram level\nat step {health.plateau_left_step:,}",
            (health.plateau_left_step, 0.12),
            xycoords=("data", "axes fraction"),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=COLOURS[2],
        )
    panel.legend(frameon=False, fontsize=8)
    finish(panel, "", "loss (nats per predicted token)", "Loss")


def _draw_gradient(panel, histories: Histories) -> None:
    layers = {layer: each.finite for layer, each in histories.by_layer("gradient_norm/").items()}
    for (place, layer), shade in zip(enumerate(_in_order(layers)), _shades(len(layers)), strict=True):
        label = layer.replace("_", " ") if place in (0, len(layers) - 1) else None
        panel.plot(*layers[layer], color=shade, linewidth=1, label=label)
    steps, values = histories.of("gradient_norm/global").finite
    panel.plot(steps, values, color="black", label="whole network")
    if (values > 0).any():
        panel.set_yscale("log")
        panel.legend(frameon=False, fontsize=8)
    finish(panel, "", "gradient norm before clipping", "Gradient")


def _draw_updates(panel, histories: Histories) -> None:
    try:
        steps, ratios = update_ratios(histories)
    except NotRecordedError:
        _say_missing(panel, "update_ratio/<parameter> is not recorded")
    else:
        panel.plot(steps, ratios, color=COLOURS[0], marker="o", markersize=3, label="median weight matrix")
        panel.axhline(LARGE_UPDATE, color="0.4", linestyle="--", linewidth=1, label=f"large: {LARGE_UPDATE:g}")
        if (ratios > 0).any():
            panel.set_yscale("log")
        panel.legend(frameon=False, fontsize=8)
    finish(panel, "", "length of an update / of the weights", "Updates")


def _draw_units(panel, histories: Histories) -> None:
    dead, entropies = histories.by_layer("dead_units/"), histories.by_head("attention_entropy_share/")
    layers = _in_order(dead.keys() | entropies.keys())
    for (place, layer), shade in zip(enumerate(layers), _shades(len(layers)), strict=True):
        end = place in (0, len(layers) - 1)
        name = layer.replace("_", " ")
        if layer in dead:
            panel.plot(*dead[layer].finite, color=shade, label=f"dead units, {name}" if end else None)
        if layer in entropies:
            steps = next(iter(entropies[layer].values())).finite.steps
            medians = np.median([heads.at(steps) for heads in entropies[layer].values()], axis=0)
            label = f"attention entropy, {name}" if end else None
            panel.plot(steps, medians, color=shade, linestyle="--", label=label)
    if layers:
        panel.set_ylim(-0.03, 1.05)
        panel.legend(frameon=False, fontsize=8)
    else:
        _say_missing(panel, "neither dead_units/ nor attention_entropy_share/ is recorded")
    finish(panel, "", "share of units; of the largest entropy", "Dead units, and attention of the median head")


def _in_order(layers) -> list[str]:
    return sorted(layers, key=lambda layer: int(layer.removeprefix("layer_")))


def _shades(count: int):
    """A colour for each layer, from dark at the bottom to bright at the top."""
    import matplotlib

    return matplotlib.colormaps[SEQUENTIAL](np.linspace(0, 0.85, count))


def _mark(panel, number: int, finding: Finding) -> None:
    """A numbered disc where a finding shows; at the top of the panel, where its value cannot be drawn."""
    positive = finding.value > 0 or panel.get_yscale() == "linear"
    drawable = np.isfinite(finding.value) and positive
    where = (finding.step, finding.value) if drawable else (finding.step, 0.95)
    coordinates = "data" if drawable else ("data", "axes fraction")
    disc = panel.annotate(
        str(number),
        where,
        xycoords=coordinates,
        ha="center",
        va="center",
        annotation_clip=False,
        zorder=5,
        **_disc(SEVERITY_COLOURS[finding.severity]),
    )
    disc.set_in_layout(False)


def _disc(colour: str) -> dict:
    """How the number of a finding looks, on a panel and in the list."""
    bbox = {"boxstyle": "circle,pad=0.25", "color": colour}
    return {"fontsize": 8, "color": "white", "weight": "bold", "bbox": bbox}


def _lines(health: Health) -> list[tuple[str, str, str]]:
    """(number, text, colour) of each line of the list; a finding goes over several."""
    if not health.findings:
        return [("", "No findings.", "0.4")]
    lines = []
    for number, each in enumerate(health.findings, 1):
        name = f"{each.issue.replace('_', ' ').capitalize()} ({each.severity}). "
        first, *more = wrap(f"{name}{each.evidence} Likely: {each.cause} Try: {each.advice}", LINE)
        lines.append((str(number), first, SEVERITY_COLOURS[each.severity]))
        lines += [("", text, "") for text in more]
    return lines


def _write(figure, lines: list[tuple[str, str, str]]) -> None:
    for place, (number, text, colour) in enumerate(lines):
        height = 1 - (place + 0.7) / (len(lines) + 1)
        if number:
            figure.text(0.025, height, number, ha="center", va="center", **_disc(colour))
        figure.text(0.04, height, text, va="center", fontsize=9, color="0.15" if number or not colour else colour)


def _say_missing(panel, text: str) -> None:
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", fontsize=9, color="0.5")


def _list(issues) -> str:
    return ", ".join(issue.replace("_", " ") for issue in issues)
