"""What the probes of all checkpoints show together: figures, and when each property is learnt."""

from collections.abc import Mapping, Sequence

import numpy as np

from minibert.evaluation.instruments import Conclusion, Findings, Table
from minibert.evaluation.probing.figures import (
    plot_compression,
    plot_gains,
    plot_layers,
    plot_layers_by_checkpoint,
)


def conclude(by_step: Mapping[int, Findings]) -> Conclusion:
    """The figures of the last checkpoint; of several, layer by checkpoint and the step of half of the gain."""
    steps = sorted(by_step)
    values = {step: by_step[step].values for step in steps}
    last = values[steps[-1]]
    figures = {"layers": plot_layers(last), "compression": plot_compression(last)}
    if len(steps) < 2:
        return Conclusion(figures)
    gains = {task: gain_curve(task, values) for task in last if all(task in found for found in values.values())}
    clear = [task for task in gains if _is_clear(last[task])]
    halves = {task: half_gain_step(*gains[task]) for task in clear}
    figures["layers_by_checkpoint"] = plot_layers_by_checkpoint(values)
    if clear:
        figures["gains"] = plot_gains({task: gains[task] for task in clear}, halves)
    metrics = {f"probing/half_gain_step/{task}": step for task, step in halves.items()}
    never = [task.replace("_", " ") for task in gains if task not in clear]
    notes = []
    if never:
        notes.append(f"No clear gain over step 0, and so no step of half of it: {', '.join(never)}.")
    return Conclusion(figures, metrics, [_half_gains(gains, halves, last)], notes)


def _is_clear(last: Mapping) -> bool:
    """Whether the interval at the last step lies above the accuracy at step 0, in the best layer."""
    return last["low"][last["best"]] > last["untrained_accuracy"][last["best"]]


def gain_curve(task: str, values: Mapping[int, Mapping]) -> tuple[list[int], list[float]]:
    """Steps, and how far the accuracy is above that of step 0; in the layer that is best at the last step.

    Step 0 is the untrained network, whether it is among the checkpoints or not.
    """
    last = values[max(values)][task]
    layer = last["best"]
    start = last["untrained_accuracy"][layer]
    found = {0: 0.0} | {step: values[step][task]["accuracy"][layer] - start for step in sorted(values) if step}
    return list(found), list(found.values())


def half_gain_step(steps: Sequence[int], gains: Sequence[float]) -> float:
    """The first step at which half of the last gain, which is above 0, is reached: on straight lines between
    checkpoints."""
    goal = gains[-1] / 2
    place = int(np.argmax(np.array(gains) >= goal))
    before, after = gains[place - 1], gains[place]
    share = (goal - before) / (after - before)
    return float(steps[place - 1] + share * (steps[place] - steps[place - 1]))


def _half_gains(
    gains: Mapping[str, tuple[list[int], list[float]]], halves: Mapping[str, float], last: Mapping
) -> Table:
    rows: list[list] = [
        [
            task.replace("_", " "),
            last[task]["best"],
            f"{last[task]['untrained_accuracy'][last[task]['best']]:.1%}",
            f"{100 * curve[-1]:+.1f} points",
            round(halves[task]) if task in halves else None,
        ]
        for task, (_, curve) in sorted(gains.items(), key=lambda each: halves.get(each[0], np.inf))
    ]
    caption = (
        "In the layer that is best at the last step. Between two checkpoints, the accuracy is taken to change "
        "along a straight line: the step is no more exact than the distance of the checkpoints. No step is given "
        "where the 95 % interval at the last step reaches down to the accuracy at step 0."
    )
    columns = ["task", "layer", "accuracy at step 0", "gain at the last step", "step of half of the gain"]
    return Table("When each property is learnt", caption, columns, rows)
