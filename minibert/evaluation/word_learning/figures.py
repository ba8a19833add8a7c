"""The figures of the instrument ``word_learning``: curves with their fits, and age against frequency."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minibert.diagnostics.plotting.panels import label_once, small_panels
from minibert.diagnostics.plotting.style import COLOURS, Drawing, as_label, finish, new_figure, step_axis

if TYPE_CHECKING:
    from minibert.evaluation.word_learning.instrument import LearntWord

PANELS = 8
LABEL_ROOM = (0.2, 0.06)
"""Of the range of frequencies and of ages, that the name of a word takes"""
TITLES = {"chance": "from random chance", "unigram": "from the word's frequency"}


def draw_curves(learnt: Sequence["LearntWord"]) -> Drawing:
    """Surprisal over the steps of words of all frequencies, the fit, and the baselines."""
    ordered = sorted(learnt, key=lambda word: (-word.frequency, word.word))
    count = min(PANELS, len(ordered))
    chosen = [ordered[place] for place in np.linspace(0, len(ordered) - 1, count).round().astype(int)]
    figure, panels = small_panels(count)
    top = max([*(max(word.surprisals) for word in chosen), *(max(word.baselines.values()) for word in chosen)])
    for panel, word in zip(panels, chosen, strict=True):
        panel.plot(word.steps, word.surprisals, "o", color=COLOURS[0], markersize=3, label="surprisal")
        if word.curve is not None:
            first, last = np.log10(np.array([word.steps[0], word.steps[-1]]) + 1)
            fine = 10 ** np.linspace(first, last, 200) - 1
            panel.plot(fine, word.curve.at(fine), color=COLOURS[0], linewidth=1.5, label="fit")
        for (name, value), colour, style in zip(word.baselines.items(), COLOURS[1:], ("--", ":"), strict=False):
            panel.axhline(value, color=colour, linestyle=style, linewidth=1.2, label=name)
            age = word.ages[name]
            if age.step is not None and age.cutoff is not None:
                panel.plot(
                    [age.step],
                    [age.cutoff],
                    "D",
                    color=colour,
                    markersize=5,
                    zorder=4,
                    clip_on=False,
                    label=f"age from {name}",
                )
        finish(panel, "", "", f"{as_label(word.word)}, {1e6 * word.frequency:,.0f} per million")
        step_axis(panel, word.steps)
        panel.set_ylim(0, 1.05 * top)
    label_once(figure, panels, "optimizer step", "surprisal, nats")
    handles = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    width, _ = figure.get_size_inches()
    figure.legend(
        handles.values(), handles.keys(), frameon=False, fontsize=8, loc="center right",
        bbox_to_anchor=(1 - 0.02 / width, 0.5),
    )  # fmt: skip
    caption = (
        "Surprisal of masked words in held-out contexts, and the sigmoids fitted to them, for words of falling "
        "frequency. Diamonds: the age of acquisition, where the fit is half-way between a baseline and the lowest "
        "surprisal."
    )
    return Drawing(figure, caption)


def draw_ages(learnt: Sequence["LearntWord"]) -> Drawing:
    """Age of acquisition against frequency, a panel for each baseline."""
    names = list(learnt[0].baselines)
    figure = new_figure(4.6 * len(names), 3.8)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        finish(panel, "occurrences per million words", "age of acquisition, optimizer step", TITLES[name])
        aged = [(word, step) for word in learnt if (step := word.ages[name].step) is not None]
        if not aged:
            continue
        x = np.array([1e6 * word.frequency for word, _ in aged])
        # Step 0 has a place on this scale: log10(step + 1), as in the fits.
        y = np.log10(np.array([step for _, step in aged]) + 1)
        known = np.array([word.ages[name].state == "known from the start" for word, _ in aged])
        panel.scatter(x[~known], y[~known], s=16, color=COLOURS[0], zorder=2)
        panel.scatter(x[known], y[known], s=16, facecolors="none", edgecolors=COLOURS[0], zorder=2, clip_on=False)
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:,.0f}")
        _step_ticks(panel, float(y.min()), float(y.max()))
        places = np.column_stack([np.log10(x) / max(np.ptp(np.log10(x)), 1e-9), y / max(np.ptp(y), 1e-9)])
        for number in _apart(places, ~known):
            panel.annotate(
                as_label(aged[number][0].word),
                (x[number], y[number]),
                (3, 3),
                textcoords="offset points",
                fontsize=7,
            )
    caption = (
        "When words are learnt, by how often they are in the held-out text. Hollow: words known from the first "
        "checkpoint. Left out: words not learnt, and words without a fit."
    )
    return Drawing(figure, caption)


def _step_ticks(panel, low: float, high: float) -> None:
    """Steps on an axis of log10(step + 1)."""
    factors = (1, 2, 5) if high - low > 1 else (1, 1.5, 2, 3, 4, 5, 7)
    steps = [0, *(factor * 10**power for power in range(7) for factor in factors)]
    margin = 0.06 * (high - low) + 0.02
    low, high = (0.0 if low == 0 else low - margin), high + margin
    ticks = [step for step in steps if low <= np.log10(step + 1) <= high]
    panel.set_yticks(np.log10(np.array(ticks) + 1), [f"{tick:,.10g}" for tick in ticks])
    panel.set_ylim(low, high)


def _apart(places: np.ndarray, allowed: np.ndarray) -> list[int]:
    """Some of the points, of those allowed, that leave room for a label between them.    (n, 2), (n,) bool"""
    chosen: list[int] = []
    for number in np.flatnonzero(allowed):
        distances = np.abs(places[chosen] - places[number])
        if not ((distances[:, 0] < LABEL_ROOM[0]) & (distances[:, 1] < LABEL_ROOM[1])).any():
            chosen.append(int(number))
    return chosen
