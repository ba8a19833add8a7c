"""Checks of units and heads: whether they are dead, saturated or collapsed."""

import numpy as np

from minibert.diagnostics.health.issues import Finding, Histories, NotRecordedError, found_at
from minibert.diagnostics.health.loss_checks import find_plateau_end, loss_against_level

DEAD = 0.8
"""Share of a layer's units that respond to nothing, at the last measured step. Healthy runs end below 0.5, and are
always below 0.55. The highest are LAMB and SGD with debug, still on the unigram level, where all tokens are the
same to a unit; all others end below 0.04."""
SATURATED = 0.1
"""Entropy of a layer's median head as a share of its maximum, at the last measured step. Below, a query attends to
one or two tokens. Healthy heads become so sharp, too, when they have found a position to look at: those of the
upper layer of model tiny (Muon at its default rate, 300 steps of 32 sequences) were at 0.14 at step 128 and ended
at 0.02, and its held-out loss had left the unigram level at step 50. At ten times that rate both layers were below
0.1 at step 32, and the loss never left the level.
"""
SINK = 0.9
"""Share of its attention that a layer's median head gives to [CLS], to [SEP] or to the token itself, at the last
measured step. Healthy runs end below 0.2."""
ALIKE = 0.1
"""Distance between a layer's heads at the last measured step, over its largest value. Healthy runs whose heads
have become different end above 0.75."""
APART = 0.01
"""Nats: heads that never were so far apart cannot have become alike. They start out 0.00002 to 0.0004 apart."""
PLACES = {"cls": "[CLS]", "sep": "[SEP]", "self": "the token itself"}


def check_dead_units(histories: Histories) -> list[Finding]:
    """Whether more than :data:`DEAD` of a layer's feed-forward units respond to nothing at the end."""
    layers = {layer: each.finite for layer, each in histories.by_layer("dead_units/").items()}
    if not any(len(each.values) for each in layers.values()):
        raise NotRecordedError("dead_units/layer_i is not recorded")
    dead = {layer: each for layer, each in layers.items() if len(each.values) and each.values[-1] > DEAD}
    if not dead:
        return []
    worst = max(dead, key=lambda layer: dead[layer].values[-1])
    shares = ", ".join(f"{each.values[-1]:.0%} in {layer}" for layer, each in dead.items())
    return [
        found_at(
            dead[worst],
            -1,
            "dead_units",
            "problem",
            f"dead_units/{worst}",
            f"Feed-forward units that respond to no token at the last measured step: {shares} (limit {DEAD:.0%}).",
            cause="a long step has pushed their biases so far down that nothing reaches them; through a ReLU they "
            "get no gradient then, and stay dead.",
            advice="feed_forward=gelu; optimizer.learning_rate divided by 3; schedule.warmup=0.1.",
        )
    ]


def check_saturated_attention(histories: Histories) -> list[Finding]:
    """Whether the median head of a layer has less than :data:`SATURATED` of the largest entropy at the last
    measured step.

    It is a warning while the loss is on the unigram level or above it: then these heads were fixed before they
    found anything, and softmax gives them next to no gradient to find it by. Where the loss has left that level
    (:func:`minibert.diagnostics.health.loss_checks.find_plateau_end`), sharp heads are what the network has
    learnt, and it is a note.
    """
    medians = _median_heads(histories, "attention_entropy_share/")
    low = {layer: median for layer, (median, _) in medians.items() if median < SATURATED}
    if not low:
        return []
    name, loss, level = loss_against_level(histories)
    left_at = find_plateau_end(loss.steps, loss.values, level)
    worst = min(low, key=low.__getitem__)
    metric = f"attention_entropy_share/{worst}/{medians[worst][1]}"
    evidence = (
        f"The attention of the median head of {', '.join(low)} ends at {low[worst]:.2g} of the largest entropy in "
        f"{worst} (limit {SATURATED:g}): a query attends to one or two tokens"
    )
    if left_at is None:
        severity = "warning"
        evidence += (
            f", while {name} is {loss.values[-1]:.3f} nats, not below the unigram entropy of {level:.3f}: softmax "
            "has almost no gradient by which the heads could find other tokens."
        )
        cause = "queries and keys have grown too long: too large a rate, or too large an initial scale."
        advice = "model.qk_norm=true; optimizer.learning_rate divided by 3; init=bert, with model.init_gain=1."
    else:
        severity = "note"
        evidence += f". The network learns: {name} left the unigram level at step {left_at:,}."
        cause = "heads that have found a position to look at, such as the word before."
        advice = "nothing; attention_to_previous, attention_to_next and the pictures of attention show which."
    history = histories.of(metric).finite
    return [found_at(history, -1, "saturated_attention", severity, metric, evidence, cause=cause, advice=advice)]


def check_collapsed_attention(histories: Histories) -> list[Finding]:
    """Whether the median head of a layer gives more than :data:`SINK` of its attention to one kind of place, or
    the heads of a layer have become alike, to :data:`ALIKE` of the distance that they once had."""
    places = [place for place in PLACES if histories.names(f"attention_to_{place}/layer_")]
    distances = {layer: each.finite for layer, each in histories.by_layer("head_distance/").items()}
    if not places and not distances:
        raise NotRecordedError("neither attention_to_cls/layer_i/head_j nor head_distance/layer_i is recorded")
    findings = [finding for place in places for finding in _sinks(histories, place)]
    for layer, distance in distances.items():
        largest = distance.values.max(initial=0)
        if largest <= APART or distance.values[-1] >= ALIKE * largest:
            continue
        evidence = (
            f"The heads of {layer} end {distance.values[-1]:.2g} nats apart, {distance.values[-1] / largest:.0%} "
            f"of the distance that they once had (limit {ALIKE:.0%})."
        )
        findings.append(
            found_at(
                distance,
                -1,
                "collapsed_attention",
                "warning",
                f"head_distance/{layer}",
                evidence,
                cause="heads that were different now attend to the same positions, often after a long step.",
                advice="optimizer.learning_rate divided by 3; schedule.warmup=0.2; model.qk_norm=true.",
            )
        )
    return findings


def _sinks(histories: Histories, place: str) -> list[Finding]:
    medians = _median_heads(histories, f"attention_to_{place}/")
    sunk = {layer: median for layer, (median, _) in medians.items() if median > SINK}
    if not sunk:
        return []
    worst = max(sunk, key=sunk.__getitem__)
    metric = f"attention_to_{place}/{worst}/{medians[worst][1]}"
    evidence = (
        f"The median head of {', '.join(sunk)} gives {sunk[worst]:.0%} of its attention to {PLACES[place]} in "
        f"{worst} (limit {SINK:.0%})."
    )
    return [
        found_at(
            histories.of(metric).finite,
            -1,
            "collapsed_attention",
            "warning",
            metric,
            evidence,
            cause="the layer no longer mixes tokens: its heads attend to positions that change nothing.",
            advice="attention=gated, with which a head can do nothing; optimizer.learning_rate divided by 3.",
        )
    ]


def _median_heads(histories: Histories, prefix: str) -> dict[str, tuple[float, str]]:
    """Layer -> the median over its heads at the last measured step, and the head that is nearest to it."""
    found = {}
    for layer, heads in histories.by_head(prefix).items():
        last = {head: float(each.finite.values[-1]) for head, each in heads.items() if len(each.finite.values)}
        if last:
            median = float(np.median(list(last.values())))
            found[layer] = median, min(last, key=lambda head: abs(last[head] - median))
    if not found:
        raise NotRecordedError(f"{prefix}layer_i/head_j is not recorded")
    return found
