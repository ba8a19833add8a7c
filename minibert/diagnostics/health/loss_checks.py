"""What a loss curve says: whether the unigram level was left, whether it diverged, whether it overfitted."""

import numpy as np

from minibert.diagnostics.health.issues import Finding, Histories, History, NotRecordedError, found_at

PLATEAU_MARGIN = 0.1
"""Nats below the unigram entropy at which a loss counts as having left it. A held-out loss is a mean over some two
thousand predictions, whose losses scatter by two nats: twice its standard error is 0.09. At initialisation, with
the word frequencies as output bias, the losses of a hundred runs were -0.02 to +0.08 nats from the level."""
PLATEAU_REACH = 0.3
"""Nats above what the word frequencies of the training text reach on held-out text, up to which a loss counts as
standing on the unigram level. Runs that stood on it ended at most 0.1 above."""
SHORT_RUN = 400
"""Optimizer steps in which the level need not be left: at default settings, networks from debug to tiny left it
between step 50 and step 1,300."""
DIVERGENCE_MARGIN = 0.4
"""Nats that a loss climbs above its own minimum. Healthy runs of every optimizer climb at most 0.21, Adafactor in
its warm-up; at ten times its rate it climbs 0.75, SGD at ten times its rate 1.2, and both come down again."""
OVERFITTING_MARGIN = 0.1
"""Nats that the held-out loss ends above its minimum, while the training loss fell as much. Healthy runs of every
optimizer end at most 0.013 above; overfitting one batch ends 4.0 above."""
FEWEST_EVALUATIONS = 4
"""Below, the check uses the training loss in place of the held-out one, or neither."""


def find_plateau_end(steps, values, level: float, margin: float = PLATEAU_MARGIN) -> int | None:
    """The first of ``steps`` from which on all ``values`` are below ``level`` - ``margin``; None if the last is
    not.

    steps (n,) ints; values (n,) losses in nats; level, the unigram entropy in nats a token. Values that are no
    number count as above it.
    """
    below = np.asarray(values, np.float64) < level - margin
    if not len(below) or not below[-1]:
        return None
    above = np.flatnonzero(~below)
    return int(np.asarray(steps)[above[-1] + 1 if len(above) else 0])


def loss_against_level(histories: Histories) -> tuple[str, History, float]:
    """The loss that the plateau is read from, by name, and the unigram entropy.

    It is the held-out loss, where it was measured :data:`FEWEST_EVALUATIONS` times, else means over five points of
    the training loss. Raises :class:`NotRecordedError` where there is neither.
    """
    level = histories.of("baseline/unigram_entropy").finite
    if not len(level.values):
        raise NotRecordedError("baseline/unigram_entropy is not recorded")
    held_out, training = histories.of("eval/loss"), histories.of("train/loss").smoothed(5)
    if len(held_out.values) >= FEWEST_EVALUATIONS:
        return "eval/loss", held_out, float(level.values[-1])
    if not len(training.values):
        raise NotRecordedError(
            f"fewer than {FEWEST_EVALUATIONS} points of eval/loss, and fewer than 5 of train/loss"
        )
    return "train/loss", training, float(level.values[-1])


def check_plateau(histories: Histories) -> list[Finding]:
    """Whether the loss ends on the unigram level, and never was :data:`PLATEAU_MARGIN` below it.

    On the level is up to :data:`PLATEAU_REACH` above it (above ``baseline/unigram_cross_entropy``, where that is
    recorded), or where the loss began. In a run of fewer steps than :data:`SHORT_RUN` that is a note.
    """
    metric, loss, level = loss_against_level(histories)
    end = float(loss.values[-1])
    top = histories.of("baseline/unigram_cross_entropy").finite.values.max(initial=level) + PLATEAU_REACH
    stands = end <= max(top, loss.values[0])  # a NaN does not
    if not stands or np.nanmin(loss.values) < level - PLATEAU_MARGIN:
        return []
    steps = histories.last_step
    evidence = (
        f"{metric} ends at {end:.3f} nats, the unigram entropy is {level:.3f}, and the loss never was "
        f"{PLATEAU_MARGIN} below it."
    )
    if steps < SHORT_RUN:
        return [
            found_at(
                loss,
                -1,
                "loss_plateau",
                "note",
                metric,
                evidence,
                cause=f"few steps, {steps:,}: at default settings small networks leave this level after 50 to "
                "1,300.",
                advice="more training.steps.",
            )
        ]
    return [
        found_at(
            loss,
            -1,
            "loss_plateau",
            "problem",
            metric,
            evidence,
            cause="the network knows how often words occur, and nothing from their context: attention has not "
            "found the order of words. Too large or too small a rate, or too little text, keeps it from that.",
            advice="position=rope or relative, which find the order in fewer steps; masking.rate=0.4; more "
            "training.steps; optimizer.learning_rate divided by 3, and times 3.",
        )
    ]


def check_divergence(histories: Histories) -> list[Finding]:
    """Whether the loss is no number, or has climbed :data:`DIVERGENCE_MARGIN` above its own minimum before.

    Where the held-out loss was measured :data:`FEWEST_EVALUATIONS` times, both must have climbed: in overfitting
    the held-out loss alone does, and the training loss alone when masking or curriculum get harder. It is a
    warning where the loss comes down again, else a problem.
    """
    for metric in ("train/loss", "eval/loss"):
        loss = histories.of(metric)
        bad = np.flatnonzero(~np.isfinite(loss.values))
        if len(bad):
            evidence = f"{metric} is {loss.values[bad[0]]} at step {loss.steps[bad[0]]:,}."
            return [_divergence(loss, bad[0], "problem", metric, evidence)]
    losses = {"train/loss": histories.of("train/loss").smoothed(3)}
    if not len(losses["train/loss"].values):
        raise NotRecordedError("fewer than 3 points of train/loss")
    if len(histories.of("eval/loss").values) >= FEWEST_EVALUATIONS:
        losses["eval/loss"] = histories.of("eval/loss")
    climbs = {name: loss.values - np.minimum.accumulate(loss.values) for name, loss in losses.items()}
    if min(climb.max() for climb in climbs.values()) <= DIVERGENCE_MARGIN:
        return []
    metric = list(losses)[-1]
    loss, climb = losses[metric], climbs[metric]
    peak = int(climb.argmax())
    lasting = all(climb[-1] > DIVERGENCE_MARGIN for climb in climbs.values())
    evidence = (
        f"{metric} is {loss.values[peak]:.4g} nats at step {loss.steps[peak]:,}, {climb[peak]:.4g} above its "
        f"minimum before (limit {DIVERGENCE_MARGIN}), and {'stays up' if lasting else 'comes down again'}."
    )
    return [_divergence(loss, peak, "problem" if lasting else "warning", metric, evidence)]


def check_overfitting(histories: Histories) -> list[Finding]:
    """Whether the held-out loss ends :data:`OVERFITTING_MARGIN` above its minimum, since when the training loss
    has fallen as much; that of a run that diverged on the way tells nothing of it."""
    held_out, training = histories.of("eval/loss").finite, histories.of("train/loss").finite.smoothed(3)
    if len(held_out.values) < FEWEST_EVALUATIONS or not len(training.values):
        raise NotRecordedError(f"fewer than {FEWEST_EVALUATIONS} points of eval/loss, or than 3 of train/loss")
    best = int(held_out.values.argmin())
    rise = float(held_out.values[-1] - held_out.values[best])
    place = np.searchsorted(training.steps, held_out.steps[best]).clip(max=len(training.steps) - 1)
    fall = float(training.values[place] - training.values[-1])
    diverged = (training.values - np.minimum.accumulate(training.values)).max() > DIVERGENCE_MARGIN
    if rise <= OVERFITTING_MARGIN or fall <= OVERFITTING_MARGIN or diverged:
        return []
    evidence = (
        f"eval/loss ends {rise:.3f} nats above its minimum at step {held_out.steps[best]:,} (limit "
        f"{OVERFITTING_MARGIN}), while train/loss fell by {fall:.3f}."
    )
    return [
        found_at(
            held_out,
            -1,
            "overfitting",
            "warning",
            "eval/loss",
            evidence,
            cause="too little text for so many passes over it: the network overfits it.",
            advice="more text; fewer training.steps; model.dropout=0.1; a larger masking.rate; a smaller model.",
        )
    ]


def _divergence(loss: History, place: int, severity: str, metric: str, evidence: str) -> Finding:
    return found_at(
        loss,
        place,
        "divergence",
        severity,
        metric,
        evidence,
        cause="steps too long for how sharply the loss is curved: too large a rate, or too short a warm-up.",
        advice="optimizer.learning_rate divided by 3; schedule.warmup=0.2; clipping=global_norm; "
        "model.qk_norm=true.",
    )


def check_predictions(histories: Histories) -> list[Finding]:
    """Whether no token was predicted at all, or fewer than one a step: then the loss says nothing."""
    metric = "tokens_predicted"
    predicted = histories.of(metric).finite
    if not len(predicted.steps) or not predicted.steps[-1]:
        raise NotRecordedError(f"{metric} is not recorded after a step")
    count, steps = predicted.values[-1], int(predicted.steps[-1])
    if count >= steps:
        return []
    severity = "warning" if count else "problem"
    evidence = f"{count:,.0f} tokens were predicted in {steps:,} steps, fewer than one a step."
    if not count:
        evidence = f"No token was predicted in {steps:,} steps: there was nothing to learn from."
    return [
        found_at(
            predicted,
            -1,
            "no_predictions",
            severity,
            metric,
            evidence,
            cause="so small a masking rate that batches of this size hardly hold a masked token.",
            advice="masking.rate=0.15 or more; a larger training.batch_size or training.sequence_length.",
        )
    ]
