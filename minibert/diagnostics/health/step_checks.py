"""Checks of gradients and updates: whether they explode or vanish, and whether updates are too large or small."""

import numpy as np

from minibert.diagnostics.health.issues import Finding, Histories, History, NotRecordedError, found_at

EXPLODING = 10.0
"""A gradient norm over the median of all norms before it. Healthy runs stay below 3.3, overfitting one batch
stays below 4.3; SGD at ten times its rate reaches 11, LAMB at three times its rate 91."""
VANISHING = 0.005
"""A layer's gradient norm over that of the whole network, median over the last quarter. Healthy runs are above
0.010: SGD and sinusoidal positions, while still on the unigram level; all others above 0.027. Most networks that a
rate has broken end below 0.004."""
FADED = 0.01
"""The gradient norm, median over the last quarter over that of the first, with more than half of the loss left.
Healthy runs are above 0.25."""
LARGE_UPDATE = 0.3
"""Length of an update over that of the weight, median over the weight matrices, at the measured step where it is
largest. Healthy runs stay below 0.02, at three times the rate below 0.035; AdamW at five times its rate without
warm-up reaches 0.28 and learns, at a hundred times its rate 0.4 and does not."""
SMALL_UPDATES = 1e-3
"""The same ratio summed over all steps: how far the weights had come, as a share of their length, if all updates
went the same way. Healthy runs of 300 steps come 0.24 (SGD) to 2.9 lengths far; at a rate of 1e-9, 1e-6."""
TINY = np.finfo(np.float64).tiny


def check_exploding_gradients(histories: Histories) -> list[Finding]:
    """Whether a gradient norm is no number, or :data:`EXPLODING` times the median of all before it.

    It is a problem where the last norms are still so large, else a warning.
    """
    metric = "gradient_norm/global"
    norms = histories.of(metric)
    bad = np.flatnonzero(~np.isfinite(norms.values))
    if len(bad):
        place, severity, ending = int(bad[0]), "problem", "."
    else:
        if len(norms.values) < 3:
            raise NotRecordedError(f"fewer than 3 points of {metric}")
        medians = np.array([np.median(norms.values[:place]) for place in range(2, len(norms.values))])
        ratios = norms.values[2:] / np.maximum(medians, TINY)
        worst = int(ratios.argmax())
        if ratios[worst] <= EXPLODING:
            return []
        place = worst + 2
        lasting = np.median(norms.values[-3:]) > EXPLODING * medians[worst]
        severity = "problem" if lasting else "warning"
        ending = f", {ratios[worst]:.3g} times its median before (limit {EXPLODING:g})" + (
            ", and stays large." if lasting else "."
        )
    evidence = f"{metric} is {norms.values[place]:.3g} at step {norms.steps[place]:,}{ending}"
    return [
        found_at(
            norms,
            place,
            "exploding_gradients",
            severity,
            metric,
            evidence,
            cause="too large a rate, or a batch that is unlike the others.",
            advice="clipping=global_norm; optimizer.learning_rate divided by 3; schedule.warmup=0.2.",
        )
    ]


def check_vanishing_gradients(histories: Histories) -> list[Finding]:
    """Whether layers get less than :data:`VANISHING` of the whole gradient; or whether all of it has gone below
    :data:`FADED` of what it was, though there is much left to learn."""
    metric = "gradient_norm/global"
    whole, loss = histories.of(metric).finite, histories.of("train/loss").finite
    if len(whole.values) < 3:
        raise NotRecordedError(f"fewer than 3 points of {metric}")
    quarter = max(len(whole.values) // 4, 1)
    starved = _starved_layers(histories, whole, quarter)
    if starved:
        worst = min(starved, key=starved.__getitem__)
        evidence = (
            f"The gradient norm of {', '.join(starved)} ends at {starved[worst]:.2g} of the whole network's in "
            f"{worst} (limit {VANISHING:g})."
        )
        return [
            found_at(
                histories.of(f"gradient_norm/{worst}"),
                -1,
                "vanishing_gradients",
                "problem",
                f"gradient_norm/{worst}",
                evidence,
                cause="the output hardly depends on what these layers do any more: attention is saturated, units "
                "are dead, or what flows past them has outgrown them.",
                advice="optimizer.learning_rate divided by 3; schedule.warmup=0.1; norm=pre; init=bert.",
            )
        ]
    first, last = np.median(whole.values[:quarter]), np.median(whole.values[-quarter:])
    unlearnt = len(loss.values) and loss.values[-1] > 0.5 * loss.values[0]
    if not (unlearnt and last < FADED * first):
        return []
    evidence = f"{metric} ends at {last:.2g}, {last / first:.2g} of what it began with (limit {FADED:g})."
    return [
        found_at(
            whole,
            -1,
            "vanishing_gradients",
            "problem",
            metric,
            evidence,
            cause="what all gradients pass through has become constant, such as a norm whose gain went to zero.",
            advice="optimizer.learning_rate divided by 3; less optimizer.weight_decay; init=bert.",
        )
    ]


def _starved_layers(histories: Histories, whole: History, quarter: int) -> dict[str, float]:
    """Layer -> its share of the whole gradient's norm, of the layers where that is too little."""
    found = {}
    for layer, norms in histories.by_layer("gradient_norm/").items():
        shares = (norms.at(whole.steps) / np.maximum(whole.values, TINY))[-quarter:]
        known = shares[np.isfinite(shares)]
        if len(known) and np.median(known) < VANISHING:
            found[layer] = float(np.median(known))
    return found


def update_ratios(histories: Histories) -> History:
    """‖Δθ‖ / ‖θ‖ of the median weight matrix at each step that it was recorded at.

    Raises :class:`NotRecordedError` where no ``update_ratio/<parameter>.weight`` is.
    """
    at: dict[int, list[float]] = {}
    for name in histories.names("update_ratio/", ".weight"):
        for step, ratio in zip(*histories.of(name).finite, strict=True):
            at.setdefault(int(step), []).append(float(ratio))
    if not at:
        raise NotRecordedError("update_ratio/<parameter> is not recorded")
    steps = sorted(at)
    return History(np.array(steps, np.int64), np.array([np.median(at[step]) for step in steps]))


def check_large_updates(histories: Histories) -> list[Finding]:
    """Whether an update of the median weight matrix is more than :data:`LARGE_UPDATE` of it."""
    ratios = update_ratios(histories)
    worst = int(ratios.values.argmax())
    if ratios.values[worst] <= LARGE_UPDATE:
        return []
    evidence = (
        f"The update of step {ratios.steps[worst] + 1:,} is {ratios.values[worst]:.2g} of the weights, in the "
        f"median weight matrix (limit {LARGE_UPDATE:g})."
    )
    return [
        found_at(
            ratios,
            worst,
            "large_updates",
            "warning",
            "update_ratio/median",
            evidence,
            cause="too large a rate for weights of this size, or initial weights that are next to nothing.",
            advice="optimizer.learning_rate divided by 3; schedule.warmup=0.2; init=bert, with model.init_gain=1.",
        )
    ]


def check_small_updates(histories: Histories) -> list[Finding]:
    """Whether all updates together are less than :data:`SMALL_UPDATES` of the median weight matrix."""
    ratios = update_ratios(histories)
    if len(ratios.steps) < 2:
        raise NotRecordedError("update_ratio/<parameter> is recorded at one step only")
    path = float(np.trapezoid(ratios.values, ratios.steps))
    if path >= SMALL_UPDATES:
        return []
    evidence = (
        f"All updates together are {path:.2g} of the weights, in the median weight matrix (limit "
        f"{SMALL_UPDATES:g}): the network still is what it was at its initialisation."
    )
    return [
        found_at(
            ratios,
            -1,
            "small_updates",
            "problem",
            "update_ratio/median",
            evidence,
            cause="too small a rate, or very few steps.",
            advice="the optimizer's default rate; optimizer.learning_rate times 10; more training.steps.",
        )
    ]
