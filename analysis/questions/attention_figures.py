"""Figures of the evolution of attention: means over seeds with their intervals, and the steps of the changes."""

import numpy as np

from minibert.diagnostics.attention.maps import SCALE_LABEL
from minibert.diagnostics.attention.measures import CLOSE
from minibert.diagnostics.plotting.style import COLOURS, SEQUENTIAL, Drawing, finish, new_figure, step_axis

from ..statistics import Estimate, mean_curve
from .attention_runs import PATTERNS, AttentionRun
from .attention_times import ENTROPY, FALLS, LEAVES, MARGIN, Timeline, mean_time

BAND = 0.15
"""Opacity of the interval around a curve"""
MARKS = {LEAVES: ":", FALLS: "--"}
LAYER_STYLES = ("-", "--", ":", "-.")
MAPS = 6
MARKED = f"Vertical: loss {MARGIN} nats below the unigram entropy (dotted), start of its fastest fall (dashed)."
Timelines = dict[str, list[Timeline]]


def draw(timelines: Timelines, label: str) -> dict[str, Drawing]:
    """File name -> figure. ``timelines``: value of the factor, which is called ``label`` -> its runs"""
    drawn = {
        "attention_entropy.png": Drawing(
            entropy(timelines, label),
            "How widely heads attend: 1 is uniform attention. Colours: the heads of a layer in the order of their "
            f"final entropy, means over seeds; black: mean over heads; bands: 95 % intervals. {MARKED}",
        ),
        "attention_patterns.png": Drawing(
            patterns(timelines, label),
            "Shares of attention on certain tokens. Thick: in each run, the head of the layer with the largest "
            f"final share, mean over seeds with a 95 % band; thin: mean over heads; grey: uniform. {MARKED}",
        ),
        "heads_apart.png": Drawing(
            heads_apart(timelines, label),
            "How different the heads are on held-out sequences. Left: mean Jensen-Shannon divergence between the "
            f"heads of a layer. Right: groups of heads of all layers, joined while within {CLOSE} nats on "
            f"average. Means over seeds, bands: 95 % intervals. {MARKED}",
        ),
        "change_points.png": Drawing(
            change_points(timelines, label),
            "How the times are found. Dots: loss, and entropy share of a layer (mean over its heads), "
            "averaged within eighths of a doubling, a colour a seed; lines: the fitted straight pieces; circles: "
            "where the steepest begins.",
        ),
        "timing.png": Drawing(
            timing(timelines, label),
            "When each event happens. Dots: seeds, with the interval from the curve of one run; diamonds: "
            "geometric means over seeds with 95 % intervals.",
        ),
    }
    maps = one_head(timelines, label)
    if maps:
        drawn["one_head.png"] = maps
    return drawn


def entropy(timelines: Timelines, label: str):
    """A row of panels for each layer, a column for each group."""
    layers = _layers(timelines)
    figure = new_figure(4.4 * len(timelines) + 1.6, 2.5 * layers + 0.8)
    panels = figure.subplots(layers, len(timelines), squeeze=False, sharex=True, sharey=True)
    for column, (shown, lines) in enumerate(timelines.items()):
        runs = [line.run for line in lines]
        for layer, panel in enumerate(panels[:, column]):
            heads = runs[0].entropy_share.shape[1]
            for rank in range(heads):
                _curve(
                    panel,
                    runs,
                    [run.ranked_entropy[layer, rank] for run in runs],
                    _colour(rank, heads),
                    _rank(rank, heads),
                    linewidth=1.4,
                )
            _curve(
                panel,
                runs,
                [run.entropy_share[layer].mean(axis=0) for run in runs],
                "black",
                "mean over heads",
                band=False,
                linewidth=2,
            )
            _marks(panel, lines)
            finish(panel, "", "entropy / maximum" if column == 0 else "", f"{label} {shown}, layer {layer}")
            _steps(panel, runs, layer == layers - 1)
            panel.set_ylim(0, 1.03)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    figure.suptitle(f"Entropy of attention, {_seeds(timelines, 'line: mean, band: 95 % interval')}", fontsize=11)
    return figure


def patterns(timelines: Timelines, label: str):
    """A row of panels for each layer, a column for each pattern."""
    layers = _layers(timelines)
    figure = new_figure(12.5, 2.6 * layers + 1)
    panels = figure.subplots(layers, len(PATTERNS), squeeze=False, sharex=True, sharey=True)
    for (row, column), panel in np.ndenumerate(panels):
        pattern = list(PATTERNS)[column]
        for (shown, lines), colour in zip(timelines.items(), COLOURS, strict=False):
            runs = [line.run for line in lines if line.run.layers > row]
            _curve(panel, runs, [run.most(pattern)[row] for run in runs], colour, f"{label} {shown}", linewidth=2)
            _curve(
                panel,
                runs,
                [run.shares[pattern][row].mean(axis=0) for run in runs],
                colour,
                None,
                band=False,
                linewidth=0.9,
            )
            _marks(panel, lines, colour)
        first = [next(iter(timelines.values()))[0].run]
        _curve(
            panel,
            first,
            [run.uniform[pattern][row] for run in first],
            "0.5",
            "uniform attention",
            linewidth=1,
            linestyle="--",
        )
        finish(panel, "", "share of attention" if column == 0 else "", f"layer {row}: {PATTERNS[pattern]}")
        _steps(panel, first, row == layers - 1)
    panels[0, 0].set_ylim(0, min(1.03, panels[0, 0].get_ylim()[1]))
    entries = panels[0, 0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    drawn = "thick: head with the most, thin: mean over heads, band: 95 % interval"
    figure.suptitle(f"Shares of attention, {_seeds(timelines, drawn)}", fontsize=11)
    return figure


def heads_apart(timelines: Timelines, label: str):
    """Distances between the heads of a layer, and the number of their groups."""
    figure = new_figure(11, 4.4)
    left, right = figure.subplots(1, 2)
    for (shown, lines), colour in zip(timelines.items(), COLOURS, strict=False):
        runs = [line.run for line in lines]
        for layer in range(runs[0].layers):
            _curve(
                left,
                runs,
                [run.distances[layer] for run in runs],
                colour,
                f"{label} {shown}, layer {layer}",
                linewidth=1.6,
                linestyle=LAYER_STYLES[layer % len(LAYER_STYLES)],
            )
        _curve(right, runs, [run.clusters for run in runs], colour, f"{label} {shown}", linewidth=1.8)
        for panel in (left, right):
            _marks(panel, lines, colour)
    every = [line.run for lines in timelines.values() for line in lines]
    finish(left, "", "Jensen-Shannon divergence (nats)", "between the heads of a layer")
    finish(right, "", "groups of heads", "heads of all layers")
    for panel, most in ((left, 0.7), (right, every[0].entropy_share[..., 0].size + 0.3)):
        _steps(panel, every, True)
        panel.set_ylim(0, min(most, panel.get_ylim()[1]))
        panel.legend(loc="upper left", frameon=False, fontsize=8)
    drawn = "line: mean, band: 95 % interval"
    figure.suptitle(f"How different the heads are, {_seeds(timelines, drawn)}", fontsize=11)
    return figure


def change_points(timelines: Timelines, label: str):
    """Curves, the pieces fitted to them and where the steepest begins: a row a curve, a column a group."""
    layers = _layers(timelines)
    curves = {FALLS: "held-out loss (nats)"}
    curves |= {ENTROPY.event(layer): f"layer {layer}\nentropy / maximum" for layer in range(layers)}
    figure = new_figure(4.6 * len(timelines) + 1.2, 2.4 * len(curves) + 0.6)
    panels = figure.subplots(len(curves), len(timelines), squeeze=False, sharex=True, sharey="row")
    for (row, column), panel in np.ndenumerate(panels):
        event = list(curves)[row]
        shown, lines = list(timelines.items())[column]
        for index, line in enumerate(lines):
            fit = line.fits.get(event)
            if fit is None:
                continue
            colour = COLOURS[index % len(COLOURS)]
            panel.plot(2**fit.times, fit.values, ".", color=colour, markersize=4, alpha=0.6)
            if fit.change is None:
                continue
            place, pieces = fit.change.place, fit.change.pieces
            panel.plot(
                2**pieces.ends, pieces.at(pieces.ends), color=colour, linewidth=1.2, label=f"seed {line.run.seed}"
            )
            panel.plot(
                2**place,
                pieces.at([place]),
                "o",
                color=colour,
                markersize=8,
                markerfacecolor="none",
                markeredgewidth=1.8,
            )
        if event == FALLS:
            levels = [line.run.unigram_entropy - MARGIN for line in lines]
            panel.axhline(levels[0], color="0.35", linewidth=1, linestyle=":", label=f"unigram entropy − {MARGIN}")
        finish(panel, "", curves[event] if column == 0 else "", f"{label} {shown}" if row == 0 else "")
        _doublings(panel, timelines, row == len(curves) - 1)
        if row == 0 and panel.get_legend_handles_labels()[0]:
            panel.legend(loc="lower left", frameon=False, fontsize=8)
    return figure


def timing(timelines: Timelines, label: str):
    """A row for each event, with its times in every run: a panel for each group."""
    figure = new_figure(10.5, 0.42 * sum(len(lines[0].events) for lines in timelines.values()) + 1.2)
    heights = [len(lines[0].events) for lines in timelines.values()]
    panels = figure.subplots(len(timelines), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for panel, (shown, lines) in zip(panels, timelines.items(), strict=True):
        events = list(lines[0].events)
        for row, event in enumerate(events):
            for index, line in enumerate(lines):
                found = line.events[event]
                colour, y = COLOURS[index % len(COLOURS)], row - 0.28 + 0.48 * index / len(lines)
                panel.plot([2**found.low, 2**found.high], [y, y], color=colour, linewidth=1.6)
                panel.plot(
                    2**found.time,
                    y,
                    "o",
                    color=colour,
                    markersize=4.5,
                    label=f"seed {line.run.seed}" if row == 0 else None,
                )
            _mean(panel, mean_time(lines, event), row + 0.28, row == 0)
        for row in range(0, len(events), 2):
            panel.axhspan(row - 0.5, row + 0.5, color="0.95", zorder=0)
        finish(panel, "", "", f"{label} {shown}")
        panel.set_yticks(range(len(events)), events, fontsize=8)
        panel.set_ylim(len(events) - 0.5, -0.5)
        panel.grid(False, axis="y")
        _doublings(panel, timelines, panel is panels[-1])
    entries = panels[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure


def one_head(timelines: Timelines, label: str) -> Drawing | None:
    """The head that changes most in the first seed of every group, at steps of even ratios."""
    from matplotlib.colors import PowerNorm

    rows = {}
    for shown, lines in timelines.items():
        run = lines[0].run
        layer, head = run.most_changed()
        maps = run.maps()
        if maps:
            title = f"{label} {shown}, seed {run.seed}\nlayer {layer}, head {head}"
            rows[title] = {step: maps[step][layer, head] for step in doubling_steps(maps)}
    if not rows:
        return None
    columns = max(map(len, rows.values()))
    figure = new_figure(2.1 * columns + 1.6, 2.35 * len(rows) + 0.6)
    panels = figure.subplots(len(rows), columns, squeeze=False, sharex="row", sharey="row")
    for axes, (title, maps) in zip(panels, rows.items(), strict=True):
        for panel in axes[len(maps) :]:
            panel.set_axis_off()
        for panel, (step, weights) in zip(axes, maps.items(), strict=False):
            image = panel.imshow(np.asarray(weights, np.float32), cmap=SEQUENTIAL, norm=PowerNorm(0.5, 0, 1))
            panel.set_title(f"step {step:,}", fontsize=10)
        axes[0].set_ylabel(title, fontsize=9)
    figure.supxlabel("position attended to", fontsize=10)
    figure.supylabel("position that attends", fontsize=10)
    figure.colorbar(image, ax=panels.ravel().tolist(), label=SCALE_LABEL, shrink=0.8)
    return Drawing(
        figure,
        "One held-out sequence, masked, in the head whose entropy changes most in the first seed of each "
        f"{label}. Other heads change less.",
    )


def doubling_steps(steps, most: int = MAPS) -> list[int]:
    """The first step, and the steps nearest to the last step, its half, its quarter, ..."""
    steps = np.array(sorted(steps))
    wanted = [steps[-1] / 2**n for n in range(most - 1)]
    nearest = {int(steps[np.abs(steps - step).argmin()]) for step in wanted}
    return sorted({int(steps[0]), *nearest})


def _curve(panel, runs: list[AttentionRun], values: list, colour, label: str | None, band=True, **style) -> None:
    """The mean over runs of their ``values`` over their steps, with its interval."""
    if not runs:
        return
    steps, means = mean_curve([run.steps for run in runs], values)
    panel.plot(steps, [estimate.mean for estimate in means], color=colour, label=label, **style)
    if band:
        low, high = ([getattr(estimate, end) for estimate in means] for end in ("low", "high"))
        panel.fill_between(steps, low, high, color=colour, alpha=BAND, linewidth=0)


def _marks(panel, lines: list[Timeline], colour="0.25") -> None:
    for event, style in MARKS.items():
        time = mean_time(lines, event)
        if time.n:
            panel.axvline(2**time.mean, color=colour, linestyle=style, linewidth=1.1)


def _mean(panel, time: Estimate, y: float, labelled: bool) -> None:
    if not time.n:
        across = panel.get_yaxis_transform()
        panel.text(0.995, y - 0.28, "in no run", transform=across, ha="right", va="center", fontsize=8)
        return
    if time.n > 1:
        panel.plot([2**time.low, 2**time.high], [y, y], color="black", linewidth=2.2)
    panel.plot(2**time.mean, y, "D", color="black", markersize=5, label="geometric mean" if labelled else None)


def _steps(panel, runs: list[AttentionRun], bottom: bool) -> None:
    step_axis(panel, runs[0].steps)
    if not bottom:
        panel.set_xlabel("")


def _doublings(panel, timelines: Timelines, bottom: bool) -> None:
    """Optimizer steps on a scale of powers of two, up to the last: an interval may reach far beyond."""
    last = max(int(line.run.steps[-1]) for lines in timelines.values() for line in lines)
    panel.set_xscale("log", base=2)
    panel.set_xlim(0.9, max(1.1 * last, 2))
    ticks = [2**power for power in range(0, 40, 1 if last < 200 else 2) if 2**power <= 1.1 * last]
    panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.minorticks_off()
    panel.set_xlabel("optimizer step" if bottom else "")


def _layers(timelines: Timelines) -> int:
    return max(line.run.layers for lines in timelines.values() for line in lines)


def _colour(rank: int, heads: int):
    from matplotlib import colormaps

    return colormaps[SEQUENTIAL](0.85 * rank / max(heads - 1, 1))


def _rank(rank: int, heads: int) -> str:
    names = {0: "sharpest head", heads - 1: "broadest head"}
    return names.get(rank, f"head of rank {rank + 1}")


def _seeds(timelines: Timelines, drawn: str) -> str:
    counts = sorted({len(lines) for lines in timelines.values()})
    if counts == [1]:
        return "one seed: no interval, no claim"
    return f"{' to '.join(map(str, counts))} seeds\n({drawn})"
